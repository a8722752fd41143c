"""The codec alone: what it binds, what it opens, and that decoding never raises."""

import asyncio
import base64
import inspect
import json
import os
from abc import ABC
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import (
    ActivitySerializationContext,
    NexusSerializationContext,
    SerializationContext,
    WorkflowSerializationContext,
)

from activities.encryption.codec import (
    BOUND,
    KEY_ID,
    Belongs,
    CannotOpenError,
    EncryptingCodec,
    close,
    decoded,
    each_payload,
    open_payload,
)
from activities.encryption.connecting import data_converter
from activities.encryption.keys import Keys, KeysError, read_keys
from policy.canonical import canonical
from tests.keyring import key, keys, write_keys
from workflows import ports
from workflows.converter import (
    DATA_CONVERTER,
    EdgeConverter,
    RoleConverter,
    Undecodable,
    UnreadableError,
    readable,
)
from workflows.marks import CLEAR_SINCE, ENCRYPTED, MESSAGE, ROLE, UNREADABLE, clear_since, in_the_clear, role
from workflows.messages import Answer, AssessResult, DispatchRequest, ExecuteRequest, Request

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"vote": "approve"}')
RUN = Belongs("default", "action/a")
ASKED = Belongs("default", "action/a", "assess")


@pytest.fixture(name="ring")
def _ring(tmp_path: Path) -> Keys:
    return keys(tmp_path, "k2", "k1")


ACTIVITY = ActivitySerializationContext(
    namespace="default",
    activity_id="1",
    activity_type="assess",
    activity_task_queue="countersign",
    workflow_id="action/a",
    workflow_type="AuthorizeAction",
    is_local=False,
)


def test_a_payload_comes_back_with_its_role(ring: Keys) -> None:
    """Encrypted and decrypted where it belongs: the same payload, and a mark of what it was encrypted as."""
    marked = Payload(metadata={**PLAIN.metadata, ROLE: b"AssessResult"}, data=PLAIN.data)
    closed = close(marked, ring, "k2", ASKED)

    opened = decoded(closed, ring, ASKED)

    assert (closed.metadata["encoding"], closed.metadata[KEY_ID]) == (ENCRYPTED, b"k2")
    assert PLAIN.data not in closed.SerializeToString()
    assert (opened.data, role(opened), clear_since(opened)) == (PLAIN.data, "AssessResult", None)


def test_the_same_payload_is_never_written_twice_alike(ring: Keys) -> None:
    """Every payload has a nonce of its own."""
    assert len({close(PLAIN, ring, "k2", RUN).data for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Belongs("other", "action/a", "assess"), "for namespace 'default', not for 'other'"),
        (Belongs("default", "action/b", "assess"), "for workflow_id 'action/a', not for 'action/b'"),
        (Belongs("default", "action/a", "record"), "for activity 'assess', not for 'record'"),
        (RUN, "for activity 'assess', not for ''"),
    ],
    ids=["namespace", "workflow", "activity", "what is said to a workflow"],
)
def test_swap(ring: Keys, where: Belongs, said: str) -> None:
    """A payload that is found elsewhere than where it was encrypted for is unreadable there, and says so."""
    found = decoded(close(PLAIN, ring, "k2", ASKED), ring, where)
    assert found.metadata["encoding"] == UNREADABLE
    assert said in found.data.decode()


@pytest.mark.parametrize("name", ["namespace", "workflow_id", "activity", "role"])
def test_swap_with_the_note_of_where_it_belongs_rewritten(ring: Keys, name: str) -> None:
    """What stands beside the ciphertext is authenticated: rewritten, nothing opens it."""
    closed = close(PLAIN, ring, "k2", ASKED)
    closed.metadata[BOUND] = canonical({**json.loads(closed.metadata[BOUND]), name: "another"})
    with pytest.raises(CannotOpenError, match="changed, or moved"):
        open_payload(closed, ring)


def test_swap_of_key_ids(tmp_path: Path) -> None:
    """The key id is authenticated, too: the same bytes under another id do not open."""
    path = tmp_path / "keys.json"
    same = {"k1": key("k"), "k2": key("k")}
    path.write_text(json.dumps({"active": "k1", "since": "2026-01-01T00:00:00Z", "keys": same}))
    path.chmod(0o600)
    ring = read_keys(path)
    closed = close(PLAIN, ring, "k1", RUN)
    closed.metadata[KEY_ID] = b"k2"
    with pytest.raises(CannotOpenError):
        open_payload(closed, ring)


def test_rotation(tmp_path: Path) -> None:
    """What the old key wrote is read after another one took over; a file without the old one says which is missing."""
    old, both, new = keys(tmp_path, "k1"), keys(tmp_path, "k1", "k2", active="k2"), keys(tmp_path, "k2")
    before, after = close(PLAIN, old, "k1", RUN), asyncio.run(_encode(both, RUN))
    assert decoded(before, both, RUN).data == PLAIN.data
    assert after.metadata[KEY_ID] == b"k2"
    assert "key 'k1', which the key file does not have" in decoded(before, new, RUN).data.decode()


