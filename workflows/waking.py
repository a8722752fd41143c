"""Telling another workflow to look again: an action that waits for its turn, an item that an action has remedied."""

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from workflows import interface


async def wake(workflow_id: str) -> None:
    """Tell a workflow to look again. Where that is lost, an action asks by itself later; the sweep tells an item."""
    other = workflow.get_external_workflow_handle(workflow_id)
    try:
        await other.signal(interface.LOOK_AGAIN)
    except FailureError:
        workflow.logger.info("nobody is there to wake: %s", workflow_id)
