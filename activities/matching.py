"""Holding a history against its replay: is every event what the workflow asks for?

Each command of the replay has its event, with the same arguments, timeouts, durations, summaries and results, and no
event is left over. This is what the SDK's replayer does not compare.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload

from activities.replaying import LOCAL_ACTIVITY, Command, Event, Replay, marker_data
from policy.audit import Finding
from policy.errors import AuditError

_SHOWN = 160
_CONTINUED_WITHIN = timedelta(milliseconds=5)
_TIMEOUTS = ("schedule_to_close", "schedule_to_start", "start_to_close", "heartbeat")
_RETRY = ("initial_interval", "backoff_coefficient", "maximum_interval", "maximum_attempts")


def check_commands(events: Sequence[Event], replay: Replay) -> Iterator[Finding]:
    """Whether every command has its event, and says the same.

    A replay that failed has no commands for what comes after; then only the first event that differs is named.
    """
    pairs = list(_pairs(events, replay.commands))
    differing = [(event, finding) for command, event, differs in pairs for finding in _compare(command, event, differs)]
    differing.sort(key=lambda item: item[0].number if item[0] is not None else 0)
    if replay.failure:
        yield Finding(f"replay, at event {replay.reached}", replay.failure)
        yield from [finding for _, finding in differing[:1]]
        return
    yield from (finding for _, finding in differing)
    for command, event, _ in pairs:
        if command is None and event is not None:
            yield Finding(event.where, "the replay asks for nothing like it")
        elif event is None and command is not None:
            asked = f"{command.kind} ({_brief(command.said)})"
            yield Finding("replay", f"it asks for {asked}, and the history has no such event")


def _pairs(
    events: Sequence[Event], commands: Sequence[Command]
) -> Iterator[tuple[Command | None, Event | None, Callable[[Any, Any], str]]]:
    """Each command with its event, in order within a kind; None where one of them is missing."""
    asked: dict[str, list[Command]] = defaultdict(list)
    for command in commands:
        if command.kind != "update_response" or _is_answer(command):
            asked[command.kind].append(command)
    spans = _spans(events)
    for kind, (chosen, compare) in _PAIRS.items():
        made = [event for event in events if chosen(event)]
        differs = partial(_timer, spans=spans) if kind == "start_timer" else compare
        pairs = _by_update(asked[kind], made, events) if kind == "update_response" else zip_longest(asked[kind], made)
        yield from ((command, event, differs) for command, event in pairs)


def _compare(command: Command | None, event: Event | None, differs: Callable[[Any, Any], str]) -> Iterator[Finding]:
    if command is None or event is None:
        return
    try:
        found = differs(command.said, event.said)
    except AuditError as error:
        found = str(error)
    if found:
        yield Finding(event.where, found)
    if command.summary != event.summary and event.name in ("TIMER_STARTED", "ACTIVITY_TASK_SCHEDULED"):
        yield Finding(event.where, f"summary is {event.summary!r}, the replay says {command.summary!r}")


def _is_answer(command: Command) -> bool:
    return str(command.said.WhichOneof("response")) == "completed"


def _by_update(
    commands: Sequence[Command], made: Sequence[Event], events: Sequence[Event]
) -> Iterator[tuple[Command | None, Event | None]]:
    """Each answer with its event: updates may be answered in another order than they came."""
    instance = {
        event.said.accepted_request.meta.update_id: event.said.protocol_instance_id
        for event in events
        if event.name == "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
    }
    left = {command.said.protocol_instance_id: command for command in commands}
    for event in made:
        yield left.pop(instance.get(event.said.meta.update_id, ""), None), event
    yield from ((command, None) for command in left.values())


def _activity(command: Any, event: Any) -> str:
    found = [
        f"{what} is {recorded!r}, the replay asks for {asked!r}"
        for what, recorded, asked in (
            ("activity id", event.activity_id, command.activity_id),
            ("activity type", event.activity_type.name, command.activity_type),
            ("task queue", event.task_queue.name, command.task_queue),
        )
        if recorded != asked
    ]
    found += [_payloads("argument", event.input.payloads, command.arguments)]
    for name in _TIMEOUTS:
        asked, recorded = getattr(command, f"{name}_timeout"), getattr(event, f"{name}_timeout")
        # Where none is asked for, the server may note one of its own.
        if command.HasField(f"{name}_timeout") and asked != recorded:
            found.append(f"{name} timeout is {_length(recorded)}, the replay asks for {_length(asked)}")
    for name in _RETRY:
        asked, recorded = getattr(command.retry_policy, name), getattr(event.retry_policy, name)
        if _given(asked) and asked != recorded:
            found.append(f"retry policy: {name} is {_shown(recorded)}, the replay asks for {_shown(asked)}")
    return "; ".join(item for item in found if item)


def _local_activity(command: Any, event: Any) -> str:
    data = marker_data(event)
    found = [
        f"{what} is {data.get(what)!r}, the replay asks for {asked!r}"
        for what, asked in (
            ("seq", command.seq),
            ("activity_id", command.activity_id),
            ("activity_type", command.activity_type),
        )
        if data.get(what) != asked
    ]
    return "; ".join(found)


def _spans(events: Sequence[Event]) -> dict[int, timedelta]:
    """How long each workflow task took, by the number of the event that completed it.

    The workflow's clock moves while a task waits for local activities. A replay hands their answers over together, so
    that it may read another instant of the same task where a run read one. A task that is continued in another one,
    which is scheduled with its completion, is one with it.
    """
    spans: dict[int, timedelta] = {}
    began = ended = scheduled = events[0].at
    for event in events:
        if event.name == "WORKFLOW_TASK_SCHEDULED":
            scheduled = event.at
        elif event.name == "WORKFLOW_TASK_STARTED" and (not spans or scheduled - ended > _CONTINUED_WITHIN):
            began = event.at
        elif event.name == "WORKFLOW_TASK_COMPLETED":
            ended = event.at
            spans[event.number] = ended - began
    return spans


def _timer(command: Any, event: Any, spans: Mapping[int, timedelta] = MappingProxyType({})) -> str:
    """Whether a timer is another one, or rings at another instant than any that its workflow task could have meant."""
    if found := _same_timer(command, event):
        return found
    recorded, asked = _length(event.start_to_fire_timeout), _length(command.start_to_fire_timeout)
    if abs(recorded - asked) <= spans.get(event.workflow_task_completed_event_id, timedelta(0)):
        return ""
    return f"the timer is set for {recorded}, the replay sets it for {asked}"


def _same_timer(command: Any, event: Any) -> str:
    same = event.timer_id == str(command.seq)
    return "" if same else f"timer id is {event.timer_id}, the replay says {command.seq}"


def _update(command: Any, event: Any) -> str:
    return _payloads("answer", event.outcome.success.payloads, [command.completed])


def _completed(command: Any, event: Any) -> str:
    return _payloads("return value", event.result.payloads, [command.result])


def _continued(command: Any, event: Any) -> str:
    found = [_payloads("argument", event.input.payloads, command.arguments)]
    # Where none is named, the type and the queue are those of the run.
    found += [
        f"{what} is {recorded!r}, the replay asks for {asked!r}"
        for what, recorded, asked in (
            ("workflow type", event.workflow_type.name, command.workflow_type),
            ("task queue", event.task_queue.name, command.task_queue),
        )
        if asked and recorded != asked
    ]
    return "; ".join(item for item in found if item)


def _failed(command: Any, event: Any) -> str:
    recorded, asked = event.failure.message, command.failure.message
    if recorded == asked and _failure_type(event.failure) == _failure_type(command.failure):
        return ""
    return f"the failure is {recorded[:120]!r}, the replay fails with {asked[:120]!r}"


def _failure_type(failure: Any) -> str:
    return str(failure.application_failure_info.type)


def _attributes(command: Any, event: Any) -> str:
    recorded = {name: item.data for name, item in event.search_attributes.indexed_fields.items()}
    asked = {name: item.data for name, item in command.search_attributes.indexed_fields.items()}
    changed = sorted(name for name in recorded.keys() | asked.keys() if recorded.get(name) != asked.get(name))
    return f"search attribute {', '.join(changed)} is not what the replay sets" if changed else ""


def _payloads(what: str, recorded: Sequence[Payload], asked: Sequence[Payload]) -> str:
    if list(recorded) == list(asked):
        return ""
    return f"{what} is {_cut(recorded)}, the replay gives {_cut(asked)}"


def _cut(payloads: Sequence[Payload]) -> str:
    text = b", ".join(item.data for item in payloads).decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _length(duration: Duration) -> timedelta:
    return duration.ToTimedelta()


def _given(value: Any) -> bool:
    return bool(_length(value)) if isinstance(value, Duration) else bool(value)


def _shown(value: Any) -> str:
    return str(_length(value)) if isinstance(value, Duration) else str(value)


def _brief(said: Any) -> str:
    return " ".join(str(said).split())[:80]


def _named(name: str) -> Callable[[Event], bool]:
    return lambda event: event.name == name


# For each kind of command: which events it makes, and how one differs from the other, in words.
_PAIRS: dict[str, tuple[Callable[[Event], bool], Callable[[Any, Any], str]]] = {
    "schedule_activity": (_named("ACTIVITY_TASK_SCHEDULED"), _activity),
    "schedule_local_activity": (
        lambda event: event.name == "MARKER_RECORDED" and event.said.marker_name == LOCAL_ACTIVITY,
        _local_activity,
    ),
    "start_timer": (_named("TIMER_STARTED"), _timer),
    "cancel_timer": (_named("TIMER_CANCELED"), _same_timer),
    "request_cancel_activity": (_named("ACTIVITY_TASK_CANCEL_REQUESTED"), lambda _command, _event: ""),
    "update_response": (_named("WORKFLOW_EXECUTION_UPDATE_COMPLETED"), _update),
    "upsert_workflow_search_attributes": (_named("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"), _attributes),
    "continue_as_new_workflow_execution": (_named("WORKFLOW_EXECUTION_CONTINUED_AS_NEW"), _continued),
    "complete_workflow_execution": (_named("WORKFLOW_EXECUTION_COMPLETED"), _completed),
    "fail_workflow_execution": (_named("WORKFLOW_EXECUTION_FAILED"), _failed),
    "cancel_workflow_execution": (_named("WORKFLOW_EXECUTION_CANCELED"), lambda _command, _event: ""),
}
