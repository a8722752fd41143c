"""Having executors say what an action would touch, before the record is asked about it.

What they found they put on record; the answer says only that they did. Where there is none in time the record is asked
all the same: without a resolution it assesses nothing as resolved, and permits nothing.
"""

from typing import Any

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError

from workflows.interface import EXECUTOR_QUEUE
from workflows.messages_targets import ResolveRequest
from workflows.ports import RESOLVE_RETRY, RESOLVE_TIMEOUT, RESOLVE_WITHIN, ResolvePort


async def resolve(
    *, proposal: Any = None, proposal_id: str | None = None, priority: Priority = Priority.default
) -> None:
    """Ask the executors, and wait a minute at most.

    Args:
        proposal: as received, where it is not registered yet.
        proposal_id: of one that is.
        priority: which activities it overtakes on the queue.
    """
    try:
        await workflow.execute_activity_method(
            ResolvePort.resolve,
            ResolveRequest(proposal=proposal, proposal_id=proposal_id),
            task_queue=EXECUTOR_QUEUE,
            schedule_to_close_timeout=RESOLVE_WITHIN,
            start_to_close_timeout=RESOLVE_TIMEOUT,
            retry_policy=RESOLVE_RETRY,
            summary="what would it touch?",
            priority=priority,
        )
    except ActivityError:
        workflow.logger.warning("the executors did not say what it would touch")
