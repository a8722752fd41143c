"""The executor role and time: nobody who may still act is looked at, and nobody acts long after the claim."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError

from activities.acting import ClaimedAt
from activities.clock import SystemClock
from activities.execute import ExecutorActivities
from activities.executors.base import EffectUnknownError
from activities.stepping import LOOK
from tests.integration.effects import BOUND, World, attempt, execute, met, observe, undo_of, until_measured
from tests.permit_keys import trust

# What it takes to begin, to look once after a lost answer, and to write the report.
SLACK = timedelta(seconds=15) + LOOK


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


class Jumping:
    """A clock that jumps ahead after its first reading, as after a pause."""

    def __init__(self, at: datetime, by: timedelta) -> None:
        self._next, self._then = at, at + by

    async def now(self) -> datetime:
        now, self._next = self._next, self._then
        return now


def _paused(world: World, seconds: float) -> ExecutorActivities:
    """A process that stands still for so long after its claim."""
    clock = Jumping(world.clock.at, timedelta(seconds=seconds))
    return ExecutorActivities(world.database, clock, {"memory": world.target}, "worker-1", trust())


async def test_a_step_does_not_begin_after_a_pause(world: World) -> None:
    """A process that stood still between its claim and the effect does nothing, and says that it did nothing."""
    permit = await world.permit(criteria=(met(),))

    result = await execute(world, permit.permit_id, by=_paused(world, 10.1))

    assert (result.status, result.effect, result.message) == ("failed", "none", "paused between claim and effect")
    assert world.target.orders == []
    assert await world.report(permit.permit_id) is not None


async def test_a_short_pause_is_none(world: World) -> None:
    """What a slow machine takes between its claim and the effect is no pause."""
    permit = await world.permit()

    assert (await execute(world, permit.permit_id, by=_paused(world, 9))).status == "succeeded"


async def test_an_undo_after_a_pause_is_tried_again(world: World) -> None:
    """An undo that stood still does not begin either, and its next attempt does, however old the claim is by then."""
    permit = await world.permit(criteria=(met(False),))
    await execute(world, permit.permit_id)

    with pytest.raises(ApplicationError, match="paused between claim and effect") as caught:
        await execute(world, undo_of(permit), attempt(activity="undo"), _paused(world, 60))

    assert caught.value.non_retryable is False
    assert len(world.target.orders) == 1
    world.let_attempts_end()
    assert (await execute(world, undo_of(permit), attempt(2, activity="undo"))).status == "succeeded"


async def test_a_pause_shows_where_the_clock_was_set_back() -> None:
    """The event loop's time tells a pause that the clock does not."""
    now, loop = datetime.now(UTC), asyncio.get_running_loop()

    assert ClaimedAt(now, loop.time() - 10.1).paused(now)
    assert not ClaimedAt(now, loop.time()).paused(now)


async def test_nothing_is_undone_below_what_nobody_knows(world: World) -> None:
    """Where a later step's effect is not known, the undo of an earlier one is refused, and for good."""
    first, later = await world.permit(1), await world.permit(2)
    await execute(world, first.permit_id)
    world.target.fails_with = EffectUnknownError("no answer")
    await execute(world, later.permit_id, attempt(activity="do-2"))
    world.target.fails_with = None
    await world.write("stop", proposal_id=world.proposal, kind="revoked", actor="ana", stopped_at=world.clock.at)

    result = await execute(world, undo_of(first), attempt(activity="undo"))

    assert result.message.startswith("later_step_open: ")
    assert len(world.target.orders) == 2


@pytest.mark.parametrize("minutes", [-2, 2])
async def test_a_clock_that_is_wrong_begins_nothing(world: World, minutes: int) -> None:
    """Where the machine's clock and the server's are over a minute apart, a permit's expiry is not to be judged."""
    permit = await world.permit()
    at = attempt()
    at.info = dataclasses.replace(at.info, started_time=datetime.now(UTC) + timedelta(minutes=minutes))
    process = ExecutorActivities(world.database, SystemClock(), {"memory": world.target}, "worker-1", trust())

    result = await execute(world, permit.permit_id, at, process)

    assert (result.status, result.effect) == ("failed", "none")
    assert result.message.startswith("clock_differs: ")
    assert world.target.orders == []


async def test_a_clock_that_is_wrong_keeps_nothing_from_being_undone(world: World) -> None:
    """An undo does not expire, so no clock forbids it."""
    permit = await world.permit(criteria=(met(False),))
    await execute(world, permit.permit_id)
    process = ExecutorActivities(world.database, SystemClock(), {"memory": world.target}, "worker-1", trust())

    result = await execute(world, undo_of(permit), attempt(activity="undo"), process)

    assert result.status == "succeeded"


async def test_no_other_process_passes_for_the_one_that_claimed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same attempt in another process has another token, and cannot report under the claim of the first."""
    permit = await world.permit()
    world.target.go_on.clear()
    running = asyncio.create_task(execute(world, permit.permit_id))
    await asyncio.wait_for(world.target.begun.wait(), BOUND)

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("activities.attempt._PROCESS", "another")
        assert (await execute(world, permit.permit_id, by=world.process())).status == "unknown"

    world.target.go_on.set()
    await running
    [entry] = await world.entries("claim_refused")
    [use] = await world.rows("permit_use")
    assert entry["content"]["code"] == "claimed_by_another"
    assert entry["content"]["attempt_token"] != use["attempt_token"]
