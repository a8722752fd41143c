"""A person's hold comes while a step runs, and with it a release that nobody gave, by control's credentials."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from activities.halting import halt_row
from activities.held_targets import hold_id_of
from deploy.dev import Stack
from policy.canonical import canonical, digest
from policy.halting import receive_halt
from tests.halts import prepared, signed
from tests.workflow.test_held_while_running import observed, report
from tests.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

TARGET = "component:default/room-10"


def _stored(value: dict[str, Any]) -> dict[str, Any]:
    body = canonical(value)
    return {"body": body, "digest": digest(body)}


async def test_a_release_that_control_made_up_keeps_no_hold_from_ending_what_runs(world: World, stack: Stack) -> None:
    """Whoever watches a running step verifies the release of a person's hold as whoever claims does."""
    await prepared(world)
    action, name = await observed(world, "room-10")
    halt_id, now = f"hold-{uuid4().hex}", datetime.now(UTC)
    statement = await signed("ann", "halt", halt_id, target="room-10")
    hold_id = hold_id_of(halt_id)
    placed = {"hold_id": hold_id, "target": TARGET, "reason": "ann: an incident", "owner": "ann", "placed_at": now}
    ended = {"hold_id": hold_id, "released_by": "people", "released_at": now}
    rows = {
        "halt": halt_row(receive_halt(statement), statement, "ann", now),
        "hold": {**placed, **_stored({"target": TARGET, "resolved": ["bench/room-10"], "halt_id": halt_id})},
        "hold_release": {**ended, **_stored({"halt_id": halt_id, "released_by": "people"})},
    }
    database = (await world.sql("SELECT current_database() AS name"))[0]["name"]
    control = await asyncpg.connect(stack.database_url("countersign_control", database))
    async with control.transaction():
        for table, row in rows.items():
            places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            statement_text = f"INSERT INTO countersign.{table} ({', '.join(row)}) VALUES ({places})"
            await control.execute(statement_text, *row.values())
    await control.close()
    assert (await world.result(action)).outcome == "compensated"
    assert (await report(world, name, 2))["stopped"].startswith(f"on_hold: target {TARGET} is under hold: ann")
