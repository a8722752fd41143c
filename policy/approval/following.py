"""What follows when an open case moved: the end where nobody is left, or an escalation at once; pure.

It is asked after every decision that counts, when a case opens, and when time passes, with the directory of that
instant (`policy/approval/feasibility.py`). Each event happens after everything before it, so an auditor comes to the
same.
"""

from collections.abc import Iterator
from datetime import datetime

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.changes import escalated
from policy.approval.escalation import step_of
from policy.approval.feasibility import feasible, next_step
from policy.approval.opening import could_ask
from policy.approval.reading import read
from policy.approval.today import Today
from policy.approval.unblocking import unblocking
from policy.people.directory import Directory
from policy.people.facts import PersonFacts

# As what an entry says that it was concluded from who is left.
CAUSE = "feasibility"


def follows(case: ApprovalCase, today: Today, now: datetime) -> tuple[CaseEvent, ...]:
    """The events that are to be noted now, in order.

    Args:
        case: with everything that happened before.
        today: the people by the directory of now.
        now: the instant (UTC).
    """
    return tuple(_follows(case, today, now))


def _follows(case: ApprovalCase, today: Today, now: datetime) -> Iterator[CaseEvent]:
    while True:
        at = case.after(now)
        found = feasible(case, people_of(case, today.directory, at), at, today.requesters)
        event = next_step(case, found, at)
        # A step that came once is not taken again: whom it added, if anybody, is asked already.
        if event is None or (event.kind, event.stage, event.index) in [
            (item.kind, item.stage, item.index) for item in case.events
        ]:
            return
        event = _looked_up(case, event, today.directory, at)
        yield event
        case = case.model_copy(update={"events": (*case.events, event)})


def _looked_up(case: ApprovalCase, event: CaseEvent, directory: Directory, at: datetime) -> CaseEvent:
    """An escalation that comes at once asks whom its step finds in the directory, too."""
    step = step_of(case.chain.stages[event.stage - 1], event.index) if event.index is not None else None
    if step is None or not step.to:
        return event
    reading = read(case)
    reading.let_pass(at, deadline_counts_as_passed=False)
    found = escalated(reading, step, event.index or 0, directory, at)
    return event.model_copy(update={"groups": found.groups, "people": found.people})


def people_of(case: ApprovalCase, directory: Directory, at: datetime) -> tuple[PersonFacts, ...]:
    """Everybody whom a case could ask, as of an instant (UTC): by its chain, and by whom it was escalated to."""
    groups = {name for event in case.events for name in event.groups}
    people = {name for event in case.events for name in event.people}
    return could_ask(case.chain, directory, at, groups=groups, people=people)


def who_unblocks(case: ApprovalCase, today: Today, at: datetime) -> tuple[tuple[str, ...], ...]:
    """Minimal sets of people who could finish the open stage at an instant (UTC)."""
    return unblocking(case, people_of(case, today.directory, at), at, asking_now=today.requesters)
