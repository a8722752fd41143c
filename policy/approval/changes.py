"""What the record must note of an open case at an instant before anybody reads it further; pure.

- A deadline that would have ended the case, and that nobody saw within a minute after it, begins the stage's grace,
  where it has one: once, and never beyond the absolute deadline.
- An escalation that looks somebody up is due: whom the directory names now is asked from now on, and where it names
  nobody, that is said. One that came due in a stage which is resolved asks nobody any more.
- An approval whose author lost what made it count is dropped (`policy/approval/lapsing.py`).
- The order is fixed, and each of them happens after everything before it, so an auditor comes to the same.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from policy.approval.ballot import Added, ApprovalCase, CaseEvent
from policy.approval.escalation import Due, step_of
from policy.approval.lapsing import counted_approvals, lapsed
from policy.approval.reading import Reading, read
from policy.approval.today import Today
from policy.base import instant_text
from policy.ledger import EntryKind
from policy.people.directory import Directory
from policy.people.turns import found, nobody
from policy.rules.chains import EscalationStep, ExpiryVerb, Requirement
from policy.rules.hours import Hours, ends

# Within it somebody was there: timers and clocks are not exact.
LATE = timedelta(minutes=1)
_BY_VERB = {ExpiryVerb.remind: EntryKind.reminded, ExpiryVerb.escalate: EntryKind.escalated}


class Change(NamedTuple):
    """An event to note, and the key that makes it the only one of its kind in a revision."""

    event: CaseEvent
    key: str


def changes(case: ApprovalCase, today: Today, now: datetime) -> tuple[Change, ...]:
    """Everything that is to be noted now, in order; nothing once the case is resolved.

    Args:
        case: with everything that was noted before.
        today: the people by the directory of now.
        now: the instant (UTC).
    """
    known: list[Change] = []
    reading = _passed(case, now)
    for find in (_graces, _escalations, _drops):
        for change in find(reading, today, now):
            dated = change.event.model_copy(update={"at": case.after(now)})
            known.append(change._replace(event=dated))
            case = case.model_copy(update={"events": (*case.events, dated)})
        if case is not reading.case:
            reading = _passed(case, now)
    return tuple(known)


def entry_kind(case: ApprovalCase, due: Due) -> EntryKind:
    """As what something that time brought is noted in the ledger."""
    if due.kind == "deadline":
        return _BY_VERB.get(case.chain.stages[due.stage - 1].on_expiry, EntryKind.held)
    return EntryKind.reminded if due.kind == "reminder" else EntryKind.escalated


def looks_up(case: ApprovalCase, due: Due) -> EscalationStep | None:
    """The step that has to look somebody up when this is due, or None."""
    step = _step(case, due)
    return step if step is not None and step.to else None


def _step(case: ApprovalCase, due: Due) -> EscalationStep | None:
    if due.kind == "reminder":
        return None
    stage = case.chain.stages[due.stage - 1]
    return step_of(stage, _index(case, due))


def _index(case: ApprovalCase, due: Due) -> int:
    """The number of a step; the one at the deadline comes after those before it."""
    return len(case.chain.stages[due.stage - 1].escalations) if due.kind == "deadline" else due.index


def _passed(case: ApprovalCase, now: datetime) -> Reading:
    reading = read(case)
    reading.let_pass(now, deadline_counts_as_passed=True)
    return reading


def _graces(reading: Reading, _today: Today, now: datetime) -> Iterator[Change]:
    case = reading.case
    if reading.resolution != "expired":
        return
    last = reading.resolved[-1]
    stage, deadline = case.chain.stages[last.number - 1], last.resolved_at
    graced = any(item.kind == "grace" and item.stage == last.number for item in case.events)
    if stage.grace is None or deadline is None or graced or now - deadline <= LATE or now >= case.absolute_deadline:
        return
    hours = stage.hours if isinstance(stage.hours, Hours) else None
    until = ends(hours, case.after(now), stage.grace, case.absolute_deadline)
    late = f"nobody was there at the deadline of stage {stage.name}, {instant_text(deadline)}"
    event = CaseEvent(kind="grace", at=now, stage=last.number, until=until, reason=late)
    yield Change(event, f"grace {last.number}")


def _escalations(reading: Reading, today: Today, now: datetime) -> Iterator[Change]:
    case = reading.case
    if reading.resolution != "pending":
        return
    noted = {(item.stage, item.index) for item in case.events if item.kind == "escalated"}
    for due in reading.happened:
        step, index = looks_up(case, due), _index(case, due)
        if step is None or due.stage != reading.number or (due.stage, index) in noted:
            continue
        yield Change(escalated(reading, step, index, today.directory, now), f"escalated {due.stage} {index}")


def escalated(reading: Reading, step: EscalationStep, index: int, directory: Directory, now: datetime) -> CaseEvent:
    """Whom a step of the open stage finds in the directory, as the event to be noted; pure."""
    asked = reading.sitting.asking.now
    added = tuple(_added(step, item, directory, now) for item in asked)
    missing = [
        nobody(turn, item.groups, item.people)
        for item in asked
        for turn in step.to
        if not any(found(directory, turn, item.groups, item.people, now))
    ]
    return CaseEvent(
        kind="escalated",
        at=now,
        stage=reading.number,
        index=index,
        groups=tuple(dict.fromkeys(name for item in added for name in item.groups)),
        people=tuple(dict.fromkeys(name for item in added for name in item.people)),
        added=added if len(added) > 1 and step.to else (),
        replace=step.replace,
        reason="; ".join((step.reason, *dict.fromkeys(missing))),
    )


def _added(step: EscalationStep, requirement: Requirement, directory: Directory, now: datetime) -> Added:
    """Whom a step adds to one requirement: the groups that it names, and whom it finds for this one."""
    answers = [found(directory, turn, requirement.groups, requirement.people, now) for turn in step.to]
    return Added(
        groups=tuple(dict.fromkeys((*step.add_groups, *(name for item in answers for name in item.groups)))),
        people=tuple(dict.fromkeys(name for item in answers for name in item.people)),
    )


def _drops(reading: Reading, today: Today, now: datetime) -> Iterator[Change]:
    given = counted_approvals(reading)
    people = {ballot.decision_id: today.voter(ballot, now) for _, ballot in given}
    lost = {ballot.decision_id: why for _, ballot in given if (why := today.key_lost(ballot)) is not None}
    for item in lapsed(reading, people, today.requesters, lost):
        event = CaseEvent(kind="dropped", at=now, stage=item.stage, decision_id=item.decision_id, reason=item.reason)
        yield Change(event, f"dropped {item.decision_id}")
