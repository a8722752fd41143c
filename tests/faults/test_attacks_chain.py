"""Attacks on what people are asked, and on what is counted before that: by timing, by labels and by hostile values."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.service import RPCError

from policy.decision import DecisionReceipt
from tests.world import DOCUMENTS, Handle, World, decision, publish_documents, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

GLASS = b"""  quick:
    stages:
      - {name: quick, requirements: [{groups: [ops, sre]}], deadline: 1h}
break_glass:
  - id: outage
    match: {operations: [bench.put, bench.take]}
    chain: quick
    review_within: 2d
    budget: {count: 1, days: 30}
"""
POLICY = (DOCUMENTS / "policy.yaml").read_bytes()


@pytest_asyncio.fixture(name="restored", loop_scope="module", autouse=True)
async def _restored(world: World) -> AsyncIterator[None]:
    yield
    await publish_documents(world.url, POLICY)


async def test_a_budget_of_broken_glasses_is_not_overrun_by_those_that_come_at_once(world: World) -> None:
    """Many emergencies of one person, asked for before any of them ran and approved in one moment: one of them runs."""
    await publish_documents(world.url, POLICY + GLASS)
    bodies = [world.propose("bench.put", undo="bench.take", change_type="emergency") for _ in range(8)]
    handles = [await world.start(body) for body in bodies]
    for handle in handles:
        assert [stage["name"] for stage in (await world.pending(handle))["stages"]] == ["quick"]
    await asyncio.gather(*(world.decide(handle, "dan") for handle in handles))

    async def settled() -> bool:
        found = [await world.status(handle) for handle in handles]
        return all(status["state"] == "closed" or status["revision"] > 1 for status in found)

    await until(settled)
    ran = [body["proposal_id"] for body in bodies if await world.effects(body["proposal_id"])]
    assert len(ran) == 1


async def test_a_wrong_label_does_not_ask_for_the_same_effect_again(world: World) -> None:
    """Whoever says of the same effect that it undoes something, which it does not, is told what to wait for."""
    body = world.propose("bench.put", undo="bench.take")
    handle = await world.start(body)
    await world.pending(handle)
    answers = [await world.run({**body, "proposal_id": world.id(), "undoes": undone}) for undone in ("p-1", "p-2")]
    assert [reason.code for item in answers for reason in item.reasons] == ["same_effect_pending"] * 2
    await handle.cancel()
    await world.result(handle)


HOSTILE: dict[str, dict[str, Any]] = {
    "nul in a text": {"justification": "a\x00b"},
    "a text that no screen shows": {"justification": "\u202e\ufeff\U0010ffff" * 900},
    "the greatest numbers": {"revision": 1_000_000, "stage": 1_000_000},
    "a number beyond the record": {"stage": 2**53 - 1},
    "a stage that is none": {"stage": -1},
    "the last instant": {"issued_at": "9998-12-31T23:59:59.999999Z", "expires_at": "9998-12-31T23:59:59.999999Z"},
    "the first instant": {"issued_at": "0001-01-01T00:00:00+14:00"},
    "on behalf of itself": {"on_behalf_of": "eve"},
    "a question to nobody": {"vote": "request_info", "asked": "nobody"},
    "an answer to nothing": {"vote": "answer", "answers": "nothing"},
    "a release of what is not held": {"vote": "release"},
    "a revocation in reverse": {
        "vote": "revoke",
        "justification": "\u202e\ufffd",
        "proof": {"kind": "claimed", "identity": "ann"},
    },
}


@pytest.mark.parametrize("together", [True, False])
async def test_hostile_values_in_a_batch_hold_back_no_vote(world: World, together: bool) -> None:
    """What is at the edge of what a decision may say is answered, alone or many at once, and the vote behind counts."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    status = await world.pending(handle)
    said = [decision(status, "eve", **changes) for name, changes in HOSTILE.items() if "revocation" not in name]
    vote = decision(status, "eve")

    async def send() -> None:
        for item in (*said, vote):
            await handle.signal("decide", item)

    if together:
        async with world.paused():
            await send()
    else:
        await send()
    await world.pending(handle, stage=2)
    revoked = decision(await world.status(handle), "ann", **HOSTILE["a revocation in reverse"])
    assert (await world.send(handle, revoked)).counted
    assert (await world.result(handle)).resolution == "withdrawn"


async def test_a_revocation_that_races_the_permit_leaves_nothing_done(world: World) -> None:
    """Whether it comes before, within or after the run: a revocation that counts leaves no effect, another one all."""
    bodies = [world.propose("bench.put", "bench.put", undo="bench.take") for _ in range(12)]
    handles = [await world.start(body) for body in bodies]
    for handle in handles:
        await world.pending(handle)
        assert (await world.decide(handle, "eve")).counted
        await world.pending(handle, stage=2)

    async def race(looks: int, handle: Handle) -> bool:
        status = await world.status(handle)
        approving = asyncio.create_task(world.send(handle, decision(status, "cleo")))
        for _ in range(looks):
            await world.status(handle)
        told = await asyncio.gather(
            approving, world.send(handle, decision(status, "ann", "revoke")), return_exceptions=True
        )
        await world.result(handle)
        # Whoever comes after the end finds no run that is open.
        assert all(isinstance(item, DecisionReceipt | RPCError) for item in told), told
        return isinstance(told[1], DecisionReceipt) and told[1].counted

    found = await asyncio.gather(*(race(looks, handle) for looks, handle in enumerate(handles)))
    for body, revoked in zip(bodies, found, strict=True):
        effects = await world.effects(body["proposal_id"])
        done, undone = effects.count("do bench.put"), effects.count("undo bench.take")
        assert done == undone if revoked else (done, undone) == (2, 0), effects
