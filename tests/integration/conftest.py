"""Fixtures of the integration tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest

from activities.database import Database
from deploy.dev import Stack
from deploy.migrations.runner import migrate
from tests.integration.effects import World


@pytest.fixture(name="migrated", scope="session")
def _migrated(stack: Stack) -> Iterator[str]:
    """The name of a migrated database for the tests of the executor role, which take proposal ids of their own."""
    name = f"effects_{uuid4().hex}"

    async def admin(statement: str) -> None:
        connection = await asyncpg.connect(stack.database_url("postgres", "postgres"))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(admin(f"CREATE DATABASE {name}"))
    asyncio.run(migrate(stack.database_url("postgres", name)))
    yield name
    asyncio.run(admin(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(name="world")
async def _world(stack: Stack, migrated: str) -> AsyncIterator[World]:
    """A record, a target in memory, and the executor role's activities."""
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    url = stack.database_url("postgres", migrated)
    owner, database = Database(url), Database(stack.database_url("countersign_executor", migrated))
    yield World(admin=admin, name=migrated, url=url, owner=owner, database=database)
    await owner.close()
    await database.close()
    await admin.close()
