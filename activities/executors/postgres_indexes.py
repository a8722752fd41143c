"""Index maintenance without locking out writers: create, drop and rebuild an index, CONCURRENTLY.

1. An order describes its index by table, columns, method and uniqueness; what is there is dropped only where it is
   exactly that and nothing depends on it. So the approved undo, which has to describe the same index, makes the same
   again, and no definition is ever taken over as text.
2. CONCURRENTLY is several transactions: whatever cuts it short may leave an index that slows writes down and serves no
   query. After every statement that did not end well the executor looks, and says what is there: nothing was done; an
   invalid index was left, by name, which the undo removes; or it cannot tell.
3. A stop takes effect within: a second session of the same role cancels the statement, and then it looks.
4. The undo of a step that was cut short takes away what is invalid first. Done twice it leaves what done once leaves.
5. The version is looked at before the statement and not with it: what the owner of the table changes in between is
   refused by the server (a name that is taken or gone), or it is another owner's doing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Order,
    PreconditionFailedError,
    Seen,
    TargetCredentials,
)
from activities.executors.postgres_index_facts import (
    Index,
    Table,
    Wanted,
    absent_version,
    id_in,
    read_index,
    read_table,
    split,
)
from activities.executors.postgres_probes import text
from activities.executors.postgres_session import (
    FAILURES,
    Session,
    application_name,
    before_effect,
    reading_session,
    say,
    session,
)
from activities.executors.postgres_targets import check_target
from policy.permit import Direction

_LOOK_SECONDS = 10.0  # of the permitted time, kept to look at what a statement left
_END_SECONDS = 5.0
_LEAST_SECONDS = 1.0
_CREATE = """
SELECT format('CREATE %sINDEX CONCURRENTLY %I ON %I.%I USING %I (%s)', CASE WHEN $5 THEN 'UNIQUE ' ELSE '' END,
  $2::text, n.nspname, t.relname, m.amname, (SELECT string_agg(format('%I', a.attname), ', ' ORDER BY c.place)
    FROM unnest($3::text[]) WITH ORDINALITY AS c(name, place) JOIN pg_attribute AS a
      ON a.attrelid = t.oid AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace, pg_am AS m
WHERE t.oid = $1::bigint::oid AND m.amname = $4 AND m.amtype = 'i'
"""
_NAMED = """
SELECT format('{} INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint::oid
"""
_CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE pid = $1 AND application_name = $2 AND usename = session_user
"""
_RUNS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND state IS DISTINCT FROM 'idle')"


@dataclass(frozen=True)
class _There:
    """What is there of an index, and which indexes of its table are invalid."""

    index: Index | None
    invalid: frozenset[str]

    @property
    def state(self) -> tuple[int, bool] | None:
        return (self.index.oid, self.index.valid) if self.index is not None else None


class Indexes:
    """The index operations on one resource, under one order.

    Args:
        credentials: where resources answer.
        resource: which one.
        order: what to do.
    """

    def __init__(self, credentials: TargetCredentials, resource: str, order: Order) -> None:
        self._credentials = credentials
        self._resource = resource
        self._order = order

    async def create(self) -> None:
        """Create the index that the order describes, or create it again.

        Raises:
            ExecutorError: see `Executor.execute`.
        """
        wanted, undoes = Wanted.of(self._order.parameters), self._order.direction is Direction.undo
        async with self._acting() as acting:
            table, index = await self._described(acting, wanted)
            if index is not None and not undoes:
                raise PreconditionFailedError(f"index {index.id} exists and is {_health(index)}: nothing was done")
            if index is not None and index.valid:
                return
            if index is not None:
                await self._run(acting, await _drop(acting, index), table, wanted.name)
            statement = await _create(acting, table, wanted)
            await self._run(acting, statement, table, wanted.name)

    async def drop(self) -> None:
        """Drop the index that the order describes.

        Raises:
            ExecutorError: see `Executor.execute`.
        """
        wanted, undoes = Wanted.of(self._order.parameters), self._order.direction is Direction.undo
        async with self._acting() as acting:
            table, index = await self._described(acting, wanted)
            if index is None and undoes:
                return
            if index is None:
                raise PreconditionFailedError(f"there is no index {wanted.name} on {table.id}")
            await self._run(acting, await _drop(acting, index), table, wanted.name)

    async def reindex(self) -> None:
        """Build an index anew.

        Raises:
            ExecutorError: see `Executor.execute`.
        """
        schema, name = split(text(self._order.parameters, "index"))
        async with self._acting() as acting:
            with before_effect("reading the index"):
                index = await read_index(acting, name, schema)
                if index is None:
                    raise PreconditionFailedError(f"there is no index {name}")
                table = await read_table(acting, index.table_name, index.table_schema)
                statement = str(await acting.fetchval(_NAMED.format("REINDEX"), index.oid))
            check_target(self._order, index.id, index.version)
            await self._run(acting, statement, table, name)

    async def _described(self, acting: Session, wanted: Wanted) -> tuple[Table, Index | None]:
        """The table, and the index where there is one; checked against the order's target and description."""
        with before_effect("reading the index"):
            table = await read_table(acting, wanted.table, wanted.table_schema)
            wanted.check_table(table)
            index = await read_index(acting, wanted.name, table.schema)
            ident = await id_in(acting, table, wanted.name)
        check_target(self._order, ident, index.version if index is not None else absent_version(table))
        if index is not None and not wanted.fits(index, table):
            raise PreconditionFailedError(f"index {index.id} is another than approved: {index.definition}"[:400])
        return table, index

    def _acting(self) -> "contextlib.AbstractAsyncContextManager[Session]":
        seconds = self._order.timeout.total_seconds()
        most = max(_LEAST_SECONDS, seconds - _LOOK_SECONDS, seconds / 2)
        return session(self._credentials, self._resource, permit_id=self._order.permit_id, statement_seconds=most)

    async def _run(self, acting: Session, statement: str, table: Table, name: str) -> None:
        """Carry a statement out; where it did not end well, look what it left."""
        with before_effect("reading the index"):
            before = await _there(acting, table, name)
        if self._order.stop.is_set():
            raise PreconditionFailedError("stopped before it acted")
        try:
            await self._stoppable(acting, statement)
        except FAILURES as error:
            await self._left(say(error), before, table, name, error)

    async def _stoppable(self, acting: Session, statement: str) -> None:
        """Carry a statement out until it ends, or until it is told to stop and has been cancelled."""
        running = asyncio.ensure_future(acting.execute(statement))
        stopping = asyncio.ensure_future(self._order.stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await self._cancel(acting.get_server_pid())
                await asyncio.wait({running}, timeout=_END_SECONDS)
            if not running.done():
                raise EffectUnknownError(f"told to stop, and not ended {_END_SECONDS:g} s later")
            await running
        finally:
            for task in (running, stopping):
                task.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)

    async def _cancel(self, process: int) -> None:
        async with self._looking() as other:
            with contextlib.suppress(*FAILURES):
                await other.fetchval(_CANCEL, process, application_name(self._order.permit_id))

    async def _left(self, why: str, before: _There, table: Table, name: str, cause: BaseException) -> None:
        """Say what a statement left that did not end well.

        Raises:
            PreconditionFailedError: nothing.
            ExecutorError: an invalid index, by its name.
            EffectUnknownError: it goes on, it was carried out without an answer, or it cannot be seen.
        """
        try:
            async with self._looking() as looking:
                runs = await looking.fetchval(_RUNS, application_name(self._order.permit_id))
                after = await _there(looking, table, name)
        except (*FAILURES, PreconditionFailedError) as error:
            raise EffectUnknownError(f"{why}; what it left cannot be seen: {say(error)}") from cause
        left = sorted(after.invalid - before.invalid)
        if runs:
            raise EffectUnknownError(f"{why}; it still runs at the server") from cause
        if left:
            names = ", ".join(left)[:300]
            raise ExecutorError(f"{why}; it left invalid: {names}; they slow writes down until dropped") from cause
        if after.state == before.state:
            raise PreconditionFailedError(f"{why}; nothing was done") from cause
        shown = f"is there and {_health(after.index)}" if after.index is not None else "is gone"
        raise EffectUnknownError(f"{why}; index {name} {shown}") from cause

    def _looking(self) -> "contextlib.AbstractAsyncContextManager[Session]":
        """A second session of the role that acts, which alone may cancel what it does."""
        return session(self._credentials, self._resource, read_only=True)


async def observe(credentials: TargetCredentials, resource: str, order: Order) -> Seen:
    """Whether the target shows that an index order was carried out; unknown where anything of it is half done.

    Args:
        credentials: where resources answer.
        resource: which one.
        order: what was to be done.

    Raises:
        PreconditionFailedError: it cannot be looked at.
    """
    async with reading_session(credentials, resource) as reading:
        with before_effect("looking at the index"):
            if await reading.fetchval(_RUNS, application_name(order.permit_id)):
                return "unknown"
            return await _OBSERVATIONS[order.operation](reading, order)


async def _observe_create(reading: Session, order: Order) -> Seen:
    wanted = Wanted.of(order.parameters)
    table = await read_table(reading, wanted.table, wanted.table_schema)
    index = await read_index(reading, wanted.name, table.schema)
    if index is None:
        return "none"
    return "done" if index.valid and wanted.fits(index, table) else "unknown"


async def _observe_drop(reading: Session, order: Order) -> Seen:
    wanted = Wanted.of(order.parameters)
    table = await read_table(reading, wanted.table, wanted.table_schema)
    index = await read_index(reading, wanted.name, table.schema)
    if index is None:
        return "done"
    return "none" if index.valid else "unknown"


async def _observe_reindex(reading: Session, order: Order) -> Seen:
    schema, name = split(text(order.parameters, "index"))
    index = await read_index(reading, name, schema)
    was = order.targets[0].version if order.targets else None
    if index is None or was is None:
        return "unknown"
    if index.version == was:
        return "none"
    # A rebuilt index has another number than the one that was resolved, and the same definition.
    (number, _, definition), now = was.split(" "), index.version.split(" ")
    return "done" if index.valid and now[0] != number and now[2] == definition else "unknown"


_OBSERVATIONS: dict[str, Callable[[Session, Order], Awaitable[Seen]]] = {
    "postgres.index.create": _observe_create,
    "postgres.index.drop": _observe_drop,
    "postgres.index.reindex": _observe_reindex,
}
Act: TypeAlias = Callable[[Indexes], Awaitable[None]]
INDEX_OPERATIONS: dict[str, Act] = {
    "postgres.index.create": Indexes.create,
    "postgres.index.drop": Indexes.drop,
    "postgres.index.reindex": Indexes.reindex,
}


async def _create(acting: Session, table: Table, wanted: Wanted) -> str:
    with before_effect("quoting"):
        made = (table.oid, wanted.name, list(wanted.columns), wanted.method, wanted.is_unique)
        statement = await acting.fetchval(_CREATE, *made)
    if statement is None:
        raise PreconditionFailedError(f"the server has no index method {wanted.method}")
    return str(statement)


async def _drop(acting: Session, index: Index) -> str:
    with before_effect("quoting"):
        return str(await acting.fetchval(_NAMED.format("DROP"), index.oid))


async def _there(reading: Session, table: Table, name: str) -> _There:
    now = await read_table(reading, table.name, table.schema)
    return _There(await read_index(reading, name, table.schema), frozenset(now.invalid))


def _health(index: Index) -> str:
    return "valid" if index.valid else "invalid: queries do not use it, writes keep it up"
