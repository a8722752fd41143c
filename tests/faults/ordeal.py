"""An ordeal: one action, a worker that is killed at one point and started again, and the books compared at the end.

Each ordeal has a namespace, a record and a target of its own on the shared stack, so that several run side by side.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import asyncpg
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.connection import connect
from activities.database import DatabaseUnavailableError
from deploy.dev import Stack
from tests.faults import crashing, places
from tests.faults.disturbing import disturbs_commit
from tests.faults.governed import DOCUMENTS, MOVED
from tests.faults.keeping import Keeper
from tests.faults.people import Conduct, converse
from tests.faults.place import Place
from tests.faults.records import copy_of_record, put_in_force
from tests.world import publish_documents
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id

BOUND = 300.0
# What else is counted in the record, by the name that the fault table has for it.
COUNTED: Mapping[str, str] = {
    "items": "countersign.unresolved",
    "items closed": "countersign.unresolved_closed",
    "amendments": "countersign.amendment",
    "halts": "countersign.halt",
    "halts released": "countersign.halt_release",
    "archived": "countersign.archive",
    "violations": "countersign.ledger_entry WHERE kind = 'violation'",
    "slo states": "countersign.slo_state",
    "issuer keys": "countersign.issuer_key",
    # What somebody still has of a target after its action has its result.
    "reserved": "countersign.reservation AS r WHERE lease_until > now() AND NOT EXISTS"
    " (SELECT FROM countersign.result AS e WHERE e.proposal_id = r.proposal_id)",
    "claims without an end": "countersign.permit_use AS u WHERE use = 'claimed' AND NOT EXISTS"
    " (SELECT FROM countersign.effect_report AS r WHERE r.permit_id = u.permit_id) AND NOT EXISTS"
    " (SELECT FROM countersign.unresolved)",
}


# What people do once the action has its result: of which ordeal, by which client, in which folder of its worker.
Afterwards = Callable[["Ordeal", Client, Path], Awaitable[None]]


class Channel(Protocol):
    """By which people are told, and whose server counts what arrives (`telling.py`)."""

    @property
    def config(self) -> dict[str, str]:
        """What a worker process is told of it."""

    def arrange(self, fault: str) -> None:
        """Let the next message meet a fault."""

    def met(self) -> bool:
        """Whether what was arranged has happened."""

    def counted(self) -> dict[str, int]:
        """What arrived."""


@dataclass(frozen=True)
class Books:
    """What the target and the record say at the end."""

    result: dict[str, Any]
    effects: int
    undos: int
    claims: int
    reported_done: int
    crashed: bool
    holds: int
    more: dict[str, int] = field(default_factory=dict)


@dataclass
class Ordeal:
    """One action under one crash point, or several joined by `+`. `point` is empty for none."""

    stack: Stack
    point: str
    target: str = "resource:calm"
    fails: bool = False
    undecided: bool = False
    conduct: Conduct = Conduct.approve
    observed: int = 0
    again: bool = False
    place: Place | None = None
    channel: Channel | None = None
    # A fault that the place or the channel makes itself, and of what.
    wired: str = ""
    then: Afterwards | None = None
    documents: tuple[bytes, ...] = DOCUMENTS
    # What its worker is told besides.
    config: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"ordeal_{uuid4().hex[:12]}")
    _moved: list[bool] = field(default_factory=list)

    async def run(self) -> Books:
        """Play it through and close the books; after `prepare`."""
        if self.wired:
            self._arrange(*self.wired.split(":"))
        client = await self._client()
        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder) / "mark"
            keeper = asyncio.create_task(self._keep_worker(mark))
            try:
                async with asyncio.timeout(BOUND):
                    result = await self._play(client)
                    if self.again:
                        first, result = result, await self._play(client)
                        assert result == first, (result, first)
                    if self.then is not None:
                        await self.then(self, client, Path(folder))
            except TimeoutError:
                ended = keeper.exception() if keeper.done() else "runs"
                raise AssertionError(
                    f"{self.point or self.wired}: no end within {BOUND:g} s; worker: {ended}"
                ) from None
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
            files = len(list((Path(folder) / "archive").glob("**/*.json*")))
            return await self._books(result, crashed=self._met(mark), files=files)

    def _arrange(self, fault: str, what: str) -> None:
        """Let the place or the channel make a fault."""
        if self.channel is not None:
            self.channel.arrange(fault)
        elif self.place is not None:
            self.place.arrange(fault, undo=what == "undo")

    def _met(self, mark: Path) -> bool:
        """Whether all that was to go wrong has: deaths and faults, commits to the record, and what the place does."""
        points = [point for point in self.point.split("+") if point]
        commits = ["commit" for point in points if disturbs_commit(point)]
        requests = crashing.requests_of(mark)
        met = mark.read_text().split() if mark.exists() else []
        wrong = requests.read_text().split() if requests.exists() else []
        arranged = all(each.met() for each in (self.place, self.channel) if each is not None)
        return (met, wrong) == (points, commits) and arranged

    async def _play(self, client: Client) -> dict[str, Any]:
        handle: WorkflowHandle[Any, dict[str, Any]] = await client.start_workflow(
            WORKFLOW_TYPE,
            self._proposal(),
            id=workflow_id(self.name),
            task_queue=TASK_QUEUE,
            task_timeout=timedelta(seconds=2),
        )
        people = asyncio.create_task(converse(handle, self.conduct, self._happened, self._move))
        try:
            return await handle.result()
        finally:
            people.cancel()

    async def prepare(self) -> None:
        """Make a record, a target and a namespace; one at a time, because all records are copies of one."""
        url = await copy_of_record(self.stack, self.name)
        await put_in_force(url, *(self.place.documents if self.place else self.documents))
        target = await asyncpg.connect(url)
        await target.execute("CREATE TABLE public.effect (permit_id text, direction text, resource text)")
        await target.close()
        first = await connect(address=self.stack.temporal_address)
        request = RegisterNamespaceRequest(namespace=self.name)
        request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
        await first.workflow_service.register_namespace(request)

    async def _client(self) -> Client:
        """A client of the new namespace, as soon as the server knows it."""
        for _ in range(100):
            client = await connect(address=self.stack.temporal_address, namespace=self.name)
            try:
                await client.count_workflows()
            except RPCError:
                await asyncio.sleep(0.1)
                continue
            return client
        raise AssertionError(f"namespace {self.name} did not appear")

    async def _keep_worker(self, mark: Path) -> None:
        """Keep a worker running: what dies is started again. One that nobody kills runs in this process."""
        config = {
            "point": self.point,
            "mark": str(mark),
            "address": self.stack.temporal_address,
            "namespace": self.name,
            "database": self.stack.database_url("countersign_app", self.name),
            "target": self.stack.database_url("postgres", self.name),
            **(places.told(self.place) if self.place else {}),
            **(self.channel.config if self.channel else {}),
            **self.config,
        }
        dies = any(point.startswith(("before:", "after:")) for point in self.point.split("+"))
        if dies:
            await Keeper(config).run()
        while True:
            # One that a busy machine kept from its start is started again, as whoever runs workers does.
            with contextlib.suppress(DatabaseUnavailableError, RPCError, RuntimeError):
                await crashing.main(config)

    async def _happened(self) -> bool:
        """Whether the target counts an effect."""
        target = await asyncpg.connect(self.stack.database_url("postgres", self.name))
        try:
            return bool(await target.fetchval("SELECT EXISTS (SELECT FROM public.effect WHERE direction = 'do')"))
        finally:
            await target.close()

    async def _move(self) -> None:
        """Let the target be another thing, unless it is."""
        if not self._moved:
            await publish_documents(self.stack.database_url("postgres", self.name), MOVED)
            self._moved.append(True)

    def _proposal(self) -> dict[str, Any]:
        if self.place is not None:
            return self.place.proposal(self.name, fails=self.fails)
        return {
            "api_version": "countersign/v1",
            "proposal_id": self.name,
            "operation": "count.row.add",
            "target": self.target,
            "environment": "test",
            "agent": {"id": "agent:bot", "confidence": 0.9},
            "on_behalf_of": "person:anna",
            "rationale": "to see whether it happens once",
            # An attempt that was killed is observed when its timeout is over.
            "steps": [
                {
                    "name": "add",
                    "operation": "count.row.add",
                    "timeout_seconds": 5,
                    "undo": {"operation": "count.row.remove"},
                }
            ],
            "success_criteria": [
                {
                    "probe": "count.row.present",
                    "equals": not (self.fails or self.undecided),
                    # What is read is neither: nobody can tell.
                    **({"failure": {"equals": "gone"}} if self.undecided else {}),
                    "within_seconds": 1,
                    "observe_seconds": self.observed,
                }
            ],
        }

    async def counts(self) -> dict[str, int]:
        """How many rows the record has of each of `COUNTED`."""
        connection = await asyncpg.connect(self.stack.database_url("postgres", self.name))
        try:
            return {name: await connection.fetchval(f"SELECT count(*) FROM {what}") for name, what in COUNTED.items()}
        finally:
            await connection.close()

    async def _books(self, result: dict[str, Any], *, crashed: bool, files: int) -> Books:
        connection = await asyncpg.connect(self.stack.database_url("postgres", self.name))

        async def count(what: str) -> int:
            return int(await connection.fetchval(f"SELECT count(*) FROM {what}"))

        if self.place is not None:
            rows = await connection.fetch("SELECT permit_id::text, direction FROM countersign.permit")
            effects, undos = await self.place.counted({row[0]: row[1] == "undo" for row in rows})
        else:
            effects = await count("public.effect WHERE direction = 'do'")
            undos = await count("public.effect WHERE direction = 'undo'")
        books = Books(
            result=result,
            effects=effects,
            undos=undos,
            claims=await count("countersign.permit_use WHERE use = 'claimed'"),
            reported_done=await count("countersign.effect_report WHERE status <> 'unknown'"),
            crashed=crashed,
            holds=await count("countersign.hold"),
            more={**await self.counts(), "files": files, **(self.channel.counted() if self.channel else {})},
        )
        await connection.close()
        return books
