"""Fixtures of the integration tests."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

import starter
from activities.database import Database
from activities.settings import Settings
from cli.ready import prepare_local
from deploy.dev import Stack, ephemeral_stack
from deploy.orders import prepare_orders
from policy.search_attributes import TYPES
from tests.copies import create_migrated
from tests.integration.effects import World
from tests.integration.terminal import DOCUMENTS, House, Ran, workers


@pytest.fixture(name="migrated", scope="session")
def _migrated(stack: Stack) -> Iterator[str]:
    """The name of a migrated database for the tests of the executor role, which take proposal ids of their own."""
    name = f"effects_{uuid4().hex}"

    async def admin(statement: str) -> None:
        connection = await asyncpg.connect(stack.database_url("postgres", "postgres"))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(create_migrated(stack, name))
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


@pytest.fixture(name="documents", scope="module")
def _documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the four governed documents."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(name="own_stack", scope="module")
def _own_stack() -> Iterator[Stack]:
    """A stack of a module's own: nobody else sees what it publishes, denies, counts or archives."""
    with ephemeral_stack(search_attributes=TYPES) as stack:
        yield stack


@pytest.fixture(name="place", scope="module")
def _place(own_stack: Stack, documents: Path) -> tuple[Stack, Settings]:
    """A stack of its own, ready, without a worker."""
    return own_stack, asyncio.run(prepare_local(own_stack, datetime.now(UTC), documents))


@pytest.fixture(name="idle")
def _idle(
    place: tuple[Stack, Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> House:
    """The house while no worker runs."""
    stack, settings = place
    for name in os.environ:
        if name.startswith(("TEMPORAL_", "COUNTERSIGN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_ADDRESS", stack.temporal_address)
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", stack.database_url("countersign_reader"))
    monkeypatch.setenv("COUNTERSIGN_ADMIN_DATABASE_URL", stack.database_url("postgres"))
    monkeypatch.setenv("COUNTERSIGN_AUTHOR_DATABASE_URL", stack.database_url("countersign_author"))
    monkeypatch.setenv("COUNTERSIGN_IDENTITY", "ben")

    def run(*arguments: str) -> Ran:
        code = starter.run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return House(stack, settings, run, tmp_path)


@pytest.fixture(name="house")
def _house(idle: House) -> Iterator[House]:
    """The house with its worker."""
    with workers(idle.stack, idle.settings):
        yield idle


@pytest.fixture(name="strict")
def _strict(idle: House) -> Iterator[House]:
    """The house with a worker that takes no name for an identity."""
    with workers(idle.stack, replace(idle.settings, unsafe_claimed_identities=False)):
        yield idle


@pytest.fixture(name="superuser")
async def _superuser(stack: Stack) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A superuser's session in `orders`; afterwards no parameter that a test changed stays changed."""
    await prepare_orders(stack.database_url("postgres", "postgres"))
    connection = await asyncpg.connect(stack.database_url("postgres", "orders"))
    yield connection
    await connection.execute("ALTER SYSTEM RESET ALL")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
