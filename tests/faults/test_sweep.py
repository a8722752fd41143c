"""An executor dies with a claim, and somebody removes the workflow that would have noticed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from activities.connection import connect
from activities.database import Database
from deploy.dev import Stack
from policy.result import ActionResult
from tests.anchors import MemoryAnchor
from tests.faults.chaos import worker_config
from tests.faults.chaos_actions import Action, documents
from tests.faults.keeping import Keeper
from tests.faults.outage import fresh_record
from tests.permit_keys import settings
from tests.world import BOUND, until
from worker import running_workers
from workflows.interface import SWEEP_WORKFLOW, TASK_QUEUE, WORKFLOW_TYPE, workflow_id

TARGET = "postgresql://nobody@/nowhere"
# So far ahead that no report can come any more.
AHEAD = {"ahead": "3600"}


@dataclass(frozen=True)
class Left:
    """What is left of an action whose worker died after its claim."""

    stack: Stack
    record: str
    client: Client
    folder: Path
    proposal: dict[str, Any]
    handle: WorkflowHandle[Any, Any]

    @property
    def died(self) -> list[str]:
        """Where workers died so far."""
        return (self.folder / "mark").read_text().split()

    async def remove(self, how: str) -> None:
        """Remove the workflow."""
        if how == "terminated":
            await self.handle.terminate("somebody wanted it gone")
            return
        gone = DeleteWorkflowExecutionRequest(
            namespace=self.client.namespace, workflow_execution=WorkflowExecution(workflow_id=self.handle.id)
        )
        await self.client.workflow_service.delete_workflow_execution(gone)
        await until(self._is_gone)

    async def _is_gone(self) -> bool:
        try:
            return (await self.handle.describe()).status is not WorkflowExecutionStatus.RUNNING
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND

    @contextlib.asynccontextmanager
    async def swept_by(self, point: str) -> AsyncIterator[None]:
        """A worker an hour later, which dies at a point of the sweep and is started again."""
        points = "+".join([*self.died, *([point] if point else [])])
        config = worker_config(self.stack, self.record, target=TARGET, folder=self.folder, point=points) | AHEAD
        keeping = asyncio.create_task(Keeper(config).run())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def sweep(self) -> WorkflowHandle[Any, Any]:
        """Start a sweep, as the schedule does."""
        return await self.client.start_workflow(SWEEP_WORKFLOW, id=f"sweep/{uuid4().hex}", task_queue=TASK_QUEUE)

    async def ends(self) -> list[Any]:
        """Results and holds of the record: the body of one, the target of the other."""
        record = await asyncpg.connect(self.stack.database_url("postgres", self.record))
        try:
            results = await record.fetch("SELECT convert_from(body, 'UTF8') FROM countersign.result")
            return [*(row[0] for row in results), *(row[0] for row in await record.fetch(_HOLDS))]
        finally:
            await record.close()


_HOLDS = "SELECT target FROM countersign.hold"


@pytest.fixture(name="left")
async def _left(fragile: Stack, tmp_path: Path) -> Left:
    """A worker is killed after its claim, before its effect."""
    action = Action("allowed", 1)
    name = await fresh_record(fragile, documents([action]))
    client = await connect(address=fragile.temporal_address, identity="tests")
    point, key = "after:execute:1", f"{action.kind}-{name[-8:]}"
    proposal = {**action.proposal(), "proposal_id": key}
    once = Keeper(worker_config(fragile, name, target=TARGET, folder=tmp_path, point=point))
    process = await once.start()
    try:
        handle = await client.start_workflow(WORKFLOW_TYPE, proposal, id=workflow_id(key), task_queue=TASK_QUEUE)
        await asyncio.wait_for(process.wait(), 4 * BOUND)
    finally:
        once.kill()
    return Left(fragile, name, client, tmp_path, proposal, handle)


async def _check_ended(left: Left) -> None:
    """It ended as unknown, once, with one hold, and whoever starts the proposal again gets that result."""
    body, *held = await left.ends()
    result = ActionResult.model_validate_json(body)
    said = (result.resolution, result.outcome, result.next_action)
    assert said == ("approved", "outcome_unknown", "ask_a_person")
    assert held == ["resource:default/allowed-1"]
    database = Database(left.stack.database_url("countersign_app", left.record))
    try:
        async with running_workers(left.client, database, settings(), anchor=MemoryAnchor()):
            again = await left.client.execute_workflow(
                WORKFLOW_TYPE, left.proposal, id=left.handle.id, task_queue=TASK_QUEUE
            )
    finally:
        await database.close()
    assert ActionResult.model_validate(again) == result


@pytest.mark.parametrize("how", ["terminated", "deleted"])
async def test_a_claim_outlives_its_workflow(left: Left, how: str) -> None:
    """The worker is killed after its claim and the workflow removed: the sweep ends it as unknown, with a hold."""
    await left.remove(how)
    async with left.swept_by(""):
        assert await (await left.sweep()).result() == 1
        assert await (await left.sweep()).result() == 0
    await _check_ended(left)


@pytest.mark.chaos
@pytest.mark.parametrize(("point", "by_the_next"), [("before:sweep:1", 1), ("after:sweep:1", 0)])
async def test_a_killed_sweep_is_finished_by_the_next(left: Left, point: str, by_the_next: int) -> None:
    """Its worker is killed before or after its commit: the next sweep ends what is left, and nothing ends twice."""
    await left.remove("terminated")
    async with left.swept_by(point):
        killed = await left.sweep()
        await until(lambda: asyncio.sleep(0, point in left.died))
        # Its own next attempt comes when its five minutes are over; the schedule does not wait for it.
        await killed.terminate()
        assert await (await left.sweep()).result() == by_the_next
    assert left.died == ["after:execute:1", point]
    await _check_ended(left)
