"""The payload converter: everything that arrives untyped is a strict JSON value or `Undecodable`, never an error.

An exception while decoding the arguments of a signal would drop the signal silently, and in a start it would hang the
workflow in task retries. So where there is no type hint, decoding does not raise: it says what is wrong, and the
handler answers or records it. A workflow reads its messages one by one as it takes them, not all when they arrive: some
megabytes of JSON in one workflow task would take longer than a task may. Typed payloads (our own activities' requests
and results) are decoded by pydantic; an answer that is none becomes one that is asked for again.

Where payloads are encrypted, what was encrypted as something else is none of either kind, and a request or an answer
carries along that it came in the clear (`workflows/marks.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isclass
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter

from policy.canonical import MAX_TEXT_BYTES, parse_json
from policy.errors import CanonicalError
from workflows.marks import ENCRYPTED, MESSAGE, ROLE, UNREADABLE, clear_since, role
from workflows.messages import Answer, Passed

# A decision with the longest justification needs a quarter of this.
DECISION_BYTES = 32 * 1024


@dataclass(frozen=True)
class Undecodable:
    """A payload that is no JSON value, and why."""

    why: str


@dataclass(frozen=True)
class Received:
    """A payload that arrived at a workflow and is not read yet."""

    payload: Payload

    def read(self, limit: int) -> Any:
        """The JSON value, or `Undecodable` where it is none or has more than `limit` bytes."""
        return _untyped(self.payload, limit)


class EdgeConverter(PydanticPayloadConverter):
    """Pydantic for what is typed, strict JSON for what is not."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        if type_hints and isclass(answer := type_hints[0]) and issubclass(answer, Answer):
            return [_answer(super().from_payloads, payloads, answer)]
        if type_hints:
            _refuse_unreadable(payloads, type_hints)
            return _carrying(payloads, super().from_payloads(payloads, type_hints))
        if _inside_a_workflow():
            return [Received(payload) for payload in payloads]
        return [_untyped(payload, MAX_TEXT_BYTES) for payload in payloads]


class RoleConverter(EdgeConverter):
    """The same, for a codec that encrypts: says of every payload what it is."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        payloads = super().to_payloads(values)
        for value, payload in zip(values, payloads, strict=True):
            payload.metadata[ROLE] = _role_of(type(value)).encode()
        return payloads


class UnreadableError(ValueError):
    """A payload that cannot be decrypted here, or is something else than what was asked for."""


def readable(value: Any) -> Any:
    """A value that arrived at a client.

    Raises:
        UnreadableError: it is none that can be read here.
    """
    if isinstance(value, Undecodable):
        raise UnreadableError(value.why)
    return value


def _role_of(kind: type) -> str:
    return kind.__name__ if isclass(kind) and issubclass(kind, Passed) else MESSAGE


def _refuse_unreadable(payloads: Sequence[Payload], kinds: Sequence[type]) -> None:
    for payload, kind in zip(payloads, kinds, strict=False):
        if payload.metadata.get("encoding") == UNREADABLE:
            raise UnreadableError(payload.data.decode("utf-8", "replace"))
        if payload.metadata.get("encoding") == ENCRYPTED:
            raise UnreadableError("payload is encrypted: set COUNTERSIGN_CODEC_KEYS_FILE to the keys of this namespace")
        if role(payload) not in (None, _role_of(kind)):
            raise UnreadableError(f"payload was encrypted as {role(payload)}, {_role_of(kind)} is taken")


def _carrying(payloads: Sequence[Payload], values: list[Any]) -> list[Any]:
    """The values, with a note where one that has to be encrypted came in the clear."""
    for payload, value in zip(payloads, values, strict=False):
        if isinstance(value, Passed):
            value.note_clear(clear_since(payload))
    return values


def _answer(read: Callable[..., list[Any]], payloads: Sequence[Payload], answer: type[Answer]) -> Answer:
    """An activity's answer, or what stands for one that somebody else gave and that is none."""
    try:
        _refuse_unreadable(payloads, [answer])
        found = _carrying(payloads, read(payloads, [answer]))[0] if payloads else None
    # Not JSON, not of that shape, or of an encoding that nobody knows.
    except (ValueError, KeyError, RuntimeError):
        found = None
    return found if isinstance(found, answer) else answer.unreadable()


def _inside_a_workflow() -> bool:
    """Whether a workflow's arguments are read: its messages before its own loop runs, in a thread without one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return workflow.in_workflow()


def _untyped(payload: Payload, limit: int) -> Any:
    try:
        _refuse_unreadable([payload], [object])
    except UnreadableError as error:
        return Undecodable(str(error))
    encoding = repr(payload.metadata.get("encoding", b"")[:40].decode("ascii", "replace"))[1:-1]
    if encoding == "binary/null":
        return None
    if encoding != "json/plain":
        return Undecodable(f"payload has encoding {encoding or '(none)'}, send json/plain")
    try:
        return parse_json(payload.data, limit)
    except CanonicalError as error:
        return Undecodable(str(error))


def one_object(args: Sequence[Any], limit: int) -> tuple[dict[str, Any] | None, str]:
    """The one JSON object among a handler's arguments, or None and what is wrong with them.

    Args:
        args: what the handler was given.
        limit: the most bytes that its JSON may have.
    """
    if len(args) != 1:
        return None, f"exactly one json object is taken, got {len(args)} arguments"
    value = args[0].read(limit) if isinstance(args[0], Received) else args[0]
    if isinstance(value, Undecodable):
        return None, value.why
    if not isinstance(value, dict):
        return None, f"a json object is taken, got {'null' if value is None else type(value).__name__}"
    return value, ""


DATA_CONVERTER = DataConverter(payload_converter_class=EdgeConverter)
