"""Who decided, on real servers: signed decisions count, and nothing else does where names are not accepted."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import yaml

from deploy.dev import Stack
from policy.base import instant_text
from policy.canonical import canonical, digest
from policy.decision import DecisionReceipt
from signing.keys import SigningKey, generate
from tests.unit.signed import by_key
from tests.world import (
    DOCUMENTS,
    Handle,
    World,
    decision,
    publish_documents,
    until,
    whole_world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIENCE = "countersign/tests"
KEYS = {name: generate(f"{name}-1") for name in ("bob", "cleo", "eve", "ann")}
DEMANDS = {"proofs": [{"stages": ["dba"], "assurance": "aal2"}, {"stages": ["ops"], "assurance": "aal1"}]}


@pytest_asyncio.fixture(name="signed", scope="module", loop_scope="module")
async def _signed(stack: Stack) -> AsyncIterator[World]:
    """A world whose people have keys, and whose workers take no mere names."""
    async with whole_world(stack, _directory(), claimed=False) as world:
        yield world


def _directory(**changes: Any) -> bytes:
    value = yaml.safe_load((DOCUMENTS / "directory.yaml").read_text())
    for person in value["people"]:
        if (key := KEYS.get(person["id"])) is not None:
            revoked = changes.get(person["id"], {})
            person["keys"] = [{"id": key.id, "jwk": key.public, **revoked}]
    return json.dumps({**value, "audience": AUDIENCE}).encode()


def sign(value: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """A decision, signed; for this installation, unless it names another one."""
    return by_key({"audience": AUDIENCE, **value}, key)


async def _decide(world: World, handle: Handle, person: str, vote: str = "approve", **more: Any) -> DecisionReceipt:
    status = await world.status(handle)
    return await world.send(handle, sign(decision(status, person, vote, **more), KEYS[person]))


async def test_signed_decisions_carry_an_action_and_mere_names_do_not(signed: World) -> None:
    """A name is refused and on record; two signatures run it, and permit and result say what they rest on."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    refused = await signed.decide(handle, "bob")
    assert (refused.counted, refused.code) == (False, "claimed_not_accepted")
    counted = await _decide(signed, handle, "eve")
    assert (counted.counted, counted.assurance) == (True, "aal1")
    await signed.pending(handle, stage=2)
    assert (await _decide(signed, handle, "cleo")).counted
    result = await signed.result(handle)
    assert (result.outcome, result.assurance) == ("succeeded", "aal1")
    assert [item.assurance for item in result.decided_by] == ["aal1", "aal1"]
    (dispatched,) = await signed.entries(result.proposal_id, "dispatched")
    assert {item["assurance"] for item in dispatched["content"]["permits"]} == {"aal1"}
    kept = [entry["content"]["principal"] for entry in await signed.entries(result.proposal_id, "decision_counted")]
    assert [(item["identity"], item["kind"], item["key_id"]) for item in kept] == [
        ("eve", "key", "eve-1"),
        ("cleo", "key", "cleo-1"),
    ]


async def test_a_signed_decision_is_replayed_nowhere(signed: World) -> None:
    """Sent again it is the same decision; on another action, or moved to another stage, it is refused."""
    first = await signed.start(signed.propose("bench.put", undo="bench.take"))
    other = await signed.start(signed.propose("bench.put", undo="bench.take"))
    third = await signed.start(signed.propose("bench.put", undo="bench.take"))
    said = sign(decision(await signed.pending(first), "eve"), KEYS["eve"])
    there = await signed.pending(other)
    assert (await signed.send(first, said)).counted
    assert (await signed.send(first, said)).counted, "the same decision again is answered as before"
    await signed.pending(third)
    assert (await signed.send(third, said)).code == "unknown_request"
    moved = {**said, "proposal_id": there["proposal_id"], "action_digest": there["action_digest"]}
    moved |= {"assessment_digest": there["assessment_digest"], "presented_digest": there["presented_digest"]}
    assert (await signed.send(other, moved)).code == "bad_proof"
    assert (await signed.send(first, {**said, "decision_id": uuid4().hex})).code == "bad_proof"
    assert (await signed.send(first, {**said, "decision_id": uuid4().hex, "stage": 2})).code == "bad_proof"
    status = await signed.status(other)
    assert status["stages"][0]["approvals"] == []


