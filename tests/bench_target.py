"""A target that counts: each effect is a row in a real database, so that a test can ask the target what was done."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import asyncpg

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
)
from policy.targets import ResolvedTarget

Behaviour = Literal["refuse", "hang", "fail", "lose", "mute", "break"]
TABLE = """
CREATE TABLE effect (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  permit_id uuid NOT NULL, direction text NOT NULL, operation text NOT NULL, key text NOT NULL
)
"""


class BenchExecutor:
    """Writes a row for each order, then does what a test told it for that operation and key.

    refuse: nothing is written. hang: waits before it writes, until `go_on`. fail: written, and went wrong. lose:
    written, and nobody knows, nor can anybody see it. mute: written, without an answer, and it can be seen. break:
    written, and the adapter has a fault, which keeps it from looking, too. A dry run is noted and writes nothing; told
    to refuse or hang it does that, told anything else it breaks.
    """

    name = "bench"
    supports = Supports(
        operations=frozenset(),
        probes=frozenset({"bench.count"}),
        stops_within=timedelta(seconds=1),
        observes="by_key",
        dry_runs=frozenset({"bench.touch", "bench.set", "bench.unset", "bench.put", "bench.press"}),
        resolves=frozenset({"bench.sweep", "bench.mop", "bench.unsweep"}),
    )

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self.behaviour: dict[tuple[str, str], Behaviour] = {}
        self.rehearsed: list[tuple[str, str]] = []
        self.begun: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.go_on: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.there: dict[str, Sequence[ResolvedTarget] | Exception] = {}
        self.asked: list[Inquiry] = []
        self.touched: list[tuple[str, tuple[str, ...]]] = []

    async def execute(self, order: Order) -> None:
        order.check_real()
        key = str(order.parameters["key"])
        behaviour = self.behaviour.get((order.operation, key))
        self.begun[key].set()
        if behaviour == "refuse":
            raise PreconditionFailedError("refused on purpose")
        if behaviour == "hang":
            await self.go_on[key].wait()
        if order.targets:
            self.touched.append(
                (f"{order.direction} {order.operation} {key}", tuple(item.id for item in order.targets))
            )
        row = (order.permit_id, str(order.direction), order.operation, key)
        await self._pool.execute(
            "INSERT INTO effect (permit_id, direction, operation, key) VALUES ($1, $2, $3, $4)", *row
        )
        match behaviour:
            case "fail":
                raise ExecutorError("failed on purpose")
            case "lose" | "mute":
                raise EffectUnknownError("lost on purpose")
            case "break":
                raise RuntimeError("broken on purpose")

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """What a test put there under the key, of what it sweeps; else one thing, which has the name of the key."""
        self.asked.append(inquiry)
        if inquiry.operation not in self.supports.resolves:
            raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")
        key = str(inquiry.parameters["key"])
        found = self.there.get(key, (ResolvedTarget(id=key, resource=inquiry.resources[0], version="1", units=1),))
        if isinstance(found, Exception):
            raise found
        return tuple(found)

    async def dry_run(self, order: Order) -> str:
        key = str(order.parameters["key"])
        behaviour = self.behaviour.get((order.operation, key))
        self.begun[key].set()
        if behaviour == "refuse":
            raise PreconditionFailedError("refused on purpose")
        if behaviour == "hang":
            await self.go_on[key].wait()
        elif behaviour is not None:
            raise RuntimeError("broken on purpose")
        self.rehearsed.append((f"{order.direction} {order.operation}", key))
        return f"would {order.operation}"

    async def observe(self, order: Order) -> Seen:
        if self.behaviour.get((order.operation, str(order.parameters["key"]))) in ("lose", "break"):
            return "unknown"
        found = await self._pool.fetchval("SELECT count(*) FROM effect WHERE permit_id = $1", order.permit_id)
        return "done" if found else "none"

    async def measure(self, order: ProbeOrder) -> Any:
        if order.probe != "bench.count":
            raise ProbeError(f"probe {order.probe} is not here")
        return len([each for each in await self.effects(str(order.parameters["key"])) if each.startswith("do")])

    def rehearsals(self, key: str) -> list[str]:
        """What was rehearsed under a key, in order: direction and operation."""
        return [what for what, of in self.rehearsed if of == key]

    async def effects(self, key: str) -> list[str]:
        """What was done under a key, in order: direction and operation."""
        rows = await self._pool.fetch("SELECT direction, operation FROM effect WHERE key = $1 ORDER BY number", key)
        return [f"{row['direction']} {row['operation']}" for row in rows]
