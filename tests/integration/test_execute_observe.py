"""The executor role observing: nobody who may still act is looked at, and an undo never is."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from tests.integration.effects import BOUND, World, attempt, execute, met, observe, undo_of, until_measured

SLACK = timedelta(seconds=15)


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_step_that_may_still_run_is_not_observed(world: World, elsewhere: bool) -> None:
    """Whoever asks while the claimant acts is told to ask again, and what the claimant reports is what counts."""
    permit = await world.permit()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    with pytest.raises(ApplicationError, match="may act until") as caught:
        await observe(world, permit.permit_id, world.process() if elsewhere else None)

    assert (caught.value.type, caught.value.non_retryable) == ("NotYet", False)
    assert await world.rows("effect_report") == []
    world.target.go_on.set()
    assert (await running).status == "succeeded"


async def test_a_step_is_observed_as_soon_as_it_must_be_over(world: World) -> None:
    """Its timeout, the windows of its criteria, the seconds in which it stops, and some slack have to be over."""
    permit = await world.permit(criteria=(met(within_seconds=2), met(within_seconds=3, observe_seconds=40)))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await until_measured(world)
    at.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, BOUND)
    world.clock.at += timedelta(seconds=5 + 43) + SLACK - timedelta(microseconds=1)

    with pytest.raises(ApplicationError, match="may act until") as caught:
        await observe(world, permit.permit_id, world.process())
    world.clock.at += timedelta(microseconds=1)

    assert caught.value.next_retry_delay == timedelta(seconds=1)
    assert (await observe(world, permit.permit_id, world.process())).status == "unknown"


async def test_a_step_that_runs_longer_than_it_may_is_not_observed_where_it_runs(world: World) -> None:
    """However much time has passed, a process that knows that an attempt still acts does not say what came of it."""
    permit = await world.permit()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    world.let_attempts_end()

    with pytest.raises(ApplicationError, match="may act until"):
        await observe(world, permit.permit_id)

    world.target.go_on.set()
    await running


async def test_the_process_that_acted_need_not_wait(world: World) -> None:
    """A process whose attempt ended without a report knows that nothing runs any more, and looks at once."""
    permit = await world.permit(criteria=(met(observe_seconds=3600),))
    at = attempt()
    running = asyncio.create_task(execute(world, permit.permit_id, at))
    await until_measured(world)
    at.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, BOUND)
    world.target.seen, world.target.reads = "done", [False]

    result = await observe(world, permit.permit_id)

    assert (result.status, result.effect) == ("failed", "done")


async def test_an_undo_is_not_observed(world: World) -> None:
    """Whoever has an undo observed while it runs is refused for good, and the undo is what reports."""
    permit = await world.permit(criteria=(met(False),))
    await execute(world, permit.permit_id)
    world.target.begun.clear()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, undo_of(permit), attempt(activity="undo")))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)
    world.let_attempts_end()

    with pytest.raises(ApplicationError, match="never observed") as caught:
        await observe(world, undo_of(permit), world.process())

    assert caught.value.non_retryable is True
    assert await world.report(undo_of(permit)) is None
    world.target.go_on.set()
    assert (await running).status == "succeeded"
