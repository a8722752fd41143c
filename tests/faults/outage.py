"""A world whose servers go away: a record and a Temporal that a test stops and starts, and a target that stays.

The target lives in another PostgreSQL than the record, so that effects can be counted, and undone, while the record is
away. Temporal keeps its workflows over a restart.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import asyncpg
from temporalio.testing import WorkflowEnvironment

from activities.connection import connect
from activities.database import Database, lock_key
from deploy.dev import ServerError, Stack, ephemeral_stack, program
from deploy.servers import Server
from policy.search_attributes import TYPES
from tests.bench_target import TABLE, BenchExecutor
from tests.copies import create_migrated
from tests.world import DOCUMENTS, Handle, World, publish_documents, until
from workflows.converter import DATA_CONVERTER

Part = Literal["postgres", "temporal"]
TASK_TIMEOUT = timedelta(seconds=2)
_PORT_SECONDS = 60.0


def fragile_stack() -> contextlib.AbstractContextManager[Stack]:
    """A stack that loses nothing when its servers are stopped, killed and started again."""
    return ephemeral_stack(search_attributes=TYPES, durable=True, keep_workflows=True)


@contextlib.asynccontextmanager
async def away(stack: Stack, *parts: Part) -> AsyncIterator[None]:
    """Without these servers inside the block; afterwards they answer again."""
    servers = [getattr(stack, part) for part in parts]
    await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))
    try:
        yield
    finally:
        await asyncio.gather(*(bring_back(server) for server in servers))


async def bring_back(server: Server) -> None:
    """Start a server at the same address again. Meanwhile somebody may have got one of its ports: that passes."""
    async with asyncio.timeout(_PORT_SECONDS):
        while True:
            try:
                return await asyncio.to_thread(server.start)
            except ServerError as error:
                if "address already in use" not in str(error).lower():
                    raise
                await asyncio.sleep(1)


@dataclass
class Fragile(World):
    """A world whose record can go away."""

    stack: Stack | None = None

    def away(self, *parts: Part) -> contextlib.AbstractAsyncContextManager[None]:
        """Without these servers inside the block."""
        assert self.stack is not None
        return away(self.stack, *parts)

    async def begin(self, body: Any) -> Handle:
        """Start the workflow of a proposal; what a dead worker or server held is given out again soon."""
        return await self.start(body, task_timeout=TASK_TIMEOUT)

    async def waits_on_the_queue(self, handle: Handle, name: str) -> None:
        """Wait until an activity has gone to the queue, and failed there at least once."""

        async def failed() -> bool:
            raw = (await handle.describe()).raw_description.pending_activities
            return any(found.activity_type.name == name and found.HasField("last_failure") for found in raw)

        await until(failed)

    @contextlib.asynccontextmanager
    async def locked(self, proposal_id: str) -> AsyncIterator[None]:
        """Hold a proposal's lock, so that whatever asks the record about it waits; released at the end of the block."""
        holder = await asyncpg.connect(self.url)
        await holder.execute(f"SELECT pg_advisory_lock({lock_key(proposal_id)})")
        try:
            yield
        finally:
            holder.terminate()

    async def waits_for_a_lock(self) -> None:
        """Wait until a worker waits for a proposal's lock."""
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await until(lambda: self.sql(waiting))


class EnvironmentClock:
    """The clock of a time-skipping server."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self._environment = environment

    async def now(self) -> datetime:
        return (await self._environment.get_current_time()).astimezone(UTC)


@contextlib.asynccontextmanager
async def target(stack: Stack) -> AsyncIterator[BenchExecutor]:
    """A target in a database of its own on a stack that stays."""
    name = f"target_{uuid4().hex[:16]}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        async with asyncpg.create_pool(stack.database_url("postgres", name), min_size=1, max_size=4) as pool:
            await pool.execute(TABLE)
            yield BenchExecutor(pool)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def fresh_record(fragile: Stack, documents: Iterable[bytes]) -> str:
    """The name of a migrated database with these documents in force; it goes with its stack."""
    name = f"record_{uuid4().hex[:16]}"
    await create_migrated(fragile, name)
    await publish_documents(fragile.database_url("postgres", name), *documents)
    return name


@contextlib.asynccontextmanager
async def fragile_world(
    fragile: Stack, stays: Stack, environment: WorkflowEnvironment | None = None
) -> AsyncIterator[Fragile]:
    """A running world on a stack that may go away; on another Temporal than the stack's, if one is given."""
    client = environment.client if environment else await connect(address=fragile.temporal_address, identity="tests")
    name = await fresh_record(fragile, (path.read_bytes() for path in sorted(DOCUMENTS.glob("*.yaml"))))
    async with target(stays) as bench:
        database = Database(fragile.database_url("countersign_app", name))
        world = Fragile(
            client=client,
            database=database,
            bench=bench,
            url=fragile.database_url("postgres", name),
            prefix=f"f{uuid4().hex[:6]}",
            clock=EnvironmentClock(environment) if environment else None,
            stack=fragile,
        )
        await world.start_workers()
        try:
            yield world
        finally:
            await world.stop_workers()
            await database.close()


@contextlib.asynccontextmanager
async def skipping_world(fragile: Stack, stays: Stack) -> AsyncIterator[tuple[Fragile, WorkflowEnvironment]]:
    """A world on a server that skips time, with a real record that may go away."""
    environment = await WorkflowEnvironment.start_time_skipping(
        data_converter=DATA_CONVERTER, test_server_existing_path=str(program("temporal-test-server"))
    )
    async with environment, fragile_world(fragile, stays, environment) as world:
        yield world, environment
