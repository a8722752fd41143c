"""The outcome, concluded from what the executor wrote in the record and never from what a workflow says.

- Nothing claimed: not_executed.
- A claim without a report, or a report that does not know: outcome_unknown. It is never retried.
- An executor that refused before it touched anything (a precondition failed) did nothing.
- Every step done and every criterion met: succeeded.
- Something was done and had to be undone: compensated if every undo reported success, otherwise compensation_failed.
- A criterion that could not be measured to its end, or a stop whose verb is to ask people: inconclusive.
"""

from enum import StrEnum
from typing import Literal

from policy.base import Instant, Reason, RecordModel


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


Effect = Literal["none", "done", "unknown"]


class Measurement(RecordModel):
    """What a probe read. `value` is None where it could not be read; `met` is None where that leaves it open."""

    probe: str
    expected: object = None
    value: object = None
    met: bool | None = None
    message: str = ""


class EffectReport(RecordModel):
    """What the executor says it did, once per permit."""

    permit_id: str
    status: Literal["succeeded", "failed", "unknown"]
    effect: Effect
    message: str = ""
    measurements: tuple[Measurement, ...] = ()
    started_at: Instant
    finished_at: Instant
    late: bool = False


class StepRecord(RecordModel):
    """What the record holds of one permit: whether it was used, and the report."""

    step: int
    direction: Literal["do", "undo"]
    use: Literal["unused", "void", "claimed"]
    report: EffectReport | None = None
    issued_at: Instant | None = None
    used_at: Instant | None = None


def conclude(
    records: tuple[StepRecord, ...], steps: int, *, stopped_to_ask: bool
) -> tuple[Outcome, tuple[Reason, ...]]:
    """The outcome of an action of so many steps.

    Args:
        records: one per permit that was issued.
        steps: how many steps were approved.
        stopped_to_ask: whether a stop came whose approved verb is to ask people.
    """
    forward = [item for item in records if item.direction == "do"]
    claimed = [item for item in forward if item.use == "claimed"]
    unsure = [item for item in claimed if item.report is None or item.report.effect == "unknown"]
    if unsure:
        names = ", ".join(str(item.step) for item in unsure)
        return Outcome.outcome_unknown, (
            _reason("effect_unknown", f"step {names} was claimed and its effect is not known"),
        )
    done = [item for item in claimed if item.report is not None and item.report.effect == "done"]
    refused = tuple(
        _reason("executor_refused", f"step {item.step}: {item.report.message}")
        for item in claimed
        if item.report is not None and item.report.effect == "none"
    )
    if not done:
        return Outcome.not_executed, refused or (_reason("not_executed", "no step was begun"),)
    if len(done) == steps and all(item.report and item.report.status == "succeeded" for item in done):
        return Outcome.succeeded, (_reason("criteria_met", "every success criterion was met"),)
    return _undone(records, done, refused, stopped_to_ask=stopped_to_ask)


def _undone(
    records: tuple[StepRecord, ...], done: list[StepRecord], refused: tuple[Reason, ...], *, stopped_to_ask: bool
) -> tuple[Outcome, tuple[Reason, ...]]:
    why = refused + tuple(
        _reason("criteria_failed", f"step {item.step}: {item.report.message}")
        for item in done
        if item.report is not None and item.report.status == "failed"
    )
    undo = {item.step: item.report for item in records if item.direction == "undo"}
    if stopped_to_ask and not any(undo.values()):
        return Outcome.inconclusive, (
            *why,
            _reason("stopped", "stopped after an effect; the approved verb is to ask people"),
        )
    left = [item.step for item in done if (report := undo.get(item.step)) is None or report.status != "succeeded"]
    if left:
        names = ", ".join(str(step) for step in left)
        return Outcome.compensation_failed, (*why, _reason("undo_failed", f"step {names} was done and not undone"))
    return Outcome.compensated, (*why, _reason("undone", "everything that was done was undone"))


def _reason(code: str, message: str) -> Reason:
    return Reason(code=code, message=message)
