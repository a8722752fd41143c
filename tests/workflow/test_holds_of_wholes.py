"""A person's hold on a whole, on something with a long name, and on what its statement does not say."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from activities.halting import halt_row
from deploy.dev import Stack
from policy.halting import HALTS_LEDGER, receive_halt
from tests.halts import halt, prepared, release, signed
from tests.items import findings, sweep
from tests.world import DOCUMENTS, World, publish_documents, until
from workflows.interface import STATUS, halt_workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "x" * 190
CATALOG = (DOCUMENTS / "catalog.yaml").read_bytes()
_MORE = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: NAME
  annotations: {countersign/environment: production, countersign/criticality: lowID}
spec: {owner: team-shopPART}
"""


def _entity(name: str, resource: str = "", part_of: str = "") -> bytes:
    text = _MORE.replace("NAME", name).replace("ID", f", countersign/resource-id: {resource}" if resource else "")
    return text.replace("PART", f", subcomponentOf: {part_of}" if part_of else "").encode()


@pytest_asyncio.fixture(name="wholes", loop_scope="module", autouse=True)
async def _wholes(world: World) -> AsyncIterator[None]:
    await prepared(world)
    whole = _entity("whole") + _entity("part-1", "bench/part-1", "whole") + _entity("part-2", "", "whole")
    await publish_documents(world.url, CATALOG + whole + _entity(LONG, "bench/long"))
    yield
    await publish_documents(world.url, CATALOG)


async def test_a_hold_on_a_whole_that_stands_for_no_ids_is_refused_for_it_would_hold_nothing(world: World) -> None:
    """One part of it has no id, so the whole has none: its other parts would be acted on as if nobody held it."""
    halt_id, _, said = await halt(world, target="whole")
    assert (await world.run(world.propose("bench.touch", target="part-1"))).outcome == "succeeded"
    assert (said["placed"], said["code"]) == (False, "unknown_target")
    assert "part component:default/part-2 has no countersign/resource-id" in said["message"]
    assert await world.sql("SELECT 1 FROM countersign.halt WHERE halt_id = $1", halt_id) == []


async def test_a_target_with_a_long_name_can_be_held(world: World) -> None:
    halt_id, handle, said = await halt(world, target=LONG)
    assert said["placed"]
    assert (await world.run(world.propose("bench.touch", target=LONG))).outcome == "not_executed"
    assert (await release(handle, halt_id, "ann", "bob"))["released"]
    assert (await world.run(world.propose("bench.touch", target=LONG))).outcome == "succeeded"


async def test_a_row_whose_statement_is_about_something_else_is_nobodys_and_its_ledger_is_in_order(
    world: World, stack: Stack
) -> None:
    """The halter wrote another target than was signed: it holds, nobody proved it, and two people release it."""
    halt_id = f"halt-{uuid4().hex}"
    statement = await signed("ann", "halt", halt_id, target="room-2")
    row = halt_row(receive_halt(statement), statement, "ann", datetime.now(UTC))
    row["target"] = "component:default/room-3"
    name = (await world.sql("SELECT current_database() AS name"))[0]["name"]
    halter = await asyncpg.connect(stack.database_url("countersign_halter", name))
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await halter.execute(f"INSERT INTO countersign.halt ({', '.join(row)}) VALUES ({places})", *row.values())
    await halter.close()
    await sweep(world)
    handle = world.client.get_workflow_handle(halt_workflow_id(halt_id))
    await until(lambda: handle.query(STATUS), lambda found: found["placed"])
    entry = (await world.entries(HALTS_LEDGER, "halted"))[-1]["content"]
    assert (entry["person_id"], entry["unproven"]) == (None, "its statement is about something else")
    assert (await world.run(world.propose("bench.touch", target="room-3"))).outcome == "not_executed"
    assert (await release(handle, halt_id, "ann", "bob"))["released"]
    assert await findings(world, HALTS_LEDGER) == []
