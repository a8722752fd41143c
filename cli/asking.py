"""Asking a workflow, and asking again where the query came between an event and the task that delivers it.

Of a run that ended before that task nobody delivers the event any more: it is asked once, and the record says the rest.
"""

import asyncio
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowQueryFailedError

from workflows.interface import ASKED_TOO_EARLY

_AGAIN, _PAUSE_SECONDS = 10, 0.2


async def asked(handle: WorkflowHandle[Any, Any], query: str, **more: Any) -> Any:
    """The answer to a query.

    Args:
        handle: the workflow.
        query: its name.
        more: what `WorkflowHandle.query` takes besides.

    Raises:
        WorkflowQueryFailedError: it fails, or every time again a task is on its way.
        WorkflowQueryRejectedError: the workflow answers no queries.
        RPCError: Temporal does not answer.
    """
    for _ in range(_AGAIN):
        try:
            return await handle.query(query, **more)
        except WorkflowQueryFailedError as error:
            if ASKED_TOO_EARLY not in str(error) or await _has_ended(handle):
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
    return await handle.query(query, **more)


async def _has_ended(handle: WorkflowHandle[Any, Any]) -> bool:
    return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING
