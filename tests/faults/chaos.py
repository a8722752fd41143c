"""Chaos: many actions of every kind at once, while workers, PostgreSQL and Temporal are killed at random.

The seed decides which faults come after which pause; how they interleave with the actions is up to the machine.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from deploy.dev import Stack
from tests.faults.afterwards import PEOPLE as KEYED
from tests.faults.afterwards import signed_halt
from tests.faults.governed import OPERATIONS, catalog, document, resource
from tests.faults.keeping import Keeper
from tests.faults.outage import bring_back
from tests.faults.people import revocation
from tests.faults.place import ENVIRONMENT, Place
from tests.world import decision
from workflows.interface import (
    DECIDE,
    HALT_WORKFLOW,
    RELEASE,
    TASK_QUEUE,
    WORKFLOW_TYPE,
    halt_workflow_id,
    workflow_id,
)

log = logging.getLogger("countersign.chaos")
NOWHERE: Mapping[str, Place] = {}
_RPC = timedelta(seconds=5)

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
    "revoked": ("withdrawn/not_executed",),
    # Through real executors; all of a kind act on one target, and wait for each other there.
    "http": (*RAN, "expired/not_executed"),
    "command": (*RAN, "expired/not_executed"),
}
SHARED = ("http", "command")
POLICY = document(
    "PolicyDocument",
    "chaos",
    """
unsigned: [{}]
permit_ttl: 90s
halt: {who: {groups: [oncall]}, release: {groups: [oncall, dba]}}
limits:
  - {id: barred, match: {environments: [barred]}, reason: nothing happens here}
rules:
  - {id: allowed, match: {environments: [allowed, failing, production]}, verdict: allow}
  - {id: asked, match: {environments: [asked, disliked, withdrawn, revoked]}, verdict: require_approval, chain: two}
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
    place: Place | None = None

    @property
    def proposal_id(self) -> str:
        return f"{self.kind}-{self.number}"

    def proposal(self) -> dict[str, Any]:
        """What is proposed."""
        if self.place is not None:
            body = self.place.proposal(self.proposal_id, fails=False)
            return {**body, "target": f"resource:{self.kind}"}
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
        if self.place is not None:
            return resource(self.kind, self.place.resource, environment=ENVIRONMENT)
        return resource(self.proposal_id, f"target/{self.proposal_id}", environment=self.kind)


def actions(count: int, source: random.Random, places: Mapping[str, Place] = NOWHERE) -> list[Action]:
    """So many actions of all kinds, those that run something more often; through these places, too."""
    weights = dict(zip(ENDS, (5, 4, 4, 1, 2, 2, 2, 1, 2, 2), strict=True))
    known = {kind: weight for kind, weight in weights.items() if kind not in SHARED or kind in places}
    kinds = source.choices(list(known), weights=list(known.values()), k=count)
    return [Action(kind, number, places.get(kind)) for number, kind in enumerate(kinds)]


def documents(several: list[Action]) -> tuple[bytes, ...]:
    """The governed documents for these actions."""
    places = {action.kind: action.place for action in several if action.place is not None}
    operations = OPERATIONS
    for place in places.values():
        operations += b"---\n" + document("OperationsRegistry", place.name, place.registry)
    entities = dict.fromkeys(action.entity() for action in several)
    return POLICY, operations, KEYED.encode(), catalog(*entities)


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
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
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
            elif action.kind == "revoked":
                await handle.signal(DECIDE, revocation(status), rpc_timeout=timedelta(seconds=5))
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
async def workers(
    stack: Stack, record: str, target: str, folder: Path, count: int = 2, places: Iterable[Place] = ()
) -> AsyncIterator[list[Keeper]]:
    """Worker processes that are started again whenever they die."""
    config = worker_config(stack, record, target=target, folder=folder) | {"pause": str(PAUSE)}
    given: dict[str, dict[str, Any]] = {"executors": {}, "urls": {}, "readers": {}}
    for place in places:
        for name, values in place.config.items():
            given[name] |= values
    config |= {name: json.dumps(values) for name, values in given.items()}
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


async def halts(client: Client, source: random.Random, calm: asyncio.Event) -> int:
    """Halt everything now and then, and release it by two people; how often that was done."""
    number = 0
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(calm.wait(), source.uniform(20, 40))
            return number
        number += 1
        halt_id = f"halt-{number}"
        body = {"halt_id": halt_id, "statement": await signed_halt("olga", "halt", halt_id)}
        options: dict[str, Any] = {"task_queue": TASK_QUEUE, "task_timeout": timedelta(seconds=5)}
        where = {"id": halt_workflow_id(halt_id), "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING}
        handle = await _asked(client.start_workflow, HALT_WORKFLOW, body, **where, **options)
        await asyncio.sleep(source.uniform(1, 5))
        for who in ("olga", "dirk"):
            said = await signed_halt(who, "release", halt_id)
            await _asked(handle.execute_update, RELEASE, said, id=f"{halt_id}-{who}")


async def _asked(call: Any, *values: Any, **options: Any) -> Any:
    """Ask until somebody answers."""
    while True:
        try:
            return await call(*values, **options, rpc_timeout=_RPC)
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
            await asyncio.sleep(0.5)
