"""Replaying a history under the current code, without a server, and keeping what the workflow asked for meanwhile.

The SDK's replayer compares the order and the kinds of commands, not their arguments, durations or results. So the
workflow runs in a runner that keeps every activation's commands, and `activities/comparing.py` holds them against the
events. The inner runner must be the worker's own (`worker.workflow_runner`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import ParseError
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.runtime import Runtime
from temporalio.worker import Replayer, WorkflowInstance, WorkflowRunner

from activities.around import InstanceAround, RunnerAround
from activities.encryption.histories import opened, without_marks
from activities.encryption.keys import Keys
from policy.canonical import parse_json
from policy.errors import AuditError, CanonicalError
from workflows.authorize import AuthorizeAction
from workflows.converter import DATA_CONVERTER

LOCAL_ACTIVITY = "core_local_activity"
_PREFIX = "EVENT_TYPE_"
_REPLAY_SECONDS = 120.0


@dataclass(frozen=True)
class Event:
    """One event of a history. `said` is the protobuf of its attributes."""

    number: int
    name: str
    at: datetime
    said: Any
    summary: bytes

    @property
    def where(self) -> str:
        """How findings name it."""
        return f"event {self.number} ({self.name})"


@dataclass(frozen=True)
class Command:
    """Something that the workflow asked for when it was replayed. `said` is the protobuf."""

    kind: str
    said: Any
    summary: bytes


@dataclass(frozen=True)
class Replay:
    """The commands of a replay in order, and why it failed at which event, if it did."""

    commands: tuple[Command, ...]
    failure: str = ""
    reached: int = 0


def read_history(
    workflow_id: str, history: dict[str, Any], keys: Keys | None = None
) -> tuple[WorkflowHistory, tuple[Event, ...], list[str]]:
    """A history in Temporal's JSON, its events, and notes about payloads that cannot be read.

    Args:
        workflow_id: whose it is.
        history: as exported.
        keys: what opens its payloads, where they are encrypted.

    Raises:
        AuditError: it is no history of a workflow, or is encrypted and there are no keys.
    """
    try:
        read = WorkflowHistory.from_json(workflow_id, history)
        found, notes = opened(read.events, workflow_id, keys)
        read = WorkflowHistory(workflow_id, found)
        events = tuple(_event(without_marks(event)) for event in found)
    except (ParseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise AuditError(f"history cannot be read: {' '.join(str(error).split())[:300]}") from None
    if not events or events[0].name != "WORKFLOW_EXECUTION_STARTED":
        raise AuditError("history does not begin with event 1 (WORKFLOW_EXECUTION_STARTED)")
    return read, events, notes


async def replay(history: WorkflowHistory, runner: WorkflowRunner, runtime: Runtime | None = None) -> Replay:
    """Replay one history of AuthorizeAction; its events are numbered without a gap.

    Args:
        history: what to replay.
        runner: the worker's.
        runtime: carries the SDK's own log; the process's unless given.

    """
    kept = _Kept()
    replayer = Replayer(
        workflows=[AuthorizeAction],
        workflow_runner=_KeepingRunner(runner, kept),
        data_converter=DATA_CONVERTER,
        runtime=runtime,
    )
    try:
        async with asyncio.timeout(_REPLAY_SECONDS):
            result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = " ".join(str(result.replay_failure).split())[:600] if result.replay_failure else ""
    except (AssertionError, RuntimeError, TimeoutError) as error:
        failure = f"the replayer gave up: {str(error) or type(error).__name__}"
    return Replay(tuple(kept.commands), failure, kept.reached)


def instant(stamp: Timestamp) -> datetime:
    """A protobuf timestamp as the workflow's clock reads it: UTC, through a float, so rounded to the microsecond."""
    return datetime.fromtimestamp(stamp.ToNanoseconds() / 1e9, tz=UTC)


def value_of(payloads: Sequence[Payload]) -> Any:
    """The JSON value of one payload.

    Raises:
        AuditError: it is not one JSON value.
    """
    if len(payloads) != 1:
        raise AuditError(f"one payload is expected, there are {len(payloads)}")
    try:
        return parse_json(payloads[0].data, max(len(payloads[0].data), 1))
    except CanonicalError as error:
        raise AuditError(f"its payload is no json: {error}") from None


def marker_data(event: Any) -> dict[str, Any]:
    """What the SDK notes of a local activity in its marker.

    Raises:
        AuditError: it is no such note.
    """
    data = value_of(event.details["data"].payloads)
    if not isinstance(data, dict):
        raise AuditError("its marker has no data")
    return data


def _event(event: HistoryEvent) -> Event:
    which = event.WhichOneof("attributes")
    return Event(
        number=event.event_id,
        name=EventType.Name(event.event_type).removeprefix(_PREFIX),
        at=instant(event.event_time),
        said=getattr(event, which) if which else None,
        summary=event.user_metadata.summary.data,
    )


class _Kept:
    """What a replay left."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.reached = 0
        self._set: dict[int, Command] = {}

    def reach(self, length: int) -> None:
        """A workflow task of a history that is so long begins, or goes on."""
        if length != self.reached:
            self._set.clear()
        self.reached = length

    def keep(self, command: Command) -> None:
        """Keep a command; a timer that is set and dropped in one workflow task leaves no event, so neither is kept."""
        if command.kind == "cancel_timer" and (timer := self._set.pop(command.said.seq, None)) is not None:
            self.commands = [item for item in self.commands if item is not timer]
            return
        if command.kind == "start_timer":
            self._set[command.said.seq] = command
        self.commands.append(command)


class _KeepingRunner(RunnerAround):
    """A runner whose instances tell which commands they make."""

    def __init__(self, inner: WorkflowRunner, kept: _Kept) -> None:
        super().__init__(inner)
        self._kept = kept

    def _around(self, instance: WorkflowInstance) -> WorkflowInstance:
        return _KeepingInstance(instance, self._kept)


class _KeepingInstance(InstanceAround):
    def __init__(self, inner: WorkflowInstance, kept: _Kept) -> None:
        super().__init__(inner)
        self._kept = kept

    def activate(self, act: Any) -> Any:
        completion = super().activate(act)
        if not any(job.HasField("remove_from_cache") for job in act.jobs):
            self._kept.reach(act.history_length)
        for command in completion.successful.commands:
            kind = str(command.WhichOneof("variant"))
            # A copy: the SDK encodes the payloads of the original in place.
            said = type(getattr(command, kind)).FromString(getattr(command, kind).SerializeToString())
            self._kept.keep(Command(kind, said, command.user_metadata.summary.data))
        return completion
