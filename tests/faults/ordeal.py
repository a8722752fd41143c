"""An ordeal: one action, a worker that is killed at one point and started again, and the books compared at the end.

Each ordeal has a namespace, a record and a target of its own on the shared stack, so that several run side by side.
"""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.connection import connect
from activities.database import Database
from activities.documents import publish
from deploy.dev import Stack
from deploy.migrations.runner import migrate
from workflows.interface import DECIDE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

ROOT = Path(__file__).parents[2]
BOUND = 90.0

POLICY = b"""
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: ordeal, version: "1"}
rules:
  - {id: routine, match: {operations: [count.row.add], targets: ["resource:calm"]}, verdict: allow}
  - {id: asked, match: {operations: [count.row.add], targets: ["resource:busy"]}, verdict: require_approval, chain: two}
  - {id: undo, match: {operations: [count.row.remove]}, verdict: allow}
chains:
  two:
    stages:
      - {name: first, requirements: [{groups: [oncall]}], deadline: 1h, reminders: [1s]}
      - {name: second, requirements: [{groups: [dba]}], deadline: 1h}
"""
OPERATIONS = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: ordeal, version: "1"}
operations:
  - {name: count.row.add, executor: counting, severity: 10, inverse: [count.row.remove]}
  - {name: count.row.remove, executor: counting, severity: 10, needs_no_undo: true}
"""
DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: ordeal, version: "1"}
people:
  - {id: person:olga, groups: [oncall]}
  - {id: person:dirk, groups: [dba]}
  - {id: person:anna}
agents: [{id: agent:bot, owner: person:anna}]
"""
CATALOG = b"""
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: calm
  annotations: {countersign/resource-id: target/calm, countersign/environment: test, countersign/criticality: low}
spec: {type: table, owner: ordeal}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: busy
  annotations: {countersign/resource-id: target/busy, countersign/environment: test, countersign/criticality: critical}
spec: {type: table, owner: ordeal}
"""
DOCUMENTS = {"policy": POLICY, "operations": OPERATIONS, "directory": DIRECTORY, "catalog": CATALOG}


class Keeper:
    """Keeps a worker process running: what dies is started again. `config` is what `crashing.main` reads."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start workers one after the other, until cancelled."""
        while True:
            process = await self.start()
            try:
                await process.wait()
            finally:
                self.kill()
                await process.wait()

    async def start(self) -> asyncio.subprocess.Process:
        """Start one worker."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.crashing", json.dumps(self._config)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return self._process

    def kill(self) -> None:
        """SIGKILL the worker that runs now."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


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


@dataclass
class Ordeal:
    """One action under one crash point. `point` is empty for none."""

    stack: Stack
    point: str
    target: str = "resource:calm"
    fails: bool = False
    name: str = field(default_factory=lambda: f"ordeal_{uuid4().hex[:12]}")

    async def run(self) -> Books:
        """Play it through and close the books; after `prepare`."""
        client = await self._client()
        with tempfile.TemporaryDirectory() as folder:
            keeper = asyncio.create_task(self._keep_worker(Path(folder)))
            try:
                async with asyncio.timeout(BOUND):
                    handle = await client.start_workflow(
                        WORKFLOW_TYPE,
                        self._proposal(),
                        id=workflow_id(self.name),
                        task_queue=TASK_QUEUE,
                        task_timeout=timedelta(seconds=2),
                    )
                    voter = asyncio.create_task(self._vote(handle))
                    result = await handle.result()
                    voter.cancel()
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
            return await self._books(result, crashed=(Path(folder) / "mark").exists())

    async def prepare(self) -> None:
        """Make a record, a target and a namespace; one at a time, because alembic's context is global to a process."""
        admin = await asyncpg.connect(self.stack.database_url("postgres", "postgres"))
        await admin.execute(f"CREATE DATABASE {self.name}")
        await admin.close()
        url = self.stack.database_url("postgres", self.name)
        await migrate(url)
        owner = Database(url)
        async with owner.transaction() as connection:
            for kind, body in DOCUMENTS.items():
                await publish(connection, kind, body, by="ordeal", at=datetime.now(UTC))  # type: ignore[arg-type]
        await owner.close()
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

    async def _keep_worker(self, folder: Path) -> None:
        """Keep a worker running: what dies is started again."""
        await Keeper(
            {
                "point": self.point,
                "mark": str(folder / "mark"),
                "address": self.stack.temporal_address,
                "namespace": self.name,
                "database": self.stack.database_url("countersign_app", self.name),
                "target": self.stack.database_url("postgres", self.name),
            }
        ).run()

    async def _vote(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Approve both stages by signal, over and over with the same decision ids, until nobody asks any more."""
        while True:
            try:
                status = await handle.query("status", rpc_timeout=timedelta(seconds=3))
            except RPCError:
                await asyncio.sleep(0.3)
                continue
            # Where the passing of time is what is tried, nobody answers before the reminder.
            early = "advance" in self.point and any(due["kind"] == "reminder" for due in status["due"])
            if status["state"] == "pending" and not early:
                stage = status["stage"]
                person = ("person:olga", "person:dirk")[stage - 1]
                await handle.signal(DECIDE, self._decision(status, stage, person))
            await asyncio.sleep(0.5)

    def _proposal(self) -> dict[str, Any]:
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
            "success_criteria": [{"probe": "count.row.present", "equals": not self.fails, "within_seconds": 1}],
        }

    def _decision(self, status: dict[str, Any], stage: int, person: str) -> dict[str, Any]:
        digests = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")
        return {
            "decision_id": f"{stage}-{person[7:]}",
            "proposal_id": self.name,
            "revision": 1,
            "stage": stage,
            **{digest: status[digest] for digest in digests},
            "vote": "approve",
            "issued_at": status["screen"]["assessed_at"],
            "expires_at": status["screen"]["absolute_deadline"],
            "proof": {"kind": "claimed", "identity": person},
        }

    async def _books(self, result: dict[str, Any], *, crashed: bool) -> Books:
        connection = await asyncpg.connect(self.stack.database_url("postgres", self.name))

        async def count(what: str) -> int:
            return int(await connection.fetchval(f"SELECT count(*) FROM {what}"))

        books = Books(
            result=result,
            effects=await count("public.effect WHERE direction = 'do'"),
            undos=await count("public.effect WHERE direction = 'undo'"),
            claims=await count("countersign.permit_use WHERE use = 'claimed'"),
            reported_done=await count("countersign.effect_report WHERE status <> 'unknown'"),
            crashed=crashed,
            holds=await count("countersign.hold"),
        )
        await connection.close()
        return books
