"""What the tests of the executor role share: a record with permits in it, and a target in memory that counts."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
from temporalio.testing import ActivityEnvironment

from activities.database import Database
from activities.execute import ExecutorActivities
from activities.executors.base import (
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Seen,
    Supports,
)
from activities.permit_trust import PermitTrust
from activities.permits import resolved_digest, step_permits, store_permits
from policy.canonical import digest
from policy.ledger import verify_chain
from policy.operations import RiskTier
from policy.outcome import EffectReport
from policy.permit import Direction, Permit, PermitCriterion, permit_id
from policy.permit_claims import UNNAMED, Grounds, claims_of
from policy.proofs import Assurance
from policy.targets import ResolvedTarget
from signing.keys import SigningKey
from signing.permits import sign_permit
from tests.permit_keys import KEY, trust
from workflows.messages import ExecuteRequest, ExecuteResult

DIGEST = digest(b"{}")
BOUND = 10.0
Signing: TypeAlias = Callable[[Permit], Permit]
NO_PERMIT = "00000000-0000-0000-0000-000000000000"


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    async def now(self) -> datetime:
        return self.at


@dataclass
class Target:
    """A target in memory, with its executor: counts what was done, and does what a test tells it."""

    name: str = "memory"
    supports: Supports = field(
        default_factory=lambda: Supports(
            frozenset(), frozenset(), timedelta(0), "by_key", dry_runs=frozenset({"memory.switch.on"})
        )
    )
    orders: list[Order] = field(default_factory=list)
    rehearsed: list[Order] = field(default_factory=list)
    fails_with: BaseException | None = None
    seen: Seen = "unknown"
    reads: list[Any] = field(default_factory=lambda: [True])
    measured: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    async def execute(self, order: Order) -> None:
        self.orders.append(order)
        self.begun.set()
        await self.go_on.wait()
        if self.fails_with is not None:
            raise self.fails_with

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """It acts on what the catalog names; see `Executor.resolve`."""
        raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")

    async def dry_run(self, order: Order) -> str:
        self.rehearsed.append(order)
        self.begun.set()
        await self.go_on.wait()
        if self.fails_with is not None:
            raise self.fails_with
        return f"would {order.direction} it"

    async def observe(self, order: Order) -> Seen:
        return self.seen

    async def measure(self, order: ProbeOrder) -> Any:
        """The next of `reads`, the last one from then on; an exception is raised. Before anything is done it is the
        first of them, and is not counted.
        """
        value = self.reads[min(self.measured, len(self.reads) - 1)]
        self.measured += bool(self.orders)
        if isinstance(value, ExecutorError | ProbeError):
            raise value
        return value


@dataclass
class World:
    """A record, a clock, a target, and activities on it as the executor role."""

    admin: "asyncpg.Connection[asyncpg.Record]"
    name: str
    url: str
    owner: Database
    database: Database
    clock: SetClock = field(default_factory=SetClock)
    target: Target = field(default_factory=Target)
    proposal: str = field(default_factory=lambda: f"p-{uuid4().hex}")
    action_digest: str = DIGEST
    dry_run: bool = False
    assurance: Assurance = Assurance.claimed
    environment: str = "production"
    resolved: tuple[str, ...] = ("memory/a",)
    one_by_one: bool = False
    others: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.activities = self.process()

    def process(self, believed: PermitTrust | None = None) -> ExecutorActivities:
        """Another worker process, with a memory of its own; it believes what workers of the tests do."""
        executors = {"memory": self.target, **self.others}
        return ExecutorActivities(self.database, self.clock, executors, "worker-1", believed or trust())

    async def permit(
        self,
        step: int = 1,
        *,
        criteria: tuple[PermitCriterion, ...] = (),
        proposal: bytes = b"{}",
        dry_run: bool = False,
        signing: Signing | None = None,
        **change: Any,
    ) -> Permit:
        """Issue the permits of a step; gives the forward one. `change` is for the forward one only.

        `signing` makes what is stored of what the permit role would sign; `signed`, where it is not given.
        """
        sign = signing or signed
        self.dry_run = dry_run
        self.action_digest = digest(proposal)
        await self.sql(
            "INSERT INTO countersign.proposal SELECT $1, $2, $2, $4, 'action/' || $1, $3, $3 ON CONFLICT DO NOTHING",
            *(self.proposal, self.action_digest, self.clock.at, proposal),
        )
        forward = self._permit(step, Direction.do, criteria, self.clock.at + timedelta(minutes=5))
        forward = sign(forward.model_copy(update=change))
        async with self.owner.transaction() as connection:
            await store_permits(connection, (forward, sign(self._permit(step, Direction.undo, (), None))))
        return forward

    def _permit(
        self, step: int, direction: Direction, criteria: tuple[PermitCriterion, ...], expires_at: datetime | None
    ) -> Permit:
        return Permit(
            permit_id=permit_id(self.proposal, 1, step, direction),
            proposal_id=self.proposal,
            revision=1,
            step=step,
            direction=direction,
            executor="memory",
            operation="memory.switch.on",
            parameters={},
            environment=self.environment,
            resolved=self.resolved,
            one_by_one=self.one_by_one,
            criteria=criteria,
            timeout_seconds=5,
            action_digest=self.action_digest,
            assessment_digest=DIGEST,
            policy_digest=DIGEST,
            resolved_digest=resolved_digest(self.resolved),
            assurance=self.assurance,
            issued_at=self.clock.at,
            expires_at=expires_at,
            dry_run=self.dry_run,
        )

    async def stored_undo(self, permit: Permit) -> Permit:
        """The permit that undoes a step, as the record has it."""
        async with self.owner.snapshot() as connection:
            _, undo = await step_permits(connection, permit.permit_id)
        assert undo is not None
        return undo

    def let_attempts_end(self) -> None:
        """Let as much time pass as any attempt of these tests may take, so that it can be observed."""
        self.clock.at += timedelta(hours=2)

    async def sql(self, statement: str, *values: Any) -> None:
        """Write to the record as a superuser."""
        connection = await asyncpg.connect(self.url)
        await connection.execute(statement, *values)
        await connection.close()

    async def write(self, table: str, **row: Any) -> None:
        """Insert a row; `body` and `digest` are filled in."""
        row = {"body": b"{}", "digest": DIGEST} | row
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.sql(f"INSERT INTO countersign.{table} ({', '.join(row)}) VALUES ({places})", *row.values())

    async def rows(self, table: str) -> list[asyncpg.Record]:
        """What the record has in a table of this proposal's permits."""
        connection = await asyncpg.connect(self.url)
        where = "permit_id IN (SELECT permit_id FROM countersign.permit WHERE proposal_id = $1)"
        found = await connection.fetch(f"SELECT * FROM countersign.{table} WHERE {where}", self.proposal)
        await connection.close()
        return found

    async def report(self, permit: str) -> EffectReport | None:
        """The stored report of a permit."""
        bodies = [row["body"] for row in await self.rows("effect_report") if str(row["permit_id"]) == permit]
        return EffectReport.model_validate_json(bodies[0]) if bodies else None

    async def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The proposal's ledger entries, after checking their chain."""
        connection = await asyncpg.connect(self.url)
        found = await connection.fetch(
            "SELECT body, digest FROM countersign.ledger_entry WHERE proposal_id = $1 ORDER BY position", self.proposal
        )
        await connection.close()
        chain = verify_chain(self.proposal, [(row["body"], row["digest"]) for row in found])
        return [entry for entry in chain if kind in (None, entry["kind"])]

    @asynccontextmanager
    async def record_away(self) -> AsyncIterator[None]:
        """The record cannot be reached; every connection to it is cut."""
        await self.go_away()
        try:
            yield
        finally:
            await self.come_back()

    async def go_away(self) -> None:
        await self.admin.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        await self.admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", self.name
        )

    async def come_back(self) -> None:
        await self.admin.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")


