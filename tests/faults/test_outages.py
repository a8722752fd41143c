"""Servers that go away change when an action ends, never what it may do or how often it is done."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.faults.outage import Fragile, Part
from tests.world import Handle, decision, until
from workflows.interface import DECIDE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _in_each_state(world: Fragile) -> tuple[dict[str, tuple[Handle, Any]], Any]:
    """One action that waits for people, one whose only vote is about to be taken, one whose effect has begun."""
    pending = world.propose("bench.put", undo="bench.take")
    deciding = world.propose("bench.sign", undo="bench.unset")
    executing = world.propose("bench.set", undo="bench.unset")
    world.bench.behaviour["bench.set", executing["proposal_id"]] = "hang"
    actions = {
        "pending": (await world.begin(pending), pending),
        "deciding": (await world.begin(deciding), deciding),
        "executing": (await world.begin(executing), executing),
    }
    vote = decision(await world.pending(actions["deciding"][0]), "eve")
    await world.pending(actions["pending"][0])
    await asyncio.wait_for(world.bench.begun[executing["proposal_id"]].wait(), 10)
    return actions, vote


@pytest.mark.parametrize("parts", [("postgres",), ("temporal",), ("postgres", "temporal")], ids="+".join)
async def test_an_outage_only_delays(shaky: Fragile, parts: tuple[Part, ...]) -> None:
    """Whoever goes away while actions wait, decide and execute: each ends as it should, its effect counted once."""
    actions, vote = await _in_each_state(shaky)
    ids = {state: body["proposal_id"] for state, (_, body) in actions.items()}
    async with contextlib.AsyncExitStack() as outage:
        async with shaky.locked(ids["deciding"]):
            await actions["deciding"][0].signal(DECIDE, vote)
            await shaky.waits_for_a_lock()
            await outage.enter_async_context(shaky.away(*parts))
        shaky.bench.go_on[ids["executing"]].set()
        await until(lambda: shaky.effects(ids["executing"]))
        if "temporal" not in parts:
            await shaky.waits_on_the_queue(actions["deciding"][0], "take_decision")
    handle, _ = actions["pending"]
    assert (await shaky.decide(handle, "eve")).counted
    assert (await shaky.decide(handle, "cleo")).counted
    results = await asyncio.gather(*(shaky.result(handle) for handle, _ in actions.values()))
    assert {str(result.outcome) for result in results} == {"succeeded"}
    effects = {state: await shaky.effects(ids[state]) for state in ids}
    assert effects == {"pending": ["do bench.put"], "deciding": ["do bench.sign"], "executing": ["do bench.set"]}
    [counted] = await shaky.entries(ids["deciding"], "decision_counted")
    assert counted["content"]["person"]["person_id"] == "eve"


async def test_without_the_record_nothing_starts_and_an_undo_still_runs(shaky: Fragile) -> None:
    """A step that fails in an outage is undone in it, with its entries late; a new action and a next step wait."""
    failing = shaky.propose("bench.set", undo="bench.unset", count=2)
    halfway = shaky.propose("bench.set", "bench.set", undo="bench.unset")
    new = shaky.propose("bench.touch")
    ids = [body["proposal_id"] for body in (failing, halfway, new)]
    for started in ids[:2]:
        shaky.bench.behaviour["bench.set", started] = "hang"
    handles = [await shaky.begin(failing), await shaky.begin(halfway)]
    for started in ids[:2]:
        await asyncio.wait_for(shaky.bench.begun[started].wait(), 10)
    async with shaky.away("postgres"):
        handles.append(await shaky.begin(new))
        for started in ids[:2]:
            shaky.bench.go_on[started].set()
        await until(lambda: shaky.effects(ids[0]), lambda done: done == ["do bench.set", "undo bench.unset"])
        await shaky.waits_on_the_queue(handles[2], "assess")
        assert await shaky.effects(ids[1]) == ["do bench.set"]
        assert await shaky.effects(ids[2]) == []
    results = await asyncio.gather(*(shaky.result(handle) for handle in handles))
    assert [str(result.outcome) for result in results] == ["compensated", "succeeded", "succeeded"]
    assert await shaky.effects(ids[0]) == ["do bench.set", "undo bench.unset"]
    assert await shaky.effects(ids[1]) == ["do bench.set", "do bench.set"]
    assert await shaky.effects(ids[2]) == ["do bench.touch"]
    reported = await shaky.entries(ids[0], "reported")
    assert [(entry["content"]["direction"], entry["late"]) for entry in reported] == [("do", True), ("undo", True)]
