"""A world for the tests of the workflow: a record with published documents, workers, a target that counts, a client."""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.anchor import Anchor
from activities.clock import Clock
from activities.connection import connect
from activities.database import Database
from activities.documents import kind_of, publish
from activities.executors.base import Executor
from activities.settings import Role
from deploy import unprivileged
from deploy.dev import Stack, TemporalServer, program
from policy.base import instant_text
from policy.decision import DecisionReceipt
from policy.ledger import verify_chain
from policy.result import ActionResult
from policy.search_attributes import TYPES
from tests.anchors import MemoryAnchor
from tests.bench_target import TABLE, BenchExecutor
from tests.copies import create_migrated
from tests.permit_keys import settings
from worker import running_workers
from workflows.interface import DECIDE, STATUS, TASK_QUEUE, WORKFLOW_TYPE, workflow_id
from workflows.messages import PACE, Pace

BOUND = 30.0
_PASSING = (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.UNAVAILABLE)
DOCUMENTS = Path(__file__).parent / "documents"
Handle = WorkflowHandle[Any, Any]
# A record has one copy outside of it, whichever worlds come and go on it.
_COPIES: dict[str, bytes | None] = {}
Value = TypeVar("Value")


async def until(read: Callable[[], Awaitable[Value]], holds: Callable[[Value], bool] = bool) -> Value:
    """Read until a condition holds, for at most `BOUND` seconds; the value that was read."""
    async with asyncio.timeout(BOUND):
        while True:
            value = await read()
            if holds(value):
                return value
            await asyncio.sleep(0.02)


def proposal(proposal_id: str, *operations: str, undo: str | None = None, count: int | None = None, **more: Any) -> Any:
    """A proposal of these steps, as a platform sends it; its key in the target is its id.

    `undo` is the inverse of every step, `count` the number of effects that the criterion expects.
    """
    key = {"key": proposal_id}
    steps = [
        {"name": f"step-{number}", "operation": operation, "parameters": key}
        | ({"undo": {"operation": undo, "parameters": key}} if undo else {})
        for number, operation in enumerate(operations, start=1)
    ]
    expected = len(operations) if count is None else count
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": operations[0],
        "target": "shop",
        "environment": "production",
        "agent": {"id": "tuner", "confidence": 0.9},
        "on_behalf_of": "ann",
        "rationale": "the bench needs it",
        "steps": steps,
        "success_criteria": [{"probe": "bench.count", "parameters": key, "equals": expected, "within_seconds": 0}],
        **more,
    }


def decision(status: Mapping[str, Any], person: str, vote: str = "approve", **changes: Any) -> dict[str, Any]:
    """A decision about what a status shows, by somebody who claims to be `person`."""
    now = datetime.now(UTC)
    return {
        "decision_id": uuid4().hex,
        "proposal_id": status["proposal_id"],
        "revision": status["revision"],
        "stage": status["stage"],
        **{name: status[name] for name in status if name.endswith("_digest")},
        "vote": vote,
        "justification": "because",
        "issued_at": instant_text(now - timedelta(seconds=5)),
        "expires_at": instant_text(now + timedelta(days=365)),
        "proof": {"kind": "claimed", "identity": person},
        **changes,
    }


