"""Sending one decision until its receipt is known: update first, then the same decision as a signal, then looking.

- A timed-out update may still be applied when a worker comes back. So a second message must be the same decision: the
  same id and the same bytes.
- The receipt is looked for in the record first, then in the answer of `status`: a refusal that is not listed any more,
  and one that never reached the record, is only there.
- The waiting is bounded. What is not known by then is reported as unknown, never as refused.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.dossier import read_receipt
from cli.case import ask
from cli.place import Place
from policy.decision import DecisionReceipt
from policy.errors import DecisionError
from workflows import interface
from workflows.converter import UnreadableError, readable

UPDATE_TIMEOUT = timedelta(seconds=10)
_POLL = timedelta(seconds=0.3)


@dataclass(frozen=True)
class Answer:
    """The receipt, or None where nobody answered in time; and by which way it became known."""

    receipt: DecisionReceipt | None
    way: Literal["update", "signal", "record"]
    note: str = ""


async def send(place: Place, identity: str, submission: dict[str, Any], *, patience: timedelta) -> Answer:
    """Send a decision and wait for its receipt.

    Args:
        place: where.
        identity: what Temporal records as the sender.
        submission: the decision as JSON.
        patience: how long to wait for the receipt after the update was not answered.

    Raises:
        DecisionError: the workflow takes it for no decision at all.

    """
    client = await place.client(identity)
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(interface.workflow_id(submission["proposal_id"]))
    try:
        answered, problem = await _update(handle, submission)
    except UnreadableError as error:
        found = await _receipt(place, client, submission)
        return Answer(found, "record", "" if found else f"it was taken, and its answer cannot be read here: {error}")
    if answered is not None:
        return Answer(answered, "update")
    try:
        await handle.signal(interface.DECIDE, submission, rpc_timeout=UPDATE_TIMEOUT)
    except RPCError as error:
        problem = f"{problem}; the signal was not taken: {error.message}"
        found = await _receipt(place, client, submission)
        return Answer(found, "record", "" if found else problem)
    return await _wait(place, client, submission, patience, problem)


async def _update(handle: "WorkflowHandle[Any, Any]", submission: dict[str, Any]) -> tuple[DecisionReceipt | None, str]:
    """The receipt, or None and why the fate of the update is not known.

    Raises:
        UnreadableError: it was answered, and this process lacks the key.
    """
    try:
        async with asyncio.timeout(UPDATE_TIMEOUT.total_seconds()):
            value = await handle.execute_update(interface.DECIDE, submission, id=submission["decision_id"])
        return DecisionReceipt.model_validate(readable(value)), ""
    except WorkflowUpdateFailedError as error:
        raise DecisionError(str(error.cause)) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return None, f"no answer within {UPDATE_TIMEOUT.total_seconds():g} s, does a worker run?"
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None, f"the workflow takes no more decisions ({error.message})"
        return None, f"temporal answered {error.status.name.lower()}: {error.message}"


async def _wait(place: Place, client: Client, submission: dict[str, Any], patience: timedelta, problem: str) -> Answer:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                if found := await _receipt(place, client, submission):
                    return Answer(found, "signal")
                await asyncio.sleep(_POLL.total_seconds())
    except TimeoutError:
        return Answer(None, "signal", f"{problem} It was sent as a signal, too, and is not answered yet.")


async def _receipt(place: Place, client: Client, submission: dict[str, Any]) -> DecisionReceipt | None:
    proposal_id, decision_id = submission["proposal_id"], submission["decision_id"]
    async with place.record() as database:
        if database is not None:
            async with database.snapshot() as connection:
                found = await read_receipt(connection, proposal_id, decision_id)
            if found is not None:
                return found
    status, _ = await ask(client, proposal_id, interface.STATUS)
    receipts = status["receipts"] if status else {}
    return DecisionReceipt.model_validate(receipts[decision_id]) if decision_id in receipts else None
