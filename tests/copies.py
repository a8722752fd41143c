"""Databases of the tests: each is a copy of one that was prepared once on its server.

All migrations take most of a second of both processors. The command that users run is tried in
`tests/integration/test_migrations.py`; a copy has the same schema, rows and grants (PostgreSQL copies files).
"""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg

from deploy.dev import Stack
from deploy.migrations.runner import migrate

Prepare = Callable[[str], Awaitable[None]]

# The names of what was prepared, by a server's folder and by what was done after the migrations.
_PREPARED: dict[tuple[str, Prepare | None], str] = {}


async def create_migrated(stack: Stack, name: str, then: Prepare | None = None) -> None:
    """Create the database `name`, migrated; `then` was called once with the URL of what it is a copy of."""
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    try:
        key = (stack.data_dir, then)
        if key not in _PREPARED:
            _PREPARED[key] = await _prepare(stack, admin, then)
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_PREPARED[key]} STRATEGY file_copy")
    finally:
        await admin.close()


async def _prepare(stack: Stack, admin: "asyncpg.Connection[asyncpg.Record]", then: Prepare | None) -> str:
    name = f"prepared_{uuid4().hex[:16]}"
    await admin.execute(f"CREATE DATABASE {name}")
    url = stack.database_url("postgres", name)
    await migrate(url)
    if then is not None:
        await then(url)
    return name
