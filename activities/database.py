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
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from activities.telemetry import counted

TRANSACTION_SECONDS = 2.5
_CONNECT_SECONDS = 1.0
_STATEMENT_SECONDS = 2.0
# A worker that stopped in the middle of a transaction must not keep a proposal locked.
_IDLE_IN_TRANSACTION_SECONDS = 10.0

# Classes: connection, resources, operator intervention, system. States: serialization failure, deadlock, lock not
# available, idle transaction ended, read-only (a standby after a failover).
_PASSING_CLASSES = ("08", "53", "57", "58")
_PASSING_STATES = ("40001", "40P01", "55P03", "25P03", "25006")

_OWNS = text("SELECT pg_has_role(current_user, nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'countersign'")

_Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class DatabaseUnavailableError(Exception):
    """The record could not be reached, or did not answer in time; nothing is wrong with the request: try it again."""


class Database:
    """The record, through a small pool of connections.

    Args:
        url: `postgresql://` address as libpq writes it: `?host=/directory` for a unix socket, `sslmode`, several hosts.
        pool_size: the most connections held open; further transactions wait for one, in order of arrival.
        application: what PostgreSQL shows as `application_name`.

    Raises:
        ValueError: the url is not a `postgresql://` address.

    """

    def __init__(self, url: str, *, pool_size: int = 5, application: str = "countersign") -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connector(url, application=application),
            isolation_level="AUTOCOMMIT",  # `_begun` begins and ends transactions itself
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=TRANSACTION_SECONDS,
            pool_use_lifo=True,
            pool_reset_on_return=None,
        )
        # The pool's own queue sends a waiter to its end again whenever a newcomer was quicker: under load some starve.
        self._turns = asyncio.Semaphore(pool_size)
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        event.listen(self._engine.sync_engine, "invalidate", _terminate)

    @asynccontextmanager
    async def transaction(self, proposal_id: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block and rolls back when the block raises.

        Args:
            proposal_id: the proposal whose lock to take first; others that name it wait until this one ended.

        Raises:
            DatabaseUnavailableError: the record could not be reached or did not answer in time.
            RuntimeError: the block went on after a statement had failed, so that nothing was committed.

        """
        # One message to the server for both; a number of our own making needs no quoting.
        begin = "BEGIN" if proposal_id is None else f"BEGIN; SELECT pg_advisory_xact_lock({lock_key(proposal_id)})"
        async with counted(), self._begun(begin) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction in which every statement sees the same state.

        Raises:
            DatabaseUnavailableError: the record could not be reached or did not answer in time.

        """
        async with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            yield connection

    @asynccontextmanager
    async def _begun(self, begin: str) -> AsyncIterator[AsyncConnection]:
        with _named():
            async with asyncio.timeout(TRANSACTION_SECONDS), self._turns, self._engine.connect() as connection:
                driver = _driver(connection)
                try:
                    await driver.execute(begin)
                    yield connection
                    ended = await driver.execute("COMMIT")
                except (TimeoutError, asyncio.CancelledError):
                    await _abandon(connection)
                    raise
                except BaseException:
                    await _roll_back(connection, driver)
                    raise
        # PostgreSQL answers COMMIT with ROLLBACK, and no error, where an earlier statement had failed.
        if ended != "COMMIT":
            raise RuntimeError("the block went on after a failed statement, nothing was committed: let its error out")

    async def can_change_record(self) -> bool:
        """Whether the role that connects owns the record, can become its owner, or is a superuser.

        Raises:
            DatabaseUnavailableError: the record could not be reached or did not answer in time.

        """
        async with self.snapshot() as connection:
            return bool((await connection.execute(_OWNS)).scalar())

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._engine.dispose()


def lock_key(proposal_id: str) -> int:
    """The number of a proposal's advisory lock: the first eight bytes of SHA-256 of its id, signed."""
    return int.from_bytes(hashlib.sha256(proposal_id.encode()).digest()[:8], "big", signed=True)


def connector(
    url: str,
    *,
    application: str,
    connect_seconds: float = _CONNECT_SECONDS,
    statement_seconds: float = _STATEMENT_SECONDS,
) -> Callable[[], Any]:
    """What opens a connection with the record's settings, as SQLAlchemy's `async_creator` wants it.

    Args:
        url: `postgresql://` address; asyncpg reads it as libpq does, so it may say everything about TLS.
        application: what PostgreSQL shows as `application_name`.
        connect_seconds: how long an answer is waited for.
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
        # Every look-up has an index in the order of its answer: a plan that was made while a table was small must hold
        # when it is large, and no plan is worth making twice.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "plan_cache_mode": "force_generic_plan",
        # A claim that is lost after its effect is an effect without a claim: no role or database may set this lower.
        "synchronous_commit": "on",
    }

    async def connect() -> Any:
        try:
            return await asyncpg.connect(url, timeout=connect_seconds, server_settings=settings)
        except (OSError, asyncpg.PostgresError) as error:
            why = str(error) or f"no answer within {connect_seconds:g} s"
            raise DatabaseUnavailableError(f"cannot connect to postgresql: {why}") from error

    return connect


def _refuse_closed(dbapi_connection: Any, *_: Any) -> None:
    """Have the pool replace a connection that the server closed meanwhile, as after a restart; asks no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError


def _terminate(dbapi_connection: Any, *_: Any) -> None:
    """Drop a connection that the pool gives up, before it spends seconds on saying goodbye to a server that hangs."""
    dbapi_connection.driver_connection.terminate()


def _driver(connection: AsyncConnection) -> _Driver:
    assert connection.sync_connection is not None
    driver = connection.sync_connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    return driver


async def _roll_back(connection: AsyncConnection, driver: _Driver) -> None:
    """End the transaction; where that cannot be said to the server, ending the connection says it."""
    try:
        await driver.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await _abandon(connection)
    except asyncio.CancelledError:
        await _abandon(connection)
        raise


async def _abandon(connection: AsyncConnection) -> None:
    """Drop the connection at once: a server that hangs would not answer a ROLLBACK either."""
    if not connection.invalidated:
        await connection.invalidate()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DatabaseUnavailableError(f"postgresql gave no answer within {TRANSACTION_SECONDS:g} s") from error
    except (PoolTimeoutError, OSError) as error:
        raise DatabaseUnavailableError(f"postgresql is unavailable: {error}") from error
    except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if not _passes(error):
            raise
        why = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseUnavailableError(f"postgresql is unavailable: {why}") from error


def _passes(error: DBAPIError | asyncpg.PostgresError | asyncpg.InterfaceError) -> bool:
    if isinstance(error, DBAPIError):
        closed, source = error.connection_invalidated, error.orig
    else:
        closed, source = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error), error
    state = getattr(source, "sqlstate", None) or ""
    return closed or state[:2] in _PASSING_CLASSES or state in _PASSING_STATES
