"""The target of every benchmark: a table of its own database, one row an effect.

The bare activity and our executor do the same insert through the same pool, so that what differs is not the effect.
"""

import time
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
from pydantic import JsonValue
from temporalio import activity

from activities.executors.base import (
    EffectUnknownError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
)
from bench.bare import EFFECT, ONE_COMMIT
from policy.targets import ResolvedTarget

DATABASE = "bench_target"
TABLE = "CREATE TABLE effect (what text PRIMARY KEY)"
OPERATION, PROBE, NAME = "bench.insert", "bench.rows", "bench"
# The same, of which the executor says before what it would touch.
FOUND = "bench.insert_found"
# The same again, registered as if it only read: nothing is reserved for it.
FREE = "bench.insert_free"
# And one that is undone by the one below.
UNDOABLE = "bench.insert_undoable"
DELETE = "bench.delete"
_INSERT = "INSERT INTO effect (what) VALUES ($1)"
_DELETE = "DELETE FROM effect WHERE what = $1"
_COUNT = "SELECT count(*) FROM effect WHERE what = $1"

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class BareActivities:
    """The activities of the bare workflows."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn(name=EFFECT)
    async def effect(self, what: str, commits: int) -> None:
        """Insert a row, and further rows in transactions of their own until `commits` are done."""
        for number in range(commits):
            await self._pool.execute(_INSERT, what if number == 0 else f"{what}/{number}")

    @activity.defn(name=ONE_COMMIT)
    async def one_commit(self, what: str) -> None:
        await self._pool.execute(_INSERT, what)


class InsertExecutor:
    """Inserts one row under a permit, and reads it back."""

    name = NAME
    supports = Supports(
        frozenset({OPERATION, FOUND, FREE, UNDOABLE, DELETE}),
        frozenset({PROBE}),
        timedelta(seconds=1),
        observes="by_effect",
        resolves=frozenset({FOUND}),
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # When a row was last read, and when its undo began, by what it is; seconds of `time.perf_counter`.
        self.read_at: dict[str, float] = {}
        self.undo_began: dict[str, float] = {}

    async def execute(self, order: Order) -> None:
        what = str(order.parameters["what"])
        if order.operation == DELETE:
            self.undo_began.setdefault(what, time.perf_counter())
        try:
            await self._pool.execute(_DELETE if order.operation == DELETE else _INSERT, what)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise EffectUnknownError(str(error)) from error

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """The one row that it would insert, of what it looks for; else it acts on what the catalog names."""
        if inquiry.operation not in self.supports.resolves:
            raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")
        return (ResolvedTarget(id=str(inquiry.parameters["what"]), resource=inquiry.resources[0]),)

    async def dry_run(self, order: Order) -> str:
        raise PreconditionFailedError(f"{order.operation} is not rehearsed here")

    async def observe(self, order: Order) -> Seen:
        return "done" if await self._count(order.parameters["what"]) else "none"

    async def measure(self, order: ProbeOrder) -> Any:
        if order.probe != PROBE:
            raise ProbeError(f"probe {order.probe} on {order.resource} is not {PROBE}")
        value = await self._count(order.parameters["what"])
        self.read_at[str(order.parameters["what"])] = time.perf_counter()
        return value

    async def _count(self, what: JsonValue) -> Any:
        return await self._pool.fetchval(_COUNT, what)
