"""A history with its payloads decrypted, offline: what an audit replays.

An exported history stays as the server had it. So an audit sees what a worker saw: which answers a holder of the key
gave, and which came in the clear, or from elsewhere. Payloads are opened with the marks that a worker's codec gives
them, each where it belongs: the workflow id of the file, and the type of the activity that an event is about.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from activities.encryption.codec import (
    KEY_ID,
    Belongs,
    CannotOpenError,
    decoded,
    each_payload,
    open_payload,
    unmarked,
)
from activities.encryption.keys import Keys
from policy.canonical import parse_json
from policy.errors import AuditError, CanonicalError
from workflows.marks import ENCRYPTED, UNREADABLE

# As in activities/settings.py, which reads it.
CODEC_KEYS_FILE = "COUNTERSIGN_CODEC_KEYS_FILE"
_LOCAL_ACTIVITY = "core_local_activity"


def encrypted_with(events: Iterable[HistoryEvent]) -> list[str]:
    """The ids of the keys that a history's payloads name, sorted."""
    found: set[str] = set()
    for event in events:
        for payload in _payloads(event):
            if payload.metadata.get("encoding") == ENCRYPTED:
                found.add(payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")[:64])
    return sorted(found)


def opened(events: Sequence[HistoryEvent], workflow_id: str, keys: Keys | None) -> tuple[list[HistoryEvent], list[str]]:
    """The events as a worker with these keys reads them, and notes about what it could not read.

    Raises:
        AuditError: they are encrypted, and there are no keys.
    """
    if keys is None:
        if named := encrypted_with(events):
            raise AuditError(f"its payloads are encrypted with key {', '.join(named)}: set {CODEC_KEYS_FILE}")
        return list(events), []
    namespace, types = _namespace(events, keys), _activity_types(events)
    found, notes = [], []
    for event in events:
        where = Belongs(namespace, workflow_id, types.get(event.event_id, ""))
        copy = HistoryEvent()
        copy.CopyFrom(event)
        # What is shown of a command is the workflow's, whatever activity it is about.
        metadata = Belongs(namespace, workflow_id)
        each_payload(copy.user_metadata, partial(decoded, keys=keys, where=metadata))
        shown = copy.user_metadata.SerializeToString()
        each_payload(copy, partial(decoded, keys=keys, where=where))
        copy.user_metadata.ParseFromString(shown)
        notes += [
            f"event {event.event_id}: {payload.data.decode()}"
            for payload in _payloads(copy)
            if payload.metadata.get("encoding") == UNREADABLE
        ]
        _tell_failures(copy)
        found.append(copy)
    return found, notes


def without_marks(event: HistoryEvent) -> HistoryEvent:
    """An event whose payloads are as they were before they were encrypted."""
    copy = HistoryEvent()
    copy.CopyFrom(event)
    each_payload(copy, unmarked)
    return copy


def _payloads(message: Any) -> Iterator[Payload]:
    found: list[Payload] = []

    def keep(payload: Payload) -> Payload:
        found.append(payload)
        return payload

    each_payload(message, keep)
    yield from found


def _namespace(events: Sequence[HistoryEvent], keys: Keys) -> str:
    """The namespace of a run: that of the first payload that a holder of the key wrote."""
    for event in events:
        for payload in _payloads(event):
            if payload.metadata.get("encoding") == ENCRYPTED:
                try:
                    return open_payload(payload, keys)[1].namespace
                except CannotOpenError:
                    continue
    return ""


def _activity_types(events: Sequence[HistoryEvent]) -> dict[int, str]:
    """The type of the activity that each event is about, by the event's number."""
    found: dict[int, str] = {}
    for event in events:
        which = event.WhichOneof("attributes") or ""
        said: Any = getattr(event, which) if which else None
        if which == "activity_task_scheduled_event_attributes":
            found[event.event_id] = said.activity_type.name
        elif which.startswith("activity_task_"):
            found[event.event_id] = found.get(said.scheduled_event_id, "")
        elif which == "marker_recorded_event_attributes" and said.marker_name == _LOCAL_ACTIVITY:
            found[event.event_id] = _local_type(said)
    return found


def _local_type(said: Any) -> str:
    try:
        data = parse_json(said.details["data"].payloads[0].data)
    except (CanonicalError, IndexError):
        return ""
    return str(data.get("activity_type", "")) if isinstance(data, dict) else ""


def _tell_failures(message: Any) -> None:
    """Put message and stack trace of each failure back where they are said in the clear."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Failure) and item.HasField("encoded_attributes"):
                try:
                    said = parse_json(item.encoded_attributes.data)
                except CanonicalError:
                    continue
                item.message, item.stack_trace = str(said.get("message", "")), str(said.get("stack_trace", ""))
                item.ClearField("encoded_attributes")
            _tell_failures(item)
