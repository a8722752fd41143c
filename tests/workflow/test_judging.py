"""A step of which nobody can tell whether it is good waits for people: accepted, revoked, stopped, or too late."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.items import findings
from tests.workflow.test_revoking import revoke
from tests.world import DOCUMENTS, Handle, World, publish_documents, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE, UNDONE = ["do bench.put"], ["do bench.put", "undo bench.take"]


@pytest_asyncio.fixture(name="plain", loop_scope="module", autouse=True)
async def _plain(world: World) -> AsyncIterator[None]:
    yield
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())


async def publish(world: World, within: str, verb: str) -> None:
    """The policy, and how long people have to judge what nobody could measure."""
    rule = f"inconclusive: {{within: {within}, on_expiry: {verb}}}\n".encode()
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes() + rule)


async def undecided(world: World, target: str, **more: Any) -> tuple[Handle, str]:
    """An approved action that was done, and whose criterion reads neither success nor failure; and its id."""
    body = world.propose("bench.put", undo="bench.take", target=target, **more)
    body["success_criteria"][0] |= {"equals": 7, "failure": {"equals": 9}, "within_seconds": 1}
    handle = await world.start(body)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.decide(handle, "cleo")).counted
    return handle, body["proposal_id"]


async def judged(world: World, handle: Handle) -> dict[str, Any]:
    """The status, once people are asked."""
    return await until(lambda: world.status(handle), lambda found: found["state"] == "judging" and "waits_for" in found)


async def test_who_may_revoke_it_accepts_what_nobody_could_measure(world: World) -> None:
    """It is kept: inconclusive, by whom, without a hold or an item; who asked for it may not say so."""
    await publish(world, "1h", "compensate")
    handle, name = await undecided(world, "room-1")
    shown = await judged(world, handle)
    assert shown["waits_for"].endswith("then what was done is undone")
    refusals = {"ann": "not_authorized", "dan": "not_authorized", "nobody": "unknown_person"}
    for person, code in refusals.items():
        receipt = await world.decide(handle, person, "accept", justification="it looks fine", stage=1)
        assert (receipt.counted, receipt.code) == (False, code)
    assert (await world.decide(handle, "cleo", "accept", justification=" ")).code == "justification_missing"
    receipt = await world.decide(handle, "cleo", "accept", justification="latency is fine by hand")
    assert (receipt.counted, receipt.resolution) == (True, "approved")
    result = await world.result(handle)
    assert (result.outcome, result.next_action) == ("inconclusive", "none")
    assert result.reasons[-1].message == "accepted by cleo: latency is fine by hand"
    assert (await world.effects(name), await world.holds("room-1")) == (DONE, [])
    assert await world.entries(name, "unresolved_opened") == []
    assert {use for _, direction, use in await world.permits(name) if direction == "undo"} == {"void"}
    assert await findings(world, name) == []


async def test_a_revocation_undoes_it_at_once(world: World) -> None:
    """Nobody waits for the deadline."""
    await publish(world, "1h", "hold")
    handle, name = await undecided(world, "room-2", on_stop="ask")
    await judged(world, handle)
    assert (await revoke(world, handle, "eve", justification="no")).counted
    assert ((await world.result(handle)).outcome, await world.effects(name)) == ("compensated", UNDONE)
    assert await findings(world, name) == []


@pytest.mark.parametrize(
    ("verb", "room", "outcome", "effects"),
    [("compensate", "room-4", "compensated", UNDONE), ("ask", "room-5", "inconclusive", DONE)],
)
async def test_a_bare_cancel_applies_the_verb_of_the_proposal(
    world: World, verb: str, room: str, outcome: str, effects: list[str]
) -> None:
    """It is a stop like any other."""
    await publish(world, "1h", "hold")
    handle, name = await undecided(world, room, on_stop=verb)
    await judged(world, handle)
    await handle.cancel()
    assert ((await world.result(handle)).outcome, await world.effects(name)) == (outcome, effects)
    assert await findings(world, name) == []


@pytest.mark.parametrize(
    ("verb", "room", "outcome", "effects", "holds"),
    [("compensate", "room-6", "compensated", UNDONE, 0), ("hold", "room-7", "inconclusive", DONE, 1)],
)
async def test_when_nobody_says_anything_the_verb_of_the_policy_applies(
    world: World, verb: str, room: str, outcome: str, effects: list[str], holds: int
) -> None:
    """The deadline counts from the executor's report."""
    await publish(world, "2s", verb)
    handle, name = await undecided(world, room)
    result = await world.result(handle)
    assert (result.outcome, await world.effects(name)) == (outcome, effects)
    assert len(await world.holds(room)) == holds
    (entry,) = await world.entries(name, "judging")
    assert entry["content"]["judging"] == {"within_seconds": 2, "on_expiry": verb}
    assert await findings(world, name) == []


async def test_without_such_a_rule_it_is_undone_as_ever(world: World) -> None:
    await publish_documents(world.url, (DOCUMENTS / "policy.yaml").read_bytes())
    handle, name = await undecided(world, "room-3")
    assert ((await world.result(handle)).outcome, await world.effects(name)) == ("compensated", UNDONE)
    assert await world.entries(name, "judging") == []
