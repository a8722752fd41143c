"""One target after the other: what is measured between them, what a stop and a crash leave, and what is undone."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from activities.executors.base import ExecutorError, PreconditionFailedError, ProbeError, Seen
from activities.stepping import orders_of
from policy.audit_entries import check_report
from policy.outcome import EffectReport
from policy.permit import Permit
from policy.targets import ResolvedTarget
from tests.integration.effects import BOUND, World, attempt, execute, met, observe, undo_of
from tests.integration.fleet import FLEET, Fleet, fleet_of, reported, touched


@pytest.fixture(name="fleet")
def _fleet(world: World) -> Fleet:
    return fleet_of(world)


async def test_each_target_is_measured_before_the_next_is_begun(world: World, fleet: Fleet) -> None:
    permit = await world.permit(criteria=(met(1),))

    result = await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (result.status, touched(fleet), report.touched) == ("succeeded", list(FLEET), FLEET)
    assert [order.permit_id for order in fleet.orders] == [f"{permit.permit_id}.{number}" for number in (1, 2, 3)]
    assert [(gate.after, gate.open) for gate in report.gates] == [("memory/a", True), ("memory/b", True)]
    assert [(item.resource, item.met) for item in report.measurements] == [(name, True) for name in FLEET]


BROKEN = {
    "not met": (2, False, "memory/b, 2 of 3 targets: memory.switch.value reads 2 on memory/b, expected 1"),
    "not measured": (ProbeError("no answer"), None, "could not be measured: no answer"),
}


@pytest.mark.parametrize(("reads", "measured", "said"), BROKEN.values(), ids=BROKEN)
async def test_a_target_that_is_not_shown_to_be_well_ends_it(
    world: World, fleet: Fleet, reads: Any, measured: bool | None, said: str
) -> None:
    """What failed and what could not be measured both stop it; the undo acts on what was touched, the last first."""
    fleet.after["memory/b"] = reads
    permit = await world.permit(criteria=(met(1),))

    result = await execute(world, permit.permit_id)
    undone = await execute(world, undo_of(permit), attempt(activity="2"))

    report = await _reported_first(world, permit)
    assert (result.status, result.effect, report.touched) == ("failed", "done", ("memory/a", "memory/b"))
    assert said in report.message
    assert [item.met for item in report.measurements] == [True, measured, None]
    assert report.inconclusive == (measured is None)
    assert (undone.status, touched(fleet, "undo")) == ("succeeded", ["memory/b", "memory/a"])


async def _reported_first(world: World, permit: Permit) -> EffectReport:
    report = await world.report(permit.permit_id)
    assert report is not None
    entry = next(item for item in await world.entries("reported") if item["content"]["permit_id"] == permit.permit_id)
    assert check_report(permit, report, entry["content"]) == []
    return report


async def test_a_target_that_refuses_leaves_those_before_it_done(world: World, fleet: Fleet) -> None:
    fleet.fails["memory/b"] = PreconditionFailedError("it does not fit")
    permit = await world.permit(criteria=(met(1),))

    await execute(world, permit.permit_id)
    await execute(world, undo_of(permit), attempt(activity="2"))

    report = await _reported_first(world, permit)
    assert (report.effect, report.status, report.touched) == ("done", "failed", ("memory/a",))
    assert report.message == "memory/b: it does not fit"
    assert touched(fleet, "undo") == ["memory/a"]


async def test_the_first_that_refuses_leaves_nothing_done(world: World, fleet: Fleet) -> None:
    fleet.fails["memory/a"] = PreconditionFailedError("it does not fit")
    permit = await world.permit(criteria=(met(1),))

    await execute(world, permit.permit_id)

    report = await reported(world, permit)
    assert (report.effect, report.touched, touched(fleet)) == ("none", (), ["memory/a"])


async def test_an_undo_goes_on_where_one_target_fails_and_is_tried_again(world: World, fleet: Fleet) -> None:
    fleet.after["memory/c"] = 2
    permit = await world.permit(criteria=(met(1),))
    await execute(world, permit.permit_id)
    fleet.fails["memory/b"] = ExecutorError("it broke")

    with pytest.raises(ApplicationError, match="memory/b: it broke"):
        await execute(world, undo_of(permit), attempt(activity="2"))
    fleet.fails.clear()
    again = await execute(world, undo_of(permit), attempt(2, activity="2"))

    assert again.status == "succeeded"
    assert Counter(touched(fleet, "undo")) == dict.fromkeys(FLEET, 2)
    assert fleet.state == dict.fromkeys(FLEET, 0)


async def test_a_stop_between_targets_begins_no_other(world: World, fleet: Fleet) -> None:
    """The effect that runs ends by itself, and nothing of what is left is begun."""
    fleet.go_on.clear()
    permit = await world.permit(criteria=(met(1),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(fleet.begun.wait(), BOUND)

    at.cancel(ActivityCancellationDetails(cancel_requested=True))
    await asyncio.sleep(0)
    fleet.go_on.set()
    result = await asyncio.wait_for(running, BOUND)

    report = await reported(world, permit)
    assert (result.status, report.message, report.touched) == ("failed", "stopped", ("memory/a",))
    assert [item.met for item in report.measurements] == [None, None, None]


async def test_a_stop_within_an_effect_is_told_to_who_can_end_it(world: World, fleet: Fleet) -> None:
    fleet.supports = replace(fleet.supports, stops="within", stops_within=timedelta(seconds=5))
    fleet.stopping["memory/a"] = True
    permit = await world.permit(criteria=(met(1),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(fleet.begun.wait(), BOUND)

    at.cancel(ActivityCancellationDetails(cancel_requested=True))
    await asyncio.wait_for(running, BOUND)

    report = await reported(world, permit)
    assert (report.effect, report.touched) == ("done", ("memory/a",))
    assert report.message == "memory/a: ended half-way, as it was told"


async def test_who_says_that_it_stops_and_does_not_leaves_it_unknown(world: World, fleet: Fleet) -> None:
    """It gets the time that it says it needs, and not the rest of the step's."""
    fleet.supports = replace(fleet.supports, stops="within", stops_within=timedelta(seconds=0))
    fleet.go_on.clear()
    permit = await world.permit(criteria=(met(1),), timeout_seconds=3600)
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(fleet.begun.wait(), BOUND)

    at.cancel(ActivityCancellationDetails(cancel_requested=True))
    result = await asyncio.wait_for(running, BOUND)

    assert (result.effect, result.status) == ("unknown", "unknown")
    assert "told to stop, no answer within 0:00:00" in result.message