def signed(permit: Permit, key: SigningKey = KEY, **grounds: Any) -> Permit:
    """The same permit with a signature; `grounds` are what it rests on, where that is not what others rest on."""
    usual = {"issuer": UNNAMED, "risk_tier": RiskTier.low, "verdict": "allow"}
    claims = claims_of(permit, Grounds(**{**usual, **grounds}))
    return permit.model_copy(update={"signed": sign_permit(claims, key)})


def attempt(number: int = 1, *, activity: str = "1", run: str = "run-1", seconds: float = 30) -> ActivityEnvironment:
    """One attempt of one activity of one run, which may take so many seconds."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        activity_id=activity,
        attempt=number,
        workflow_run_id=run,
        start_to_close_timeout=timedelta(seconds=seconds),
    )
    return environment


async def execute(
    world: World, permit: str, at: ActivityEnvironment | None = None, by: ExecutorActivities | None = None
) -> ExecuteResult:
    """Run the activity `execute` in an attempt."""
    return await (at or attempt()).run((by or world.activities).execute, ExecuteRequest(permit_id=permit))


async def until_measured(world: World) -> None:
    """Wait until a probe of the target was asked."""
    async with asyncio.timeout(BOUND):
        while True:
            if world.target.measured:
                return
            await asyncio.sleep(0.01)


async def observe(world: World, permit: str, by: ExecutorActivities | None = None) -> ExecuteResult:
    """Run the activity `observe`."""
    return await attempt(activity="observe").run((by or world.activities).observe, ExecuteRequest(permit_id=permit))


def undo_of(permit: Permit) -> str:
    """The id of the permit that undoes a step."""
    return permit_id(permit.proposal_id, permit.revision, permit.step, Direction.undo)


def met(equals: Any = True, **change: Any) -> PermitCriterion:
    """A criterion of the target in memory."""
    return PermitCriterion(**{"probe": "memory.switch.value", "equals": equals, "within_seconds": 0} | change)
