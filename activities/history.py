"""Is a history whole, in order, and the one that its file names?

- Event numbers run from 1 without a gap, and an event names only earlier ones of the right kind.
- Instants never go back, a timer fires no earlier than it was set for, and the last event closes the run: a history
  with its tail cut off ends before.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from activities.replaying import LOCAL_ACTIVITY, Event, marker_data
from policy.audit import AuditFile, Finding
from policy.errors import AuditError
from workflows.interface import WORKFLOW_TYPE

CLOSING = tuple(
    f"WORKFLOW_EXECUTION_{how}"
    for how in ("COMPLETED", "FAILED", "CANCELED", "TERMINATED", "TIMED_OUT", "CONTINUED_AS_NEW")
)
# The server arms a timer in its own units.
_TIMER_SLACK = timedelta(milliseconds=10)
# What others write: it waits while a workflow task runs.
FROM_OUTSIDE = frozenset(
    {
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_CANCEL_REQUESTED",
        "ACTIVITY_TASK_STARTED",
        "ACTIVITY_TASK_COMPLETED",
        "ACTIVITY_TASK_FAILED",
        "ACTIVITY_TASK_TIMED_OUT",
        "ACTIVITY_TASK_CANCELED",
        "TIMER_FIRED",
    }
)
_REFERENCES = {
    "workflow_task_completed_event_id": "WORKFLOW_TASK_COMPLETED",
    "scheduled_event_id": "_SCHEDULED",
    "started_event_id": "_STARTED",
    "accepted_event_id": "UPDATE_ACCEPTED",
}
# What a completed task makes is written with it, in one transaction.
_BATCH_SLACK = timedelta(seconds=5)
_CLOCK_SLACK = timedelta(seconds=1)


def check_numbers(events: Sequence[Event]) -> Finding | None:
    """Where the numbers of the events break off; the replayer cannot read such a history."""
    for number, event in enumerate(events, start=1):
        if event.number != number:
            return Finding(event.where, f"it stands where event {number} belongs")
    return None


def check_shape(file: AuditFile, events: Sequence[Event]) -> Iterator[Finding]:
    """Whether a history is whole, in order, and the one that the file names."""
    yield from _check_instants(events)
    yield from _check_references(events)
    for before, event in pairwise(events):
        if before.name in CLOSING:
            yield Finding(event.where, f"it comes after {before.where}, which closes the run")
    last = events[-1]
    if last.name not in CLOSING:
        yield Finding(last.where, "it does not close the run: exported while it ran, or the tail was cut off")
    if last.at > file.exported_at + timedelta(minutes=1):
        yield Finding(last.where, f"at {last.at.isoformat()}, after the export")
    yield from _check_start(file, events[0], [event.said.new_run_id for event in events if is_reset(event)])
    yield from _check_timers(events)


def is_reset(event: Event) -> bool:
    """Whether a run was made by a reset at this event: what comes before it was another run's."""
    return event.name == "WORKFLOW_TASK_FAILED" and bool(event.said.new_run_id)


def _check_instants(events: Sequence[Event]) -> Iterator[Finding]:
    """Time never goes back, but for what came from outside while a task ran: that is written after the task.

    It may be as old as the task's start; that an activity was started is written when it ends.
    """
    own = began = events[0]
    scheduled = {event.number: event for event in events if event.name == "ACTIVITY_TASK_SCHEDULED"}
    outside: list[Event] = []
    for event in events:
        if event.name in FROM_OUTSIDE:
            since = scheduled.get(event.said.scheduled_event_id) if event.name == "ACTIVITY_TASK_STARTED" else began
            outside.append(event)
        else:
            since = own
        if since is None or event.at < since.at:
            before = since.where if since else "anything that it follows"
            yield Finding(event.where, f"at {event.at.isoformat()}, earlier than {before}")
        if event.name not in FROM_OUTSIDE:
            for late in outside:
                if late.at > event.at:
                    yield Finding(late.where, f"at {late.at.isoformat()}, later than {event.where}")
            own, outside = event, []
            began = event if event.name == "WORKFLOW_TASK_STARTED" else began


def _check_references(events: Sequence[Event]) -> Iterator[Finding]:
    """An event that names another one comes after it, and names one of the right kind."""
    for event in events:
        for name, ending in _REFERENCES.items():
            number = getattr(event.said, name, 0)
            if number and not (number < event.number and events[number - 1].name.endswith(ending)):
                yield Finding(event.where, f"{name} is {number}, which is no earlier {ending}")
        batch = getattr(event.said, "workflow_task_completed_event_id", 0)
        if 0 < batch < event.number and event.at > events[batch - 1].at + _BATCH_SLACK:
            yield Finding(event.where, f"at {event.at.isoformat()}, long after {events[batch - 1].where} that made it")
        if event.name == "MARKER_RECORDED" and event.said.marker_name == LOCAL_ACTIVITY:
            yield from _check_completion(event, events[0])


def _check_completion(event: Event, started: Event) -> Iterator[Finding]:
    try:
        stamp = marker_data(event.said)["complete_time"]
        at = datetime.fromtimestamp(stamp["seconds"], UTC) + timedelta(microseconds=stamp["nanos"] // 1000)
    except (AuditError, KeyError, TypeError, ValueError, OverflowError):
        yield Finding(event.where, "its marker does not say when the local activity completed")
        return
    if not started.at <= at <= event.at + _CLOCK_SLACK:
        yield Finding(event.where, f"its local activity completed at {at.isoformat()}, outside of the run")


def _check_start(file: AuditFile, started: Event, resets: Sequence[str]) -> Iterator[Finding]:
    said = started.said
    if said.workflow_type.name != WORKFLOW_TYPE:
        yield Finding(started.where, f"workflow type is {said.workflow_type.name}, not {WORKFLOW_TYPE}")
    if said.workflow_id and said.workflow_id != file.workflow_id:
        yield Finding(started.where, f"workflow id is {said.workflow_id}, the file is about {file.workflow_id}")
    known = (said.original_execution_run_id, *resets)
    if file.run_id not in known:
        yield Finding(started.where, f"run id is {said.original_execution_run_id}, the file is about {file.run_id}")


def _check_timers(events: Sequence[Event]) -> Iterator[Finding]:
    armed = {event.number: event for event in events if event.name == "TIMER_STARTED"}
    for event in events:
        if event.name != "TIMER_FIRED":
            continue
        timer = armed.get(event.said.started_event_id)
        if timer is None or timer.said.timer_id != event.said.timer_id:
            yield Finding(event.where, f"no timer {event.said.timer_id} was started")
        elif event.at + _TIMER_SLACK < timer.at + timer.said.start_to_fire_timeout.ToTimedelta():
            yield Finding(event.where, f"it fired before the time that {timer.where} sets")
