"""Telling another workflow to look again: an action that waits for its turn, an item that an action has remedied."""

import re

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from workflows import interface

# What any of our workflows can be called. Temporal fails the task that signals an id which is none, again and again.
_ID = re.compile(r"[A-Za-z0-9._:/@-]{1,300}")


async def wake(workflow_id: str) -> None:
    """Tell a workflow to look again. Where that is lost, an action asks by itself later; the sweep tells an item."""
    if _ID.fullmatch(workflow_id) is None:
        return
    other = workflow.get_external_workflow_handle(workflow_id)
    try:
        await other.signal(interface.LOOK_AGAIN)
    except FailureError:
        workflow.logger.info("nobody is there to wake: %s", workflow_id)
