"""What comes of an effect: failures of the executor, criteria, stops, a record that is away, and observation."""

import asyncio
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails

from activities.database import DatabaseUnavailableError
from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    ProbeError,
    TargetUnreachableError,
)
from policy.permit import PermitCriterion
from tests.integration.effects import BOUND, NO_PERMIT, World, attempt, execute, met, observe, until_measured


@pytest.mark.parametrize(
    ("error", "status", "effect"),
    [
        (PreconditionFailedError("it is another one"), "failed", "none"),
        (TargetUnreachableError("no answer"), "failed", "none"),
        (EffectUnknownError("no answer"), "unknown", "unknown"),
        (ExecutorError("half of it"), "failed", "done"),
        (ZeroDivisionError("a bug"), "unknown", "unknown"),
    ],
)
async def test_whatever_an_executor_raises_is_a_named_state(
    world: World, error: Exception, status: str, effect: str
) -> None:
    """Each kind of failure of an executor becomes a report that says no more than is known."""
    permit = await world.permit(criteria=(met(),))
    world.target.fails_with = error

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect) == (status, effect)
    assert str(error) in result.message
    assert world.target.measured == 0


async def test_an_effect_ends_with_its_permitted_time(world: World) -> None:
    """An executor that does not answer within the permit's timeout leaves an unknown effect."""
    permit = await world.permit(timeout_seconds=0)
    world.target.go_on.clear()

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("criterion", "reads", "outcome"),
    [
        pytest.param(met(1), [1.0], None, id="the same number"),
        pytest.param(met(1), [True], "reads true on memory/a, expected 1", id="true is not one"),
        pytest.param(met("1"), [1], 'reads 1 on memory/a, expected "1"', id="a number is not a text"),
        pytest.param(met({"a": [1, None]}), [{"a": [1, None]}], None, id="objects"),
        pytest.param(met(within_seconds=5), [False, ProbeError("not yet"), True], None, id="met in time"),
        pytest.param(met(), [ProbeError("no route")], "could not be measured: no route", id="not measurable"),
        pytest.param(met(), [object()], "could not be measured: value of type object", id="no json"),
        pytest.param(met(observe_seconds=1), [True, True, False], "reads false", id="missed while observed"),
        pytest.param(met(observe_seconds=1), [True, ProbeError("gone")], "could not be measured", id="lost sight"),
        pytest.param(met(observe_seconds=1), [True], None, id="kept while observed"),
    ],
)
async def test_a_criterion_is_met_or_the_step_failed(
    world: World, criterion: PermitCriterion, reads: list[Any], outcome: str | None
) -> None:
    """A criterion is met by the exact value, in time, for as long as it is observed; what cannot be read is not met."""
    permit = await world.permit(criteria=(criterion,))
    world.target.reads = reads

    result = await execute(world, permit.permit_id)

    assert (result.status, result.effect) == ("failed" if outcome else "succeeded", "done")
    assert (outcome or "") in result.message
    report = await world.report(permit.permit_id)
    assert report is not None
    expected_met = None if outcome and "could not be measured" in outcome else outcome is None
    assert [item.met for item in report.measurements] == [expected_met]


async def test_one_failed_criterion_ends_the_observation_of_the_others(world: World) -> None:
    """Compensation does not wait for an hour of observation when it is certain already."""
    permit = await world.permit(criteria=(met(True, observe_seconds=3600), met(False)))

    result = await asyncio.wait_for(execute(world, permit.permit_id), BOUND)

    assert (result.status, result.effect) == ("failed", "done")
    report = await world.report(permit.permit_id)
    assert report is not None
    assert [item.met for item in report.measurements] == [None, False]


async def test_a_stop_waits_for_the_effect_and_ends_the_measuring(world: World) -> None:
    """An effect that has begun is finished; it is reported as done and stopped, without a measurement."""
    permit = await world.permit(criteria=(met(),))
    world.target.go_on.clear()
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    at.cancel()
    world.target.go_on.set()
    result = await running

    assert (result.status, result.effect, result.message) == ("failed", "done", "stopped")
    report = await world.report(permit.permit_id)
    assert report is not None
    assert [item.met for item in report.measurements] == [None]


