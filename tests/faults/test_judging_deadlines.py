"""The deadline until which people judge what nobody could measure passes while somebody is away, or the run is gone.

A server that skips time is the clock here, and the record is a real PostgreSQL that is stopped and started.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from deploy.dev import Stack
from policy.permit import Direction, permit_id
from tests.faults.attack import call
from tests.faults.outage import Fragile, fragile_world, skipping_world
from tests.items import findings
from tests.workflow.test_judging import DONE, UNDONE, judged, publish, undecided
from tests.world import World, decision, until
from workflows.interface import DECIDE, EXECUTOR_QUEUE, SWEEP_WORKFLOW, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

Skipping = tuple[Fragile, WorkflowEnvironment]
VERBS = {"compensate": ("compensated", UNDONE, 0), "hold": ("inconclusive", DONE, 1)}
ROOMS = iter(f"room-{number}" for number in range(1, 10))


@pytest_asyncio.fixture(name="skipping", loop_scope="module")
async def _skipping(fragile: Stack, stack: Stack) -> AsyncIterator[Skipping]:
    """A world whose time a test lets pass; its own, because waiting for a result lets it pass, too."""
    async with skipping_world(fragile, stack) as world:
        yield world


@pytest_asyncio.fixture(name="fragile_one", loop_scope="module")
async def _fragile_one(fragile: Stack, stack: Stack) -> AsyncIterator[Fragile]:
    async with fragile_world(fragile, stack) as world:
        yield world


@pytest.mark.parametrize("verb", VERBS)
async def test_an_outage_of_the_record_across_the_deadline_falls_to_the_verb(skipping: Skipping, verb: str) -> None:
    """An acceptance that was sent in time and is read after the deadline does not count."""
    world, environment = skipping
    await publish(world, "1h", verb)
    room = next(ROOMS)
    handle, name = await undecided(world, room)
    said = decision(await judged(world, handle), "cleo", "accept", justification="it looks fine", stage=1)
    await environment.sleep(timedelta(minutes=50))
    async with world.away("postgres"):
        await handle.signal(DECIDE, said)
        await environment.sleep(timedelta(minutes=25))
    result = await world.result(handle)
    outcome, effects, holds = VERBS[verb]
    assert (result.outcome, await world.effects(name)) == (outcome, effects)
    assert len(await world.holds(room)) == holds
    receipt = (await world.status(handle))["receipts"][said["decision_id"]]
    assert (receipt["counted"], receipt["code"]) == (False, "not_pending")


@pytest.mark.parametrize(("gone", "verb"), [("the workers", "compensate"), ("temporal", "hold")])
async def test_an_outage_of_what_waits_across_the_deadline_falls_to_the_verb(
    fragile_one: Fragile, gone: str, verb: str
) -> None:
    """By the clock of the machine, since such an outage lets no server skip time. The record alone says until when."""
    world = fragile_one
    await publish(world, "15s", verb)
    room = next(ROOMS)
    handle, name = await undecided(world, room)
    shown = await judged(world, handle)
    said = decision(shown, "cleo", "accept", justification="it looks fine", stage=1)
    (entry,) = await world.entries(name, "judging")
    until_then = datetime.fromisoformat(entry["content"]["until"])
    async with world.paused() if gone == "the workers" else world.away("temporal"):
        if gone == "the workers":
            await handle.signal(DECIDE, said)
        await until(lambda: asyncio.sleep(0, datetime.now(UTC) > until_then))
    result = await world.result(handle)
    outcome, effects, holds = VERBS[verb]
    assert (result.outcome, await world.effects(name)) == (outcome, effects)
    assert len(await world.holds(room)) == holds
    assert await world.entries(name, "decision_counted") == [
        one for one in await world.entries(name, "decision_counted") if one["content"]["submission"]["vote"] != "accept"
    ]
    assert await findings(world, name) == []


@pytest.mark.parametrize(("verb", "outcome"), [("compensate", "compensation_failed"), ("hold", "inconclusive")])
async def test_a_run_that_is_gone_is_ended_by_the_sweep_after_the_deadline_and_people_are_reminded_before(
    skipping: Skipping, verb: str, outcome: str
) -> None:
    """Before the deadline the sweep ends nothing, and reminds once; nobody was there to undo it, and it says so."""
    world, environment = skipping
    await publish(world, "1h", verb)
    room = next(ROOMS)
    handle, name = await undecided(world, room)
    await judged(world, handle)
    await handle.terminate("somebody wanted it gone")
    await environment.sleep(timedelta(minutes=30))
    await _sweep(world)
    assert await _told(world, name) == ["judging"]
    await environment.sleep(timedelta(minutes=20))
    for _ in range(2):
        await _sweep(world)
    assert await _told(world, name) == ["judging", "judging_ends"]
    assert await world.entries(name, "recorded") == []
    await environment.sleep(timedelta(hours=2))
    await _sweep(world)
    (entry,) = await world.entries(name, "recorded")
    assert entry["content"]["result"]["outcome"] == outcome
    assert (await world.effects(name), len(await world.holds(room))) == (DONE, 1)
    assert len(await world.entries(name, "unresolved_opened")) == 1


async def test_who_accepted_it_is_not_reminded(skipping: Skipping) -> None:
    """What somebody judged needs nobody any more."""
    world, environment = skipping
    await publish(world, "1h", "hold")
    handle, name = await undecided(world, next(ROOMS))
    await judged(world, handle)
    assert (await world.decide(handle, "cleo", "accept", justification="fine by hand")).counted
    await environment.sleep(timedelta(minutes=50))
    await _sweep(world)
    assert (await world.result(handle)).outcome == "inconclusive"
    assert await _told(world, name) == ["judging"]


async def test_an_undo_that_somebody_runs_by_hand_before_the_judgement_does_nothing(world: World) -> None:
    """The executor computes the deadline from the record: an open report is no cause to undo until then."""
    await publish(world, "1h", "compensate")
    handle, name = await undecided(world, next(ROOMS))
    await judged(world, handle)
    undo = {"permit_id": permit_id(name, 1, 1, Direction.undo)}
    # It may have a cause later, so the executor asks for another try and not for an end.
    with pytest.raises(AssertionError, match="no_cause_to_undo: no step failed, nobody stopped the action"):
        await call(world, "execute", EXECUTOR_QUEUE, undo)
    assert await world.effects(name) == DONE
    assert {use for _, direction, use in await world.permits(name) if direction == "undo"} == {None}
    assert (await world.decide(handle, "cleo", "accept", justification="fine by hand")).counted
    late = await call(world, "execute", EXECUTOR_QUEUE, undo)
    assert (late["status"], late["message"].partition(":")[0]) == ("failed", "void")
    assert ((await world.result(handle)).outcome, await world.effects(name)) == ("inconclusive", DONE)
    assert await findings(world, name) == []


async def _sweep(world: Fragile) -> None:
    """Sweep once. Waiting for its result would let time pass."""
    handle = await world.client.start_workflow(SWEEP_WORKFLOW, id=f"sweep-{world.id()}", task_queue=TASK_QUEUE)
    await until(handle.describe, lambda found: found.status is WorkflowExecutionStatus.COMPLETED)


async def _told(world: Fragile, proposal_id: str) -> list[str]:
    """What audiences were told of the judging of an action, in order."""
    rows = await world.sql(
        "SELECT kind FROM countersign.notice WHERE proposal_id = $1 AND kind LIKE 'judging%'"
        " AND recipient_kind = 'audience' ORDER BY created_at",
        proposal_id,
    )
    return [row["kind"] for row in rows]
