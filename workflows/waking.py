"""Telling an action that waits that it may be its turn."""

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from workflows import interface


async def wake(proposal_id: str) -> None:
    """Tell an action that waits to ask again. Where that is lost, it asks by itself later."""
    waiting = workflow.get_external_workflow_handle(interface.workflow_id(proposal_id))
    try:
        await waiting.signal(interface.LOOK_AGAIN)
    except FailureError:
        workflow.logger.info("nobody is there to wake: %s", proposal_id)
