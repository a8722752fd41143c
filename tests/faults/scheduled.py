"""What schedules do, while a worker is killed: looking at runs and trails, measuring SLOs, keeping issuers' keys.

Each is asked for until the record shows what it found, and once more: what is there is not written again.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from policy.base import instant_text
from tests.faults.governed import CATALOG, DIRECTORY, OPERATIONS, POLICY
from tests.faults.ordeal import Afterwards, Ordeal
from tests.integration.prometheus import answering, number
from tests.provider import identity_provider
from tests.unit.test_kubernetes_trail import event
from workflows.interface import (
    DETECT_WORKFLOW,
    KEYS_WORKFLOW,
    SLO_WORKFLOW,
    TASK_QUEUE,
    WATCH_WORKFLOW,
    WORKFLOW_TYPE,
    workflow_id,
)

_PATIENCE_SECONDS, _RUN = 90.0, timedelta(seconds=15)
_OBJECTIVE = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec: {service: "resource:default/calm", objectives: [{target: 0.99}]}
"""


@dataclass(frozen=True)
class Scheduled:
    """One schedule: what happens before it runs, and what its worker and its documents say of it.

    Attributes:
        then: what happens, and the runs of the schedule.
        config: what the worker is told besides.
        documents: policy, operations, directory and catalog.
    """

    then: Afterwards
    config: Mapping[str, str] = field(default_factory=dict)
    documents: tuple[bytes, ...] = (POLICY, OPERATIONS, DIRECTORY, CATALOG)


async def _nothing(ordeal: Ordeal, client: Client, folder: Path) -> None:
    """There is always something to find."""


def runs(
    workflow: str, counted: str, before: Callable[[Ordeal, Client, Path], Awaitable[None]] = _nothing
) -> Afterwards:
    """Run a schedule's workflow until the record has what it is to find, and once more."""

    async def then(ordeal: Ordeal, client: Client, folder: Path) -> None:
        await before(ordeal, client, folder)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not (await ordeal.counts())[counted]:
                # A run that met the fault may fail, or wait for its activity for as long as that may take.
                with contextlib.suppress(Exception):
                    await _once(client, workflow)
                await asyncio.sleep(0.2)
            while True:
                with contextlib.suppress(Exception):
                    await _once(client, workflow)
                    return

    return then


async def _once(client: Client, workflow: str) -> None:
    name = f"{workflow}-{uuid4().hex}"
    await client.execute_workflow(workflow, id=name, task_queue=TASK_QUEUE, execution_timeout=_RUN)


async def _terminated(ordeal: Ordeal, client: Client, _: Path) -> None:
    """Somebody terminates a run that no worker has heard of."""
    other = f"{ordeal.name}-other"
    handle = await client.start_workflow(
        WORKFLOW_TYPE, {"proposal_id": other}, id=workflow_id(other), task_queue="nobody"
    )
    await handle.terminate(reason="an operator in a hurry")


async def _scaled_by_hand(ordeal: Ordeal, client: Client, folder: Path) -> None:
    """Somebody scales a deployment, and the cluster's audit log has it."""
    now = instant_text(datetime.now(UTC))
    scaled = event(
        auditID=str(uuid4()),
        requestObject={"spec": {"replicas": 3}},
        requestReceivedTimestamp=now,
        stageTimestamp=now,
    )
    (folder / "audit.log").write_text(json.dumps(scaled) + "\n")


@asynccontextmanager
async def _watch() -> AsyncIterator[Scheduled]:
    yield Scheduled(runs(WATCH_WORKFLOW, "violations", _terminated))


@asynccontextmanager
async def _detect() -> AsyncIterator[Scheduled]:
    yield Scheduled(runs(DETECT_WORKFLOW, "violations", _scaled_by_hand), {"trail": "audit.log"})


@asynccontextmanager
async def _slos() -> AsyncIterator[Scheduled]:
    """One objective, and a server that always says the same of the same instant."""
    said = number("0.5", datetime.now(UTC).timestamp())
    documents = (POLICY, OPERATIONS, DIRECTORY, b"---".join([CATALOG, _OBJECTIVE.encode()]))
    async with answering(lambda _: said) as url:
        yield Scheduled(runs(SLO_WORKFLOW, "slo states"), {"prometheus": url}, documents)


@asynccontextmanager
async def _keys() -> AsyncIterator[Scheduled]:
    """A real provider with two keys, which the directory names."""
    with ExitStack() as stack:
        provider = await asyncio.to_thread(stack.enter_context, identity_provider())
        issuers = json.dumps([{"issuer": provider.issuer, "client_ids": ["countersign-cli"]}])
        directory = DIRECTORY.decode().replace("people:\n", f"audience: tests\nissuers: {issuers}\npeople:\n", 1)
        documents = (POLICY, OPERATIONS, directory.encode(), CATALOG)
        yield Scheduled(runs(KEYS_WORKFLOW, "issuer keys"), documents=documents)


PLAYS: Mapping[str, Callable[[], AbstractAsyncContextManager[Scheduled]]] = {
    "a run is terminated": _watch,
    "a cluster is changed by hand": _detect,
    "an objective is measured": _slos,
    "an issuer publishes keys": _keys,
}
