"""PostgreSQL: the executor changes a server parameter of a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg

from activities.executors.base import Order, TargetCredentials
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from deploy.orders import prepare_orders
from policy.permit import Direction
from tests.integration.executors.harness import Harness

RESOURCE = "postgres/orders"
NAME = "idle_in_transaction_session_timeout"


class PostgresHarness(Harness):
    """Each order raises the parameter by one, so that it counts its effects."""

    def __init__(self, stack: Stack) -> None:
        self._fresh = stack.database_url("postgres", "orders")
        self._urls = {RESOURCE: stack.database_url("orders_operator", "orders")}
        self._executor = PostgresExecutor(TargetCredentials(self._urls))
        self._next = 1000

    @property
    def executor(self) -> PostgresExecutor:
        return self._executor

    async def order(self, permit_id: str) -> Order:
        expected = await self._value()
        self._next = max(self._next, 1000 + await self.effects()) + 1
        parameters = {"name": NAME, "value": f"{self._next}ms", "expected": expected}
        return Order(permit_id, Direction.do, "postgres.parameter.set", parameters, (RESOURCE,), timedelta(seconds=30))

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "expected": "17ms"})

    def undo(self, order: Order) -> Order | None:
        parameters = {"name": NAME, "value": order.parameters["expected"]}
        return replace(order, permit_id="undo", direction=Direction.undo, parameters=parameters)

    async def state(self) -> object:
        return await self._value()

    async def effects(self) -> int:
        value = await self._value()
        return 0 if value == "0" else int(value.removesuffix("ms")) - 1000

    async def _value(self) -> str:
        # An old session may not have seen the last reload yet.
        session = await asyncpg.connect(self._fresh)
        value = await session.fetchval("SELECT current_setting($1)", NAME)
        await session.close()
        return str(value)

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        url, self._urls[RESOURCE] = self._urls[RESOURCE], "postgresql://orders_operator@/orders?host=/no&port=1"
        yield
        self._urls[RESOURCE] = url


@asynccontextmanager
async def postgres(stack: Stack) -> AsyncIterator[Harness]:
    """The executor before the database of the orders."""
    await prepare_orders(stack.database_url("postgres", "postgres"))
    superuser = await asyncpg.connect(stack.database_url("postgres", "orders"))
    await superuser.execute("ALTER SYSTEM RESET ALL")
    try:
        yield PostgresHarness(stack)
    finally:
        await superuser.execute("ALTER SYSTEM RESET ALL")
        await superuser.execute("SELECT pg_reload_conf()")
        await superuser.close()
