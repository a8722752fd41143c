"""The outcome, concluded from what the executor wrote in the record and never from what a workflow says.

- Nothing claimed: not_executed.
- A claim without a report, or a report that does not know: outcome_unknown. It is never retried.
- An executor that refused before it touched anything (a precondition failed) did nothing.
- Every step done, every success criterion measured and met, and nothing undone: succeeded.
- Something was done and had to be undone: compensated if every undo reported success, otherwise compensation_failed.
- Something was done and nothing was undone, because a criterion could not be measured to its end or because of a stop
  whose verb is to ask people: inconclusive.
- Something was done, nobody can tell whether it is good, and people accepted it, or said nothing in their time where
  the policy holds it then (`policy/undecided.py`): inconclusive.
- A dry run changes nothing, so it ends as not_executed, however it went: what was rehearsed is in the reasons. A claim
  of it without a report did nothing either. Only where the record says that something was done under its permits,
  which cannot be, nobody knows: outcome_unknown.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from policy.base import Instant, Reason, RecordModel
from policy.canonical import canonical, check_value
from policy.errors import CanonicalError


class Outcome(StrEnum):
    succeeded = "succeeded"
    compensated = "compensated"
    compensation_failed = "compensation_failed"
    outcome_unknown = "outcome_unknown"
    inconclusive = "inconclusive"
    not_executed = "not_executed"

    @property
    def needs_hold(self) -> bool:
        """Whether the target must not be touched before a person has looked."""
        return self in (Outcome.compensation_failed, Outcome.outcome_unknown, Outcome.inconclusive)


# The code of the reasons of a dry run in which everything went well.
REHEARSED = "rehearsed"

Effect = Literal["none", "done", "unknown"]


def _is_empty(value: object) -> bool:
    return not value


def _sayable(value: object) -> object:
    """A report must not be lost because a probe read what JSON cannot say: it is kept as text."""
    try:
        check_value(value)
    except CanonicalError:
        return repr(value)[:200]
    return value


Value = Annotated[object, AfterValidator(_sayable)]


class Looks(RecordModel):
    """Looks in a row that said the same of a criterion.

    Attributes:
        first: when the first of them began, in seconds since the measuring began.
        last: when the last of them began.
        count: how many they are.
        low: the value that they read; of different numbers the lowest.
        high: the highest; None where all read the same.
        error: why there was no value; empty where there was.
    """

    first: float
    last: float
    count: Annotated[int, Field(exclude_if=lambda value: value == 1)] = 1
    low: Annotated[Value, Field(exclude_if=lambda value: value is None)] = None
    high: Annotated[Value, Field(exclude_if=lambda value: value is None)] = None
    error: Annotated[str, Field(exclude_if=_is_empty)] = ""


class Measurement(RecordModel):
    """What a probe read. `value` is None where it could not be read; `met` is None where that leaves it open.

    `resource` is where it was read, and `looks` everything that was read, in order; empty where an earlier release did
    not keep it, or nobody looked.
    """

    probe: str
    expected: Value = None
    value: Value = None
    met: bool | None = None
    message: str = ""
    resource: Annotated[str, Field(exclude_if=_is_empty)] = ""
    looks: Annotated[tuple[Looks, ...], Field(exclude_if=_is_empty)] = ()


# A probe, its parameters and a resource, as what is read is known by.
Place = tuple[str, bytes, str]


def place(probe: str, parameters: Mapping[str, JsonValue], resource: str) -> Place:
    """What a probe is asked on a resource: two criteria that ask the same have the same place."""
    return probe, canonical(parameters), resource


class Baseline(RecordModel):
    """What a probe read before the step. `value` is None, and `error` says why, where it could not be read."""

    probe: str
    parameters: Annotated[dict[str, JsonValue], Field(exclude_if=_is_empty)] = {}
    resource: str
    value: Value = None
    error: Annotated[str, Field(exclude_if=_is_empty)] = ""

    @property
    def place(self) -> Place:
        """What was asked, and where."""
        return place(self.probe, self.parameters, self.resource)


class Gate(RecordModel):
    """What was measured after one target, before the next one."""

    after: str
    measurements: tuple[Measurement, ...]

    @property
    def open(self) -> bool:
        """Whether everything was measured and met."""
        return bool(self.measurements) and all(item.met for item in self.measurements)


class Rehearsal(RecordModel):
    """What came of rehearsing one order. `passed` is None where the executor cannot rehearse it."""

    direction: Literal["do", "undo"]
    operation: str
    passed: bool | None
    message: str = ""


class EffectReport(RecordModel):
    """What the executor says it did, once per permit. That of a dry run has no effect, and says what was rehearsed.

    `baselines` were read before the step. Of a step target by target, `touched` are the targets that it acted on, in
    order, and `gates` what was measured between them. Of one on several targets at once that went wrong, `touched` are
    those that it may have changed, where that is known. `stopped` says what the executor read in the record that ended
    it while it ran: a halt, a hold, a stop or a take-over; empty where nothing of the kind did. `observed` says why
    there was no answer to what was then seen to be done at the target; empty where the executor was answered.
    """

    permit_id: str
    status: Literal["succeeded", "failed", "unknown"]
    effect: Effect
    message: str = ""
    measurements: tuple[Measurement, ...] = ()
    started_at: Instant
    finished_at: Instant
    late: bool = False
    dry_run: bool = False
    rehearsals: tuple[Rehearsal, ...] = ()
    baselines: Annotated[tuple[Baseline, ...], Field(exclude_if=_is_empty)] = ()
    touched: Annotated[tuple[str, ...], Field(exclude_if=_is_empty)] = ()
    gates: Annotated[tuple[Gate, ...], Field(exclude_if=_is_empty)] = ()
    stopped: Annotated[str, Field(exclude_if=_is_empty)] = ""
    observed: Annotated[str, Field(exclude_if=_is_empty)] = ""

    @property
    def succeeded(self) -> bool:
        """Done, said to have succeeded, and without a measurement that says otherwise."""
        return self.status == "succeeded" and self.effect == "done" and all(item.met for item in self.measurements)

    @property
    def failed(self) -> bool:
        """Said to have failed, or with a measurement that says so."""
        return self.status == "failed" or any(item.met is False for item in self.measurements)

    @property
    def inconclusive(self) -> bool:
        """Done, and nothing that was measured failed, but something could not be measured to its end."""
        open_ends = any(item.met is None for item in self.measurements)
        return self.effect == "done" and open_ends and not any(item.met is False for item in self.measurements)

    @property
    def rehearsed(self) -> bool:
        """A dry run that went well."""
        return self.dry_run and self.status == "succeeded" and self.effect == "none"

    def passed(self, direction: Literal["do", "undo"]) -> bool:
        """Whether a dry run that went well rehearsed this direction."""
        return self.rehearsed and any(item.passed and item.direction == direction for item in self.rehearsals)


class StepRecord(RecordModel):
    """What the record holds of one permit: whether it was used, and the report."""

    step: int
    direction: Literal["do", "undo"]
    use: Literal["unused", "void", "claimed"]
    report: EffectReport | None = None
    issued_at: Instant | None = None
    used_at: Instant | None = None


def conclude(
    records: tuple[StepRecord, ...],
    steps: int,
    *,
    stopped_to_ask: bool,
    criteria: int = 1,
    dry_run: bool = False,
    each_undo: bool = False,
    left: Reason | None = None,
) -> tuple[Outcome, tuple[Reason, ...]]:
    """The outcome of an action of so many steps.

    Args:
        records: one per permit that was issued.
        steps: how many steps were approved.
        stopped_to_ask: whether a stop came whose approved verb is to ask people.
        criteria: how many success criteria were approved; each must have been measured. At least one.
        dry_run: whether a dry run was approved.
        each_undo: whether each undo that failed or was not tried is a reason of its own; earlier releases said less.
        left: why what nobody can tell is kept as it is; None where it is not.
    """
    if dry_run:
        return _rehearsed(records, steps)
    claimed = [item for item in records if item.direction == "do" and item.use == "claimed"]
    reports = {item.step: item.report for item in claimed if item.report is not None}
    unsure = [str(item.step) for item in claimed if item.step not in reports or reports[item.step].effect == "unknown"]
    if unsure:
        message = f"step {', '.join(unsure)} was claimed and its effect is not known"
        return Outcome.outcome_unknown, (_reason("effect_unknown", message),)
    done = {step: report for step, report in reports.items() if report.effect == "done"}
    refused = tuple(
        _reason("executor_refused", f"step {step}: {report.message}")
        for step, report in reports.items()
        if report.effect == "none"
    )
    if not done:
        return Outcome.not_executed, refused or (_reason("not_executed", "no step was begun"),)
    if any(item.direction == "undo" and item.use == "claimed" for item in records):
        return _undone(records, done, (*refused, *_failures(done)), each_undo=each_undo)
    if stopped_to_ask:
        stopped = _reason("stopped", "stopped after an effect; the approved verb is to ask people")
        return Outcome.inconclusive, (*refused, *_failures(done), stopped)
    if left is not None:
        open_ends = tuple(
            _reason("criteria_unmeasured", f"step {step}: {report.message}")
            for step, report in done.items()
            if report.inconclusive
        )
        return Outcome.inconclusive, (*refused, *open_ends, left)
    return _left_done(records if each_undo else (), done, refused, steps, max(criteria, 1))


def _rehearsed(records: tuple[StepRecord, ...], steps: int) -> tuple[Outcome, tuple[Reason, ...]]:
    """The end of a dry run."""
    claimed = [item for item in records if item.use == "claimed"]
    if acted := [str(item.step) for item in claimed if _acted(item)]:
        message = f"step {', '.join(acted)} of a dry run was reported with an effect"
        return Outcome.outcome_unknown, (_reason("effect_unknown", message),)
    if not claimed:
        return Outcome.not_executed, (_reason("not_executed", "no step was begun"),)
    said = {item.step: item.report.message if item.report else "no report, and no effect" for item in claimed}
    well = {item.step for item in claimed if item.report is not None and item.report.rehearsed}
    if well == set(range(1, steps + 1)):
        return Outcome.not_executed, tuple(_reason(REHEARSED, f"step {step}: {text}") for step, text in said.items())
    failed = [f"step {step}: {text}" for step, text in said.items() if step not in well]
    why = failed or [f"{len(well)} of {steps} steps were rehearsed"]
    return Outcome.not_executed, tuple(_reason("rehearsal_failed", text) for text in why)


def _acted(record: StepRecord) -> bool:
    return record.direction == "undo" or (record.report is not None and record.report.effect != "none")


def _left_done(
    undos: tuple[StepRecord, ...],
    done: dict[int, EffectReport],
    refused: tuple[Reason, ...],
    steps: int,
    criteria: int,
) -> tuple[Outcome, tuple[Reason, ...]]:
    """Nothing was undone: everything went well, or nobody can tell, or an undo is missing."""
    if failures := (*refused, *_failures(done)):
        return _undone(undos, done, failures, each_undo=bool(undos))
    measured = sum(item.met is True for report in done.values() for item in report.measurements)
    if set(done) != set(range(1, steps + 1)):
        missing = (_reason("steps_missing", f"{len(done)} of {steps} steps were done"),)
        return _undone(undos, done, missing, each_undo=bool(undos))
    if measured < criteria or not all(report.succeeded for report in done.values()):
        message = f"{measured} of {criteria} success criteria were measured and met, the others could not be measured"
        return Outcome.inconclusive, (_reason("criteria_unmeasured", message),)
    return Outcome.succeeded, (_reason("criteria_met", "every success criterion was met"),)


def _undone(
    records: tuple[StepRecord, ...],
    done: dict[int, EffectReport],
    why: tuple[Reason, ...],
    *,
    each_undo: bool = False,
) -> tuple[Outcome, tuple[Reason, ...]]:
    undo = {item.step: item.report for item in records if item.direction == "undo"}
    left = [str(step) for step in done if (report := undo.get(step)) is None or report.status != "succeeded"]
    if left:
        message = f"step {', '.join(left)} was done and not undone"
        each = tuple(_left(records, int(step)) for step in left) if each_undo else ()
        return Outcome.compensation_failed, (*why, _reason("undo_failed", message), *each)
    return Outcome.compensated, (*why, _reason("undone", "everything that was done was undone"))


def _left(records: tuple[StepRecord, ...], step: int) -> Reason:
    """Why a step that was done is not undone."""
    undo = next((item for item in records if item.direction == "undo" and item.step == step), None)
    if undo is None:
        return _reason("undo_not_tried", f"step {step} has no undo")
    if undo.use != "claimed":
        return _reason("undo_not_tried", f"the undo of step {step} was not tried")
    if undo.report is None:
        return _reason("undo_unknown", f"the undo of step {step} was begun and nobody reported on it")
    return _reason("undo_failed", f"the undo of step {step}: {undo.report.status}, {undo.report.message}")


def _failures(done: dict[int, EffectReport]) -> tuple[Reason, ...]:
    return tuple(
        _reason("criteria_failed", f"step {step}: {report.message}") for step, report in done.items() if report.failed
    )


def _reason(code: str, message: str) -> Reason:
    return Reason(code=code, message=message)
