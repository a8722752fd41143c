"""Chaos: many actions of every kind at once, while workers, PostgreSQL and Temporal are killed at random.

The seed decides which faults come after which pause; how they interleave with the actions is up to the machine.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from deploy.dev import Stack
from tests.faults.governed import DIRECTORY, OPERATIONS, catalog, document, resource
from tests.faults.keeping import Keeper
from tests.faults.outage import bring_back
from tests.world import decision
from workflows.interface import DECIDE, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

log = logging.getLogger("countersign.chaos")

# kind -> how such an action may end: what was never claimed never ran, what nobody can know is on hold.
RAN = ("approved/succeeded", "approved/outcome_unknown", "approved/not_executed")
ENDS = {
    "allowed": RAN,
    "asked": RAN,
    "failing": ("approved/compensated", "approved/outcome_unknown", "approved/not_executed"),
    "barred": ("denied/not_executed",),
    "disliked": ("denied/not_executed",),
    "ignored": ("expired/not_executed",),
    "withdrawn": ("withdrawn/not_executed",),
}
POLICY = document(
    "PolicyDocument",
    "chaos",
    """
unsigned: [{}]
permit_ttl: 90s
limits:
  - {id: barred, match: {environments: [barred]}, reason: nothing happens here}
rules:
  - {id: allowed, match: {environments: [allowed, failing]}, verdict: allow}
  - {id: asked, match: {environments: [asked, disliked, withdrawn]}, verdict: require_approval, chain: two}
  - {id: ignored, match: {environments: [ignored]}, verdict: require_approval, chain: brief}
chains:
  two:
    stages:
      - {name: first, requirements: [{groups: [oncall]}], deadline: 1h, reminders: [2s]}
      - {name: second, requirements: [{groups: [dba]}], deadline: 1h}
  brief: {stages: [{name: only, requirements: [{groups: [dba]}], deadline: 5s, reminders: [2s]}]}
""",
)
VOTES = {"asked": ("approve", "approve"), "disliked": ("approve", "deny")}
VICTIMS = (
    *((("worker",),) * 3),
    ("postgres",),
    ("temporal",),
    ("worker", "postgres"),
    ("worker", "temporal"),
    ("postgres", "temporal"),
)
PAUSE = 0.4
PEOPLE = ("person:olga", "person:dirk")


@dataclass(frozen=True)
class Action:
    """One of the many; each has a target of its own, so that a hold on one stops no other."""

    kind: str
    number: int

    @property
    def proposal_id(self) -> str:
        return f"{self.kind}-{self.number}"

    def proposal(self) -> dict[str, Any]:
        """What is proposed."""
        return {
            "api_version": "countersign/v1",
            "proposal_id": self.proposal_id,
            "operation": "count.row.add",
            "target": f"resource:{self.proposal_id}",
            "environment": self.kind,
            "agent": {"id": "agent:bot", "confidence": 0.9},
            "on_behalf_of": "person:anna",
            "rationale": "to see what is left of it",
            "steps": [
                {
                    "name": "add",
                    "operation": "count.row.add",
                    "timeout_seconds": 10,
                    "undo": {"operation": "count.row.remove", "timeout_seconds": 10},
                }
            ],
            "success_criteria": [{"probe": "count.row.present", "equals": self.kind != "failing", "within_seconds": 1}],
        }

    def entity(self) -> str:
        """Its target in the catalog."""
        return resource(self.proposal_id, f"target/{self.proposal_id}", environment=self.kind)


def actions(count: int, source: random.Random) -> list[Action]:
    """So many actions of all kinds, those that run something more often."""
    kinds = source.choices(list(ENDS), weights=(5, 4, 4, 1, 2, 2, 2), k=count)
    return [Action(kind, number) for number, kind in enumerate(kinds)]


def documents(several: list[Action]) -> tuple[bytes, ...]:
    """The governed documents for these actions."""
    return POLICY, OPERATIONS, DIRECTORY, catalog(*(action.entity() for action in several))


async def play(client: Client, action: Action) -> None:
    """Start an action and behave as its people do, whatever is down meanwhile, until it has a result."""
    handle = await _start(client, action)
    conversation = asyncio.create_task(_converse(handle, action))
    try:
        while True:
            with contextlib.suppress(RPCError):
                await handle.result()
                return
            await asyncio.sleep(0.5)
    finally:
        conversation.cancel()


async def _start(client: Client, action: Action) -> WorkflowHandle[Any, Any]:
    while True:
        try:
            return await client.start_workflow(
                WORKFLOW_TYPE,
                action.proposal(),
                id=workflow_id(action.proposal_id),
                task_queue=TASK_QUEUE,
                task_timeout=timedelta(seconds=5),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=timedelta(seconds=5),
            )
        except WorkflowAlreadyStartedError:
            return client.get_workflow_handle(workflow_id(action.proposal_id))
        except RPCError:
            await asyncio.sleep(0.5)


async def _converse(handle: WorkflowHandle[Any, Any], action: Action) -> None:
    """Vote, or withdraw, over and over with the same decision ids: whether something arrived is never certain."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(RPCError):
            status = await handle.query("status", rpc_timeout=timedelta(seconds=5))
            if status["state"] != "pending":
                continue
            if action.kind == "withdrawn":
                await handle.cancel(rpc_timeout=timedelta(seconds=5))
            elif action.kind in VOTES:
                stage = status["stage"]
                vote = decision(status, PEOPLE[stage - 1], VOTES[action.kind][stage - 1], decision_id=f"stage-{stage}")
                times = {
                    "issued_at": status["screen"]["assessed_at"],
                    "expires_at": status["screen"]["absolute_deadline"],
                }
                await handle.signal(DECIDE, {**vote, **times}, rpc_timeout=timedelta(seconds=5))


def worker_config(stack: Stack, record: str, *, target: str, folder: Path, point: str = "") -> dict[str, str]:
    """What a worker process is told; with a point it dies there, once."""
    return {
        "point": point,
        "mark": str(folder / "mark"),
        "address": stack.temporal_address,
        "namespace": stack.namespace,
        "database": stack.database_url("countersign_app", record),
        "target": target,
    }


@contextlib.asynccontextmanager
async def workers(stack: Stack, record: str, target: str, folder: Path, count: int = 2) -> AsyncIterator[list[Keeper]]:
    """Worker processes that are started again whenever they die."""
    config = worker_config(stack, record, target=target, folder=folder) | {"pause": str(PAUSE)}
    keepers = [Keeper(config) for _ in range(count)]
    running = [asyncio.create_task(keeper.run()) for keeper in keepers]
    try:
        yield keepers
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def wreak(stack: Stack, keepers: list[Keeper], source: random.Random, calm: asyncio.Event) -> None:
    """Kill something, wait, and start again what does not start by itself, until it shall be calm."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(calm.wait(), source.uniform(2, 8))
            return
        victims = source.choice(VICTIMS)
        how = source.choice(["stop", "kill", "kill"])
        keeper, pause = source.choice(keepers), source.uniform(0.2, 6)
        log.warning("%s %s for %.1f s", how, "+".join(victims), pause)
        if "worker" in victims:
            keeper.kill()
        servers = [getattr(stack, victim) for victim in victims if victim != "worker"]
        try:
            await asyncio.gather(*(asyncio.to_thread(getattr(server, how)) for server in servers))
            await asyncio.sleep(pause)
        finally:
            await asyncio.gather(*(bring_back(server) for server in servers))
