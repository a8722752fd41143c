"""Access to the record: short transactions, and one error for a database that cannot be reached.

1. An activity is one transaction. With a proposal id, the first thing it does is to take that proposal's lock, so that
   what it reads cannot change before it commits.
2. A transaction ends within `TRANSACTION_SECONDS`, whatever the server does: a local activity has 3 seconds, and fails
   cleanly before. No other input or output belongs between its first statement and its commit.
3. Whatever a later attempt may cure is a `DatabaseUnavailableError`. When it comes from the commit, the rows may have
   been stored or not: the attempt that follows uses the same ids and finds out.
4. SQL names the schema always; `search_path` holds nothing but PostgreSQL's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

TRANSACTION_SECONDS = 2.5
_CONNECT_SECONDS = 1.0
_STATEMENT_SECONDS = 2.0
# A worker that stopped in the middle of a transaction must not keep a proposal locked.
_IDLE_IN_TRANSACTION_SECONDS = 10.0

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:proposal_id, 0))")

# Classes: connection, resources, operator intervention, system. States: serialization failure, deadlock, lock not
# available, idle transaction ended, read-only (a standby after a failover).
_PASSING_CLASSES = ("08", "53", "57", "58")
_PASSING_STATES = ("40001", "40P01", "55P03", "25P03", "25006")


class DatabaseUnavailableError(Exception):
    """The record could not be reached, or did not answer in time; nothing is wrong with the request: try it again."""


class Database:
    """The record, through a small pool of connections.

    Args:
        url: `postgresql://` address as libpq writes it: `?host=/directory` for a unix socket, `sslmode`, several hosts.
        pool_size: the most connections held open; further transactions wait for one.
        application: what PostgreSQL shows as `application_name`.

    Raises:
        ValueError: the url is not a `postgresql://` address.

    """

    def __init__(self, url: str, *, pool_size: int = 5, application: str = "countersign") -> None:
        self._engine = _engine(url, pool_size, application)
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def transaction(self, proposal_id: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block and rolls back when the block raises.

        Args:
            proposal_id: the proposal whose lock to take first; others that name it wait until this one ended.

        Raises:
            DatabaseUnavailableError: the record could not be reached or did not answer in time.

        """
        with _named():
            async with asyncio.timeout(TRANSACTION_SECONDS), self._engine.begin() as connection, _abandoned(connection):
                if proposal_id is not None:
                    await connection.execute(_LOCK, {"proposal_id": proposal_id})
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction in which every statement sees the same state.

        Raises:
            DatabaseUnavailableError: the record could not be reached or did not answer in time.

        """
        with _named():
            async with (
                asyncio.timeout(TRANSACTION_SECONDS),
                self._snapshots.connect() as connection,
                _abandoned(connection),
            ):
                yield connection

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._engine.dispose()


def connector(url: str, *, application: str, statement_seconds: float = _STATEMENT_SECONDS) -> Callable[[], Any]:
    """What opens a connection with the record's settings, as SQLAlchemy's `async_creator` wants it.

    Args:
        url: `postgresql://` address; asyncpg reads it as libpq does, so it may say everything about TLS.
        application: what PostgreSQL shows as `application_name`.
        statement_seconds: when the server gives up on a statement, waiting for locks included.

    Raises:
        ValueError: the url is not a `postgresql://` address.

    """
    if not url.startswith(("postgresql://", "postgres://")):
        scheme = url.partition(":")[0]
        raise ValueError(f"database url has scheme `{scheme}`: write postgresql://role@host/database")
    settings = {
        "application_name": application,
        "search_path": "pg_catalog, pg_temp",
        "statement_timeout": f"{statement_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_SECONDS * 1000:.0f}",
        "TimeZone": "UTC",
        "jit": "off",
    }

    async def connect() -> Any:
        try:
            return await asyncpg.connect(url, timeout=_CONNECT_SECONDS, server_settings=settings)
        except (OSError, asyncpg.PostgresError) as error:
            why = str(error) or f"no answer within {_CONNECT_SECONDS:g} s"
            raise DatabaseUnavailableError(f"cannot connect to postgresql: {why}") from error

    return connect


def _engine(url: str, pool_size: int, application: str) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector(url, application=application),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=TRANSACTION_SECONDS,
        pool_use_lifo=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(dbapi_connection: Any, *_: Any) -> None:
    """Have the pool replace a connection that the server closed meanwhile, as after a restart; asks no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def _abandoned(connection: AsyncConnection) -> AsyncIterator[None]:
    """Drop the connection when the block runs out of time or is cancelled: a server that hangs would not roll back."""
    try:
        yield
    except (TimeoutError, asyncio.CancelledError):
        raw = await connection.get_raw_connection()
        if raw.driver_connection is not None:
            raw.driver_connection.terminate()
        await connection.invalidate()
        raise


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DatabaseUnavailableError(f"postgresql gave no answer within {TRANSACTION_SECONDS:g} s") from error
    except (PoolTimeoutError, OSError) as error:
        raise DatabaseUnavailableError(f"postgresql is unavailable: {error}") from error
    except DBAPIError as error:
        if not _passes(error):
            raise
        raise DatabaseUnavailableError(f"postgresql is unavailable: {error.orig}") from error


def _passes(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES
