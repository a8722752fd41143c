"""Whether the noted escalations of a case are what their steps found; asked where a permit is issued.

- Whoever takes decisions notes the events; whoever issues permits believes none of those that let more people answer.
  An escalation must be of a step of its stage, which is open then, and have nobody in it whom that step did not name,
  or find in a directory that was in force then.
- When it came is not looked at: the clock of a case is the word of whoever noted it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.changes import escalated
from policy.approval.escalation import Names, step_of
from policy.approval.reading import read
from policy.people.directory import Directory


def unfounded(case: ApprovalCase, directories: Mapping[int, Sequence[Directory]]) -> tuple[str, ...]:
    """What speaks against the escalations of a case, a sentence each; pure.

    Args:
        case: with all of its ballots and events.
        directories: those that were in force when an escalation was noted, by the place of the event in the case.
    """
    events = case.events
    found = ["its events are not in the order of their instants"] if list(events) != sorted(events, key=_at) else []
    each = (_unfounded(case, place, directories.get(place, ())) for place in escalations(case))
    return (*found, *(why for why in each if why is not None))


def escalations(case: ApprovalCase) -> tuple[int, ...]:
    """The places of the escalations among the events of a case, in order."""
    return tuple(place for place, item in enumerate(case.events) if item.kind == "escalated")


def _unfounded(case: ApprovalCase, place: int, directories: Sequence[Directory]) -> str | None:
    event = case.events[place]
    number, index = event.stage, event.index
    stage = case.chain.stages[number - 1] if 0 < number <= len(case.chain.stages) else None
    step = step_of(stage, index) if stage is not None and index is not None else None
    what = f"escalation {index} of stage {number}"
    if step is None or index is None:
        return f"{what}: its chain has no such step"
    if event.replace is not step.replace:
        return f"{what}: its step says otherwise who is asked from then on"
    ballots = tuple(item for item in case.ballots if item.received_at < event.at)
    reading = read(case.model_copy(update={"ballots": ballots, "events": case.events[:place]}))
    reading.let_pass(event.at, deadline_counts_as_passed=False)
    if reading.resolution != "pending" or reading.number != number:
        return f"{what}: the stage was not open then"
    if any(_within(event, escalated(reading, step, index, directory, event.at)) for directory in directories):
        return None
    return f"{what}: its step did not find {', '.join((*event.groups, *event.people)) or 'what it adds'}"


def _at(event: CaseEvent) -> datetime:
    return event.at


def _within(event: CaseEvent, found: CaseEvent) -> bool:
    """Whether an event adds nobody whom its step did not find: in all, and for each requirement."""
    pairs: list[tuple[Names, Names]] = [(event, found)]
    if event.added:
        of_each: Sequence[Names] = found.added or (found,) * len(event.added)
        if len(of_each) != len(event.added):
            return False
        pairs += zip(event.added, of_each, strict=True)
    return all(set(one.groups) <= set(other.groups) and set(one.people) <= set(other.people) for one, other in pairs)
