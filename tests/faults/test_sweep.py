"""An executor dies with a claim, and somebody removes the workflow that would have noticed."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.connection import connect
from activities.database import Database
from activities.house import HouseActivities
from activities.settings import Settings
from deploy.dev import Stack
from policy.result import ActionResult
from tests.faults.chaos import Action, documents, worker_config
from tests.faults.ordeal import Keeper
from tests.faults.outage import fresh_record
from tests.world import BOUND, until
from worker import running_workers
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id


class Later:
    """A clock that runs an hour ahead: no report can come any more."""

    async def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize("how", ["terminated", "deleted"])
async def test_a_claim_outlives_its_workflow(fragile: Stack, tmp_path: Path, how: str) -> None:
    """The worker is killed after its claim and the workflow removed: the sweep ends it as unknown, with a hold."""
    action = Action("allowed", 1)
    name = await fresh_record(fragile, documents([action]))
    url = fragile.database_url("postgres", name)
    client = await connect(address=fragile.temporal_address, identity="tests")
    point, key = "after:execute:1", f"{action.kind}-{name[-8:]}-{how}"
    proposal = {**action.proposal(), "proposal_id": key}
    once = Keeper(worker_config(fragile, name, target="postgresql://nobody@/nowhere", folder=tmp_path, point=point))
    process = await once.start()
    try:
        handle = await client.start_workflow(WORKFLOW_TYPE, proposal, id=workflow_id(key), task_queue=TASK_QUEUE)
        await asyncio.wait_for(process.wait(), 4 * BOUND)
    finally:
        once.kill()
    if how == "terminated":
        await handle.terminate("somebody wanted it gone")
    else:
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=handle.id)
            )
        )
    database = Database(fragile.database_url("countersign_app", name))
    try:
        house = HouseActivities(database, client, Later(), None)
        assert await ActivityEnvironment().run(house.sweep) == 1
        assert await ActivityEnvironment().run(house.sweep) == 0
        record = await asyncpg.connect(url)
        [body] = [row["body"] for row in await record.fetch("SELECT body FROM countersign.result")]
        result = ActionResult.model_validate_json(body)
        assert (result.resolution, result.outcome, result.next_action) == (
            "approved",
            "outcome_unknown",
            "ask_a_person",
        )
        assert await record.fetchval("SELECT target FROM countersign.hold") == "resource:default/allowed-1"
        await record.close()
        # Whoever starts the same proposal again gets that result, and nothing runs.
        async with running_workers(client, database, Settings(unsafe_claimed_identities=True)):
            await until(lambda: _gone(handle))
            again = await client.execute_workflow(WORKFLOW_TYPE, proposal, id=handle.id, task_queue=TASK_QUEUE)
        assert ActionResult.model_validate(again) == result
    finally:
        await database.close()


async def _gone(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether nothing runs under the id any more."""
    try:
        return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
