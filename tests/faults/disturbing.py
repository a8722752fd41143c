"""Faults that a worker lives on with, each once, at a point of `crashing.py`.

- `fail:ACTIVITY:N`: its N-th commit never reaches PostgreSQL; the connection ends instead.
- `lose:ACTIVITY:N`: PostgreSQL commits and the answer never comes.
- `slow:ACTIVITY:N`: the commit arrives late, later than a local activity may run.
- `twice:ACTIVITY:N`: the activity runs again, with the same request, after it had answered.

Of `effect` and `undo` the first three are made where the adapter is called, and of `anchor` all four where the copy
outside the record is.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import temporalio.worker as sdk
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Interceptor

from activities.anchor import FileAnchor
from activities.executors.base import (
    EffectUnknownError,
    Executor,
    Inquiry,
    Order,
    ProbeOrder,
    Seen,
    Supports,
    TargetUnreachableError,
)
from policy.anchoring import AnchorError
from policy.targets import ResolvedTarget
from tests.integration.executors.lossy import LossyWay

# Longer than a local activity has, shorter than a transaction, a lease or the step of a test may take.
SLOW_SECONDS = 3.5
_NEXT = 2


class Points(Protocol):
    """Where something happens; `crashing.Crash` is one."""

    def reach(self, what: str) -> None:
        """A point at which the process may die."""

    def meets(self, what: str) -> bool:
        """Whether a fault is to happen at this point."""


async def disturb_commit(points: Points, way: LossyWay, connection: AsyncConnection, name: str) -> None:
    """Arrange that the commit which follows on this connection goes wrong, where that is its turn."""
    marker = f"1 -- the next one of {name}"
    if points.meets(f"fail:{name}"):
        way.cut(marker, _NEXT)
    elif points.meets(f"lose:{name}"):
        way.lose(marker, _NEXT)
    elif points.meets(f"slow:{name}"):
        way.hold(marker, SLOW_SECONDS, _NEXT)
    else:
        return
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    # A request of its own: nothing but a comment has no answer that asyncpg could read.
    await driver.execute(f"SELECT {marker}")


def disturbs_commit(point: str) -> bool:
    """Whether a point is a commit to the record that goes wrong, not one at which a worker dies."""
    when, _, what = point.partition(":")
    return when in ("fail", "lose", "slow") and what not in ("effect", "undo", "anchor")


class Disturbed:
    """An executor before its target; what goes wrong is between the two."""

    def __init__(self, executor: Executor, points: Points) -> None:
        self._executor = executor
        self._points = points

    @property
    def name(self) -> str:
        return self._executor.name

    @property
    def supports(self) -> Supports:
        return self._executor.supports

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        return await self._executor.resolve(inquiry)

    async def execute(self, order: Order) -> None:
        kind = "undo" if order.direction == "undo" else "effect"
        self._points.reach(f"before:{kind}")
        if self._points.meets(f"fail:{kind}"):
            raise TargetUnreachableError("nothing answers there")
        if self._points.meets(f"slow:{kind}"):
            await asyncio.sleep(SLOW_SECONDS)
        await self._executor.execute(order)
        self._points.reach(f"after:{kind}")
        if self._points.meets(f"lose:{kind}"):
            raise EffectUnknownError("sent, and no answer came")

    async def dry_run(self, order: Order) -> str:
        return await self._executor.dry_run(order)

    async def observe(self, order: Order) -> Seen:
        return await self._executor.observe(order)

    async def measure(self, order: ProbeOrder) -> Any:
        return await self._executor.measure(order)


class DisturbedAnchor(FileAnchor):
    """The copy outside the record; what goes wrong is what an activity keeps there."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(path)
        self._points = points

    async def change(self, step: Callable[[bytes | None], bytes | None]) -> None:
        if not activity.in_activity():
            await super().change(step)
            return
        self._points.reach("before:anchor")
        if self._points.meets("fail:anchor"):
            raise AnchorError("the disk is full")
        if self._points.meets("slow:anchor"):
            await asyncio.sleep(SLOW_SECONDS)
        await super().change(step)
        if self._points.meets("twice:anchor"):
            await super().change(step)
        self._points.reach("after:anchor")
        if self._points.meets("lose:anchor"):
            raise AnchorError("it cannot be said whether it was kept")


class Twice(Interceptor, sdk.Interceptor):
    """Has an activity run again with the same request, as a server does that lost its answer."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def intercept_activity(self, next: sdk.ActivityInboundInterceptor) -> sdk.ActivityInboundInterceptor:  # noqa: A002
        return _Again(next, self._points)


class _Again(sdk.ActivityInboundInterceptor):
    def __init__(self, inner: sdk.ActivityInboundInterceptor, points: Points) -> None:
        super().__init__(inner)
        self._points = points

    async def execute_activity(self, input: sdk.ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        answer = await super().execute_activity(input)
        if self._points.meets(f"twice:{activity.info().activity_type}"):
            return await super().execute_activity(input)
        return answer


def socket_of(url: str) -> str:
    """The socket of a PostgreSQL server, of a URL that leads to it."""
    given = parse_qs(urlsplit(url).query)
    return f"{given['host'][0]}/.s.PGSQL.{given['port'][0]}"


def by_way(url: str, port: int) -> str:
    """The same database by a port of loopback."""
    parts = urlsplit(url)
    return f"postgresql://{unquote(parts.username or '')}@127.0.0.1:{port}{parts.path}?sslmode=disable"