@dataclass
class World:
    """What a test module has to itself."""

    client: Client
    database: Database
    bench: BenchExecutor
    url: str
    prefix: str
    clock: Clock | None = None
    pace: Pace = PACE
    # Most tests are about what people say, not about how they prove who they are.
    claimed: bool = True
    anchor: Anchor = field(default_factory=MemoryAnchor)
    # A platform's own executors, besides the bench.
    executors: Mapping[str, Executor] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _workers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def id(self) -> str:
        """A proposal id that nobody used."""
        return f"{self.prefix}-{next(self._numbers)}"

    def propose(self, *operations: str, **more: Any) -> Any:
        """A proposal under an id that nobody used."""
        return proposal(self.id(), *operations, **more)

    async def start(self, body: Any, **options: Any) -> Handle:
        """Start the workflow of a proposal, or of one in an envelope."""
        proposal = body.get("proposal", body)
        options = {"id": workflow_id(proposal["proposal_id"]), "task_queue": TASK_QUEUE, **options}
        return await self.client.start_workflow(WORKFLOW_TYPE, body, **options)

    async def run(self, body: Any, **options: Any) -> ActionResult:
        """Start the workflow of a proposal and wait for its result."""
        return await self.result(await self.start(body, **options))

    async def result(self, handle: Handle) -> ActionResult:
        """The result of a run, read as the platform's language would."""
        async with asyncio.timeout(3 * BOUND):
            return ActionResult.model_validate(await handle.result())

    async def status(self, handle: Handle) -> dict[str, Any]:
        """The answer to the query `status`."""
        found: dict[str, Any] = await handle.query(STATUS)
        return found

    async def pending(self, handle: Handle, stage: int = 1) -> dict[str, Any]:
        """The status, as soon as a stage waits for people."""
        return await until(
            lambda: self.status(handle), lambda found: found["state"] == "pending" and found["stage"] == stage
        )

    async def decide(self, handle: Handle, person: str, vote: str = "approve", **changes: Any) -> DecisionReceipt:
        """Send a decision about what waits now, as an update; its receipt."""
        status = await until(lambda: self.status(handle), lambda found: found["action_digest"] is not None)
        return await self.send(handle, decision(status, person, vote, **changes))

    async def send(self, handle: Handle, submission: Any, patience: float = BOUND) -> DecisionReceipt:
        """Send this very decision as an update; its receipt. A run that ends while another begins is asked again.

        Where an update that was sent again is cut off by the end of the run, the record says what the first one got.
        """
        async with asyncio.timeout(patience):
            while True:
                try:
                    return DecisionReceipt.model_validate(await handle.execute_update(DECIDE, submission))
                except RPCError as error:
                    # A task that could not end its run because another message came takes no updates, a server holds
                    # ten at a time, and drops those of a task that a busy worker did not end in time.
                    passing = error.status in _PASSING
                    if not passing and (error.status is not RPCStatusCode.NOT_FOUND or not await self.runs(handle)):
                        if (known := await self._receipt(submission)) is not None:
                            return known
                        raise
                    await asyncio.sleep(0.02)

    async def _receipt(self, submission: Any) -> DecisionReceipt | None:
        """What a decision was answered, by the record."""
        key = (submission.get("proposal_id"), submission.get("decision_id"))
        statement = "SELECT receipt FROM countersign.decision WHERE proposal_id = $1 AND decision_id = $2"
        found = await self.sql(statement, *key)
        return DecisionReceipt.model_validate_json(found[0]["receipt"]) if found else None

    async def runs(self, handle: Handle) -> bool:
        """Whether some run of the workflow is open."""
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING

    async def refused(self, handle: Handle, name: str, args: Sequence[Any]) -> str:
        """Send an update that must be rejected; what the sender is told."""
        try:
            async with asyncio.timeout(BOUND):
                answer = await handle.execute_update(name, args=args)
        except WorkflowUpdateFailedError as error:
            return str(error.cause)
        raise AssertionError(f"update was accepted: {answer}")

    async def effects(self, proposal_id: str) -> list[str]:
        """What was done for a proposal, as the target has it."""
        return await self.bench.effects(proposal_id)

    async def sql(self, statement: str, *values: Any) -> list[Any]:
        """Ask the record as a superuser."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def entries(self, proposal_id: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The ledger entries of a proposal, their chain checked; of one kind, if it is given."""
        rows = await self.sql(
            "SELECT body, digest FROM countersign.ledger_entry WHERE proposal_id = $1 ORDER BY position", proposal_id
        )
        found = verify_chain(proposal_id, [(row["body"], row["digest"]) for row in rows])
        return [entry for entry in found if kind in (None, entry["kind"])]

    async def permits(self, proposal_id: str) -> list[tuple[int, str, str | None]]:
        """Step, direction and use of every permit of a proposal."""
        rows = await self.sql(
            "SELECT step, direction, use FROM countersign.permit LEFT JOIN countersign.permit_use USING (permit_id)"
            " WHERE proposal_id = $1 ORDER BY step, direction",
            proposal_id,
        )
        return [(row["step"], row["direction"], row["use"]) for row in rows]

    async def holds(self, target: str) -> list[str]:
        """The proposals that left a hold on a target which nobody released."""
        rows = await self.sql(
            "SELECT proposal_id FROM countersign.hold WHERE target = $1"
            " AND hold_id NOT IN (SELECT hold_id FROM countersign.hold_release)",
            f"component:default/{target}",
        )
        return [row["proposal_id"] for row in rows]

    async def events(self, handle: Handle) -> list[str]:
        """The types of a run's history events."""
        history = await handle.fetch_history()
        return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower() for event in history.events]

    async def cli(self, *arguments: str) -> tuple[int, str]:
        """Run the stock `temporal` program against this world; its exit code and everything it printed."""
        where = ("--address", self.client.service_client.config.target_host, "--namespace", self.client.namespace)
        process = await asyncio.create_subprocess_exec(
            *(str(program("temporal")), *arguments, *where, "--disable-config-file", "--disable-config-env"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(2 * BOUND):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def start_workers(self, *roles: Role) -> None:
        """Let workers of these roles run until `stop_workers`; one that does everything, if none is given."""
        for role in roles or (Role.all,):
            running = running_workers(
                self.client,
                self.database,
                settings(role, unsafe_claimed_identities=self.claimed),
                clock=self.clock,
                executors={"bench": self.bench, **self.executors},
                pace=self.pace,
                anchor=self.anchor,
            )
            await self._workers.enter_async_context(running)

    async def stop_workers(self) -> None:
        """Stop the workers; what waits for them waits."""
        await self._workers.aclose()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Without workers inside the block."""
        await self.stop_workers()
        yield
        await self.start_workers()

    @contextlib.asynccontextmanager
    async def record_away(self) -> AsyncIterator[None]:
        """The record cannot be reached inside the block; every connection to it is cut."""
        parts = urlsplit(self.url)
        name = parts.path.removeprefix("/")
        admin = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")))
        cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
        try:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(cut, name)
            yield
        finally:
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await admin.close()


@contextlib.contextmanager
def temporal_server(**limits: int) -> Any:
    """A Temporal of a test module's own, that knows our search attributes; `limits` are dynamic `limit.…` settings."""
    home = Path(tempfile.mkdtemp(prefix="countersign-")).resolve()
    unprivileged.admit(home)
    # Without these, a deletion waits half a minute for the server's own housekeeping.
    quick = {f"history.{queue}ProcessorEnsureCloseBeforeDelete": False for queue in ("transfer", "visibility")}
    server = TemporalServer(
        home / "temporal",
        search_attributes=TYPES,
        dynamic_config={**quick, **{f"limit.{name}": value for name, value in limits.items()}},
        keep=False,
        ui=False,
        usual_ports=False,
        temporary=True,
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextlib.asynccontextmanager
async def record(stack: Stack) -> AsyncIterator[str]:
    """A database of its own, migrated, with the documents of the tests in force; its name."""
    name = f"world_{uuid4().hex[:16]}"
    admin = await asyncpg.connect(stack.database_url("postgres", "postgres"))
    try:
        await create_migrated(stack, name, _publish_ours)
        yield name
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def _publish_ours(url: str) -> None:
    await publish_documents(url, *(path.read_bytes() for path in sorted(DOCUMENTS.glob("*.yaml"))))


async def publish_documents(url: str, *bodies: bytes, at: datetime | None = None) -> None:
    """Put documents in force, as a superuser; now, or at an instant of another clock."""
    owner = Database(url, pool_size=1)
    try:
        async with owner.transaction() as connection:
            for body in bodies:
                await publish(connection, kind_of(body), body, by="the tests", at=at or datetime.now(UTC))
    finally:
        await owner.close()


@contextlib.asynccontextmanager
async def running_world(stack: Stack, client: Client, name: str, **more: Any) -> AsyncIterator[World]:
    """A world on a client and a prepared database, with its workers running."""
    database = Database(stack.database_url("countersign_app", name))
    async with asyncpg.create_pool(stack.database_url("postgres", name), min_size=1, max_size=4) as pool:
        await pool.execute(TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
        prefix = f"t{uuid4().hex[:6]}"
        url = stack.database_url("postgres", name)
        world = World(client=client, database=database, bench=BenchExecutor(pool), url=url, prefix=prefix, **more)
        if isinstance(world.anchor, MemoryAnchor):
            world.anchor.body = _COPIES.get(name)
        await world.start_workers()
        try:
            yield world
        finally:
            await world.stop_workers()
            if isinstance(world.anchor, MemoryAnchor):
                _COPIES[name] = world.anchor.body
            await database.close()


@contextlib.asynccontextmanager
async def whole_world(stack: Stack, *documents: bytes, **more: Any) -> AsyncIterator[World]:
    """A world with a Temporal and a record of its own, in which these documents replace those of the tests."""
    with temporal_server() as server:
        client = await connect(address=server.address, identity="tests")
        async with record(stack) as name:
            await publish_documents(stack.database_url("postgres", name), *documents)
            async with running_world(stack, client, name, **more) as world:
                yield world