async def test_a_signed_decision_in_another_run_is_the_same_vote(signed: World) -> None:
    """The run is terminated and started again: what was signed for the first run is known, and is no second vote."""
    body = signed.propose("bench.put", undo="bench.take")
    first = await signed.start(body)
    said = sign(decision(await signed.pending(first), "eve"), KEYS["eve"])
    receipt = await signed.send(first, said)
    await first.terminate()

    second = await signed.start(body)

    status = await signed.pending(second, stage=2)
    assert await signed.send(second, said) == receipt
    assert (await signed.status(second))["stages"][0]["approvals"] == status["stages"][0]["approvals"] == ["eve"]
    assert len(await signed.entries(body["proposal_id"], "decision_counted")) == 1


SOMETHING_ELSE = {
    "another stage": ({"stage": 2}, "stage_not_open"),
    "another revision": ({"revision": 2}, "revision_mismatch"),
    "another action": ({"action_digest": "sha256:" + "0" * 64}, "action_digest_mismatch"),
    "another installation": ({"audience": "countersign/production"}, "wrong_audience"),
    "expired": ({"expires_at": instant_text(datetime.now(UTC) - timedelta(hours=1))}, "expired"),
    "of the future": ({"issued_at": instant_text(datetime.now(UTC) + timedelta(hours=1))}, "not_yet_valid"),
}


@pytest.mark.parametrize(("changes", "code"), SOMETHING_ELSE.values(), ids=SOMETHING_ELSE)
async def test_what_is_signed_for_something_else_does_not_count(
    signed: World, waiting: Handle, changes: dict[str, Any], code: str
) -> None:
    """By the right person with the right key, whole, and not for what is asked here and now."""
    receipt = await _decide(signed, waiting, "eve", **changes)

    assert (receipt.counted, receipt.code) == (False, code)
    assert (await signed.status(waiting))["stages"][0]["approvals"] == []


@pytest_asyncio.fixture(name="waiting", scope="module", loop_scope="module")
async def _waiting(signed: World) -> Handle:
    """An action whose first stage waits; none of the cases above moves it."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    return handle


async def test_nobody_approves_their_own_action_with_a_good_signature(signed: World) -> None:
    """The owner of the agent signs well, and stands behind the proposal; a denial of theirs is allowed."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    assert (await _decide(signed, handle, "ann")).code == "self_approval"
    assert (await _decide(signed, handle, "ann", "deny")).counted


async def test_whoever_schedules_the_agent_does_not_approve_with_a_good_signature(signed: World) -> None:
    """The agent is Ann's and runs by Eve's schedule: both ask for what it proposes."""
    directory = json.loads(_directory())
    directory["agents"][0]["scheduled_by"] = ["eve"]
    await publish_documents(signed.url, json.dumps(directory).encode())
    try:
        handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
        await signed.pending(handle)
        assert (await _decide(signed, handle, "eve")).code == "self_approval"
        assert (await _decide(signed, handle, "bob")).counted
    finally:
        await publish_documents(signed.url, _directory())


async def _plant(
    world: World, handle: Handle, person: str, stage: int, role: str, key: SigningKey | None = None
) -> None:
    """Write a vote into the record as somebody who holds a database role of ours; signed with a `key`, or claimed."""
    status = await world.status(handle)
    said = {**decision(status, person), "stage": stage}
    said = said if key is None else sign(said, key)
    ballot = {
        "person_id": person,
        "groups": ["ops", "dba"],
        "decision_id": said["decision_id"],
        "stage": stage,
        "vote": "approve",
        "received_at": datetime.now(UTC).isoformat(),
        "assurance": "aal3" if key is None else "aal1",
    }
    receipt = {"decision_id": said["decision_id"], "counted": True, "ballot": ballot}
    connection = await asyncpg.connect(world.url.replace("postgres@", f"{role}@"))
    try:
        await connection.execute(
            "INSERT INTO countersign.decision (proposal_id, decision_id, revision, stage, person_id, vote, counted,"
            " body, digest, receipt, arrival, received_at) VALUES ($1,$2,1,$3,$4,'approve',true,$5,$6,$7,99,$8)",
            *(said["proposal_id"], said["decision_id"], stage, person),
            *(canonical(said), digest(canonical(said)), canonical(receipt), datetime.now(UTC)),
        )
    finally:
        await connection.close()