SEEN: dict[str, tuple[dict[str, Seen], str, tuple[str, ...]]] = {
    "all of them": (dict.fromkeys(FLEET, "done"), "done", FLEET),
    "some of them": ({"memory/a": "done"}, "unknown", ("memory/a",)),
    "one that cannot be told": ({**dict.fromkeys(FLEET, "done"), "memory/b": "unknown"}, "unknown", FLEET[::2]),
    "none of them": ({}, "unknown", ()),
}


@pytest.mark.parametrize(("shown", "effect", "touched"), SEEN.values(), ids=SEEN)
async def test_after_a_crash_each_target_is_looked_at(
    world: World, fleet: Fleet, shown: dict[str, Seen], effect: str, touched: tuple[str, ...]
) -> None:
    """Only what every target shows is believed to be done: the first that does not show it may have been begun."""
    fleet.go_on.clear()
    permit = await world.permit(criteria=(met(1),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(fleet.begun.wait(), BOUND)
    at.cancel(ActivityCancellationDetails(worker_shutdown=True))
    fleet.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, BOUND)
    fleet.shown, fleet.state = shown, dict.fromkeys(FLEET, 1)
    world.let_attempts_end()

    result = await observe(world, permit.permit_id, world.process())

    report = await reported(world, permit)
    assert (result.effect, report.touched, report.late) == (effect, touched, True)


async def test_nobody_looks_while_any_target_may_still_be_acted_on(world: World, fleet: Fleet) -> None:
    """Three targets may take three times as long."""
    fleet.go_on.clear()
    permit = await world.permit(criteria=(met(1, within_seconds=100),), timeout_seconds=100)
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(fleet.begun.wait(), BOUND)
    world.clock.at += timedelta(seconds=590)

    with pytest.raises(ApplicationError, match="may act until"):
        await observe(world, permit.permit_id, world.process())

    fleet.go_on.set()
    await asyncio.wait_for(running, BOUND)


async def test_the_targets_that_an_executor_resolved_have_orders_of_their_own(world: World, fleet: Fleet) -> None:
    """Where two resources have a target of the same name, the key names both, so that no target passes for another."""
    targets = tuple(ResolvedTarget(id=name, resource=where) for where in FLEET[:2] for name in ("one", "two"))
    permit = (await world.permit(criteria=(met(1),))).model_copy(update={"targets": targets})

    orders = orders_of(permit)

    assert list(orders) == ["memory/a/one", "memory/a/two", "memory/b/one", "memory/b/two"]
    assert [(order.targets, order.resolved) for order in orders.values()] == [
        ((target,), (target.resource,)) for target in targets
    ]
    assert len({order.permit_id for order in orders.values()}) == len(targets)


async def test_a_process_that_did_it_undoes_what_it_touched_while_the_record_is_away(
    world: World, fleet: Fleet
) -> None:
    """Without asking the record which targets those were, and no others."""
    fleet.after["memory/b"] = 2
    permit = await world.permit(criteria=(met(1),))
    await execute(world, permit.permit_id)

    async with world.record_away():
        running = asyncio.create_task(execute(world, undo_of(permit), attempt(activity="2")))
        async with asyncio.timeout(BOUND):
            while len(touched(fleet, "undo")) < 2:  # noqa: ASYNC110 - the target says when
                await asyncio.sleep(0.02)
    result = await asyncio.wait_for(running, BOUND)

    assert (result.status, touched(fleet, "undo")) == ("succeeded", ["memory/b", "memory/a"])


@pytest.mark.parametrize("by_record", [True, False])
async def test_all_at_once_what_was_not_touched_is_not_undone(world: World, fleet: Fleet, by_record: bool) -> None:
    """The report says where it ended, and the undo is given that alone, by whoever knows it."""
    world.one_by_one = False
    fleet.halves = ExecutorError("b refused", touched=(("memory/a", None),))
    permit = await world.permit()

    result = await execute(world, permit.permit_id)
    by = world.process() if by_record else world.activities
    await execute(world, undo_of(permit), attempt(activity="2"), by=by)

    report = await _reported_first(world, permit)
    assert (result.status, result.effect, report.touched) == ("failed", "done", ("memory/a",))
    undo = fleet.orders[-1]
    assert (undo.direction, undo.resolved) == ("undo", ("memory/a",))
    assert undo.part_of is not None
    assert undo.part_of.resolved == FLEET


async def test_where_nobody_knows_what_was_touched_all_is_undone(world: World, fleet: Fleet) -> None:
    world.one_by_one = False
    fleet.halves = ExecutorError("it broke")
    permit = await world.permit()

    await execute(world, permit.permit_id)
    await execute(world, undo_of(permit), attempt(activity="2"))

    assert (await _reported_first(world, permit)).touched == ()
    assert (fleet.orders[-1].direction, fleet.orders[-1].resolved) == ("undo", FLEET)
