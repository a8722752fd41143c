"""The operator who follows the runbook: a run that no worker can go on with is reset to before it ran ahead."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

_RPC = timedelta(seconds=5)
_LOOK_SECONDS = 5.0
_STUCK = "ExecutionStatus = 'Running' AND TemporalReportedProblems IN ('category=WorkflowTaskFailed')"


def reset_point(events: Sequence[HistoryEvent]) -> int | None:
    """The event to reset to: the last workflow task but one that was completed; None where nothing ran ahead."""
    failed = [event.workflow_task_failed_event_attributes.cause for event in events[-3:]]
    if WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR not in failed:
        return None
    completed = [event.event_id for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    return completed[-2] if len(completed) > 1 else None


async def reset_the_stuck(client: Client, over: asyncio.Event) -> int:
    """Reset runs that no worker can go on with, until it is over; how many there were."""
    number = 0
    while not over.is_set():
        await asyncio.sleep(_LOOK_SECONDS)
        with contextlib.suppress(RPCError):
            async for found in client.list_workflows(_STUCK, rpc_timeout=_RPC):
                number += await _reset(client, found.id, found.run_id)
    return number


async def _reset(client: Client, workflow_id: str, run_id: str) -> bool:
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history(rpc_timeout=_RPC)
    if (point := reset_point(history.events)) is None:
        return False
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        reason="it ran ahead of its history",
        workflow_task_finish_event_id=point,
        request_id=f"{uuid4()}",
    )
    await client.workflow_service.reset_workflow_execution(request, timeout=_RPC)
    return True
