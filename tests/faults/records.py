"""Records of ordeals: copies of one that is migrated, since to migrate each takes most of a second."""

import contextlib
from uuid import uuid4

import asyncpg

from activities.database import DatabaseUnavailableError
from deploy.dev import Stack
from deploy.migrations.runner import migrate
from tests.world import publish_documents

_TRIES = 10
# By the address of its server.
_MIGRATED: dict[str, str] = {}


async def copy_of_record(stack: Stack, name: str) -> str:
    """Make an empty record of that name, one at a time; its address."""
    server = stack.database_url("postgres", "postgres")
    admin = await asyncpg.connect(server)
    try:
        if server not in _MIGRATED:
            first = f"ordeal_{uuid4().hex[:12]}"
            await admin.execute(f"CREATE DATABASE {first}")
            await migrate(stack.database_url("postgres", first))
            _MIGRATED[server] = first
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {_MIGRATED[server]}")
    finally:
        await admin.close()
    return stack.database_url("postgres", name)


async def put_in_force(url: str, *documents: bytes) -> None:
    """Put documents in force, however slowly a busy machine opens a new database."""
    for _ in range(_TRIES):
        with contextlib.suppress(DatabaseUnavailableError):
            return await publish_documents(url, *documents)
    raise AssertionError(f"{url} takes no documents")
