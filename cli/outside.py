"""`outside record` and `outside list`: what was done past Countersign, brought in as evidence afterwards.

A statement is one person's, signed, and authorizes nothing (`policy/outside.py`). It is sent as a signal to a workflow
of its own, which ends with it; what came of it is read from that workflow and from the record.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.export import export_action, write_whole
from activities.outside import STATED, Stated, read_stated
from cli import exits
from cli.arguments import Commands
from cli.asking import asked
from cli.case import UnknownActionError
from cli.item import listed, recorded
from cli.place import Place, find_place
from cli.signers import Claim
from cli.signing import add_signing, signing_of
from policy.base import instant_text
from policy.outside import OUTSIDE_LEDGER, receive_outside
from policy.proofs import Domain
from policy.screens.neutral import visible
from workflows.converter import readable
from workflows.interface import DECIDE, ITEM_WORKFLOW, STATUS, TASK_QUEUE, item_id, outside_item, workflow_id

_VALID = timedelta(minutes=10)
_PATIENCE = 30.0


def register(commands: Commands) -> None:
    parser = commands.add_parser("outside", help="what was done past countersign, as evidence afterwards")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    record = actions.add_parser("record", help="state what was done on a target, when, by whom, and why nobody asked")
    record.set_defaults(run=_record)
    record.add_argument("--target", metavar="REF", required=True, help="the target, as the catalog names it")
    record.add_argument("--what", metavar="TEXT", required=True, help="what was done")
    record.add_argument("--by", metavar="WHO", required=True, help="who did it")
    record.add_argument("--began", metavar="INSTANT", required=True, help="when, like 2030-01-31T09:00:00Z")
    record.add_argument("--ended", metavar="INSTANT", help="until when (default: the same)")
    record.add_argument("--because", metavar="TEXT", required=True, help="why countersign could not be asked")
    record.add_argument("--reference", metavar="TEXT", action="append", default=[], help="where more is to be read")
    add_signing(record)
    shown = actions.add_parser("list", help="what was stated, the newest deeds first")
    shown.set_defaults(run=_list)
    shown.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    export = actions.add_parser("export", help="write the ledger of such statements to one file")
    export.set_defaults(run=_export)
    export.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="where to")
    for each in (record, shown):
        each.add_argument("--json", action="store_true", help="print JSON")


async def _record(args: argparse.Namespace) -> int:
    place = find_place()
    signing = await signing_of(args, place)
    now = datetime.now(UTC).replace(microsecond=0)
    value: dict[str, Any] = {
        "statement_id": str(uuid4()),
        "target": args.target,
        "what": args.what,
        "done_by": args.by,
        "began_at": args.began,
        "ended_at": args.ended or args.began,
        "because": args.because,
        "references": args.reference,
        "issued_at": instant_text(now),
        "expires_at": instant_text(now + _VALID),
    }
    receive_outside({**value, "proof": Claim("nobody").proof})
    way = signing.choose(None)
    value = signing.addressed(value, way)
    print(f"stated by {signing.stands_for(way)}\n{json.dumps(value, indent=2)}", file=sys.stderr)
    receipt = await _send(place, signing.sender, await signing.sign(value, way, None, Domain.outside))
    if receipt is None:
        print("unknown: it was sent and nobody answered yet, look at `countersign outside list`", file=sys.stderr)
        return exits.UNKNOWN
    said = receipt["message"] if receipt["counted"] else f"refused: {receipt['code']}: {receipt['message']}"
    print(json.dumps(receipt, indent=2) if args.json else visible(said))
    return exits.OK if receipt["counted"] else exits.REFUSED


async def _send(place: Place, identity: str, statement: dict[str, Any]) -> dict[str, Any] | None:
    """Send a statement; its receipt, or None where nobody answered in time."""
    client = await place.client(identity)
    name = outside_item(statement["statement_id"])
    try:
        handle = await client.start_workflow(
            ITEM_WORKFLOW,
            {"item_id": name},
            id=item_id(name),
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            start_signal=DECIDE,
            start_signal_args=[statement],
        )
        async with asyncio.timeout(_PATIENCE):
            closed = readable(await handle.result())["closed"]
            receipts = readable(await asked(handle, STATUS))["receipts"]
    except TimeoutError:
        return None
    except RPCError as error:
        raise UnknownActionError(f"the statement cannot be sent: {error.message}") from error
    found: dict[str, Any] = next(
        iter(receipts.values()), {"counted": closed == STATED, "code": None, "message": closed}
    )
    return found


def outside_said(stated: Sequence[Stated]) -> list[str]:
    """What people state of something that happened, a line each; it stays what it is."""
    return [
        visible(
            f"stated outside by {one.by}: {one.statement.what} (done by {one.statement.done_by},"
            f" {instant_text(one.statement.began_at)} to {instant_text(one.statement.ended_at)})"
        )
        for one in stated
    ]


async def _export(args: argparse.Namespace) -> int:
    """The ledger of statements as a file that `audit replay` checks."""
    place = find_place()
    now = datetime.now(UTC)
    async with recorded(place, "statements") as database:
        file = await export_action(await place.client(), database, workflow_id(OUTSIDE_LEDGER), at=now)
    await asyncio.to_thread(write_whole, args.output, file.body())
    print(f"{args.output}: {len(file.entries)} statements")
    return exits.OK


async def _list(args: argparse.Namespace) -> int:
    async with recorded(find_place(), "statements") as database, database.snapshot() as connection:
        found = await read_stated(connection, args.limit)
    rows = [
        {
            "target": one.statement.target_ref,
            "what": one.statement.what,
            "done by": one.statement.done_by,
            "from": instant_text(one.statement.began_at),
            "to": instant_text(one.statement.ended_at),
            "because": one.statement.because,
            "see": "; ".join(one.statement.references),
            "stated by": f"{one.by} at {instant_text(one.at)}",
        }
        for one in found
    ]
    print(json.dumps(rows, indent=2) if args.json else listed(rows, "nothing was stated", wide=visible))
    return exits.OK
