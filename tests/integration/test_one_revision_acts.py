"""No two revisions of an action have permits: the database refuses it, whatever the gate was asked."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from deploy.dev import Stack
from tests.world import record, until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODY = b'{"a":1}'
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
CONTENT: dict[str, Any] = {"proposal_id": "p-1", "digest": DIGEST, "body": BODY}


class Roles:
    """The record as the roles that write assessments and permits."""

    def __init__(self, control: "asyncpg.Connection[Any]", permit: "asyncpg.Connection[Any]") -> None:
        self._control = control
        self.permit = permit

    async def register(self) -> None:
        """A proposal that nobody has assessed."""
        row = {**CONTENT, "action_digest": DIGEST, "effect_digest": DIGEST, "workflow_id": "action/p-1"}
        del row["digest"]
        await insert(self._control, "proposal", {**row, "registered_at": NOW, "absolute_deadline": NOW})

    async def open(self, revision: int) -> None:
        """Open a revision."""
        row = {"revision": revision, "verdict": "require_approval", "risk_tier": "high", "policy_digest": DIGEST}
        await insert(self._control, "assessment", {**CONTENT, **row, "assessed_at": NOW})

    async def issue(self, revision: int, step: int = 1, direction: str = "do") -> None:
        """Issue a permit."""
        row = {"permit_id": uuid4(), "revision": revision, "step": step, "direction": direction, "issued_at": NOW}
        expires = NOW if direction == "do" else None
        await insert(self.permit, "permit", {**CONTENT, **row, "action_digest": DIGEST, "expires_at": expires})


async def insert(connection: "asyncpg.Connection[Any]", table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO countersign.{table} ({', '.join(row)}) VALUES ({places})", *row.values())


@pytest.fixture(name="roles")
async def _roles(stack: Stack) -> AsyncIterator[Roles]:
    async with record(stack) as name:
        control, permit = [
            await asyncpg.connect(stack.database_url(f"countersign_{role}", name)) for role in ("control", "permit")
        ]
        roles = Roles(control, permit)
        await roles.register()
        await roles.open(1)
        yield roles
        await control.close()
        await permit.close()


async def test_the_steps_of_one_revision_have_their_permits(roles: Roles) -> None:
    """A later revision acts as the first one would: both directions of each step, once."""
    await roles.open(2)
    for step in (1, 2):
        await roles.issue(2, step)
        await roles.issue(2, step, "undo")


async def test_an_older_revision_does_not_act(roles: Roles) -> None:
    """Once another revision is open, nothing of the one before is permitted."""
    await roles.open(2)
    with pytest.raises(asyncpg.RestrictViolationError, match="revision 1 of proposal p-1 does not act"):
        await roles.issue(1)


@pytest.mark.parametrize("step", [1, 2])
async def test_a_second_revision_does_not_act_beside_the_first(roles: Roles, step: int) -> None:
    """Neither the same step nor another one, though nobody opened that revision."""
    await roles.issue(1)
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.UniqueViolationError)):
        await roles.issue(2, step)


async def test_no_revision_opens_after_a_permit(roles: Roles) -> None:
    """People are not asked about what may run already."""
    await roles.issue(1)
    with pytest.raises(asyncpg.RestrictViolationError, match="no revision opens any more"):
        await roles.open(2)


async def test_two_at_once_without_the_lock_do_not_both_get_a_permit(roles: Roles, stack: Stack) -> None:
    """Neither sees what the other has not committed; the second one to commit is refused all the same."""
    name = await roles.permit.fetchval("SELECT current_database()")
    other = Roles(roles.permit, await asyncpg.connect(stack.database_url("countersign_permit", name)))
    first = roles.permit.transaction()
    await first.start()
    await roles.issue(1)
    second = asyncio.create_task(other.issue(2))
    await until(lambda: _waits(roles.permit))
    await first.commit()
    with pytest.raises(asyncpg.UniqueViolationError, match="permit_once_over_all_revisions"):
        await second
    await other.permit.close()


async def _waits(connection: "asyncpg.Connection[Any]") -> bool:
    """Whether another session waits for this one."""
    found = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(found)
