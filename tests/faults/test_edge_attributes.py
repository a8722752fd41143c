"""A search attribute that somebody removed from the server while people are asked."""

import pytest
from temporalio.service import RPCError

from policy.search_attributes import WAITING_GROUPS
from tests.world import World, decision, until
from workflows.interface import DECIDE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_search_attribute_that_is_gone_holds_an_action_up_until_a_worker_starts_anew(world: World) -> None:
    """The server refuses the task that sets it; a worker that starts again knows that it is gone, and goes on."""
    handle = await world.start(world.propose("bench.put", undo="bench.take"))
    vote = decision(await world.pending(handle), "eve")
    removal = ("operator", "search-attribute", "remove", "--name", WAITING_GROUPS, "--yes")
    code, output = await world.cli(*removal)
    assert code == 0, output
    with pytest.raises(RPCError):
        await handle.execute_update(DECIDE, vote)
    await until(lambda: world.events(handle), lambda found: "workflow_task_failed" in found)
    async with world.paused():
        pass
    # The vote is in the record and its update is lost: sending it again is the same vote.
    assert (await world.send(handle, vote)).counted
    await world.pending(handle, stage=2)
    assert (await world.decide(handle, "cleo")).counted
    assert (await world.result(handle)).outcome == "succeeded"
