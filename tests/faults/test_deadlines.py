"""Time that passes while nobody answers: the record or the workers are away, and a deadline does not care.

A server that skips time is the clock here, and the record is a real PostgreSQL that is stopped and started.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from deploy.dev import Stack
from tests.faults.outage import Fragile, Part, skipping_world
from tests.world import decision
from workflows.interface import DECIDE

pytestmark = pytest.mark.asyncio(loop_scope="module")

Skipping = tuple[Fragile, WorkflowEnvironment]


@pytest_asyncio.fixture(name="skipping", loop_scope="module")
async def _skipping(fragile: Stack, stack: Stack) -> AsyncIterator[Skipping]:
    """A world whose time a test lets pass; its own, because waiting for a result lets it pass, too."""
    async with skipping_world(fragile, stack) as world:
        yield world


async def test_ten_minutes_without_the_record_add_at_most_twenty_events(skipping: Skipping) -> None:
    """A reminder falls due and a vote arrives in the outage: both are on record afterwards, and waiting is cheap."""
    world, environment = skipping
    _, as_ever = await _ten_minutes(world, environment)
    meanwhile, in_all = await _ten_minutes(world, environment, "postgres")
    # In the outage itself, and what it adds until all is as it would be without it.
    assert len(meanwhile) <= 20, " ".join(meanwhile)
    assert len(in_all) - len(as_ever) <= 20, " ".join(in_all)


async def _ten_minutes(
    world: Fragile, environment: WorkflowEnvironment, *gone: Part
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The events of ten minutes in which a reminder falls due and a vote comes: at their end, and when settled."""
    body = world.propose("bench.wait")
    handle = await world.start(body)
    vote = decision(await world.pending(handle), "eve")
    await environment.sleep(timedelta(days=1, minutes=-5))
    before = len(await world.events(handle))
    async with world.away(*gone):
        await environment.sleep(timedelta(minutes=7))
        await handle.signal(DECIDE, vote)
        await environment.sleep(timedelta(minutes=3))
        meanwhile = await world.events(handle)
    await environment.sleep(timedelta(minutes=1))
    await world.pending(handle, stage=2)
    assert len(await world.entries(body["proposal_id"], "reminded")) == 1
    assert len(await world.entries(body["proposal_id"], "decision_counted")) == 1
    return tuple(meanwhile[before:]), tuple((await world.events(handle))[before:])


async def test_a_deadline_in_an_outage_of_the_record_falls_to_the_stages_verb(skipping: Skipping) -> None:
    """Both verbs: a vote that was sent in time and is evaluated after the deadline does not count, and nothing runs."""
    world, environment = skipping
    cancelled, denied = world.propose("bench.wait"), world.propose("bench.sign", undo="bench.unset")
    handles = [await world.start(cancelled)]
    await world.pending(handles[0])
    assert (await world.decide(handles[0], "eve")).counted
    await environment.sleep(timedelta(days=14, minutes=-70))
    handles.append(await world.start(denied))
    votes = [
        decision(await world.pending(handles[0], stage=2), "cleo"),
        decision(await world.pending(handles[1]), "eve"),
    ]
    await environment.sleep(timedelta(minutes=50))
    async with world.away("postgres"):
        for handle, vote in zip(handles, votes, strict=True):
            await handle.signal(DECIDE, vote)
        await environment.sleep(timedelta(minutes=25))
    results = [await world.result(handle) for handle in handles]
    verbs = [[reason.code for reason in result.reasons] for result in results]
    assert [result.resolution for result in results] == ["expired", "expired"]
    assert verbs == [["expired_cancel"], ["expired_deny"]]
    for handle, body, vote in zip(handles, (cancelled, denied), votes, strict=True):
        receipt = (await world.status(handle))["receipts"][vote["decision_id"]]
        assert not receipt["counted"]
        assert receipt["code"] in ("past_deadline", "not_pending")
        assert await world.permits(body["proposal_id"]) == []
        assert await world.effects(body["proposal_id"]) == []
