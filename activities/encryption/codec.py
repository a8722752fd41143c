"""The codec of every payload: AES-256-GCM, bound to where it belongs and to what it is.

The associated data are the key id, the namespace, the workflow id, the activity's type (nothing for what is said to a
workflow or by it) and the role (`workflows/marks.py`). All but the role are what the SDK knows at either end (measured,
docs/encryption.md). They stand beside the ciphertext, too, so that a reader who only has the payload can open it;
whoever opens one where it belongs compares them with where it was found.

- Decoding never raises. An exception would drop a signal, or fail a workflow's task without end. What cannot be opened
  becomes a payload that nobody can read and that says why.
- What came in the clear stays, with a mark: whether it may is for its reader to say. A decision may, an answer may not.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from activities.encryption.keys import Keys
from policy.base import instant_text
from policy.canonical import canonical, parse_json
from policy.errors import CanonicalError, CountersignError
from workflows.marks import CLEAR_SINCE, ENCRYPTED, MARKS, MESSAGE, ROLE, UNREADABLE

KEY_ID = "encryption-key-id"
BOUND = "countersign-bound"
NONCE_BYTES, _TAG_BYTES = 12, 16
_DOMAIN = b"countersign payload v1\n"
_MOST_BOUND = 4096
_MEMBERS = ("activity", "namespace", "role", "workflow_id")


class CannotOpenError(CountersignError):
    """A payload that cannot be decrypted, or does not belong where it was found."""


@dataclass(frozen=True)
class Belongs:
    """Where a payload belongs. `activity` is the type of the activity that is asked or answers, or nothing."""

    namespace: str
    workflow_id: str
    activity: str = ""


def belongs(context: SerializationContext | None) -> Belongs:
    """Where the SDK says that a payload belongs; nowhere, if it does not say."""
    match context:
        case WorkflowSerializationContext():
            return Belongs(context.namespace, context.workflow_id)
        case ActivitySerializationContext():
            return Belongs(context.namespace, context.workflow_id or "", context.activity_type or "")
        case _:
            return Belongs("", "")


def close(payload: Payload, keys: Keys, key_id: str, where: Belongs) -> Payload:
    """Encrypt a payload with everything in it."""
    role = payload.metadata.get(ROLE, MESSAGE.encode()).decode()
    bound = canonical(
        {"activity": where.activity, "namespace": where.namespace, "role": role, "workflow_id": where.workflow_id}
    )
    nonce = os.urandom(NONCE_BYTES)
    cipher = keys.cipher(key_id, where.namespace, where.workflow_id)
    data = nonce + cipher.encrypt(nonce, unmarked(payload).SerializeToString(), _associated(key_id, bound))
    return Payload(metadata={"encoding": ENCRYPTED, KEY_ID: key_id.encode(), BOUND: bound}, data=data)


def open_payload(payload: Payload, keys: Keys) -> tuple[Payload, Belongs, str]:
    """Decrypt a payload: what it was, where it belongs, and its role.

    Raises:
        CannotOpenError: says why, and nothing of what is in it.
    """
    key_id = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
    bound = payload.metadata.get(BOUND, b"")
    where, role = _said(bound)
    if key_id not in keys.ids:
        raise CannotOpenError(f"payload is encrypted with key {key_id[:64]!r}, which the key file does not have")
    if len(payload.data) < NONCE_BYTES + _TAG_BYTES:
        raise CannotOpenError("payload is encrypted and was cut off")
    nonce, data = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
    try:
        cipher = keys.cipher(key_id, where.namespace, where.workflow_id)
        found = Payload.FromString(cipher.decrypt(nonce, data, _associated(key_id, bound)))
    except (InvalidTag, DecodeError):
        raise CannotOpenError(f"payload cannot be decrypted with key {key_id}: it was changed, or moved") from None
    return unmarked(found), where, role


def unmarked(payload: Payload) -> Payload:
    """A payload without marks of ours."""
    if not any(mark in payload.metadata for mark in MARKS):
        return payload
    kept = {name: value for name, value in payload.metadata.items() if name not in MARKS}
    return Payload(metadata=kept, data=payload.data, external_payloads=payload.external_payloads)


def decoded(payload: Payload, keys: Keys, where: Belongs) -> Payload:
    """A payload as it is read where it was found: opened, or as it is with a mark, or one that says why neither."""
    if payload.metadata.get("encoding") != ENCRYPTED:
        return _marked(unmarked(payload), CLEAR_SINCE, _clear_mark(keys.since))
    try:
        found, said, role = open_payload(payload, keys)
    except CannotOpenError as error:
        return _unreadable(str(error))
    return _marked(found, ROLE, role.encode()) if said == where else _unreadable(_moved(said, where))


def _unreadable(why: str) -> Payload:
    return Payload(metadata={"encoding": UNREADABLE}, data=why.encode())


class EncryptingCodec(PayloadCodec, WithSerializationContext):
    """Encrypts with the active key, if there is one, and decrypts with all of them.

    Args:
        keys: the keys of this process.
        context: where the payloads belong.
    """

    def __init__(self, keys: Keys, context: SerializationContext | None = None) -> None:
        self._keys = keys
        self._where = belongs(context)

    def with_context(self, context: SerializationContext) -> Self:
        return type(self)(self._keys, context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if (key_id := self._keys.active) is None:
            return [unmarked(payload) for payload in payloads]
        return [close(payload, self._keys, key_id, self._where) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [decoded(payload, self._keys, self._where) for payload in payloads]


def each_payload(message: Any, change: Callable[[Payload], Payload]) -> None:
    """Replace every payload in a protobuf message, but for search attributes, which are never encoded."""
    for name, value in message.ListFields():
        if name.message_type is None or name.message_type.full_name == "temporal.api.common.v1.SearchAttributes":
            continue
        if name.message_type.GetOptions().map_entry:
            if name.message_type.fields_by_name["value"].message_type is not None:
                for item in value.values():
                    _replace_or_descend(item, change)
        elif name.is_repeated:
            for item in value:
                _replace_or_descend(item, change)
        else:
            _replace_or_descend(value, change)


def _replace_or_descend(message: Any, change: Callable[[Payload], Payload]) -> None:
    if isinstance(message, Payload):
        message.CopyFrom(change(message))
    else:
        each_payload(message, change)


def _associated(key_id: str, bound: bytes) -> bytes:
    return _DOMAIN + key_id.encode() + b"\n" + bound


def _said(bound: bytes) -> tuple[Belongs, str]:
    """Where a payload says that it belongs, and its role: canonical, so that there is one way to say it."""
    try:
        value = parse_json(bound, _MOST_BOUND)
        if not isinstance(value, dict) or tuple(value) != _MEMBERS or canonical(value) != bound:
            raise CannotOpenError(f"payload is encrypted and {BOUND} of it is malformed")
    except CanonicalError:
        raise CannotOpenError(f"payload is encrypted and {BOUND} of it is malformed") from None
    if not all(isinstance(item, str) for item in value.values()):
        raise CannotOpenError(f"payload is encrypted and {BOUND} of it is malformed")
    return Belongs(value["namespace"], value["workflow_id"], value["activity"]), value["role"]


def _moved(said: Belongs, where: Belongs) -> str:
    name = next(
        name for name in ("namespace", "workflow_id", "activity") if getattr(said, name) != getattr(where, name)
    )
    meant, found = getattr(said, name), getattr(where, name)
    return f"payload was encrypted for {name} {meant[:100]!r}, not for {found[:100]!r}"


def _marked(payload: Payload, name: str, value: bytes | None) -> Payload:
    if value is None:
        return payload
    return Payload(
        metadata={**payload.metadata, name: value}, data=payload.data, external_payloads=payload.external_payloads
    )


def _clear_mark(since: datetime | None) -> bytes | None:
    return None if since is None else instant_text(since).encode()
