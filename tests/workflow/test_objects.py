"""One object that the catalog names twice, by itself and by what it is in: what is reserved and held is the object."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from policy.targets import ResolvedTarget
from tests.items import findings
from tests.world import BOUND, DOCUMENTS, Handle, World, publish_documents, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = (DOCUMENTS / "policy.yaml").read_bytes()
ALONE = POLICY.replace(b"aggregate: [{id: together, per: target, at_once: 1000}]\n", b"", 1)


@pytest_asyncio.fixture(name="alone", loop_scope="module", autouse=True)
async def _alone(world: World) -> AsyncIterator[None]:
    await publish_documents(world.url, ALONE)
    yield
    await publish_documents(world.url, POLICY)


def sweeping(world: World, room: str, *objects: str, operation: str = "bench.sweep", **more: Any) -> dict[str, Any]:
    """A proposal on a room, in which these objects are found under names that say nothing of each other."""
    body: dict[str, Any] = world.propose(operation, undo="bench.unsweep", target=room, **more)
    world.bench.there[body["proposal_id"]] = [
        ResolvedTarget(id=f"{room} {number}", resource=f"bench/{room}", version="1", object=name)
        for number, name in enumerate(objects)
    ]
    return body


async def hanging(world: World, body: dict[str, Any]) -> Handle:
    """An action that is at work until it may go on."""
    world.bench.behaviour["bench.sweep", body["proposal_id"]] = "hang"
    handle = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[body["proposal_id"]].wait()
    return handle


async def test_two_actions_that_found_one_object_wait_for_each_other(world: World) -> None:
    """Under two ids of the catalog; who found another object, and who found none with a name, do not wait."""
    first = sweeping(world, "room-1", "uid-1", "uid-2")
    one = await hanging(world, first)
    second = sweeping(world, "room-2", "uid-2", "uid-3")
    other = await world.start(second)
    status = await until(lambda: world.status(other), lambda found: "waits_for" in found)
    assert status["waits_for"].startswith(f"action {first['proposal_id']} has object uid-2 since 20")
    assert (await world.run(sweeping(world, "room-3", "uid-4"))).outcome == "succeeded"
    assert (await world.run(world.propose("bench.sweep", undo="bench.unsweep", target="room-4"))).outcome == "succeeded"
    world.bench.go_on[first["proposal_id"]].set()
    assert (await world.result(one)).outcome == "succeeded"
    assert (await world.result(other)).outcome == "succeeded"
    for body in (first, second):
        assert await findings(world, body["proposal_id"]) == []


async def test_a_hold_on_one_name_of_an_object_holds_the_other(world: World) -> None:
    """What nobody knows of the object keeps everybody from it; who repairs it by its other name releases the hold."""
    lost = sweeping(world, "room-5", "uid-5")
    world.bench.behaviour["bench.sweep", lost["proposal_id"]] = "lose"
    assert (await world.run(lost)).outcome == "outcome_unknown"
    denied = await world.run(sweeping(world, "room-6", "uid-5", "uid-6"))
    assert (denied.resolution, [reason.code for reason in denied.reasons]) == ("denied", ["on_hold"])
    assert (await world.run(sweeping(world, "room-6", "uid-6"))).outcome == "succeeded"
    repair = sweeping(world, "room-6", "uid-5", operation="bench.mop", remedies=lost["proposal_id"])
    handle = await world.start(repair)
    await world.pending(handle)
    assert (await world.decide(handle, "eve")).counted
    assert (await world.result(handle)).outcome == "succeeded"
    assert await world.holds("room-5") == []
    assert (await world.run(sweeping(world, "room-5", "uid-5"))).outcome == "succeeded"
    for body in (lost, repair):
        assert await findings(world, body["proposal_id"]) == []


async def test_a_later_step_that_takes_more_is_computed_again_by_an_audit(world: World) -> None:
    """Between its steps the limit begins to count what it touches: 1 became 3, and an audit comes to the same."""
    limit = b"aggregate: [{id: growing, per: everything, count: COUNT, at_once: 5}]\nlimits:"
    await publish_documents(world.url, ALONE.replace(b"limits:", limit.replace(b"COUNT", b"actions"), 1))
    body = world.propose("bench.sweep", "bench.sweep", undo="bench.unsweep", target="room-7")
    world.bench.there[body["proposal_id"]] = [
        ResolvedTarget(id=name, resource="bench/room-7", version="1") for name in ("a", "b", "c")
    ]
    handle = await hanging(world, body)
    await publish_documents(world.url, ALONE.replace(b"limits:", limit.replace(b"COUNT", b"ids"), 1))
    world.bench.go_on[body["proposal_id"]].set()
    assert (await world.result(handle)).outcome == "succeeded"
    first, second = [entry["content"]["reserved"] for entry in await world.entries(body["proposal_id"], "dispatched")]
    amounts = [next(item["amount"] for item in one["wanted"] if item["limit"] == "growing") for one in (first, second)]
    assert (amounts, "growing everything" in second["had"]) == ([1.0, 3.0], True)
    assert await findings(world, body["proposal_id"]) == []
    await publish_documents(world.url, ALONE)
