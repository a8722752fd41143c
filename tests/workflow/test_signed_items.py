"""Where names are not accepted, what ended without a definite state is resolved by a signature, and by nothing else."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from deploy.dev import Stack
from policy.proofs import Domain
from signing.jws import key_proof
from signing.keys import generate
from tests.faults.attack import call, forge, now
from tests.items import amendment, closed, findings, say, statement, sweep, unresolved
from tests.unit.signed import by_key
from tests.world import DOCUMENTS, World, decision, whole_world
from workflows.interface import TASK_QUEUE, outside_item

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIENCE = "countersign/tests"
KEYS = {name: generate(f"{name}-1") for name in ("ann", "cleo", "dan", "eve")}
RULES = b"""  finders:
    stages:
      - {name: finders, requirements: [{groups: [dba, sre]}], deadline: 1h}
unresolved: {chain: finders}
proofs:
  - {stages: [finders], assurance: aal1}
"""


def _directory() -> bytes:
    value = yaml.safe_load((DOCUMENTS / "directory.yaml").read_text())
    for person in value["people"]:
        if (key := KEYS.get(person["id"])) is not None:
            person["keys"] = [{"id": key.id, "jwk": key.public}]
    return json.dumps({**value, "audience": AUDIENCE}).encode()


@pytest_asyncio.fixture(name="signed", scope="module", loop_scope="module")
async def _signed(stack: Stack) -> AsyncIterator[World]:
    policy = (DOCUMENTS / "policy.yaml").read_bytes() + RULES
    async with whole_world(stack, _directory(), policy, claimed=False) as world:
        yield world


def sign(value: dict[str, Any], person: str) -> dict[str, Any]:
    """A statement that somebody signed for this installation."""
    return by_key({"audience": AUDIENCE, **value}, KEYS[person])


async def lost(world: World, room: str) -> str:
    """An action whose effect nobody knows; its id."""
    body = world.propose("bench.put", undo="bench.take", target=room)
    world.bench.behaviour["bench.put", body["proposal_id"]] = "lose"
    handle = await world.start(body)
    for stage, person in enumerate(("eve", "cleo"), start=1):
        said = sign(decision(await world.pending(handle, stage), person), person)
        assert (await world.send(handle, said)).counted
    assert (await world.result(handle)).outcome == "outcome_unknown"
    return str(body["proposal_id"])


async def test_a_signature_resolves_it_and_a_name_does_not(signed: World) -> None:
    """A name is refused, so are a signature of the proposer's and one whose words were changed; a proper one counts."""
    action = await lost(signed, "room-1")
    handle, file = await unresolved(signed, action)
    said = sign(statement(file, "cleo", found="not_done"), "cleo")
    assert (await say(handle, statement(file, "cleo", found="done"))).code == "claimed_not_accepted"
    assert (await say(handle, sign(statement(file, "ann", found="done"), "ann"))).code == "self_approval"
    assert (await say(handle, {**said, "found": "done", "decision_id": "other"})).code == "bad_proof"
    assert await signed.holds("room-1") == [action]
    receipt = await say(handle, said)
    assert (receipt.counted, receipt.assurance) == (True, "aal1")
    assert await closed(handle) == "not_done"
    assert await findings(signed, action) == []
    amended, _ = await amendment(signed, action)
    assert (await say(amended, statement(file, "cleo", outcome="succeeded"))).counted is False


async def test_a_forged_answer_closes_the_workflow_and_no_item(signed: World) -> None:
    """`temporal activity complete` says that it is closed: the run ends, the hold stays, the sweep starts it again."""
    action = await lost(signed, "room-2")
    handle, file = await unresolved(signed, action)
    async with signed.record_away():
        await handle.signal("decide", sign(statement(file, "dan", vote="acknowledge"), "dan"))
        lie = {"standing": None, "unasked": True, "closed": "done"}
        await forge(signed, handle, "answer_item", lie)
    assert await closed(handle) == "done"
    assert await signed.holds("room-2") == [action]
    assert await signed.entries(action, "unresolved_closed") == []
    again, file = await unresolved(signed, action)
    assert (await say(again, sign(statement(file, "dan", found="done"), "dan"))).counted


async def test_our_activities_run_alone_with_nobodys_word_settle_nothing(signed: World) -> None:
    """Run by the stock CLI, `answer_item` verifies what it is given; `look_at_item` closes only what is remedied."""
    action = await lost(signed, "room-3")
    _, file = await unresolved(signed, action)
    submission = statement(file, "cleo", found="done")
    request = {"item_id": file.item.item_id, "submission": submission, "channel": "update", "arrival": 1, "now": now()}
    told = await call(signed, "answer_item", TASK_QUEUE, request)
    assert told["receipt"]["code"] == "claimed_not_accepted"
    looked = await call(signed, "look_at_item", TASK_QUEUE, {"item_id": file.item.item_id, "now": now()})
    assert looked["closed"] is None
    assert await signed.holds("room-3") == [action]
    await sweep(signed)


async def test_what_was_done_outside_is_believed_by_signature_only(signed: World) -> None:
    """A name, a decision's signature, another's id and a second statement under the same id state nothing."""
    value = {
        "statement_id": signed.id(),
        "target": "shop",
        "what": "restarted it",
        "done_by": "dan",
        "because": "the server was down",
        "began_at": now(minutes=-10),
        "ended_at": now(minutes=-5),
        "issued_at": now(),
        "expires_at": now(hours=1),
        "audience": AUDIENCE,
    }
    outside = {**value, "proof": key_proof(value, KEYS["dan"], Domain.outside)}
    tried = {
        "claimed_not_accepted": {**value, "proof": {"kind": "claimed", "identity": "dan"}},
        "bad_proof": {**value, "proof": key_proof(value, KEYS["dan"], Domain.decision)},
        "unknown_request": {**outside, "statement_id": "another"},
        "malformed": {**outside, "what": ""},
    }
    name = outside_item(str(value["statement_id"]))

    async def state(statement: Any) -> dict[str, Any]:
        request = {"item_id": name, "submission": statement, "channel": "signal", "arrival": 1, "now": now()}
        answer: dict[str, Any] = (await call(signed, "answer_item", TASK_QUEUE, request))["receipt"]
        return answer

    for code, statement_of in tried.items():
        assert (await state(statement_of))["code"] == code
    assert (await state(outside))["counted"]
    assert (await state(outside))["counted"], "the same again is answered as before"
    other = {**value, "what": "something else"}
    assert (await state({**other, "proof": key_proof(other, KEYS["dan"], Domain.outside)}))["code"] == (
        "decision_id_reused"
    )
    assert len(await signed.entries("@outside", "outside_stated")) == 1
