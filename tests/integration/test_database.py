"""Transactions on the record: their lock, their end, and a server that goes away or hangs."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from activities.database import Database, DatabaseUnavailableError, lock_key
from deploy import unprivileged
from deploy.dev import PostgresServer

ACTIVITY_SECONDS = 3.0  # what a local activity has in all


@pytest.fixture(name="postgres", scope="module")
def _postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this module's own: its tests stop it."""
    home = Path(tempfile.mkdtemp(prefix="countersign-")).resolve()
    unprivileged.admit(home)
    server = PostgresServer(home / "postgres", durable=False, temporary=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(name="url")
def _url(postgres: PostgresServer) -> str:
    return f"postgresql://postgres@/postgres?host={postgres.socket_dir}&port={postgres.port}"


@pytest.fixture(name="database")
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS public.note"))
        await connection.execute(text("CREATE TABLE public.note (id integer PRIMARY KEY)"))
    yield database
    await database.close()


WRITE = text("INSERT INTO public.note VALUES (:id)")


async def notes(database: Database) -> list[int]:
    async with database.snapshot() as connection:
        return list((await connection.scalars(text("SELECT id FROM public.note ORDER BY id"))).all())


async def write(database: Database, number: int) -> None:
    async with database.transaction("p-1") as connection:
        await connection.execute(WRITE, {"id": number})


async def test_a_block_that_ends_is_committed(database: Database) -> None:
    """What a transaction wrote is there for the next one."""
    await write(database, 1)

    assert await notes(database) == [1]


async def test_a_block_that_raises_is_rolled_back(database: Database) -> None:
    """Nothing of a transaction that raised is kept, and its connection serves the next one."""

    async def fail(number: int) -> None:
        async with database.transaction("p-1") as connection:
            await connection.execute(WRITE, {"id": number})
            raise LookupError

    for number in range(6):
        with pytest.raises(LookupError):
            await fail(number)

    assert await notes(database) == []


async def test_a_violated_constraint_stays_what_it_is(database: Database) -> None:
    """A fault of the statement is not taken for an unavailable database."""
    await write(database, 1)

    with pytest.raises(IntegrityError):
        await write(database, 1)
    assert await notes(database) == [1]


async def test_a_swallowed_failure_does_not_pass_for_a_commit(database: Database) -> None:
    """A block that goes on after a failed statement raises, because PostgreSQL committed nothing."""
    await write(database, 1)

    async def go_on() -> None:
        async with database.transaction() as connection:
            await connection.execute(WRITE, {"id": 2})
            with contextlib.suppress(IntegrityError):
                await connection.execute(WRITE, {"id": 1})

    with pytest.raises(RuntimeError, match="nothing was committed"):
        await go_on()
    assert await notes(database) == [1]


async def test_a_commit_is_durable_whatever_a_database_is_set_to(database: Database, url: str) -> None:
    """What was committed outlives a crash of the server, even where somebody turned that off for the database."""
    async with database.transaction() as connection:
        await connection.execute(text("ALTER DATABASE postgres SET synchronous_commit = off"))
    later = Database(url)

    async with later.transaction() as connection:
        found = (await connection.execute(text("SELECT pg_catalog.current_setting('synchronous_commit')"))).scalar()
        await connection.execute(text("ALTER DATABASE postgres RESET synchronous_commit"))
    await later.close()

    assert found == "on"


async def test_a_savepoint_lets_a_block_go_on(database: Database) -> None:
    """A failure inside a savepoint takes back the savepoint only."""
    await write(database, 1)

    async with database.transaction() as connection:
        await connection.execute(WRITE, {"id": 2})
        with pytest.raises(IntegrityError):
            async with connection.begin_nested():
                await connection.execute(WRITE, {"id": 1})

    assert await notes(database) == [1, 2]


async def test_a_snapshot_cannot_write(database: Database) -> None:
    """A snapshot refuses to write."""
    with pytest.raises((DBAPIError, DatabaseUnavailableError), match="read-only transaction"):
        async with database.snapshot() as connection:
            await connection.execute(WRITE, {"id": 1})


async def test_a_snapshot_sees_one_state(database: Database) -> None:
    """What is committed during a snapshot is not seen in it."""
    async with database.snapshot() as connection:
        before = (await connection.scalars(text("SELECT count(*) FROM public.note"))).one()
        await write(database, 1)
        after = (await connection.scalars(text("SELECT count(*) FROM public.note"))).one()

    assert (before, after) == (0, 0)


async def test_transactions_of_one_proposal_wait_for_each_other(database: Database) -> None:
    """Two transactions of one proposal never overlap; those of another proposal do."""
    inside: set[str] = set()
    overlaps: set[tuple[str, ...]] = set()

    async def work(proposal_id: str, name: str) -> None:
        async with database.transaction(proposal_id) as connection:
            inside.add(name)
            await connection.execute(text("SELECT pg_sleep(0.05)"))
            overlaps.add(tuple(sorted(inside)))
            inside.remove(name)

    await asyncio.gather(work("p-1", "first"), work("p-1", "second"), work("p-2", "other"))

    assert not any({"first", "second"} <= set(names) for names in overlaps)
    assert any("other" in names and len(names) == 2 for names in overlaps)


async def test_the_lock_is_the_proposals(database: Database) -> None:
    """The advisory lock that a transaction holds is the one of `lock_key`."""
    async with database.transaction("p-1") as connection:
        held = (
            await connection.scalars(
                text(
                    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks"
                    " WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
                )
            )
        ).all()

    assert [lock_key("p-1")] == list(held)


async def test_more_transactions_than_connections_wait_for_one(database: Database) -> None:
    """Fifty transactions at once pass through five connections."""
    await asyncio.gather(*(write(database, number) for number in range(50)))

    assert len(await notes(database)) == 50


async def test_a_restart_of_the_server_is_not_noticed(database: Database, postgres: PostgresServer) -> None:
    """Connections that the server closed while nobody used them are replaced before anything is sent."""
    await asyncio.gather(*(write(database, number) for number in range(5)))
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)

    await asyncio.gather(*(write(database, number) for number in range(5, 15)))

    assert await notes(database) == list(range(15))


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_goes_away_is_unavailable_and_comes_back(
    database: Database, postgres: PostgresServer, end: str
) -> None:
    """A transaction that the server cut off is unavailable, so is one without a server; the next one succeeds."""

    async def lose_the_server() -> None:
        async with database.transaction("p-1") as connection:
            await connection.execute(WRITE, {"id": 1})
            await asyncio.to_thread(postgres.stop if end == "stop" else postgres.kill)
            await connection.execute(WRITE, {"id": 2})

    with pytest.raises(DatabaseUnavailableError):
        await lose_the_server()
    with pytest.raises(DatabaseUnavailableError, match="cannot connect to postgresql"):
        await write(database, 3)

    await asyncio.to_thread(postgres.start)
    await write(database, 4)

    assert await notes(database) == [4]


async def test_a_server_cut_off_before_the_commit_is_unavailable(database: Database, postgres: PostgresServer) -> None:
    """A commit that cannot be sent is unavailable and stores nothing."""

    async def lose_the_server() -> None:
        async with database.transaction("p-1") as connection:
            await connection.execute(WRITE, {"id": 1})
            await asyncio.to_thread(postgres.kill)

    with pytest.raises(DatabaseUnavailableError):
        await lose_the_server()
    await asyncio.to_thread(postgres.start)

    assert await notes(database) == []


async def test_a_server_that_hangs_is_unavailable_within_an_activity(database: Database, url: str) -> None:
    """A statement that is never answered ends within the three seconds of a local activity, and its pool goes on."""
    stopped: list[int] = []

    async def ask_nobody() -> None:
        async with database.transaction("p-1") as connection:
            stopped.extend((await connection.scalars(text("SELECT pg_backend_pid()"))).all())
            os.kill(stopped[0], signal.SIGSTOP)
            await connection.execute(WRITE, {"id": 1})

    started = time.monotonic()
    try:
        with pytest.raises(DatabaseUnavailableError, match="no answer within"):
            await ask_nobody()
        taken = time.monotonic() - started
    finally:
        os.kill(stopped[0], signal.SIGCONT)

    assert taken < ACTIVITY_SECONDS
    await write(database, 2)
    assert await notes(database) == [2]


async def test_a_lock_that_is_not_given_back_is_unavailable(database: Database) -> None:
    """Who waits for a proposal's lock gives up within the three seconds of a local activity."""
    release = asyncio.Event()
    taken = asyncio.Event()

    async def hold() -> None:
        async with database.transaction("p-1"):
            taken.set()
            await release.wait()

    holder = asyncio.create_task(hold())
    await taken.wait()
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        await asyncio.gather(holder, write(database, 1))
    assert time.monotonic() - started < ACTIVITY_SECONDS
    release.set()
    await asyncio.gather(holder, return_exceptions=True)


async def test_a_cancelled_transaction_leaves_nothing(database: Database) -> None:
    """A transaction that is cancelled in the middle stores nothing and gives its lock back."""
    inside = asyncio.Event()

    async def wait() -> None:
        async with database.transaction("p-1") as connection:
            await connection.execute(WRITE, {"id": 1})
            inside.set()
            await connection.execute(text("SELECT pg_sleep(1)"))

    task = asyncio.create_task(wait())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await write(database, 2)
    assert await notes(database) == [2]


async def test_a_port_where_nothing_answers_is_unavailable() -> None:
    """Connecting gives up within a second where nobody answers."""
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    database = Database(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
    started = time.monotonic()

    with pytest.raises(DatabaseUnavailableError, match="cannot connect to postgresql"):
        await write(database, 1)

    assert time.monotonic() - started < ACTIVITY_SECONDS / 2
    await database.close()
    silent.close()


async def test_an_unknown_database_is_unavailable(url: str) -> None:
    """A login that PostgreSQL refuses says why."""
    database = Database(url.replace("/postgres?", "/nowhere?"))

    with pytest.raises(DatabaseUnavailableError, match='cannot connect to postgresql: database "nowhere"'):
        await write(database, 1)
    await database.close()


def test_another_scheme_is_refused() -> None:
    """Only `postgresql://` addresses are accepted, without an echo of what else the address holds."""
    with pytest.raises(ValueError, match="scheme `mysql`: write postgresql://") as refused:
        Database("mysql://ana:secret@localhost/orders")
    assert "secret" not in str(refused.value)
