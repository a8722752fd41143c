"""Who loses a role is noticed when it happens: open cases are read again by the sweep, without a vote or a timer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from activities.documents import Documents
from activities.house import HouseActivities
from deploy.dev import Stack
from tests.weeks import Weeks, skipping
from tests.workflow.test_people import after, publish
from tests.world import DOCUMENTS, publish_documents, record
from workflows.interface import LOOK_AGAIN

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(name="weeks")
async def _weeks(stack: Stack) -> AsyncIterator[Weeks]:
    async with record(stack) as name, skipping(stack, name) as found:
        yield found


def _house(weeks: Weeks) -> HouseActivities:
    """The sweep of a process that has not swept yet."""
    world = weeks.world
    assert world.clock is not None
    return HouseActivities(world.database, world.client, Documents(), world.clock, Path("unused"))


async def test_a_new_directory_that_leaves_nobody_ends_a_waiting_action(weeks: Weeks) -> None:
    """Nobody votes and nothing is due: the sweep after the publication says that nobody is left, and why."""
    handle = await weeks.asked("bench.outlast")
    house = _house(weeks)
    await house.sweep()
    assert await weeks.world.entries(handle.id.removeprefix("action/"), "unreachable") == []
    await weeks.sleep(HOUR)
    gone = (
        ("{id: eve, aliases: [eve@example.org], groups: [ops]}", "{id: eve, aliases: [eve@example.org], groups: []}"),
        ("groups: [ops, dba]}", "groups: [dba]}"),
    )
    await _publish_all(weeks, *gone)
    await house.sweep()
    result = await weeks.world.result(handle)
    assert (result.resolution, result.reasons[0].code) == ("denied", "unreachable")
    assert result.timings.finished_at - result.timings.proposed_at < 2 * HOUR


async def test_a_membership_that_ends_by_itself_reopens_its_stage(weeks: Weeks) -> None:
    """The vote lapses at the first sweep after that instant, and the run shows it, with nothing published."""
    member = f"groups: [{{name: ops, until: {await after(weeks, 1)}}}]}}"
    await publish(weeks, "directory.yaml", "aliases: [eve@example.org], groups: [ops]}", f"aliases: [e], {member}")
    handle = await weeks.asked("bench.wait")
    assert (await weeks.world.decide(handle, "e")).counted
    await weeks.world.pending(handle, stage=2)
    house = _house(weeks)
    await house.sweep()
    await weeks.sleep(25 * HOUR)
    await house.sweep()
    await weeks.world.pending(handle, stage=1)
    (dropped,) = await weeks.world.entries(handle.id.removeprefix("action/"), "vote_dropped")
    assert dropped["content"]["event"]["reason"] == "eve does not fit ops any more"


async def test_who_asks_a_run_to_look_again_changes_nothing(weeks: Weeks) -> None:
    """However many signals come, with whatever in them: the record is read once in a minute, and says the same."""
    handle = await weeks.asked("bench.wait")
    for number in range(20):
        await handle.signal(LOOK_AGAIN, {"resolution": "approved", "number": number})
    await weeks.sleep(timedelta(minutes=5))
    status = await weeks.world.pending(handle)
    assert (status["resolution"], status["refused_messages"]) == ("pending", 0)
    events = await weeks.world.events(handle)
    assert events.count("workflow_execution_signaled") == 20
    assert events.count("marker_recorded") <= 4


async def _publish_all(weeks: Weeks, *changes: tuple[str, str]) -> None:
    """Put the directory of the tests in force with several things changed."""
    text = (DOCUMENTS / "directory.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    await publish_documents(weeks.world.url, text.encode(), at=await weeks.now())