def test_without_an_active_key_nothing_is_written_and_all_is_read(tmp_path: Path) -> None:
    """The first step of turning it on, the last of turning it off: ciphertext is read, plain text is no fault."""
    reading = keys(tmp_path, "k1", active="")
    marked = Payload(metadata={**PLAIN.metadata, ROLE: b"AssessResult"}, data=PLAIN.data)
    assert reading.active is None
    assert asyncio.run(EncryptingCodec(reading).encode([marked])) == [PLAIN]
    assert decoded(close(PLAIN, reading, "k1", RUN), reading, RUN).data == PLAIN.data
    assert decoded(PLAIN, reading, RUN) == PLAIN


async def _encode(ring: Keys, where: Belongs) -> Payload:
    context = WorkflowSerializationContext(where.namespace, where.workflow_id)
    return (await EncryptingCodec(ring).with_context(context).encode([PLAIN]))[0]


@pytest.mark.parametrize(
    ("context", "where"),
    [
        (None, Belongs("", "")),
        (NexusSerializationContext("e", "s", "o"), Belongs("", "")),
        (WorkflowSerializationContext("default", "action/a"), RUN),
        (ACTIVITY, ASKED),
        (replace(ACTIVITY, activity_id=None), ASKED),
        (replace(ACTIVITY, workflow_id=None, activity_type=None), Belongs("default", "")),
    ],
    ids=["none", "nexus", "workflow", "activity", "activity of a workflow", "standalone"],
)
async def test_what_the_sdk_says_is_what_is_bound(
    ring: Keys, context: SerializationContext | None, where: Belongs
) -> None:
    """Each context of the SDK says where a payload belongs; without one it belongs nowhere."""
    codec = EncryptingCodec(ring, context)
    (closed,) = await codec.encode([PLAIN])
    assert open_payload(closed, ring)[1] == where
    assert (await codec.decode([closed]))[0].data == PLAIN.data


def test_what_comes_in_the_clear_loses_the_marks_that_it_came_with(ring: Keys) -> None:
    """A client cannot say that its payload was encrypted, nor since when it need not be."""
    lie = Payload(metadata={**PLAIN.metadata, ROLE: b"AssessResult", CLEAR_SINCE: b"9999-01-01T00:00:00Z"})
    found = decoded(lie, ring, ASKED)
    assert role(found) is None
    assert clear_since(found) == datetime(2026, 1, 1, tzinfo=UTC)


def test_what_is_not_marked_is_believed_outside_of_a_workflow() -> None:
    """Where nothing is encrypted there is no mark, and nobody asks a workflow when it began."""
    assert not in_the_clear(None)
    assert clear_since(Payload(metadata={CLEAR_SINCE: b"never"})) is None


@given(st.binary(max_size=200), st.binary(max_size=60), st.binary(max_size=200), st.booleans())
def test_decoding_never_raises(data: bytes, kid: bytes, bound: bytes, good: bool) -> None:
    """Whatever is sent as ciphertext becomes a payload that says why nobody reads it."""
    ring = Keys("k1", None, {"k1": os.urandom(32)})
    payload = Payload(metadata={"encoding": ENCRYPTED, KEY_ID: b"k1" if good else kid, BOUND: bound}, data=data)
    assert decoded(payload, ring, RUN).metadata["encoding"] == UNREADABLE


def test_typed_payloads_are_of_their_role(ring: Keys) -> None:
    """A request is read as that request, and as nothing else; a message is no request."""
    (asked,) = RoleConverter().to_payloads([ExecuteRequest(permit_id="p")])
    assert asked.metadata[ROLE] == b"ExecuteRequest"
    found = decoded(close(asked, ring, "k2", ASKED), ring, ASKED)
    assert EdgeConverter().from_payloads([found], [ExecuteRequest]) == [ExecuteRequest(permit_id="p")]
    with pytest.raises(UnreadableError, match="encrypted as ExecuteRequest, DispatchRequest is taken"):
        EdgeConverter().from_payloads([found], [DispatchRequest])
    (said,) = RoleConverter().to_payloads([{"permit_id": "p"}])
    assert said.metadata[ROLE] == MESSAGE.encode()
    with pytest.raises(UnreadableError, match="encrypted as message"):
        EdgeConverter().from_payloads([said], [ExecuteRequest])


def test_an_answer_of_another_role_is_unreadable(ring: Keys) -> None:
    """It stands for an answer that somebody else gave, and is asked for again."""
    (asked,) = RoleConverter().to_payloads([ExecuteRequest(permit_id="p")])
    found = decoded(close(asked, ring, "k2", ASKED), ring, ASKED)
    assert EdgeConverter().from_payloads([found], [AssessResult]) == [AssessResult.unreadable()]


