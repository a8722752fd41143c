"""One target after the other: what is measured between them, what a stop and a crash leave, and what is undone."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from activities.executors.base import ExecutorError, Order, PreconditionFailedError, ProbeError, ProbeOrder, Seen
from activities.stepping import orders_of
from policy.audit_entries import check_report
from policy.outcome import EffectReport
from policy.permit import Permit, PermitCriterion
from policy.targets import ResolvedTarget
from tests.integration.effects import BOUND, Target, World, attempt, execute, met, observe, undo_of

FLEET = ("memory/a", "memory/b", "memory/c")


@dataclass
class Fleet(Target):
    """Several targets in memory: what each is like, by resource, and what goes wrong with which."""

    state: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(FLEET, 0))
    fails: dict[str, BaseException] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Seen] = field(default_factory=dict)
    stopping: dict[str, Any] = field(default_factory=dict)

    async def execute(self, order: Order) -> None:
        await super().execute(order)
        (resource,) = order.resolved
        if resource in self.stopping:
            self.begun.set()
            await order.stop.wait()
            raise ExecutorError("ended half-way, as it was told")
        if (wrong := self.fails.get(resource)) is not None:
            raise wrong
        self.state[resource] = self.after.get(resource, 1) if order.direction == "do" else 0

    async def observe(self, order: Order) -> Seen:
        return self.shown.get(order.permit_id.partition("/")[2], "none")

    async def measure(self, order: ProbeOrder) -> Any:
        self.measured += 1
        value = self.state[order.resource]
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture(name="fleet")
def _fleet(world: World) -> Fleet:
    fleet = Fleet()
    world.target, world.resolved, world.one_by_one = fleet, FLEET, True
    world.activities = world.process()
    return fleet


def _touched(fleet: Fleet, direction: str = "do") -> list[str]:
    return [order.resolved[0] for order in fleet.orders if order.direction == direction]


async def _reported(world: World, permit: Permit) -> EffectReport:
    report = await world.report(permit.permit_id)
    assert report is not None
    (entry,) = await world.entries("reported")
    assert check_report(permit, report, entry["content"]) == []
    return report


async def test_each_target_is_measured_before_the_next_is_begun(world: World, fleet: Fleet) -> None:
    permit = await world.permit(criteria=(met(1),))

    result = await execute(world, permit.permit_id)

    report = await _reported(world, permit)
    assert (result.status, _touched(fleet), report.touched) == ("succeeded", list(FLEET), FLEET)
    assert [order.permit_id for order in fleet.orders] == [f"{permit.permit_id}/{name}" for name in FLEET]
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
    assert (undone.status, _touched(fleet, "undo")) == ("succeeded", ["memory/b", "memory/a"])


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
    assert _touched(fleet, "undo") == ["memory/a"]


async def test_the_first_that_refuses_leaves_nothing_done(world: World, fleet: Fleet) -> None:
    fleet.fails["memory/a"] = PreconditionFailedError("it does not fit")
    permit = await world.permit(criteria=(met(1),))

    await execute(world, permit.permit_id)

    report = await _reported(world, permit)
    assert (report.effect, report.touched, _touched(fleet)) == ("none", (), ["memory/a"])


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
    assert Counter(_touched(fleet, "undo")) == dict.fromkeys(FLEET, 2)
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

    report = await _reported(world, permit)
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

    report = await _reported(world, permit)
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

    report = await _reported(world, permit)
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


# --- Baselines and guards ---------------------------------------------------------------------------------------------

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

    report = await _reported(world, permit)
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

    report = await _reported(world, permit)
    assert (result.effect, result.status, one.orders) == ("none", "failed", [])
    assert said in report.message
    assert len(report.baselines) == 1


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
    assert (result.status, report.baselines) == ("succeeded", ())
    assert (await world.report(first.permit_id) or report).baselines[0].value == 10


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

    report = await _reported(world, permit)
    assert (result.status, result.effect) == (status, effect)
    assert report.baselines[0].resource == "memory/z"
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
    assert asked == [ProbeOrder("web.latency", {}, "memory/a", "q", {"n": "integer"}, "number")]
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
    one.seen, one.shown = "done", {"": "done"}
    world.let_attempts_end()

    result = await observe(world, permit.permit_id, world.process())

    report = await _reported(world, permit)
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
            while len(_touched(fleet, "undo")) < 2:  # noqa: ASYNC110 - the target says when
                await asyncio.sleep(0.02)
    result = await asyncio.wait_for(running, BOUND)

    assert (result.status, _touched(fleet, "undo")) == ("succeeded", ["memory/b", "memory/a"])
