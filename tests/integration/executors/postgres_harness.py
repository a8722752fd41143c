"""PostgreSQL: the executor before a real server, changing a parameter, ending sessions, and maintaining indexes."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from activities.executors.base import Inquiry, Order, TargetCredentials
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from deploy.orders import prepare_orders
from policy.permit import Direction
from tests.integration.executors.harness import Harness
from tests.integration.executors.lossy import LossyWay, lossy_way

RESOURCE = "postgres/orders"
NAME = "idle_in_transaction_session_timeout"
NOWHERE = "postgresql://orders_operator@/orders?host=/no&port=1"
TIMEOUT = timedelta(seconds=30)


class PostgresHarness(Harness):
    """The database of the orders. Every order has the targets that the executor itself resolved."""

    operation: str
    role = "orders_operator"
    # What the request contains whose answer is to be lost, and which request after it is the effect.
    lost: tuple[str, int]

    def __init__(self, stack: Stack, way: LossyWay, port: int) -> None:
        self._superuser_url = stack.database_url("postgres", "orders")
        self._urls = {RESOURCE: stack.database_url(self.role, "orders")}
        self._readers = {RESOURCE: stack.database_url("orders_reader", "orders")}
        self._by_way = f"postgresql://{self.role}@127.0.0.1:{port}/orders?sslmode=disable"
        self._app = stack.database_url("orders_app", "orders")
        self._way = way
        self._executor = PostgresExecutor(TargetCredentials(self._urls, self._readers))

    @property
    def executor(self) -> PostgresExecutor:
        return self._executor

    @abstractmethod
    async def parameters(self) -> Mapping[str, Any]:
        """What an order that fits now has."""

    async def order(self, permit_id: str) -> Order:
        return await self._order(permit_id, await self.parameters())

    async def inquiry(self) -> Inquiry | None:
        return self._inquiry(await self.parameters())

    async def fetch(self, query: str, *values: object) -> Any:
        """What a new session of the superuser reads: an old one may not have seen the last reload yet."""
        session = await asyncpg.connect(self._superuser_url)
        try:
            return await session.fetchval(query, *values)
        finally:
            await session.close()

    async def _order(self, permit_id: str, parameters: Mapping[str, Any]) -> Order:
        targets = await self._executor.resolve(self._inquiry(parameters))
        order = Order(permit_id, Direction.do, self.operation, parameters, (RESOURCE,), TIMEOUT)
        return replace(order, targets=targets)

    def _inquiry(self, parameters: Mapping[str, Any]) -> Inquiry:
        return Inquiry(self.operation, parameters, (RESOURCE,), "production")

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        was = self._urls[RESOURCE], self._readers[RESOURCE]
        self._urls[RESOURCE] = self._readers[RESOURCE] = NOWHERE
        yield
        self._urls[RESOURCE], self._readers[RESOURCE] = was

    @asynccontextmanager
    async def _losing(self) -> AsyncIterator[None]:
        was, self._urls[RESOURCE] = self._urls[RESOURCE], self._by_way
        self._way.lose(*self.lost)
        yield
        self._urls[RESOURCE] = was

    def lost_answer(self) -> Any:
        return self._losing()

    async def slow(self, permit_id: str) -> Order | None:
        """What is stopped before it acts; in the middle of it see `tests/integration/test_postgres_indexes.py`."""
        return await self.order(permit_id)


class Parameters(PostgresHarness):
    """Each order raises the parameter by one, so that it counts its effects."""

    operation = "postgres.parameter.set"
    lost = ("ALTER SYSTEM SET idle", 1)

    async def parameters(self) -> Mapping[str, Any]:
        return {"name": NAME, "value": f"{1001 + await self.effects()}ms", "expected": await self._value()}

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "expected": "17ms"})

    def undo(self, order: Order) -> Order | None:
        parameters = {"name": NAME, "value": order.parameters["expected"]}
        return replace(order, permit_id="undo", direction=Direction.undo, parameters=parameters)

    async def state(self) -> object:
        return await self._value()

    async def effects(self) -> int:
        """By the server's configuration file, which has what was not loaded yet."""
        found = "SELECT max(setting) FROM pg_file_settings WHERE name = $1 AND sourcefile LIKE '%auto.conf'"
        value = await self.fetch(found, NAME)
        return int(value.removesuffix("ms")) - 1000 if value not in (None, "0") else 0

    async def move(self) -> bool:
        session = await asyncpg.connect(self._superuser_url)
        await session.execute(f"ALTER SYSTEM SET {NAME} = '1500ms'")
        await session.execute("SELECT pg_reload_conf()")
        await session.close()
        while await self._value() != "1500ms":
            pass
        return True

    async def _value(self) -> str:
        return str(await self.fetch("SELECT current_setting($1)", NAME))


