"""Migrating a database: once, together, again, by the right role, and to what the row classes say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from activities.database import connector
from activities.tables import ProposalRow
from deploy.dev import Stack
from deploy.migrations import runner
from deploy.migrations.roles import BY_A_DBA, CREATE_SCHEMA, MigrationError
from deploy.migrations.runner import migrate

Url = Callable[[str], str]

OWNERS = """
SELECT DISTINCT owner::regrole::text FROM (
  SELECT relowner FROM pg_class WHERE relnamespace = 'countersign'::regnamespace
  UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'countersign'::regnamespace
  UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'countersign'
) AS things (owner)
"""
PROTECTED = """
SELECT 'countersign.' || relname AS table, array_agg(tgname::text ORDER BY tgname) AS triggers
FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid AND NOT tgisinternal AND tgenabled = 'A'
WHERE relnamespace = 'countersign'::regnamespace GROUP BY relname ORDER BY 1
"""
DEFAULTS = """
SELECT adrelid::regclass, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_class ON pg_class.oid = adrelid
WHERE relnamespace = 'countersign'::regnamespace
"""


@pytest.fixture(name="url")
async def _url(stack: Stack) -> AsyncIterator[Url]:
    """An empty database; gives its address for a role."""
    database = f"migrations_{uuid4().hex}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    await admin.execute(f"CREATE DATABASE {database}")
    yield lambda role: stack.database_url(role, database)
    await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
    await admin.close()


async def select(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def by_a_dba(url: Url, statements: str) -> None:
    """Run the statements as superuser; the roles are the whole server's and may exist already."""
    for statement in statements.split(";\n"):
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await execute(url("postgres"), statement)


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(runner.__file__).parent))
    return ScriptDirectory.from_config(config)


def revisions() -> list[str]:
    return [revision.revision for revision in script().walk_revisions()][::-1]


async def test_a_migration_is_applied_once(url: Url) -> None:
    """The first run applies every revision in order, the second finds nothing to do."""
    assert [await migrate(url("postgres")), await migrate(url("postgres"))] == [revisions(), []]


async def test_concurrent_migrations_wait_for_each_other(url: Url) -> None:
    """Of several runs at once one applies the revisions and the others find nothing to do."""
    applied = await asyncio.gather(*(migrate(url("postgres")) for _ in range(4)))

    assert sorted(applied) == [[], [], [], revisions()]


async def test_the_row_classes_are_the_migrated_tables(url: Url) -> None:
    """Tables, columns, types, nullability, keys and indexes are the same in the classes and in the database."""
    await migrate(url("postgres"))
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connector(url("countersign_reader"), application="test")
    )

    def differences(connection: Connection) -> list[object]:
        # The tables outside our schema are another's; alembic's own is not among our classes.
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == "countersign",
                "version_table_schema": "countersign",
                "compare_type": True,
            },
        )
        return list(compare_metadata(context, ProposalRow.metadata))

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()

    assert found == []


async def test_the_owner_owns_everything_whoever_migrates(url: Url) -> None:
    """What a superuser migrates belongs to `countersign_owner`, functions and sequences included."""
    await migrate(url("postgres"))

    owners = await select(url("postgres"), OWNERS)

    assert [tuple(row) for row in owners] == [("countersign_owner",)]


async def test_every_table_is_protected(url: Url) -> None:
    """Each table but alembic's has both triggers, always on, and no column takes an instant from the database."""
    await migrate(url("postgres"))

    protected = await select(url("postgres"), PROTECTED)
    defaults = await select(url("postgres"), DEFAULTS)

    assert sorted(ProposalRow.metadata.tables) == [row["table"] for row in protected]
    assert all({"refuse_row", "refuse_statement"} <= set(row["triggers"]) for row in protected)
    assert defaults == []


async def test_the_owner_migrates_without_a_superuser(url: Url) -> None:
    """After a DBA made the roles and the schema, `countersign_owner` migrates alone."""
    await by_a_dba(url, BY_A_DBA)

    assert await migrate(url("countersign_owner")) == revisions()


async def test_who_may_not_create_the_roles_is_told_what_to_ask_for(url: Url) -> None:
    """Without the schema and without superuser the error carries the statements for a DBA."""
    await by_a_dba(url, BY_A_DBA.replace(CREATE_SCHEMA, "SELECT 1"))

    with pytest.raises(MigrationError, match="as a superuser run, in this database:\nCREATE ROLE countersign_owner"):
        await migrate(url("countersign_owner"))


async def test_a_worker_role_cannot_migrate(url: Url) -> None:
    """Another role than the owner is refused, and nothing was created."""
    await by_a_dba(url, BY_A_DBA)

    with pytest.raises(MigrationError, match="connect as countersign_owner or a superuser"):
        await migrate(url("countersign_app"))
    assert await select(url("postgres"), "SELECT 1 FROM pg_tables WHERE schemaname = 'countersign'") == []


@pytest.mark.parametrize(
    ("grant", "revoke", "what"),
    [
        (
            "GRANT countersign_owner TO countersign_app",
            "REVOKE countersign_owner FROM countersign_app",
            "countersign_app can act as countersign_owner",
        ),
        (
            "GRANT pg_write_all_data TO countersign_permit",
            "REVOKE pg_write_all_data FROM countersign_permit",
            "countersign_permit can act as pg_write_all_data",
        ),
        (
            "ALTER ROLE countersign_executor BYPASSRLS",
            "ALTER ROLE countersign_executor NOBYPASSRLS",
            "countersign_executor itself",
        ),
    ],
)
async def test_a_role_that_could_undo_the_protection_is_refused(url: Url, grant: str, revoke: str, what: str) -> None:
    """A migration refuses roles that are members of each other or stand above the grants, and names them."""
    await migrate(url("postgres"))
    await execute(url("postgres"), grant)
    try:
        with pytest.raises(MigrationError, match=what):
            await migrate(url("postgres"))
    finally:
        await execute(url("postgres"), revoke)


async def test_a_schema_of_another_owner_is_refused(url: Url) -> None:
    """A schema `countersign` that somebody else owns is not filled."""
    await execute(url("postgres"), "CREATE SCHEMA countersign")

    with pytest.raises(MigrationError, match="schema countersign belongs to postgres"):
        await migrate(url("postgres"))


def test_no_revision_goes_back() -> None:
    """The record is never taken away by a downgrade."""
    for revision in script().walk_revisions():
        with pytest.raises(NotImplementedError, match="restore a backup"):
            revision.module.downgrade()
