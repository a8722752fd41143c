"""A dry run goes the whole way and changes nothing: same gate, same permits, the executor's rehearsal, and an end."""

import asyncio
from typing import Any

import pytest

from tests.world import World, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DRY: dict[str, Any] = {"dry_run": True}


async def _reports(world: World, proposal_id: str) -> list[dict[str, Any]]:
    return [entry["content"]["report"] for entry in await world.entries(proposal_id, "reported")]


async def test_it_goes_the_whole_way_and_changes_nothing(world: World) -> None:
    """Two steps are permitted, claimed and rehearsed with their undos; no effect, no measurement, nothing undone."""
    body = world.propose("bench.set", "bench.set", undo="bench.unset", **DRY)
    handle = await world.start(body)
    result = await world.result(handle)
    key = body["proposal_id"]

    assert (result.resolution, result.outcome, result.next_action) == ("approved", "not_executed", "none")
    assert result.dry_run
    assert [reason.code for reason in result.reasons] == ["rehearsed", "rehearsed"]
    assert world.bench.rehearsals(key) == ["do bench.set", "undo bench.unset"] * 2
    assert await world.effects(key) == []
    assert [use for _, _, use in await world.permits(key)] == ["claimed", "void"] * 2
    for report in await _reports(world, key):
        assert (report["status"], report["effect"], report["dry_run"]) == ("succeeded", "none", True)
        assert [item["direction"] for item in report["rehearsals"]] == ["do", "undo"]
        assert report["measurements"] == []
        assert report["message"].startswith("dry run, nothing is changed: would bench.set; undo: would bench.unset")
    permits = [permit for entry in await world.entries(key, "dispatched") for permit in entry["content"]["permits"]]
    assert [permit["dry_run"] for permit in permits] == [True] * 4


async def test_it_waits_for_the_people_that_the_policy_asks(world: World) -> None:
    """Whom the real action would ask, the rehearsal asks, and what they see says that it is a dry run."""
    body = world.propose("bench.put", **DRY)
    handle = await world.start(body)
    status = await world.pending(handle)
    assert status["screen"]["dry_run"]
    assert status["dry_run"]
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")
    result = await world.result(handle)
    assert ([reason.code for reason in result.reasons], len(result.decided_by)) == (["rehearsed"], 2)


async def test_what_stops_the_real_action_stops_its_rehearsal(world: World) -> None:
    """A limit denies, and a denial by people ends it."""
    denied = await world.run(world.propose("bench.drop", **DRY))
    handle = await world.start(world.propose("bench.put", **DRY))
    await world.pending(handle)
    await world.decide(handle, "eve", "deny")
    refused = await world.result(handle)
    assert [(item.resolution, item.outcome, item.dry_run) for item in (denied, refused)] == [
        ("denied", "not_executed", True)
    ] * 2


@pytest.mark.parametrize(
    ("operations", "undo", "behaviour", "said"),
    [
        (("bench.set",), "bench.unset", {"bench.set": "refuse"}, "refused on purpose"),
        (("bench.set",), "bench.unset", {"bench.set": "break"}, "broken on purpose"),
        (("bench.set",), "bench.unset", {"bench.unset": "refuse"}, "undo: refused on purpose"),
    ],
    ids=["refused", "broken", "the undo is refused"],
)
async def test_a_rehearsal_that_fails_says_why_and_is_no_effect(
    world: World, operations: tuple[str, ...], undo: str, behaviour: dict[str, Any], said: str
) -> None:
    """Whatever an executor answers to a dry run, nothing was done: no undo, no hold, and later steps do not begin."""
    body = world.propose(*operations, "bench.touch", undo=undo, **DRY)
    del body["steps"][1]["undo"]
    key = body["proposal_id"]
    world.bench.behaviour |= {(operation, key): how for operation, how in behaviour.items()}
    result = await world.run(body)

    assert (result.outcome, result.next_action) == ("not_executed", "propose_anew")
    assert [reason.code for reason in result.reasons] == ["rehearsal_failed"]
    assert said in result.reasons[0].message
    assert (await world.effects(key), await world.holds("shop")) == ([], [])
    assert [use for _, _, use in await world.permits(key)] == ["claimed", "void"]


