"""`record status`, `record acknowledge` and `record export`: the record against the copy outside of it.

1. `status` compares them, as a worker that issues does, and says what the record forgot.
2. `acknowledge` makes the statement of one person that the worker may go on (`policy/restoring.py`), with everything in
   it read here: nobody signs what they were told. The first one's statement is in the file, the second one adds theirs.
   The file belongs beside the copy; the worker looks there.
3. Whoever has no access to the copy gets it as a file, which holds nothing secret, and hands the statement back.
4. `export` writes the ledger of the acknowledgements as a file that `audit replay` checks.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from activities.anchor import ACKNOWLEDGEMENT, FileAnchor, beside
from activities.anchored import compared, found_of, head_of_record, missing_entries, read_statements, situation_of
from activities.database import Database
from activities.documents import Documents
from activities.export import export_action, write_whole
from activities.settings import ANCHOR_FILE
from cli import exits
from cli.arguments import Commands
from cli.confirming import confirms, refuse_unattended
from cli.place import NO_RECORD, Place, find_place
from cli.signers import Claim
from cli.signing import claimed_identity
from policy.anchoring import RECORD_LEDGER, AnchorError, Behind
from policy.base import instant_text
from policy.canonical import digest
from policy.errors import AuditError
from policy.proofs import Domain
from policy.restoring import (
    AcknowledgementError,
    RecordHead,
    Situation,
    claims,
    receive_acknowledgement,
)
from policy.screens.neutral import visible
from signing.jws import key_proof
from signing.keys import SigningKey, read_signing_key
from workflows.interface import workflow_id

_VALID = timedelta(hours=4)


@dataclass(frozen=True)
class Compared:
    """The record against a copy. `audience` is the installation's name in the directory in force."""

    behind: Behind | None
    situation: Situation
    head: RecordHead | None
    audience: str | None


def register(commands: Commands) -> None:
    parser = commands.add_parser("record", help="compare the record with the copy outside of it; acknowledge a backup")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    status = actions.add_parser("status", help="whether the record has what was permitted, and what it forgot")
    status.set_defaults(run=_status)
    acknowledge = actions.add_parser("acknowledge", help="sign that permits may be issued again; it takes two people")
    acknowledge.set_defaults(run=_acknowledge)
    acknowledge.add_argument("--because", metavar="TEXT", required=True, help="what happened, and what you looked at")
    who = acknowledge.add_mutually_exclusive_group()
    who.add_argument("--key", metavar="FILE", type=Path, help="your private key, PEM or JWK")
    who.add_argument("--as", dest="identity", help="who you claim to be, where workers accept claimed identities")
    acknowledge.add_argument("--key-id", metavar="ID", help="its id in the directory, where the key does not say it")
    acknowledge.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: beside the copy)")
    acknowledge.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for action in (status, acknowledge):
        action.add_argument("--anchor", metavar="FILE", type=Path, help=f"the copy (default: {ANCHOR_FILE})")
    status.add_argument("--json", action="store_true", help="print JSON")
    export = actions.add_parser("export", help="write the ledger of the acknowledgements to one file")
    export.set_defaults(run=_export)
    export.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="where to")


async def _status(args: argparse.Namespace) -> int:
    place = find_place()
    found = await compare(place, _file(args, place))
    if args.json:
        print(json.dumps({"behind": found.behind and found.behind.model_dump(mode="json"), **_shown(found)}, indent=2))
    else:
        print("\n".join(_lines(found)))
    return exits.OK if found.behind is None else exits.FAILED


async def _acknowledge(args: argparse.Namespace) -> int:
    refuse_unattended("countersign record status", confirmed=args.yes)
    place = find_place()
    file = _file(args, place)
    found = await compare(place, file)
    if found.behind is None:
        raise AcknowledgementError("the record is in order with the copy: there is nothing to acknowledge")
    key = read_signing_key(args.key, args.key_id) if args.key is not None else None
    identity = args.identity or claimed_identity(place.settings)
    value = signed(statement(found, args.because, datetime.now(UTC)), key, identity)
    print("\n".join(_lines(found)))
    if not args.yes and not confirms("sign this?", "acknowledge"):
        print("nothing was written", file=sys.stderr)
        return exits.FAILED
    output = args.output or beside(file, ACKNOWLEDGEMENT)
    number = await asyncio.to_thread(_add, output, value)
    print(f"{output}: {number} statement{'s' if number > 1 else ''}; it takes two people, the worker looks by itself")
    return exits.OK


