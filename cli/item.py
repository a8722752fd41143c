"""Saying something of an item that people have to look at: the decision, and its way to the item's workflow.

The item's workflow is started where none runs, as the sweep would. An answer goes as an update; where that gives no
answer in time, the same decision goes as a signal and the list shows what came of it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from cli import exits, render
from cli.case import UnknownActionError
from cli.place import NO_RECORD, Place
from cli.sending import UPDATE_TIMEOUT
from cli.signing import Signing
from cli.statement import Statement, check, code_of
from policy.base import instant_text
from policy.decision import DecisionReceipt, Wanted
from policy.errors import DecisionError
from policy.items import Item
from workflows.converter import UnreadableError, readable
from workflows.interface import DECIDE, ITEM_WORKFLOW, TASK_QUEUE, item_id

VALID = timedelta(minutes=10)


def item_value(item: Item, stage: int, vote: str, because: str, now: datetime, **more: Any) -> dict[str, Any]:
    """The decision about an item, as the JSON value that is to be signed, without a proof.

    Args:
        item: what it is about.
        stage: the one that is open.
        vote: `resolve` or `amend`.
        because: the reason.
        now: the instant (UTC).
        more: what it says; what is None is left out.

    Raises:
        DecisionError: an argument cannot be part of a decision.
    """
    instant = now.replace(microsecond=0)
    value = {
        "decision_id": str(uuid4()),
        "proposal_id": item.item_id,
        "revision": item.revision,
        "stage": stage,
        "action_digest": item.action_digest,
        "assessment_digest": item.assessment_digest,
        "policy_digest": item.policy_digest,
        "presented_digest": item.digest,
        "vote": vote,
        "justification": because,
        "issued_at": instant_text(instant),
        "expires_at": instant_text(instant + VALID),
        **{name: given for name, given in more.items() if given is not None},
    }
    check(value)
    return value


async def say(
    place: Place,
    signing: Signing,
    name: str,
    value: dict[str, Any],
    wanted: Wanted | None,
    args: argparse.Namespace,
    *,
    about: Mapping[str, str] = render.OF_ITEM,
) -> int:
    """Show what is signed, sign it, send it to an item's workflow, and say what it was answered; the exit code.

    Args:
        place: where.
        signing: how the user signs.
        name: of the item.
        value: the decision without a proof.
        wanted: what its proof must show.
        args: of the command; `json` asks for JSON.
        about: what it comes to, by its resolution.
    """
    way = signing.choose(wanted)
    statement = Statement(signing.addressed(value, way), signing, way, wanted)
    print("\n".join(statement.lines), file=sys.stderr)
    receipt = await send_to_item(place, signing.sender, name, await statement.signed())
    if receipt is None:
        print("unknown: it was sent and nobody answered yet, look at the list", file=sys.stderr)
        return exits.UNKNOWN
    shown = receipt.model_dump(mode="json")
    print(json.dumps(shown, indent=2) if args.json else render.receipt(shown, about))
    return code_of(receipt)


async def send_to_item(place: Place, identity: str, name: str, submission: dict[str, Any]) -> DecisionReceipt | None:
    """Send a decision to an item's workflow; its receipt, or None where nobody answered in time.

    Raises:
        DecisionError: it was refused as no decision, or its answer cannot be read.
        UnknownActionError: the workflow cannot be started or reached.
    """
    client = await place.client(identity)
    try:
        handle = await client.start_workflow(
            ITEM_WORKFLOW,
            {"item_id": name},
            id=item_id(name),
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        value = await handle.execute_update(
            DECIDE, submission, id=submission["decision_id"], rpc_timeout=UPDATE_TIMEOUT
        )
        return DecisionReceipt.model_validate(readable(value))
    except UnreadableError as error:
        raise DecisionError(f"it was taken, and its answer cannot be read here: {error}") from error
    except WorkflowUpdateFailedError as error:
        raise DecisionError(str(error.cause)) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        await client.get_workflow_handle(item_id(name)).signal(DECIDE, submission, rpc_timeout=UPDATE_TIMEOUT)
        return None
    except RPCError as error:
        raise UnknownActionError(f"the item's workflow cannot be reached: {error.message}") from error


def recorded(place: Place, what: str) -> Any:
    """The record, to read.

    Args:
        place: where.
        what: the things that are read, in words.

    Raises:
        UnknownActionError: there is none.
    """
    if place.settings.database_url is None:
        raise UnknownActionError(f"{what} are on record only: {NO_RECORD}")
    return place.record()


def listed(rows: list[dict[str, str]], nothing: str, *, wide: Callable[[str], str] = str) -> str:
    """Rows as blocks of a name and a value a line; `nothing` where there are none."""
    if not rows:
        return nothing
    width = max(len(name) for row in rows for name in row)
    blocks = ["\n".join(f"{name:<{width}} {wide(value)}" for name, value in row.items() if value) for row in rows]
    return "\n\n".join(blocks)
