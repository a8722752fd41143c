"""Revoking an action: before anything is permitted, while it runs, and what nobody may."""

from typing import Any

import pytest

from policy.canonical import digest
from policy.decision import DecisionReceipt
from tests.world import Handle, World, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def revoke(world: World, handle: Handle, person: str, **changes: Any) -> DecisionReceipt:
    """Revoke an action as it stands; where nobody was asked, no screen is sealed that could be named."""
    status = await until(lambda: world.status(handle), lambda found: found["action_digest"] is not None)
    presented = status["presented_digest"] or digest(b"nobody was shown anything")
    named = {"presented_digest": presented, "stage": status["stage"] or 1}
    return await world.decide(handle, person, "revoke", **{**named, **changes})


async def observed(world: World, body: Any) -> Handle:
    """An approved action whose steps are done, while its criterion is observed for long."""
    body["success_criteria"][0]["observe_seconds"] = 60
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    await until(lambda: world.effects(body["proposal_id"]), lambda found: len(found) == len(body["steps"]))
    return handle


@pytest.mark.parametrize("person", ["ann", "eve", "cleo"], ids=["who asks", "asked now", "asked later"])
async def test_a_revocation_before_dispatch_withdraws_the_action(world: World, person: str) -> None:
    """Who asks, and whoever the chain asks, stops an action that waits: nothing runs, and the result says who."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    receipt = await revoke(world, handle, person, justification="the plan is wrong")
    assert (receipt.counted, receipt.resolution) == (True, "withdrawn")
    result = await world.result(handle)
    assert (result.resolution, result.outcome, result.next_action) == ("withdrawn", "not_executed", "propose_anew")
    assert [reason.model_dump() for reason in result.reasons] == [
        {"code": "revoked", "message": f"revoked by {person}: the plan is wrong"}
    ]
    assert await world.permits(body["proposal_id"]) == []
    (stopped,) = await world.entries(body["proposal_id"], "stopped")
    assert (stopped["content"]["kind"], stopped["content"]["actor"]) == ("revoked", person)


@pytest.mark.parametrize("on_stop", ["compensate", "ask"])
async def test_a_revocation_while_a_step_runs_ends_and_undoes_it(world: World, on_stop: str) -> None:
    """The running step ends; every step is undone, whatever the proposal says of stops that nobody verified."""
    body = world.propose("bench.put", "bench.put", undo="bench.take", on_stop=on_stop)
    handle = await observed(world, body)
    receipt = await revoke(world, handle, "cleo", justification="wrong shop")
    assert (receipt.counted, receipt.resolution) == (True, "approved")
    result = await world.result(handle)
    assert (result.resolution, result.outcome, result.next_action) == ("approved", "compensated", "propose_anew")
    assert result.reasons[0].message == "revoked by cleo: wrong shop"
    assert await world.effects(body["proposal_id"]) == ["do bench.put"] * 2 + ["undo bench.take"] * 2
    assert (await world.holds("shop")) == []


async def test_a_bare_cancel_still_asks_where_the_proposal_says_so(world: World) -> None:
    """What nobody verified undoes nothing where the approved verb is to ask; nor does a revocation that comes later."""
    body = world.propose("bench.put", undo="bench.take", on_stop="ask", target="room-1")
    handle = await observed(world, body)
    await handle.cancel()
    result = await world.result(handle)
    assert (result.outcome, result.reasons[-1].code) == ("inconclusive", "stopped")
    assert await world.effects(body["proposal_id"]) == ["do bench.put"]


async def test_what_policy_allows_can_be_revoked_by_who_asks_alone(world: World) -> None:
    """Nobody is asked about it and no policy names anybody, so only those behind the proposal may stop it."""
    body = world.propose("bench.set", undo="bench.unset")
    body["success_criteria"][0]["observe_seconds"] = 60
    handle = await world.start(body)
    await until(lambda: world.effects(body["proposal_id"]))
    refused = await revoke(world, handle, "bob")
    assert (refused.counted, refused.code) == (False, "not_authorized")
    assert "the policy names nobody else" in refused.message
    assert (await revoke(world, handle, "ann")).counted
    result = await world.result(handle)
    assert (result.outcome, result.reasons[0].code) == ("compensated", "revoked")


@pytest.mark.parametrize(
    ("person", "changes", "code"),
    [
        ("dan", {}, "not_authorized"),
        ("olga", {}, "not_authorized"),
        ("nobody", {}, "unknown_person"),
        ("eve", {"justification": " "}, "justification_missing"),
        ("eve", {"action_digest": digest(b"another")}, "action_digest_mismatch"),
    ],
)
async def test_a_revocation_that_does_not_count_is_answered_and_recorded(
    world: World, person: str, changes: dict[str, Any], code: str
) -> None:
    """Who may not revoke is told what is needed; the attempt is on record and the action goes on."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    receipt = await revoke(world, handle, person, **changes)
    assert (receipt.counted, receipt.code) == (False, code)
    assert len(await world.entries(body["proposal_id"], "decision_refused")) == 1
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"


async def test_who_was_revoked_is_not_revoked_twice(world: World) -> None:
    """The same revocation again is answered as before; another one finds nothing pending."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await observed(world, body)
    first = await revoke(world, handle, "eve", decision_id="stop-it")
    assert first.counted
    second = await revoke(world, handle, "cleo")
    assert (second.counted, second.code) == (False, "not_pending")
    await world.result(handle)
    assert len(await world.entries(body["proposal_id"], "stopped")) == 1
