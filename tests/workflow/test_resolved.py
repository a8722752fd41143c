"""What an action would touch is what executors find, and not what it declares; on a real server and a real record."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from activities.auditing import audit
from activities.executors.base import TargetUnreachableError
from activities.export import export_action
from policy.targets import MAX_TARGETS, ResolvedTarget
from tests.world import DOCUMENTS, Handle, World, publish_documents, until
from worker import workflow_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = (DOCUMENTS / "policy.yaml").read_bytes()
SHOP = "bench/shop"
_CADENCE = POLICY.replace(b"permit_ttl: 60s\n", b"permit_ttl: 60s\ndrift: {recheck_every: 1s, min_interval: 1s}\n")


@pytest_asyncio.fixture(name="house", loop_scope="module")
async def _house(world: World) -> AsyncIterator[World]:
    """The world with its policy as it is in the folder, before and after."""
    await publish_documents(world.url, POLICY)
    yield world
    await publish_documents(world.url, POLICY)


def _things(*names: str, version: str = "1", **more: Any) -> tuple[ResolvedTarget, ...]:
    return tuple(ResolvedTarget(id=name, resource=SHOP, version=version, **more) for name in names)


def _id(handle: Handle) -> str:
    return handle.id.removeprefix("action/")


async def _findings(world: World, handle: Handle) -> list[str]:
    """What an audit of the newest run finds."""
    file = await export_action(world.client, world.database, handle.id, at=datetime.now(UTC))
    return [str(item) for item in (await audit(file.body(), workflow_runner())).findings]


async def _permits(world: World, handle: Handle) -> list[dict[str, Any]]:
    entries = await world.entries(_id(handle), "dispatched")
    return [permit for entry in entries for permit in entry["content"]["permits"]]


async def test_what_is_found_is_assessed_permitted_and_acted_on(house: World) -> None:
    """Two things are found: both permits name them, the effect gets them, and an audit computes all of it again."""
    body = house.propose("bench.sweep", undo="bench.unsweep")
    house.bench.there[body["proposal_id"]] = _things("b", "a", version="7")
    handle = await house.start(body)
    result = await house.result(handle)

    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    forward, undo = await _permits(house, handle)
    assert [(item["id"], item["version"]) for item in forward["targets"]] == [("a", "7"), ("b", "7")]
    assert [(item["id"], item["version"]) for item in undo["targets"]] == [("a", None), ("b", None)]
    assert forward["targets_digest"] != undo["targets_digest"]
    assert (f"do bench.sweep {_id(handle)}", ("a", "b")) in house.bench.touched
    assert await _findings(house, handle) == []


async def test_an_action_that_nobody_resolves_costs_nothing_for_it(house: World) -> None:
    """No activity is run for an operation that the registry does not have resolved."""
    handle = await house.start(house.propose("bench.touch"))
    await house.result(handle)
    history = await handle.fetch_history()
    names = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert names == ["execute"]


@pytest.mark.parametrize(
    ("there", "code", "says"),
    [
        ((), "unresolved_target", "it matches no target"),
        (_things("a", "a"), "unresolved_target", "named twice"),
        ((ResolvedTarget(id="a", resource="bench/room-1"),), "unresolved_target", "was not asked about"),
        (_things(*(str(n) for n in range(10 * MAX_TARGETS + 1))), "unresolved_target", "10001 targets"),
        (_things("a", state={"why": "x" * 300_000}), "unresolved_target", "bytes"),
        (_things("\ud800"), "unresolved_target", "resolves to nothing"),
        (_things("a", units=float("inf")), "unresolved_target", "units"),
        (TargetUnreachableError("nobody there"), "unresolved_target", "nobody there"),
        (RuntimeError("broken"), "unresolved_target", "broken"),
        (_things("a", environment="staging"), "environment_mismatch", "staging"),
        (_things("a", "b", "c", "d"), "limit", "resolves to 4, 3 at once are the most"),
    ],
)
async def test_what_cannot_be_used_denies(house: World, there: Any, code: str, says: str) -> None:
    """Nothing, too much, the same twice, another's, another environment, what cannot be kept, what breaks: denied."""
    body = house.propose("bench.sweep", undo="bench.unsweep")
    house.bench.there[body["proposal_id"]] = there
    handle = await house.start(body)
    result = await house.result(handle)

    assert (result.resolution, result.outcome) == ("denied", "not_executed")
    assert [reason.code for reason in result.reasons] == [code]
    assert says in result.reasons[0].message
    assert await _findings(house, handle) == []


async def test_wrong_parameters_reach_no_executor(house: World) -> None:
    """What has another type than the registry's is denied, and nobody is asked what it would touch."""
    body = house.propose("bench.sweep", undo="bench.unsweep")
    body["steps"][0]["parameters"] = {"key": 7}
    before = len(house.bench.asked)
    result = await house.run(body)
    assert "bad_parameter" in [reason.code for reason in result.reasons]
    assert house.bench.asked[before:] == []


async def test_what_changed_before_the_permit_is_asked_about_again(house: World) -> None:
    """Between the vote and the permit another thing appears: the vote is void, people are asked about what is there."""
    body = house.propose("bench.mop", undo="bench.unsweep")
    key = body["proposal_id"]
    house.bench.there[key] = _things("a")
    handle = await house.start(body)
    first = await house.pending(handle)
    assert first["screen"]["found"][0]["targets"][0]["id"] == "a"

    house.bench.there[key] = _things("a", "b")
    assert (await house.decide(handle, "eve")).counted
    second = await until(
        lambda: house.status(handle), lambda found: found["revision"] == 2 and found["state"] == "pending"
    )
    assert second["screen"]["changed"][0] == "step 1 touches bench/shop/b now"
    assert (await house.decide(handle, "eve")).counted
    result = await house.result(handle)

    assert (result.revision, result.outcome) == (2, "succeeded")
    assert house.bench.touched[-1] == (f"do bench.mop {key}", ("a", "b"))
    refused = await house.entries(key, "dispatch_refused")
    assert [reason["code"] for reason in refused[0]["content"]["reasons"]] == ["target_changed"]
    assert await _findings(house, handle) == []


