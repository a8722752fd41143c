"""Who is woken when a halt is released."""

from typing import Any

import pytest
from temporalio.client import WorkflowUpdateStage

from tests.faults.attack import forge
from tests.halts import halt, prepared, release
from tests.items import sweep
from tests.world import World, until
from workflows.interface import RELEASE, STATUS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_that_wakes_everybody_wakes_some_and_wedges_nothing(world: World) -> None:
    """Temporal takes 2,000 signals of one workflow at once, and ids of 1,000 bytes: else its every task would fail."""
    await prepared(world)
    halt_id, handle, _ = await halt(world)
    wakes = ["x" * 2000, "", *(f"nobody-{number}" for number in range(2500))]
    async with world.record_away():
        asked = await handle.start_update(
            RELEASE, {"halt_id": halt_id}, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=dict[str, Any]
        )
        await forge(world, handle, "release_halt", {"placed": True, "released": True, "wakes": wakes})
        assert (await asked.result())["released"]
    assert (await handle.result())["released"]
    await sweep(world)
    again = world.client.get_workflow_handle(handle.id)
    await until(lambda: again.query(STATUS), lambda found: found["placed"])
    assert (await release(again, halt_id, "ann", "bob"))["released"]
