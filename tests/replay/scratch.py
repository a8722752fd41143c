"""The second database of the recordings, on the server of the first."""

from contextlib import suppress

import asyncpg

from deploy.dev import Stack
from deploy.orders import OPERATOR

SCRATCH_RESOURCES = ("postgres/scratch", "postgres/scratch-a", "postgres/scratch-b")


async def prepare_scratch(stack: Stack) -> dict[str, str]:
    """A database beside that of the orders, which says of itself that it is staging; its address by resource id."""
    server = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    with suppress(asyncpg.DuplicateDatabaseError):
        await server.execute("CREATE DATABASE scratch")
    await server.execute("ALTER DATABASE scratch SET countersign.environment = 'staging'")
    await server.close()
    # Both are one server, which would tell that they are: what one run leaves on hold would hold the others.
    for name in ("orders", "scratch", "reports"):
        database = await asyncpg.connect(stack.database_url("postgres", name))
        await database.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        await database.execute(f"GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {OPERATOR}")
        await database.close()
    return dict.fromkeys(SCRATCH_RESOURCES, stack.database_url(OPERATOR, "scratch"))