async def test_the_cadence_sees_what_came_and_nobody_is_asked_for_a_new_version(house: World) -> None:
    """Another version alone is the same thing; another thing is found by the next measurement."""
    await publish_documents(house.url, _CADENCE)
    body = house.propose("bench.mop", undo="bench.unsweep")
    key = body["proposal_id"]
    house.bench.there[key] = _things("a")
    handle = await house.start(body)
    await house.pending(handle)

    house.bench.there[key] = _things("a", version="2")
    asked = len(house.bench.asked)
    await until(lambda: _asked_since(house, asked + 1))
    assert (await house.status(handle))["revision"] == 1
    house.bench.there[key] = _things("c")
    await until(lambda: house.status(handle), lambda found: found["revision"] == 2)
    told = (await house.entries(key, "assessed"))[-1]["content"]["revision"]["superseded"]
    assert told["rule"] == "target_changed"
    assert told["changes"][:2] == ["step 1 touches bench/shop/c now", "step 1 does not touch bench/shop/a now"]
    await handle.cancel()
    await house.result(handle)
    assert await _findings(house, handle) == []


async def _asked_since(house: World, count: int) -> bool:
    return len(house.bench.asked) >= count


async def test_each_step_is_resolved_when_it_comes(house: World) -> None:
    """What the first step left says nothing of it any more, and the second one is looked at anew."""
    body = house.propose("bench.mop", "bench.sweep", undo="bench.unsweep", count=2)
    key = body["proposal_id"]
    house.bench.there[key] = _things("a", version="1")
    handle = await house.start(body)
    await house.pending(handle)
    asked = len(house.bench.asked)
    assert (await house.decide(handle, "eve")).counted
    result = await house.result(handle)

    assert result.outcome == "succeeded"
    # Two steps are asked about before each of the two permits.
    assert len(house.bench.asked) - asked == 4
    resolutions = [entry["content"]["observed"]["resolution"] for entry in await house.entries(key, "dispatched")]
    assert resolutions[0]["at"] < resolutions[1]["at"]
    assert await _findings(house, handle) == []


async def test_an_executor_that_is_away_lets_nothing_run(house: World) -> None:
    """Nobody answers between the vote and the permit: the gate stays closed, with a reason, and nothing is done."""
    body = house.propose("bench.mop", undo="bench.unsweep")
    key = body["proposal_id"]
    handle = await house.start(body)
    await house.pending(handle)
    house.bench.there[key] = TargetUnreachableError("gone for a while")
    assert (await house.decide(handle, "eve")).counted
    result = await house.result(handle)

    assert result.outcome == "not_executed"
    assert "target_not_resolved" in [reason.code for reason in result.reasons]
    assert await house.effects(key) == []
    assert await _findings(house, handle) == []


async def test_expected_targets_may_name_what_is_found(house: World) -> None:
    """The ids of the catalog, the ids that are found, or both together; what is something else is denied."""
    for expected, resolution in (
        ([SHOP], "approved"),
        (["a", "b"], "approved"),
        ([f"{SHOP}/a", f"{SHOP}/b"], "approved"),
        (["a"], "denied"),
        (["a", "b", "c"], "denied"),
    ):
        body = house.propose("bench.sweep", undo="bench.unsweep", expected_targets=expected)
        house.bench.there[body["proposal_id"]] = _things("a", "b")
        assert (await house.run(body)).resolution == resolution, expected


async def test_what_an_executor_cannot_do_is_read_from_what_it_said(house: World) -> None:
    """An executor says once what it can do, when it starts; what it cannot raises, and an audit reads the same."""
    before = house.bench.supports
    operations = frozenset({"bench.put", "bench.touch", "bench.sweep", "bench.unsweep"})
    house.bench.supports = dataclasses.replace(before, operations=operations)
    try:
        async with house.paused():
            pass
        async with house.paused():
            pass
        said = await house.sql("SELECT * FROM countersign.executor_capability WHERE executor = 'bench'")
        assert len(said) == 1
        handle = await house.start(house.propose("bench.put", undo="bench.take"))
        screen = (await house.pending(handle))["screen"]
        entry = (await house.entries(_id(handle), "assessed"))[0]["content"]["revision"]
        values = {item["name"]: item["value"] for item in entry["assessment"]["indicators"]}
        assert (values["unrehearsed"], values["unobserved"], values["unstoppable"]) == (0, 0, round(60 / 360, 4))
        # It does not have the undo: nothing undoes the step.
        assert values["undo_difficulty"] == 1
        assert "step 1 cannot be undone" in screen["worst_state"]
        await handle.cancel()
        await house.result(handle)
        resolved = await house.start(house.propose("bench.sweep", undo="bench.unsweep"))
        await house.result(resolved)
        seen = (await house.entries(_id(resolved), "assessed"))[0]["content"]["revision"]["facts"]["observed"]
        assert [item["executor"] for item in seen["resolution"]["declared"]] == ["bench"]
        assert await _findings(house, handle) == []
    finally:
        house.bench.supports = before
        async with house.paused():
            pass
