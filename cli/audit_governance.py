"""`audit governance`: every publication of a governed document, and by what it came in force.

It needs the record and nothing else; any role that may read will do. A publication that rests on no approved action and
on no signed ceremony is a finding, and the command ends with 5.
"""

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from activities.auditing_publications import Governed, Published, audit_publications
from cli import exits
from cli.place import NO_RECORD, find_place
from policy.audit import VERDICT
from policy.base import instant_text
from policy.errors import AuditError
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from cli.arguments import Commands

_DEVELOPMENT = "on the development stack whoever runs it is the root: unsigned publications are expected here"


def register(actions: "Commands") -> None:
    parser = actions.add_parser("governance", help="check by what every governed document came in force")
    parser.set_defaults(run=_run)
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _run(args: argparse.Namespace) -> int:
    place = find_place()
    async with place.record() as database:
        if database is None:
            raise AuditError(f"publications cannot be audited: {NO_RECORD}")
        async with database.snapshot() as connection:
            found = await audit_publications(connection, datetime.now(UTC))
    notes = [*found.notes, *([_DEVELOPMENT] if place.development and found.findings else ())]
    print(
        json.dumps(_as_json(found, notes), indent=2) if args.json else "\n".join(map(visible, lines_of(found, notes)))
    )
    return exits.INCONSISTENT if found.findings else exits.OK


def lines_of(found: Governed, notes: list[str]) -> list[str]:
    """What an audit of publications found, a line each."""
    return [
        *(
            f"{item.where}: {item.digest} at {instant_text(item.published_at)} by {item.by}"
            for item in found.publications
        ),
        *(f"note: {note}" for note in notes),
        "INCONSISTENT" if found.findings else VERDICT,
        *(f"- {finding}" for finding in found.findings),
    ]


def _as_json(found: Governed, notes: list[str]) -> dict[str, object]:
    return {
        "verdict": "inconsistent" if found.findings else VERDICT,
        "publications": [_published(item) for item in found.publications],
        "findings": [{"where": finding.where, "what": finding.what} for finding in found.findings],
        "notes": notes,
    }


def _published(item: Published) -> dict[str, object]:
    return {
        "seq": item.seq,
        "kind": item.kind,
        "digest": item.digest,
        "published_at": instant_text(item.published_at),
        "published_by": item.published_by,
        "permit": item.permit_id,
        "ceremony": item.ceremony,
    }