async def test_a_stop_ends_an_observation(world: World) -> None:
    """A stop while the criteria are observed is reported at once."""
    permit = await world.permit(criteria=(met(observe_seconds=3600),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await until_measured(world)

    at.cancel()
    result = await asyncio.wait_for(running, BOUND)

    assert (result.status, result.effect, result.message) == ("failed", "done", "stopped")


async def test_a_worker_that_shuts_down_leaves_the_measuring_to_observe(world: World) -> None:
    """A shutdown is no stop: nothing is reported, and another worker sees the effect and measures it."""
    permit = await world.permit(criteria=(met(observe_seconds=3600),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await until_measured(world)
    at.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, BOUND)
    assert await world.report(permit.permit_id) is None
    world.target.seen = "done"
    world.target.reads = [False]
    world.let_attempts_end()

    result = await observe(world, permit.permit_id, world.process())

    assert (result.status, result.effect) == ("failed", "done")
    assert len(world.target.orders) == 1


async def test_cancelled_before_it_began_nothing_is_done(world: World) -> None:
    """An activity that is cancelled before it claims leaves the permit unclaimed."""
    permit = await world.permit()
    at = attempt()
    at.cancel()

    with pytest.raises(asyncio.CancelledError):
        await execute(world, permit.permit_id, at)

    assert await world.rows("permit_use") == []
    assert (await observe(world, permit.permit_id)).message == "never claimed"


async def test_without_the_record_nothing_begins(world: World) -> None:
    """While the record is away, no forward permit is acted on."""
    permit = await world.permit()

    async with world.record_away():
        with pytest.raises(DatabaseUnavailableError):
            await execute(world, permit.permit_id, attempt(seconds=2))

    assert world.target.orders == []
    assert (await execute(world, permit.permit_id, attempt(run="run-2"))).status == "succeeded"


async def test_a_report_waits_for_the_record_and_the_effect_is_not_repeated(world: World) -> None:
    """When the record goes away after the claim, the report is stored when it is back."""
    permit = await world.permit(criteria=(met(),))
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    async with world.record_away():
        world.target.go_on.set()
        await until_measured(world)
        assert not running.done()

    assert (await asyncio.wait_for(running, BOUND)).status == "succeeded"
    assert len(world.target.orders) == 1
    assert len(await world.entries("reported")) == 1


async def test_a_report_that_came_too_late_for_its_activity_is_not_lost(world: World) -> None:
    """When the activity's time is over before the record is back, the process reports late as soon as it is asked."""
    permit = await world.permit()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id, attempt(seconds=1)))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    async with world.record_away():
        world.target.go_on.set()
        with pytest.raises(DatabaseUnavailableError):
            await asyncio.wait_for(running, BOUND)

    result = await observe(world, permit.permit_id)

    assert (result.status, result.effect) == ("succeeded", "done")
    assert len(world.target.orders) == 1
    [entry] = await world.entries("reported")
    assert entry["late"] is True


@pytest.mark.parametrize(
    ("seen", "reads", "status", "effect"),
    [
        ("done", True, "succeeded", "done"),
        ("done", False, "failed", "done"),
        ("none", True, "unknown", "unknown"),  # who claimed may still act
        ("unknown", True, "unknown", "unknown"),
    ],
)
async def test_observing_believes_only_what_can_be_seen_to_be_done(
    world: World, seen: Any, reads: bool, status: str, effect: str
) -> None:
    """After a claim without a report only an effect that shows is believed, and the report is late."""
    permit = await world.permit(criteria=(met(),))
    await _claim_and_die(world, permit.permit_id)
    world.let_attempts_end()
    world.target.seen, world.target.reads = seen, [reads]

    result = await observe(world, permit.permit_id)

    assert (result.status, result.effect) == (status, effect)
    assert len(world.target.orders) == 1
    assert [row["late"] for row in await world.rows("effect_report")] == [True]
    assert await observe(world, permit.permit_id, world.process()) == result


async def _claim_and_die(world: World, permit: str) -> None:
    """As a worker that was killed between the claim and the report."""
    world.target.go_on.clear()
    dying = asyncio.create_task(execute(world, permit, by=world.process()))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    world.target.go_on.set()


async def test_observing_what_nobody_claimed_writes_nothing(world: World) -> None:
    """A permit that was never claimed, or that does not exist, was not used."""
    permit = await world.permit()

    for wanted in (permit.permit_id, NO_PERMIT, "no uuid"):
        result = await observe(world, wanted)
        assert (result.status, result.effect, result.message) == ("unknown", "none", "never claimed")

    assert await world.rows("effect_report") == []
