"""What the demo does to the database `orders` outside Countersign: the trouble that an agent finds, and plain looking.

The sessions are real sessions of the application `orders_app`. What is read back is read by a superuser in sessions of
its own, so that it does not depend on anything that Countersign says.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from deploy.dev import StackAddresses
from deploy.orders import APP, DATABASE

_SHOWS_SECONDS = 10.0
_LOCKING = "UPDATE orders SET state = 'paid' WHERE order_id = 1"
_BLOCKED = "UPDATE orders SET state = 'shipped' WHERE order_id = 1"
_WHO = "SELECT backend_start FROM pg_stat_activity WHERE pid = $1"
_BLOCKED_BY = "SELECT $1 = ANY(pg_blocking_pids($2))"
# What ALTER SYSTEM wrote; a parameter that nobody changed has no line there.
_WRITTEN = "SELECT setting FROM pg_file_settings WHERE name = $1 AND sourcefile LIKE '%postgresql.auto.conf'"


@dataclass(frozen=True)
class Trouble:
    """A session that sits idle in a transaction and holds a row, and the session that waits for that row.

    Attributes:
        pid: process id of the idle session.
        backend_start: when it began, RFC 3339 to the microsecond.
        blocked_pid: process id of the waiting one.
        went_on: the waiting statement; it is done when the row is free.

    """

    pid: int
    backend_start: str
    blocked_pid: int
    went_on: asyncio.Task[str]


@contextlib.asynccontextmanager
async def trouble(stack: StackAddresses) -> AsyncIterator[Trouble]:
    """Make the trouble in `orders`; at the end both sessions are gone."""
    url = stack.database_url(APP, DATABASE)
    idle, waiting = await _connect(url, "orders-batch"), await _connect(url, "orders-checkout")
    blocked: asyncio.Task[str] | None = None
    try:
        await idle.execute("BEGIN")
        await idle.execute(_LOCKING)
        pid, blocked_pid = idle.get_server_pid(), waiting.get_server_pid()
        started = await _read(stack, _WHO, pid)
        blocked = asyncio.create_task(waiting.execute(_BLOCKED))
        await _until_blocked(stack, pid, blocked_pid)
        yield Trouble(pid=pid, backend_start=started.isoformat(), blocked_pid=blocked_pid, went_on=blocked)
    finally:
        idle.terminate()
        waiting.terminate()
        if blocked is not None:
            await asyncio.wait([blocked])


async def in_force(stack: StackAddresses, name: str) -> str:
    """A server parameter as a new session reads it."""
    return str(await _read(stack, "SELECT current_setting($1)", name))


async def written(stack: StackAddresses, name: str) -> str | None:
    """What the server's configuration file says by ALTER SYSTEM, or None."""
    found = await _read(stack, _WRITTEN, name)
    return None if found is None else str(found)


async def watch_written(stack: StackAddresses, name: str, seen: list[str | None]) -> None:
    """Append each new state of `written` to `seen`, until cancelled."""
    session = await asyncpg.connect(stack.database_url("postgres", DATABASE))
    try:
        while True:
            found = await session.fetchval(_WRITTEN, name)
            if not seen or seen[-1] != found:
                seen.append(found)
            await asyncio.sleep(0.02)
    finally:
        session.terminate()


async def _connect(url: str, application: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(url, server_settings={"application_name": application})


async def _read(stack: StackAddresses, query: str, *values: Any) -> Any:
    session = await asyncpg.connect(stack.database_url("postgres", DATABASE))
    try:
        return await session.fetchval(query, *values)
    finally:
        await session.close()


async def _until_blocked(stack: StackAddresses, pid: int, blocked_pid: int) -> None:
    async with asyncio.timeout(_SHOWS_SECONDS):
        while not await _read(stack, _BLOCKED_BY, pid, blocked_pid):  # noqa: ASYNC110 - the server's state
            await asyncio.sleep(0.02)
