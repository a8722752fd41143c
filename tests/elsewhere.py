"""Workflows of somebody else, on a task queue of their own: what a foreign worker in the namespace can do."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

FOREIGN_QUEUE = "elsewhere"


@workflow.defn(name="Parent")
class Parent:
    """Starts our workflow as a child."""

    @workflow.run
    async def run(self, proposal: Any, queue: str) -> Any:
        child = f"action/{proposal['proposal_id']}"
        return await workflow.execute_child_workflow(
            "AuthorizeAction", proposal, id=child, task_queue=queue, result_type=dict
        )


@workflow.defn(name="Foreign")
class Foreign:
    """Calls an activity by name on any queue, and tells what it answered."""

    @workflow.run
    async def run(self, activity: str, queue: str, request: Any) -> Any:
        return await workflow.execute_activity(
            activity,
            request,
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
            result_type=dict,
        )
