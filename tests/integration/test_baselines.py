"""What is read before a step is begun, and what neighbours have to read from before to the end."""

import asyncio
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails

from activities import criteria
from activities.executors.base import Order, ProbeError, ProbeOrder
from policy.bounds import Condition
from policy.permit import PermitCriterion
from tests.integration.effects import BOUND, World, attempt, execute, met, observe
from tests.integration.fleet import FLEET, Fleet, fleet_of, reported


@pytest.fixture(name="fleet")
def _fleet(world: World) -> Fleet:
    return fleet_of(world)


SLOWER = PermitCriterion(probe="memory.switch.value", success={"at_most": {"baseline_times": 1.5}}, within_seconds=0)
GUARD = PermitCriterion(
    probe="memory.switch.value", success={"at_most": 5}, within_seconds=0, of="component:till", resources=("memory/z",)
)


@pytest.fixture(name="one")
def _one(world: World, fleet: Fleet) -> Fleet:
    world.resolved, world.one_by_one = FLEET[:1], False
    return fleet


LOADS = {"as before": (10, 14, "succeeded"), "much more": (10, 16, "failed")}


@pytest.mark.parametrize(("before", "after", "status"), LOADS.values(), ids=LOADS)
async def test_a_value_is_compared_with_what_was_read_before_the_step(
    world: World, one: Fleet, before: int, after: int, status: str
) -> None:
    one.state["memory/a"], one.after["memory/a"] = before, after
    permit = await world.permit(criteria=(SLOWER,), baselines=(SLOWER,))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, result.effect) == (status, "done")
    assert [(item.probe, item.resource, item.value) for item in report.baselines] == [
        ("memory.switch.value", "memory/a", before)
    ]


MISSING = {
    "that cannot be read": (ProbeError("no answer"), "has no baseline on memory/a: no answer"),
    "that is no number": ("fast", 'has no baseline on memory/a: "fast" is no number'),
}


@pytest.mark.parametrize(("reads", "said"), MISSING.values(), ids=MISSING)
async def test_without_the_value_before_nothing_is_begun(world: World, one: Fleet, reads: Any, said: str) -> None:
    one.state["memory/a"] = reads
    permit = await world.permit(criteria=(SLOWER,), baselines=(SLOWER,))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.effect, result.status, one.orders) == ("none", "failed", [])
    assert said in report.message
    assert len(report.baselines) == 1


async def test_a_share_of_nothing_is_no_success_and_nothing_is_begun(world: World, one: Fleet) -> None:
    """Nine tenths of no traffic are no traffic: a service that is down by then would pass."""
    kept = SLOWER.model_copy(update={"success": Condition.model_validate({"at_least": {"baseline_times": 0.9}})})
    one.state["memory/a"] = 0
    permit = await world.permit(criteria=(kept,), baselines=(kept,))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.effect, result.status, one.orders) == ("none", "failed", [])
    assert "a share of it says nothing" in report.message


async def test_the_last_step_is_compared_with_what_was_before_the_first(world: World, one: Fleet) -> None:
    """What the first step changed is no baseline."""
    one.state["memory/a"], one.after["memory/a"] = 10, 100
    first = await world.permit(1, baselines=(SLOWER,))
    last = await world.permit(2, criteria=(SLOWER,))

    await execute(world, first.permit_id)
    one.after["memory/a"] = 14
    result = await execute(world, last.permit_id, attempt(activity="2"), world.process())

    report = await world.report(last.permit_id)
    assert report is not None
    assert (result.status, report.baselines) == ("succeeded", ()), "what is compared is not read again"
    assert (await world.report(first.permit_id) or report).baselines[0].value == 10


async def test_what_is_compared_with_nothing_is_read_before_too_and_kept(world: World, one: Fleet) -> None:
    """Whoever looks at the outcome sees what the step changed; what is asked twice is read once."""
    one.state["memory/a"], one.after["memory/a"] = 7, 1
    permit = await world.permit(criteria=(met(1), SLOWER), baselines=(SLOWER,))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert result.status == "succeeded"
    assert [(item.probe, item.resource, item.value) for item in report.baselines] == [
        ("memory.switch.value", "memory/a", 7)
    ]


async def test_a_probe_that_answers_only_after_the_step_keeps_nothing_from_beginning(world: World, one: Fleet) -> None:
    """What is started again answers nobody before; that it did not is kept."""
    one.state["memory/a"], one.after["memory/a"] = ProbeError("connection refused"), 1
    permit = await world.permit(criteria=(met(1),))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, result.effect) == ("succeeded", "done")
    assert [(item.value, item.error) for item in report.baselines] == [(None, "connection refused")]


async def test_a_probe_that_hangs_before_the_step_holds_it_up_for_seconds_only(
    world: World, one: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(criteria, "_KEPT_SECONDS", 0.01)
    measure = one.measure

    async def hangs_first(order: ProbeOrder) -> Any:
        if not one.orders:
            await asyncio.Event().wait()
        return await measure(order)

    one.measure = hangs_first  # type: ignore[method-assign]
    permit = await world.permit(criteria=(met(1),))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, report.baselines[0].error) == ("succeeded", "no answer within 0.01 s")


NEIGHBOURS = {
    "stays well": (1, 1, "succeeded", "done"),
    "falls": (1, 9, "failed", "done"),
    "was not well": (9, 9, "failed", "none"),
}


@pytest.mark.parametrize(("before", "after", "status", "effect"), NEIGHBOURS.values(), ids=NEIGHBOURS)
async def test_a_guard_holds_on_a_neighbour_from_before_to_the_end(
    world: World, one: Fleet, before: int, after: int, status: str, effect: str
) -> None:
    """It is measured on the neighbour's id and acted on by nobody; where it does not hold before, nothing is begun."""
    one.state["memory/z"] = before
    one.after["memory/a"] = 1
    permit = await world.permit(criteria=(met(1), GUARD), baselines=(GUARD,))

    async def fall(order: Order, execute: Any = one.execute) -> None:
        await execute(order)
        one.state["memory/z"] = after

    one.execute = fall  # type: ignore[method-assign]
    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, result.effect) == (status, effect)
    assert {item.resource: item.value for item in report.baselines} == {"memory/z": before, "memory/a": 0}
    assert all(order.resolved == ("memory/a",) for order in one.orders)


async def test_a_criterion_is_measured_by_the_executor_that_it_names(world: World, one: Fleet) -> None:
    """With the registry's text and types; one that is not here is no value, and never met."""
    other = Fleet(name="meters", state={"memory/a": 3})
    asked: list[ProbeOrder] = []

    async def measure(order: ProbeOrder) -> Any:
        asked.append(order)
        return 3

    other.measure = measure  # type: ignore[method-assign]
    world.others = {"meters": other}
    here = PermitCriterion(
        probe="web.latency",
        equals=3,
        within_seconds=0,
        executor="meters",
        query="q",
        types={"n": "integer"},
        reads="number",
    )
    permit = await world.permit(1, criteria=(here,))
    elsewhere = await world.permit(2, criteria=(here,))

    found = await execute(world, permit.permit_id, by=world.process())
    world.others = {}
    missing = await execute(world, elsewhere.permit_id, attempt(activity="2"), world.process())

    assert (found.status, missing.status) == ("succeeded", "failed")
    assert asked == [ProbeOrder("web.latency", {}, "memory/a", "q", {"n": "integer"}, "number")] * 2
    assert "executor meters is not here" in missing.message


async def test_what_was_read_before_is_lost_with_the_process_and_nobody_guesses_it(world: World, one: Fleet) -> None:
    """The effect shows and can be looked at; what had to be compared with before cannot be told any more."""
    one.state["memory/a"], one.after["memory/a"] = 10, 11
    one.go_on.clear()
    permit = await world.permit(criteria=(SLOWER,), baselines=(SLOWER,))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(one.begun.wait(), BOUND)
    at.cancel(ActivityCancellationDetails(worker_shutdown=True))
    one.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, BOUND)
    one.seen, one.shown = "done", {"memory/a": "done"}
    world.let_attempts_end()

    result = await observe(world, permit.permit_id, world.process())

    report = await reported(world, permit)
    assert (result.status, result.effect, report.inconclusive) == ("failed", "done", True)
    assert "which its conditions say nothing of" in report.message


async def test_a_stop_while_the_value_before_is_read_begins_nothing(world: World, one: Fleet) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(order: ProbeOrder) -> Any:
        assert order.resource == "memory/a"
        reading.set()
        await go_on.wait()
        return 1

    one.measure = slowly  # type: ignore[method-assign]
    permit = await world.permit(criteria=(SLOWER,), baselines=(SLOWER,))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(reading.wait(), BOUND)
    at.cancel(ActivityCancellationDetails(cancel_requested=True))
    await asyncio.sleep(0)
    go_on.set()

    result = await asyncio.wait_for(running, BOUND)

    assert (result.effect, result.message, one.orders) == ("none", "not begun: stopped before it acted", [])
