"""Run the migrations: `await migrate(url)`.

1. One transaction: the roles, the schema and all revisions are applied together or not at all.
2. An advisory lock serialises concurrent runs; who comes second finds nothing to do.
3. Everything is created as `countersign_owner`, whoever connects: a superuser takes that role for the transaction; any
   other user than the owner is refused by PostgreSQL. `roles.BY_A_DBA` is what an owner without superuser needs.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from activities.database import connector
from deploy.migrations.roles import OWNER, MigrationError, prepare

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('countersign migrations', 0))"
# Nobody waits for a migration as for an activity: a server that is busy starting is waited for.
_CONNECT_SECONDS = 15.0
_STATEMENT_SECONDS = 600.0
_INSUFFICIENT_PRIVILEGE = "42501"


async def migrate(url: str) -> list[str]:
    """Bring a database to the newest revision; safe to run again, and by several at once.

    Args:
        url: `postgresql://` address of the database, as a superuser or as `countersign_owner`.

    Returns:
        The revisions applied by this call, oldest first; empty when there was nothing to do.

    Raises:
        MigrationError: the connecting user lacks a right, or a role has too many; nothing was changed.

    """
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector(
            url,
            application="countersign-migrate",
            connect_seconds=_CONNECT_SECONDS,
            statement_seconds=_STATEMENT_SECONDS,
        ),
        poolclass=NullPool,
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text(_LOCK))
            await prepare(connection)
            await connection.execute(text(f"SET LOCAL ROLE {OWNER}"))
            return await connection.run_sync(_upgrade)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise MigrationError(f"connect as {OWNER} or a superuser to migrate: {error.orig}") from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> list[str]:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    before = MigrationContext.configure(connection, opts={"version_table_schema": "countersign"}).get_current_heads()
    command.upgrade(config, "head")
    script = ScriptDirectory.from_config(config)
    applied = [revision.revision for revision in script.iterate_revisions("heads", before or "base")]
    return applied[::-1]