class Sessions(PostgresHarness):
    """Each order is about a session of its own, which sits idle in a transaction."""

    operation = "postgres.session.terminate"
    lost = ("pg_terminate_backend", 2)

    def __init__(self, stack: Stack, way: LossyWay, port: int) -> None:
        super().__init__(stack, way, port)
        self._opened: list[asyncpg.Connection[asyncpg.Record]] = []

    async def parameters(self) -> Mapping[str, Any]:
        opened = await asyncpg.connect(self._app)
        self._opened.append(opened)
        await opened.execute("BEGIN")
        started = "SELECT backend_start FROM pg_stat_activity WHERE pid = $1"
        pid = opened.get_server_pid()
        return {"pid": pid, "backend_start": (await self.fetch(started, pid)).isoformat()}

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        await self._opened[-1].execute("COMMIT")
        return order

    async def empty(self) -> Inquiry | None:
        return self._inquiry({"pid": 1, "backend_start": "2026-01-01T00:00:00Z"})

    async def move(self) -> bool:
        await self._opened[-1].execute("COMMIT")
        await self._opened[-1].execute("BEGIN")
        return True

    async def effects(self) -> int:
        pids = [opened.get_server_pid() for opened in self._opened if not opened.is_closed()]
        there = await self.fetch("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1::int[])", pids)
        return len(self._opened) - int(there)

    async def close(self) -> None:
        """End what was opened and is left."""
        for opened in self._opened:
            opened.terminate()


class Indexes(PostgresHarness):
    """Each order creates another index."""

    operation = "postgres.index.create"
    role = "orders_maintainer"
    lost = ("CREATE INDEX CONCURRENTLY", 1)

    async def parameters(self) -> Mapping[str, Any]:
        name = f"orders_contract_{await self.effects()}"
        return {"table": "public.orders", "index": name, "columns": ["customer", "state"]}

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "columns": ["customer", "no_such"]})

    async def empty(self) -> Inquiry | None:
        return replace(self._inquiry({"index": "no_such_index"}), operation="postgres.index.reindex")

    def undo(self, order: Order) -> Order | None:
        return replace(order, permit_id="undo", direction=Direction.undo, operation="postgres.index.drop")

    async def state(self) -> object:
        names = "SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index WHERE indisvalid"
        return await self.fetch(names)

    async def effects(self) -> int:
        found = "SELECT count(*) FROM pg_class WHERE relname LIKE 'orders_contract_%'"
        return int(await self.fetch(found))

    async def move(self) -> bool:
        await self.fetch(f"CREATE INDEX orders_contract_{await self.effects()} ON public.orders (state)")
        return True

    async def drop_all(self) -> None:
        """Take away what was created."""
        found = "SELECT string_agg(format('DROP INDEX public.%I', relname), '; ') FROM pg_class WHERE relname LIKE $1"
        session = await asyncpg.connect(self._superuser_url)
        await session.execute(await session.fetchval(found, "orders_contract_%") or "SELECT")
        await session.close()


def _socket(stack: Stack) -> str:
    given = parse_qs(urlsplit(stack.database_url("postgres", "orders")).query)
    return f"{given['host'][0]}/.s.PGSQL.{given.get('port', ['5432'])[0]}"


@asynccontextmanager
async def _before(stack: Stack) -> AsyncIterator[tuple[LossyWay, int]]:
    await prepare_orders(stack.database_url("postgres", "postgres"))
    async with lossy_way(_socket(stack)) as (way, port):
        yield way, port


@asynccontextmanager
async def parameters(stack: Stack) -> AsyncIterator[Harness]:
    """The executor, changing a parameter."""
    async with _before(stack) as (way, port), AsyncExitStack() as after:
        superuser = await asyncpg.connect(stack.database_url("postgres", "orders"))
        after.push_async_callback(superuser.close)
        after.push_async_callback(superuser.execute, "SELECT pg_reload_conf()")
        after.push_async_callback(superuser.execute, "ALTER SYSTEM RESET ALL")
        await superuser.execute("ALTER SYSTEM RESET ALL")
        yield Parameters(stack, way, port)


@asynccontextmanager
async def sessions(stack: Stack) -> AsyncIterator[Harness]:
    """The executor, ending sessions."""
    async with _before(stack) as (way, port):
        harness = Sessions(stack, way, port)
        yield harness
        await harness.close()


@asynccontextmanager
async def indexes(stack: Stack) -> AsyncIterator[Harness]:
    """The executor, maintaining indexes."""
    async with _before(stack) as (way, port):
        harness = Indexes(stack, way, port)
        yield harness
        await harness.drop_all()
