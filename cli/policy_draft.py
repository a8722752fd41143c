"""`policy draft ID`: the text that an action would put in force, line by line beside the one that it replaces.

Both texts come from the record and are held against the digests that the proposal names, so that an approver reads what
the digests on the screen stand for.
"""

import argparse
import difflib
from typing import TYPE_CHECKING

from activities.documents import KINDS, Kind, NotPublishedError, stored
from activities.dossier import read_dossier
from activities.drafts import draft_text
from cli import exits
from cli.arguments import add_proposal_id
from cli.place import NO_RECORD, find_place
from policy.builtin import PUBLISH
from policy.errors import DocumentError
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from cli.arguments import Commands


def register(actions: "Commands") -> None:
    parser = actions.add_parser("draft", help="print the lines that an action would change in a document")
    parser.set_defaults(run=_run)
    add_proposal_id(parser)
    parser.add_argument("--whole", action="store_true", help="print the whole text that would be in force")


async def _run(args: argparse.Namespace) -> int:
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"drafts are on record only: {NO_RECORD}")
        async with database.snapshot() as connection:
            kind, wanted, previous = await _named(connection, args.proposal_id)
            body = (await draft_text(connection, kind, wanted)).decode()
            before = (await stored(connection, kind, previous)).decode() if previous is not None else ""
    lines = body.splitlines() if args.whole else changed_lines(before, body)
    print(f"# {kind} {wanted}, over {previous or 'none'}")
    print("\n".join(visible(line) for line in lines))
    return exits.OK


def changed_lines(before: str, after: str) -> "Iterator[str]":
    """What changes from one text to another, with the lines around it."""
    return difflib.unified_diff(before.splitlines(), after.splitlines(), "replaced", "proposed", lineterm="")


async def _named(connection: "AsyncConnection", proposal_id: str) -> tuple[Kind, str, str | None]:
    """Kind and digest of what an action would put in force, and the digest of what it replaces."""
    dossier = await read_dossier(connection, proposal_id)
    if dossier is None:
        raise DocumentError(f"action {proposal_id} is not on record")
    proposal = dossier.file.proposal
    if proposal.operation != PUBLISH:
        raise DocumentError(f"action {proposal_id} puts no document in force: it is {proposal.operation}")
    parameters = proposal.steps[0].parameters
    kind = next((item for item in KINDS if item == parameters.get("kind")), None)
    if kind is None:
        raise DocumentError(f"action {proposal_id} names no kind of document: it cannot be put in force")
    previous = parameters.get("previous")
    return kind, str(parameters.get("digest")), None if previous is None else str(previous)
