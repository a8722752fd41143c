"""What `halt` and `hold` have in common: a statement that a key signs, the workflow that takes it, and its release."""

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.connection import TemporalUnavailableError
from cli import exits
from cli.asking import asked
from cli.confirming import confirms
from cli.place import Place
from cli.statement_files import signer_of
from policy.base import instant_text
from policy.errors import DocumentError
from policy.people.directory import Directory
from policy.proofs import Domain
from policy.screens.neutral import visible
from workflows import interface

_VALID = timedelta(minutes=30)
_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.2


def add_statement(parser: argparse.ArgumentParser, why: str) -> None:
    """Take what a statement says, and by what it is signed."""
    parser.add_argument("--because", metavar="TEXT", help=why)
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--key", metavar="FILE", type=Path, help="sign with a key, JWK or PEM")
    ways.add_argument("--ssh", metavar="FILE", type=Path, help="sign with an SSH key, or its .pub by an agent")
    parser.add_argument("--key-id", metavar="KID", help="id of the key, where its file does not say it")


def terms(args: argparse.Namespace, directory: Directory) -> dict[str, Any]:
    """What every statement says: where it counts, why, and from when to when.

    Raises:
        DocumentError: nobody says why, nobody signs it, or the directory names no installation.
    """
    if not args.because:
        raise DocumentError("nobody says why: give --because TEXT")
    if args.key is None and args.ssh is None:
        raise DocumentError("nobody signs it: give --key FILE or --ssh FILE of a key of the directory")
    if directory.audience is None:
        raise DocumentError("the directory names no audience: add the name of this installation to it, and sign then")
    now = datetime.now(UTC).replace(microsecond=0)
    times = {"issued_at": instant_text(now), "expires_at": instant_text(now + _VALID)}
    return {"audience": directory.audience, "reason": args.because, **times}


async def sign(args: argparse.Namespace, value: dict[str, Any], directory: Directory) -> tuple[dict[str, Any], str]:
    """A statement with its proof, and whose key it is."""
    way = await signer_of(args)
    person = way.check(directory, datetime.now(UTC))
    return {**value, "proof": await way.prove(value, Domain.halt, directory, None)}, person


async def begin(client: Client, halt_id: str, statement: dict[str, Any]) -> dict[str, Any]:
    """Start the workflow of a halt with what was signed, and what it says of it.

    Raises:
        RPCError: Temporal does not answer.
        TimeoutError: no worker did in time.
    """
    handle = await client.start_workflow(
        interface.HALT_WORKFLOW,
        {"halt_id": halt_id, "statement": statement},
        id=interface.halt_workflow_id(halt_id),
        task_queue=interface.TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            answer: dict[str, Any] = await asked(handle, interface.STATUS, result_type=dict[str, Any])
            if answer["placed"] or answer["code"]:
                return answer
            await asyncio.sleep(_POLL_SECONDS)


def refusal(answer: dict[str, Any]) -> str:
    """Why a statement does not count, as it was answered."""
    return visible(f"refused: {answer.get('code')}: {answer.get('message')}")


async def release(args: argparse.Namespace, place: Place, halt_id: str, directory: Directory) -> int:
    """Sign that a halt ends, send it, and say what it lacks; the exit code.

    Raises:
        DocumentError: the statement lacks something.
        TemporalUnavailableError: the workflow of the halt does not answer.
    """
    value = {**terms(args, directory), "verb": "release", "halt_id": halt_id}
    statement, person = await sign(args, value, directory)
    if not args.yes and not confirms(f"release {halt_id} as {person}?", "release"):
        return exits.FAILED
    client = await place.client()
    handle = client.get_workflow_handle(interface.halt_workflow_id(halt_id))
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            answer = await handle.execute_update(interface.RELEASE, statement, result_type=dict[str, Any])
    except RPCError as error:
        raise TemporalUnavailableError(f"the workflow of {halt_id} does not answer ({error.message})") from error
    except TimeoutError:
        print("unknown: nobody answered yet, does a worker run?")
        return exits.UNKNOWN
    if answer["code"] is not None:
        print(refusal(answer))
        return exits.REFUSED
    print(f"released: {answer['message']}" if answer["released"] else f"signed by {person}: {answer['missing']}")
    return exits.OK


def state_lines(found: list[dict[str, Any]]) -> list[str]:
    """What is open, by its state, and what becomes of it (`activities/in_flight.py`)."""
    lines = []
    for item in found:
        more = f" and {item['count'] - len(item['ids'])} more" if item["count"] > len(item["ids"]) else ""
        lines.append(f"  {item['count']} {item['state']}: {item['effect']}")
        lines.append(f"    {', '.join(item['ids'])}{more}")
    return lines or ["  nothing is open"]