async def test_what_cannot_be_rehearsed_is_said(world: World) -> None:
    """A step that its executor cannot rehearse fails and nothing runs; an undo that it cannot is only said."""
    step = world.propose("bench.sign", **DRY)
    handle = await world.start(step)
    await world.pending(handle)
    await world.decide(handle, "eve")
    failed = await world.result(handle)
    undo = world.propose("bench.put", undo="bench.take", **DRY)
    handle = await world.start(undo)
    await world.pending(handle)
    await world.decide(handle, "eve")
    await world.decide(handle, "cleo")
    passed = await world.result(handle)

    assert "executor bench cannot rehearse bench.sign" in failed.reasons[0].message
    assert failed.reasons[0].code == "rehearsal_failed"
    assert passed.reasons[0].code == "rehearsed"
    assert "undo: executor bench cannot rehearse bench.take" in passed.reasons[0].message
    assert [await world.effects(body["proposal_id"]) for body in (step, undo)] == [[], []]


async def test_an_operation_that_requires_a_dry_run_goes_on_after_one(world: World) -> None:
    """Denied before, allowed after a rehearsal of exactly this; not with another parameter or on another target."""
    body = world.propose("bench.press")
    key = {"key": body["proposal_id"]}
    other = {"key": "something else"}

    def again(parameters: dict[str, str] = key, **more: Any) -> Any:
        value = world.propose("bench.press", **more)
        for step in value["steps"]:
            step["parameters"] = parameters
        value["success_criteria"][0]["parameters"] = parameters
        return value

    before = await world.run(body)
    rehearsed = await world.run(again(**DRY))
    elsewhere = [await world.run(again(other)), await world.run(again(target="room-1"))]
    double = again()
    double["steps"].append({**double["steps"][0], "name": "step-2", "parameters": other})
    after = [await world.run(double), await world.run(again())]

    assert [(item.resolution, item.reasons[0].code) for item in (before, *elsewhere)] == [
        ("denied", "missing_dry_run")
    ] * 3
    assert rehearsed.reasons[0].code == "rehearsed"
    assert [(item.resolution, item.outcome) for item in after] == [
        ("denied", "not_executed"),
        ("approved", "succeeded"),
    ]
    assert await world.effects(body["proposal_id"]) == ["do bench.press"]


async def test_a_stop_ends_a_dry_run_and_undoes_nothing(world: World) -> None:
    """A cancel while it is rehearsed waits for the rehearsal; what was approved for a stop is not needed."""
    body = world.propose("bench.set", "bench.set", undo="bench.unset", on_stop="ask", **DRY)
    key = body["proposal_id"]
    world.bench.behaviour["bench.set", key] = "hang"
    handle = await world.start(body)
    async with asyncio.timeout(15):
        await world.bench.begun[key].wait()
    await handle.cancel()

    async def stopped() -> Any:
        return await world.entries(key, "stopped")

    await until(stopped)
    world.bench.go_on[key].set()
    result = await world.result(handle)
    assert (result.outcome, [reason.code for reason in result.reasons]) == ("not_executed", ["rehearsal_failed"])
    assert (await world.effects(key), await world.holds("shop")) == ([], [])


async def test_it_is_counted_as_nothing(world: World) -> None:
    """The record counts no effect of the hour, keeps no history, and has no scope in flight of a dry run."""
    key = (await world.run(world.propose("bench.touch", **DRY))).proposal_id
    permits = "SELECT permit_id FROM countersign.permit WHERE proposal_id = $1"
    uses = await world.sql(f"SELECT effect FROM countersign.permit_use WHERE permit_id IN ({permits})", key)
    results = await world.sql("SELECT operation, outcome FROM countersign.result WHERE proposal_id = $1", key)
    scopes = await world.sql("SELECT scope FROM countersign.approved_scope WHERE proposal_id = $1", key)
    assert [row["effect"] for row in uses] == [None]
    assert [tuple(row.values()) for row in results] == [(None, None)]
    assert scopes == []
