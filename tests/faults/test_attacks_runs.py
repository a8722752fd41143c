"""Attacks on runs that continue: by signals that say nothing, together with a stop or with a vote."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.dev import Stack
from tests.world import World, decision, whole_world
from workflows.interface import DECIDE, RECHECK
from workflows.messages import Pace

pytestmark = pytest.mark.asyncio(loop_scope="module")

PACE = Pace(batch=16, updates=6, signals=6, events=4_000)


@pytest_asyncio.fixture(name="brisk", scope="module", loop_scope="module")
async def _brisk(stack: Stack) -> AsyncIterator[World]:
    """A world whose runs continue as new ones soon."""
    async with whole_world(stack, pace=PACE) as world:
        yield world


async def test_a_stop_that_comes_with_the_signal_that_ends_a_run_is_not_lost(brisk: World) -> None:
    """Whoever floods with signals that say nothing makes no run forget the cancel that came with them."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    await brisk.pending(handle)
    async with brisk.paused():
        for _ in range(PACE.signals):
            await handle.signal(RECHECK)
        await handle.cancel()
    assert (await brisk.result(handle)).resolution == "withdrawn"


async def test_a_vote_that_comes_with_the_signal_that_ends_a_run_is_not_lost(brisk: World) -> None:
    """What arrived before a run ends is taken by it; the next run knows of it."""
    handle = await brisk.start(brisk.propose("bench.put", undo="bench.take"))
    status = await brisk.pending(handle)
    async with brisk.paused():
        for _ in range(PACE.signals):
            await handle.signal(RECHECK)
        await handle.signal(DECIDE, decision(status, "eve"))
        for _ in range(PACE.signals):
            await handle.signal(RECHECK)
    await brisk.pending(handle, stage=2)
    await handle.cancel()
    assert (await brisk.result(handle)).resolution == "withdrawn"