async def test_a_client_without_keys_is_told_what_it_lacks(ring: Keys) -> None:
    """What it cannot read is named with the setting, whether a type is expected or not."""
    (closed,) = await EncryptingCodec(ring).encode([PLAIN])
    (found,) = await DATA_CONVERTER.decode([closed])
    assert isinstance(found, Undecodable)
    with pytest.raises(UnreadableError, match="set COUNTERSIGN_CODEC_KEYS_FILE"):
        readable(found)
    with pytest.raises(UnreadableError, match="set COUNTERSIGN_CODEC_KEYS_FILE"):
        await DATA_CONVERTER.decode([closed], [dict])


def test_failures_are_encrypted_too(ring: Keys) -> None:
    """The data converter with keys moves messages and stack traces of failures into a payload; without, it is ours."""
    assert data_converter(None) is DATA_CONVERTER
    assert data_converter(ring).failure_converter._encode_common_attributes  # type: ignore[attr-defined]


def test_search_attributes_are_no_payloads_of_the_codec() -> None:
    """Every payload of an event is visited but for search attributes, which the server reads."""
    event = HistoryEvent()
    said = event.workflow_execution_started_event_attributes
    said.input.payloads.append(PLAIN)
    said.memo.fields["m"].CopyFrom(PLAIN)
    said.search_attributes.indexed_fields["CountersignState"].CopyFrom(PLAIN)
    said.continued_failure.encoded_attributes.CopyFrom(PLAIN)
    event.user_metadata.summary.CopyFrom(PLAIN)
    seen: list[Payload] = []

    def see(payload: Payload) -> Payload:
        seen.append(payload)
        return Payload(data=b"seen")

    each_payload(event, see)

    assert len(seen) == 4
    assert said.search_attributes.indexed_fields["CountersignState"] == PLAIN
    assert said.memo.fields["m"].data == b"seen"


SECRET = key("k1")
FILES: dict[str, tuple[str, str]] = {
    "no json": ("{", "no strict json"),
    "two of one name": ('{"keys": {}, "keys": {}}', "no strict json"),
    "no keys": ('{"keys": {}}', "keys: "),
    "unknown field": (json.dumps({"keys": {"k1": SECRET}, "rotate": True}), "rotate: "),
    "short key": (json.dumps({"keys": {"k1": base64.b64encode(b"x" * 16).decode()}}), "32 random bytes"),
    "no base64": (json.dumps({"keys": {"k1": SECRET[:-3] + "!!!"}}), "32 random bytes"),
    "strange id": (json.dumps({"keys": {"k 1": SECRET}}), "keys"),
    "another active": (
        json.dumps({"active": "k2", "since": "2026-01-01T00:00:00Z", "keys": {"k1": SECRET}}),
        "active names k2, which is none of the keys",
    ),
    "no since": (json.dumps({"active": "k1", "keys": {"k1": SECRET}}), "since is missing"),
    "since without an offset": (
        json.dumps({"active": "k1", "since": "2026-01-01", "keys": {"k1": SECRET}}),
        "since: ",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_key_file_that_is_none_says_why_and_shows_no_key(tmp_path: Path, name: str) -> None:
    """What is wrong is named; nothing of a key is in the message or the chain of causes that is printed."""
    text, said = FILES[name]
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysError) as told:
        read_keys(path)
    assert said in str(told.value)
    assert SECRET[:12] not in str(told.value)
    assert told.value.__suppress_context__


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Group and others have no right to it."""
    path = write_keys(tmp_path / "keys.json", "k1")
    path.chmod(mode)
    with pytest.raises(KeysError, match="chmod 600"):
        read_keys(path)


def test_keys_show_nothing_of_themselves(ring: Keys) -> None:
    """Neither keys nor what was read of a file has a repr with a key in it."""
    assert base64.b64decode(key("k2")).hex() not in repr(ring)
    assert "k2" in repr(ring)
    assert "\\x" not in repr(ring)


def test_each_workflow_id_has_a_key_of_its_own(ring: Keys) -> None:
    """Keys are derived from namespace and workflow id, and the two are not run together."""
    nonce, data = b"\0" * 12, b"x"
    made = {
        ring.cipher("k2", *where).encrypt(nonce, data, None)
        for where in (("default", "a"), ("default", "b"), ("defaulta", ""), ("other", "a"))
    } | {ring.cipher("k1", "default", "a").encrypt(nonce, data, None)}
    assert len(made) == 5


def _asked_and_told() -> list[tuple[str, type, type]]:
    """What each activity of ours takes and gives, but for those by schedule, which take nothing and count."""
    found = []
    for port in vars(ports).values():
        if isinstance(port, type) and issubclass(port, ABC) and port is not ABC:
            for name, method in inspect.getmembers(port, inspect.isfunction):
                hints = get_type_hints(method)
                if told := hints.pop("return", None):
                    found += [(f"{port.__name__}.{name}", taken, told) for taken in hints.values()]
    return found


def test_every_activity_has_a_role_for_what_it_takes_and_gives() -> None:
    """A request or an answer that is no `Request` or `Answer` is taken in the clear: so is `claim`, by a signature."""
    listed = [item for item in _asked_and_told() if not item[0].endswith(".claim")]
    assert len(listed) > 8
    assert [
        name for name, taken, told in listed if not issubclass(taken, Request) or not issubclass(told, Answer)
    ] == []
