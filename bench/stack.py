"""One Temporal and one durable PostgreSQL for all contestants, with their workers in this process.

Rules:
- Everything listens on loopback or a unix socket, and is gone at the end.
- PostgreSQL keeps fsync and synchronous_commit on: a commit that is counted is a commit that survives.
- The bare workflows have a client of their own with the SDK's default converter; their worker has the settings of ours.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.connection import connect
from activities.database import Database
from activities.documents import publish
from activities.encryption.keys import Keys
from activities.settings import Settings
from bench.bare import QUEUE, BareAction, BareSignalled, BareUpdated
from bench.documents import documents, proposal
from bench.target import DATABASE, NAME, OPERATION, TABLE, BareActivities, InsertExecutor
from deploy.dev import ANCHOR_NAME, Stack, ephemeral_stack
from deploy.migrations.runner import migrate
from policy.base import instant_text
from policy.search_attributes import TYPES
from signing.keys import generate
from worker import running_workers
from workflows.interface import DECIDE, STATUS, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

RECORD = "countersign"
_POOL = 5
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.02
DECISION_VALID = timedelta(minutes=30)


class UnsuccessfulError(Exception):
    """An action of the benchmarks did not do what it was allowed to do."""


@dataclass(frozen=True)
class Bench:
    """The running contestants. `client` is ours, `plain` that of the bare workflows; `admin` sees the whole server."""

    client: Client
    plain: Client
    record: Database
    admin: "asyncpg.Connection[asyncpg.Record]"
    effects: InsertExecutor
    stack: Stack

    async def act(self, environment: str = "routine", operation: str = OPERATION, **more: Any) -> Mapping[str, Any]:
        """Propose an action as a platform does, and await its result; `more` is as `documents.proposal` has it.

        Raises:
            UnsuccessfulError: it ended in another way than with its effect; or undone, where it `fails`.
        """
        handle = await self.propose(environment, operation, **more)
        result: Mapping[str, Any] = await handle.result()
        if result["outcome"] != ("compensated" if more.get("fails") else "succeeded"):
            raise UnsuccessfulError(
                f"action {handle.id} ended as {result['resolution']}, {result['outcome']}: {result}"
            )
        return result

    async def propose(self, environment: str, operation: str = OPERATION, **more: Any) -> "WorkflowHandle[Any, Any]":
        """Start an action as docs/spec/contract.md recommends."""
        value = proposal(f"{environment}-{uuid4().hex}", environment, operation, **more)
        return await self.client.start_workflow(
            WORKFLOW_TYPE,
            value,
            id=workflow_id(value["proposal_id"]),
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    async def act_bare(self, commits: int = 1) -> None:
        """Run the bare workflow, which commits so many times."""
        what = uuid4().hex
        await self.plain.execute_workflow(BareAction.run, args=[what, commits], id=f"bare/{what}", task_queue=QUEUE)

    async def submission(self, handle: "WorkflowHandle[Any, Any]", identity: str) -> dict[str, Any]:
        """An approval of an action's open stage, once the action waits for one."""
        status = await self._pending(handle)
        now = datetime.now(UTC).replace(microsecond=0)
        digests = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")
        return {
            "decision_id": uuid4().hex,
            "proposal_id": status["proposal_id"],
            "revision": status["revision"],
            "stage": status["stage"],
            **{name: status[name] for name in digests},
            "vote": "approve",
            "justification": "",
            "issued_at": instant_text(now),
            "expires_at": instant_text(now + DECISION_VALID),
            "proof": {"kind": "claimed", "identity": identity},
        }

    async def decide(self, handle: "WorkflowHandle[Any, Any]", submission: Mapping[str, Any]) -> None:
        """Send an approval as an update.

        Raises:
            RuntimeError: it was not counted, so its time says nothing.
        """
        receipt = await handle.execute_update(DECIDE, submission, result_type=dict)
        if not receipt["counted"]:
            raise RuntimeError(f"decision on {handle.id} was refused: {receipt}")

    async def commits(self, database: str = RECORD) -> int:
        """The transactions that the server counted so far, once its sessions there have ended and reported."""
        await self.record.close()
        await until(lambda: self._no_session(database))
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = $1"
        return int(await self.admin.fetchval(query, database))

    async def _no_session(self, database: str) -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
        return not await self.admin.fetchval(query, database)

    async def _pending(self, handle: "WorkflowHandle[Any, Any]") -> Mapping[str, Any]:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                status: Mapping[str, Any] = await handle.query(STATUS, result_type=dict)
                if status["state"] == "pending":
                    return status
                await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def running_bench(keys: Keys | None = None) -> AsyncIterator[Bench]:
    """Servers, record, target and workers, running inside the block; telemetry is off. Keys encrypt the payloads."""
    async with AsyncExitStack() as cleanup:
        stack = cleanup.enter_context(ephemeral_stack(search_attributes=TYPES, durable=True))
        pool = await prepared(stack)
        cleanup.push_async_callback(pool.close)
        record = Database(stack.database_url("countersign_app", RECORD), application="countersign-bench")
        cleanup.push_async_callback(record.close)
        admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
        cleanup.push_async_callback(admin.close)
        client = await connect(address=stack.temporal_address, namespace=stack.namespace, identity="bench", keys=keys)
        plain = await Client.connect(stack.temporal_address, namespace=stack.namespace, identity="bench-bare")
        settings = replace(claimed_settings(), anchor_file=Path(stack.data_dir) / ANCHOR_NAME)
        effects = InsertExecutor(pool)
        await cleanup.enter_async_context(running_workers(client, record, settings, executors={NAME: effects}))
        await cleanup.enter_async_context(_bare_worker(plain, BareActivities(pool)))
        yield Bench(client, plain, record, admin, effects, stack)


def claimed_settings() -> Settings:
    """Of a worker that does everything for claimed identities, with a key of its own that signs permits."""
    key = generate("permit-bench")
    return Settings(unsafe_claimed_identities=True, unsafe_claimed_production=True, permit_key=key)


async def prepared(stack: Stack) -> "asyncpg.Pool[asyncpg.Record]":
    """The migrated record with its documents in force, and the target; gives the target's pool."""
    server = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    for name in (RECORD, DATABASE):
        await server.execute(f"CREATE DATABASE {name}")
    settings = [await server.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    await server.close()
    if settings != ["on", "on", "on"]:
        raise RuntimeError(f"postgresql is not durable, its numbers would flatter: {settings}")
    superuser = stack.database_url("postgres", RECORD)
    await migrate(superuser)
    owner = Database(superuser)
    for kind, body in documents().items():
        async with owner.transaction() as connection:
            await publish(connection, kind, body, by="bench", at=datetime.now(UTC))
    await owner.close()
    pool = await asyncpg.create_pool(stack.database_url("postgres", DATABASE), min_size=1, max_size=_POOL)
    await pool.execute(TABLE)
    return pool


def _bare_worker(client: Client, activities: BareActivities) -> Worker:
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareAction, BareSignalled, BareUpdated],
        activities=[activities.effect, activities.one_commit],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules("bench")
        ),
    )


async def until(holds: Callable[[], Awaitable[bool]], patience: float = _PATIENCE_SECONDS) -> None:
    """Ask until something holds.

    Raises:
        TimeoutError: it did not within so many seconds.
    """
    ends_at = time.monotonic() + patience
    while not await holds():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"waited {patience:g} s in vain")
        await asyncio.sleep(_POLL_SECONDS)
