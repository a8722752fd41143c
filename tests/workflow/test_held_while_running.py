"""A hold or a halt that comes while a step runs: the executor reads it in the record, and the approved verb applies."""

import asyncio
from typing import Any

import pytest

from tests.halts import halt, prepared, release
from tests.items import findings
from tests.world import BOUND, Handle, World, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def observed(world: World, target: str, **more: Any) -> tuple[Handle, str]:
    """An action whose two steps are done while its criterion is observed for long; and its id."""
    body = world.propose("bench.set", "bench.set", undo="bench.unset", target=target, **more)
    body["success_criteria"][0]["observe_seconds"] = 60
    handle = await world.start(body)
    await until(lambda: world.effects(body["proposal_id"]), lambda found: len(found) == 2)
    return handle, body["proposal_id"]


async def hold(world: World, target: str) -> str:
    """Put a hold on a target: another action there ends and nobody knows how; its id."""
    body = world.propose("bench.set", undo="bench.unset", target=target)
    world.bench.behaviour["bench.set", body["proposal_id"]] = "lose"
    assert (await world.run(body)).outcome == "outcome_unknown"
    return str(body["proposal_id"])


async def report(world: World, proposal_id: str, step: int) -> dict[str, Any]:
    """What the executor reported of a step."""
    entries = [entry["content"] for entry in await world.entries(proposal_id, "reported")]
    return next(item["report"] for item in entries if (item["step"], item["direction"]) == (step, "do"))


VERBS = {
    "compensate": ("room-1", "compensated", ["do bench.set"] * 2 + ["undo bench.unset"] * 2),
    "ask": ("room-2", "inconclusive", ["do bench.set"] * 2),
}


@pytest.mark.parametrize(("verb", "found"), VERBS.items(), ids=VERBS)
async def test_a_hold_ends_what_runs_and_the_verb_of_the_proposal_applies(
    world: World, verb: str, found: tuple[str, str, list[str]]
) -> None:
    """No signal and no cancel comes: the executor finds the hold, ends its observation, and says so in its report."""
    target, outcome, effects = found
    action, name = await observed(world, target, on_stop=verb)
    await hold(world, target)
    result = await world.result(action)
    assert (result.outcome, await world.effects(name)) == (outcome, effects)
    assert (await report(world, name, 2))["stopped"].startswith(
        f"on_hold: target component:default/{target} is under hold"
    )
    (stopped,) = await world.entries(name, "stopped")
    assert (stopped["content"]["kind"], stopped["content"]["actor"]) == ("withdrawn", "unverified")
    assert await findings(world, name) == []


async def test_a_hold_between_two_steps_leaves_what_was_done_where_the_verb_is_to_ask(world: World) -> None:
    """The gate closes for the second step: that is no failed step, and nothing is undone by itself."""
    body = world.propose("bench.set", "bench.set", undo="bench.unset", target="room-3", on_stop="ask")
    name = body["proposal_id"]
    world.bench.behaviour["bench.set", name] = "hang"
    action = await world.start(body)
    async with asyncio.timeout(BOUND):
        await world.bench.begun[name].wait()
    await hold(world, "room-3")
    world.bench.go_on[name].set()
    result = await world.result(action)
    assert (result.outcome, await world.effects(name)) == ("inconclusive", ["do bench.set"])
    assert await findings(world, name) == []


async def test_a_halt_ends_what_is_observed(world: World) -> None:
    """A halt need not wait for the hour of observation to be over."""
    await prepared(world)
    action, name = await observed(world, "room-4")
    halt_id, handle, _ = await halt(world)
    result = await world.result(action)
    assert (result.outcome, len(await world.effects(name))) == ("compensated", 4)
    assert (await report(world, name, 2))["stopped"].startswith("halted: everything is halted by ann")
    await release(handle, halt_id, "ann", "bob")
