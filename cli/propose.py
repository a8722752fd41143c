"""`propose FILE`: start the workflow of a proposal, idempotently, and await its result on request.

The value is sent as it was read: what is digested and approved is the proposer's own JSON, not our view of it. With a
key it goes in a signed envelope. A start that was only refused, by whomever it was made, stands in nobody's way.
"""

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from cli import exits, render
from cli.arguments import Commands
from cli.case import UnknownActionError, ask, look
from cli.envelope import add_key, enveloped
from cli.place import Place, find_place
from policy.canonical import parse_json
from policy.errors import CanonicalError, ProposalError
from policy.proposal import ReceivedProposal, receive
from policy.result import ActionResult
from workflows import interface
from workflows.converter import UnreadableError, readable

_START_TIMEOUT = timedelta(seconds=10)


def register(commands: Commands) -> None:
    parser = commands.add_parser("propose", help="propose an action from a JSON file")
    parser.set_defaults(run=_propose)
    parser.add_argument("file", metavar="FILE", help="the proposal as JSON; - reads standard input")
    add_key(parser)
    parser.add_argument("--wait", action="store_true", help="await the result; exit code 3 if it did not succeed")
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _propose(args: argparse.Namespace) -> int:
    value, received = _read(args.file)
    place = find_place()
    client = await place.client()
    proposal_id = received.proposal.proposal_id
    sent = await enveloped(args, place, value, received)
    handle = await start(client, sent, proposal_id)
    if handle is None and await _took_the_id_only(client, proposal_id):
        handle = await start(client, sent, proposal_id, reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE)
    if handle is None:
        return await _report_earlier(place, received, args)
    if not args.wait:
        status, problem = await ask(client, proposal_id, interface.STATUS)
        await _print_started(args, place, client, proposal_id, status["state"] if status else f"started; {problem}")
        return exits.OK
    return await _await(args, place, client, handle)


def _read(file: str) -> tuple[Any, ReceivedProposal]:
    """The proposal of a file, as received and as read.

    Raises:
        ProposalError: names the file and what is wrong in it.
    """
    try:
        value = parse_json(read_input(file))
        return value, receive(value)
    except (CanonicalError, ProposalError) as error:
        raise ProposalError(f"{file}: {error}") from None


async def _took_the_id_only(client: Client, proposal_id: str) -> bool:
    """Whether the workflow that has closed was a start that was refused, or no proposal at all: nothing came of it."""
    try:
        ended = await client.get_workflow_handle(interface.workflow_id(proposal_id)).result()
    except WorkflowFailureError as error:
        return isinstance(error.cause, ApplicationError) and error.cause.type == "MalformedProposal"
    return ActionResult.model_validate(ended).resolution == "refused"


async def start(
    client: Client,
    value: Any,
    proposal_id: str,
    *,
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
) -> "WorkflowHandle[Any, Any] | None":
    """Start an action or find it running; None where a workflow of this id has closed and may not be used again.

    Raises:
        ProposalError: Temporal does not take the start.

    """
    try:
        return await client.start_workflow(
            interface.WORKFLOW_TYPE,
            value,
            id=interface.workflow_id(proposal_id),
            task_queue=interface.TASK_QUEUE,
            id_reuse_policy=reuse,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=_START_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return None
    except RPCError as error:
        raise ProposalError(
            f"temporal did not take the start ({error.status.name.lower()}): {error.message}"
        ) from error


def read_input(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        ProposalError: it cannot be read.

    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ProposalError(f"file {name} cannot be read: {error.strerror}") from None


async def _print_started(args: argparse.Namespace, place: Place, client: Client, proposal_id: str, state: str) -> None:
    link = place.link(proposal_id, client.namespace)
    if args.json:
        print(json.dumps({"proposal_id": proposal_id, "state": state, "ui": link}))
        return
    print(f"{proposal_id}: {state}")
    if link:
        print(f"temporal ui  {link}")


async def _await(args: argparse.Namespace, place: Place, client: Client, handle: "WorkflowHandle[Any, Any]") -> int:
    if not args.json:
        print(f"waiting for {handle.id}: {place.link(handle.id.partition('/')[2], client.namespace) or ''}", flush=True)
    try:
        result = ActionResult.model_validate(readable(await handle.result()))
    except UnreadableError as error:
        raise ProposalError(f"{handle.id} ended, and its result cannot be read here: {error}") from error
    except WorkflowFailureError as error:
        raise ProposalError(f"{handle.id} ended without a result: {error.cause}") from error
    return _print_result(args, result)


async def _report_earlier(place: Place, received: ReceivedProposal, args: argparse.Namespace) -> int:
    """The workflow has closed: the result is that of the first start, for the same proposal only."""
    proposal_id = received.proposal.proposal_id
    case = await look(place, proposal_id)
    status = case.checked()
    if status["action_digest"] not in (None, received.action_digest):
        raise ProposalError(
            f"proposal {proposal_id} was made before with digest {status['action_digest']}, "
            f"this file has {received.action_digest}: give the new proposal an id of its own"
        )
    if status["result"] is None:
        raise UnknownActionError(f"workflow of {proposal_id} has closed and no result is known: {case.problem}")
    return _print_result(args, ActionResult.model_validate(status["result"]))


def _print_result(args: argparse.Namespace, result: ActionResult) -> int:
    shown = result.model_dump(mode="json")
    print(json.dumps(shown, indent=2) if args.json else render.result(shown))
    return exits.OK if result.outcome == "succeeded" else exits.REFUSED
