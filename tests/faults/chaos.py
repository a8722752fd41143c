"""Chaos: many actions of every kind at once, while workers, PostgreSQL and Temporal are killed at random.

The seed decides which faults come after which pause; how they interleave with the actions is up to the machine.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from deploy.dev import Stack
from tests.faults.chaos_actions import Action
from tests.faults.chaos_people import converse
from tests.faults.keeping import Keeper
from tests.faults.outage import bring_back
from tests.faults.place import Place
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id

log = logging.getLogger("countersign.chaos")
VICTIMS = (
    *((("worker",),) * 3),
    ("postgres",),
    ("temporal",),
    ("worker", "postgres"),
    ("worker", "temporal"),
    ("postgres", "temporal"),
)
PAUSE = 0.4


async def play(client: Client, action: Action) -> None:
    """Start an action and behave as its people do, whatever is down meanwhile, until it has a result."""
    await _start(client, action)
    # By its id: the run that was started may be one that an operator resets.
    handle = client.get_workflow_handle(workflow_id(action.proposal_id))
    conversation = asyncio.create_task(converse(handle, action))
    try:
        while not await _ended(handle):
            pass
    finally:
        conversation.cancel()


async def _ended(handle: WorkflowHandle[Any, Any]) -> bool:
    """Wait for a result; False a moment after Temporal went away, or a reset ended the run that was waited for."""
    try:
        await handle.result()
    except RPCError:
        pass
    except WorkflowFailureError as error:
        if not isinstance(error.cause, TerminatedError):
            raise
    else:
        return True
    await asyncio.sleep(0.5)
    return False


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


def worker_config(
    stack: Stack, record: str, *, target: str, folder: Path, point: str = "", twice: str = ""
) -> dict[str, str]:
    """What a worker process is told; with a point it dies there, once. `twice` is of what it does everything twice."""
    return {
        "point": point,
        "twice": twice,
        "mark": str(folder / "mark"),
        "address": stack.temporal_address,
        "namespace": stack.namespace,
        "database": stack.database_url("countersign_app", record),
        "target": target,
    }


@contextlib.asynccontextmanager
async def workers(
    stack: Stack, config: dict[str, str], count: int = 2, places: Iterable[Place] = ()
) -> AsyncIterator[list[Keeper]]:
    """Worker processes with a `worker_config`, which are started again whenever they die."""
    config |= {"pause": str(PAUSE)}
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


async def wreak(stack: Stack, keepers: list[Keeper], source: random.Random, calm: asyncio.Event) -> Counter[str]:
    """Kill something, wait, and start again what does not start by itself, until it shall be calm; how often what."""
    killed: Counter[str] = Counter()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(calm.wait(), source.uniform(2, 8))
            return killed
        victims = source.choice(VICTIMS)
        how = source.choice(["stop", "kill", "kill"])
        keeper, pause = source.choice(keepers), source.uniform(0.2, 6)
        killed["+".join(victims)] += 1
        log.warning("%s %s for %.1f s", how, "+".join(victims), pause)
        if "worker" in victims:
            keeper.kill()
        servers = [getattr(stack, victim) for victim in victims if victim != "worker"]
        try:
            await asyncio.gather(*(asyncio.to_thread(getattr(server, how)) for server in servers))
            await asyncio.sleep(pause)
        finally:
            await asyncio.gather(*(bring_back(server) for server in servers))
