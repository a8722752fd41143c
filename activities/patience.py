"""How long the record waits for an action before it is concluded, from recorded facts alone.

- A claim without a report: a step has its timeout, the windows of its criteria and 90 seconds. An undo has all of its
  attempts, since compensation may have to wait for a target that is away; only its last attempt reports a failure.
- An undo that is due and that nobody reported on has the same time since something last happened, so that nobody can
  end an action between a failure and its undo. A permit that can still be claimed happens until it expires.
- An undo is due where its step was done and the action fails, was stopped to be undone, or has steps left to do. None
  is where everything was done, where an effect is not known, or where the approved verb for the stop is to ask people:
  nobody undoes those. Nor is what is left once an undo has failed, where the policy stops there.
- Where people say what becomes of an inconclusive step, nothing is concluded before their time is over. Then an undo is
  due from there on, or nothing where the policy holds it; nor where somebody accepted it.
- Whoever ends what its workflow left behind waits besides as long as a step may take since something last happened.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from activities.cases import CaseFile
from policy.outcome import StepRecord
from policy.proposal import Step
from policy.staging import step_seconds, targets_of
from workflows.ports import UNDO_RETRY

_MARGIN = timedelta(seconds=90)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def over_at(file: CaseFile, records: tuple[StepRecord, ...], expires_at: datetime | None) -> datetime:
    """The instant from which an action can be concluded.

    Args:
        file: the case.
        records: what became of its permits.
        expires_at: when the last forward permit that nobody used expires; None without any.
    """
    claims = [item.used_at + _time_for(item, file) for item in records if item.used_at and _unreported(item)]
    undo = [_time_for(item, file) for item in _due(file, records)]
    until = file.judged_until(records)
    judged = [until] if until is not None else []
    due = [max([_moved_at(records, expires_at), *judged]) + max(undo)] if undo else []
    return max((*claims, *due, *judged), default=_LONG_AGO)


def left_at(file: CaseFile, records: tuple[StepRecord, ...], expires_at: datetime | None) -> datetime:
    """The instant from which nobody is at work on an action any more, its workflow included; arguments as above."""
    longest = max(_step_time(step, file, number) for number, step in enumerate(file.proposal.steps, start=1))
    return max(over_at(file, records, expires_at), _moved_at(records, expires_at) + longest)


def _due(file: CaseFile, records: tuple[StepRecord, ...]) -> tuple[StepRecord, ...]:
    """The undo permits that somebody should still report on."""
    forward = [item for item in records if item.direction == "do" and item.use == "claimed"]
    reports = {item.step: item.report for item in forward if item.report is not None}
    unknown = len(reports) < len(forward) or any(report.effect == "unknown" for report in reports.values())
    if unknown or file.stopped_to_ask or file.accepted is not None or _held(file, records):
        return ()
    done = {step for step, report in reports.items() if report.effect == "done"}
    failed = any(report.failed for report in reports.values()) or len(done) < len(file.proposal.steps)
    if not failed and file.stop is None:
        return ()
    due = tuple(item for item in records if item.direction == "undo" and item.report is None and item.step in done)
    return () if _left_at_failed_undo(file, records) else due


def _held(file: CaseFile, records: tuple[StepRecord, ...]) -> bool:
    """Whether what nobody can tell is left under a hold, so that nothing is undone."""
    asked = file.judged_until(records) is not None
    return asked and file.judging is not None and file.judging.on_expiry == "hold"


def _left_at_failed_undo(file: CaseFile, records: tuple[StepRecord, ...]) -> bool:
    """Whether an undo has failed where the policy wants nothing more undone then."""
    if file.revision is None or not file.revision.evaluation.stops_at_failed_undo:
        return False
    undos = (item.report for item in records if item.direction == "undo")
    return any(report is not None and report.status != "succeeded" for report in undos)


def _unreported(record: StepRecord) -> bool:
    return record.use == "claimed" and record.report is None


def _time_for(record: StepRecord, file: CaseFile) -> timedelta:
    step = file.proposal.steps[record.step - 1]
    if record.direction == "do" or step.undo is None:
        return _step_time(step, file, record.step)
    undoing = targets_of(step, _acted_on(file, record.step)) * step.undo.timeout_seconds
    return UNDO_RETRY.maximum_attempts * (timedelta(seconds=undoing) + _MARGIN)


def _step_time(step: Step, file: CaseFile, number: int) -> timedelta:
    return timedelta(seconds=step_seconds(step, file.criteria, _acted_on(file, number))) + _MARGIN


def _acted_on(file: CaseFile, step: int) -> int:
    """How many targets a step acts on."""
    return file.revision.facts.acted_on(step) if file.revision is not None else 0


def _moved_at(records: tuple[StepRecord, ...], expires_at: datetime | None) -> datetime:
    """When something last happened. A report that was stored late tells when it was finished, which is what counts."""

    def instants() -> Iterator[datetime | None]:
        yield expires_at
        for item in records:
            yield from (item.issued_at, item.used_at, item.report.finished_at if item.report else None)

    return max((at for at in instants() if at is not None), default=_LONG_AGO)