async def test_votes_that_whoever_takes_decisions_planted_give_no_permit(signed: World) -> None:
    """A compromised control worker writes two votes and resolves the case by them: the permit role reads signatures."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    await _plant(signed, handle, "bob", 1, "countersign_control")
    await _plant(signed, handle, "cleo", 2, "countersign_control")
    # Whatever asks for the case next resolves it by what is there.
    assert (await _decide(signed, handle, "eve", "acknowledge")).code in (None, "not_pending")
    proposal_id = handle.id.removeprefix("action/")
    refused = await _until_refused(signed, proposal_id)
    assert {item["code"] for item in refused["content"]["reasons"]} == {"approval_lapsed"}
    assert set(refused["content"]["inputs"]["unproven"].values()) == {
        f"identity {name} is only claimed: sign the decision, `countersign sign` shows how" for name in ("bob", "cleo")
    }
    assert await signed.permits(proposal_id) == []
    assert await signed.effects(proposal_id) == []


async def _until_refused(world: World, proposal_id: str) -> dict[str, Any]:

    found = await until(lambda: world.entries(proposal_id, "dispatch_refused"))
    return found[0]


async def test_a_key_that_is_revoked_takes_its_pending_vote_with_it(signed: World) -> None:
    """The vote of a revoked key drops before the next one counts, and the key signs nothing more."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    assert (await _decide(signed, handle, "eve")).counted
    await signed.pending(handle, stage=2)
    await publish_documents(signed.url, _directory(eve={"revoked_at": "2026-01-01T00:00:00Z"}))
    try:
        assert (await _decide(signed, handle, "cleo")).code == "stage_not_open"
        (dropped,) = await signed.entries(handle.id.removeprefix("action/"), "vote_dropped")
        assert dropped["content"]["event"]["reason"] == "key eve-1 was revoked"
        await signed.pending(handle, stage=1)
        assert (await _decide(signed, handle, "eve")).code == "revoked_key"
        assert (await _decide(signed, handle, "bob")).counted
    finally:
        await publish_documents(signed.url, _directory())


@asynccontextmanager
async def demanding(world: World) -> AsyncIterator[None]:
    """The policy of the tests asks for stronger proofs, inside the block."""
    policy = yaml.safe_load((DOCUMENTS / "policy.yaml").read_text())
    await publish_documents(world.url, json.dumps({**policy, **DEMANDS}).encode())
    try:
        yield
    finally:
        await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def test_a_policy_asks_for_more_than_a_key_shows(signed: World) -> None:
    """The refusal says what is wanted; who denies needs nothing more."""
    async with demanding(signed):
        handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
        await signed.pending(handle)
        assert (await _decide(signed, handle, "eve")).counted
        await signed.pending(handle, stage=2)
        weak = await _decide(signed, handle, "cleo")
        assert (weak.counted, weak.code) == (False, "assurance_too_low")
        assert weak.wanted is not None
        assert (weak.wanted.assurance, weak.wanted.max_age_seconds) == ("aal2", None)
        assert (await _decide(signed, handle, "cleo", "deny")).counted


async def test_a_vote_that_is_too_weak_gives_no_permit_whoever_counted_it(signed: World) -> None:
    """A compromised control worker counts a vote of one factor where two are asked for: the permit role asks again."""
    async with demanding(signed):
        handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
        await signed.pending(handle)
        assert (await _decide(signed, handle, "eve")).counted
        await signed.pending(handle, stage=2)
        await _plant(signed, handle, "cleo", 2, "countersign_control", KEYS["cleo"])
        await _decide(signed, handle, "bob", "acknowledge")
        refused = await _until_refused(signed, handle.id.removeprefix("action/"))
        assert list(refused["content"]["inputs"]["unproven"].values()) == ["this vote needs aal2, its proof shows aal1"]
        assert await signed.permits(handle.id.removeprefix("action/")) == []


async def test_a_planted_escalation_makes_nobody_an_approver(signed: World) -> None:
    """A compromised control worker notes that eve was escalated to: she signs what no chain asks her."""
    handle = await signed.start(signed.propose("bench.put", undo="bench.take"))
    await signed.pending(handle)
    assert (await _decide(signed, handle, "bob")).counted
    await signed.pending(handle, stage=2)
    proposal_id, at = handle.id.removeprefix("action/"), datetime.now(UTC)
    event = {"kind": "escalated", "at": at.isoformat(), "stage": 2, "index": 0, "people": ["eve"], "replace": True}
    connection = await asyncpg.connect(signed.url.replace("postgres@", "countersign_control@"))
    try:
        await connection.execute(
            "INSERT INTO countersign.case_event (proposal_id, revision, key, kind, body, digest, happened_at)"
            " VALUES ($1, 1, 'escalated 2 0', 'escalated', $2, $3, $4)",
            *(proposal_id, canonical(event), digest(canonical(event)), at),
        )
    finally:
        await connection.close()
    assert (await _decide(signed, handle, "eve", stage=2)).counted
    refused = await _until_refused(signed, proposal_id)
    assert [item["code"] for item in refused["content"]["reasons"]] == ["unfounded_escalation"]
    assert await signed.permits(proposal_id) == []