async def _export(args: argparse.Namespace) -> int:
    place = find_place()
    client = await place.client()
    async with _record(place) as database:
        file = await export_action(client, database, workflow_id(RECORD_LEDGER), at=datetime.now(UTC))
    body = file.body()
    await asyncio.to_thread(write_whole, args.output, body)
    print(f"{args.output}: {len(file.entries)} ledger entries, {digest(body)}")
    return exits.OK


async def compare(place: Place, file: Path) -> Compared:
    """Compare the record with the copy in a file.

    Raises:
        AnchorError: the file cannot be read.
        AcknowledgementError: no address of the record is known.
    """
    body = await FileAnchor(file).read()
    async with _record(place) as database, database.snapshot() as connection:
        behind = await compared(connection, body)
        missing = missing_entries(body, await found_of(connection, body))
        head = await head_of_record(connection)
        directory = (await Documents().in_force(connection)).directory
    return Compared(behind, situation_of(body, missing), head, directory.audience)


def statement(found: Compared, because: str, now: datetime) -> dict[str, Any]:
    """What one person signs, without a proof, as the JSON value that is handed in."""
    at = now.replace(microsecond=0)
    known = found.situation.known
    return {
        "acknowledgement_id": str(uuid4()),
        **({"audience": found.audience} if found.audience is not None else {}),
        "copy_digest": found.situation.copy_digest,
        "known": known.model_dump(mode="json") if known is not None else None,
        "record": found.head.model_dump(mode="json") if found.head is not None else None,
        "missing": list(found.situation.missing),
        "reason": because,
        "issued_at": instant_text(at),
        "expires_at": instant_text(at + _VALID),
    }


def signed(value: dict[str, Any], key: SigningKey | None, identity: str) -> dict[str, Any]:
    """A statement with a proof: by a key, or without one a claimed identity.

    Raises:
        AcknowledgementError: an argument cannot be part of a statement.
    """
    proof = key_proof(value, key, Domain.acknowledgement) if key is not None else Claim(identity).proof
    whole = {**value, "proof": proof}
    receive_acknowledgement(whole)
    return whole


def _add(output: Path, value: dict[str, Any]) -> int:
    """Write a statement besides those that say the same; the number of them."""
    before = read_statements(output.read_bytes()) if output.exists() else []
    if any(not isinstance(item, dict) or claims(item) != claims(value) for item in before):
        raise AcknowledgementError(f"{output} has a statement about another moment: remove it, and begin anew")
    write_whole(output, json.dumps([*before, value], indent=2).encode())
    return len(before) + 1


def _lines(found: Compared) -> list[str]:
    shown = _shown(found)
    lines = [f"{name:<8} {visible(str(value))}" for name, value in shown.items() if not isinstance(value, list)]
    lines += [f"forgot   {name}" for name in found.situation.missing]
    lines.append(found.behind.reason.message if found.behind is not None else "the record is in order with the copy")
    return lines


def _shown(found: Compared) -> dict[str, Any]:
    known, head = found.situation.known, found.head
    return {
        "copy": found.situation.copy_digest or "none",
        "knows": f"entry {known.seq}, {known.digest}, {known.proposal_id}, {instant_text(known.at)}"
        if known
        else "none",
        "record": f"entry {head.seq}, {head.digest}" if head is not None else "empty",
        "missing": list(found.situation.missing),
    }


def _file(args: argparse.Namespace, place: Place) -> Path:
    file: Path | None = args.anchor or place.settings.anchor_file
    if file is None:
        raise AnchorError(f"{ANCHOR_FILE} is not set: name the copy with --anchor FILE")
    return file


@asynccontextmanager
async def _record(place: Place) -> AsyncIterator[Database]:
    async with place.record() as database:
        if database is None:
            raise AuditError(f"the record cannot be read: {NO_RECORD}")
        yield database
