"""`notices`: who was told what, and what became of it. Nothing is sent, and nothing is decided by it."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from activities.notice_list import Listed, read_listed
from activities.settings import SettingsError
from cli import exits, render
from cli.arguments import Commands, proposal_id
from cli.page import page_width
from cli.place import NO_RECORD, find_place
from policy.base import instant_text


def register(commands: Commands) -> None:
    parser = commands.add_parser("notices", help="who was told what of an action, or of all, and what became of it")
    parser.set_defaults(run=_notices)
    parser.add_argument("proposal_id", metavar="ID", type=proposal_id, nargs="?", help="proposal id (default: all)")
    parser.add_argument("--undelivered", action="store_true", help="only what nobody was told yet, or was given up")
    parser.add_argument("--limit", type=int, default=50, help="at most so many, the newest (default: 50)")
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _notices(args: argparse.Namespace) -> int:
    async with find_place().record() as database:
        if database is None:
            raise SettingsError(NO_RECORD)
        async with database.snapshot() as connection:
            found = await read_listed(
                connection, proposal_id=args.proposal_id, undelivered=args.undelivered, limit=args.limit
            )
    if args.json:
        print(json.dumps([{**asdict(item), "at": instant_text(item.at)} for item in found], indent=2))
    else:
        print(render.notices(rows_of(found), page_width()))
    return exits.OK


def rows_of(found: Sequence[Listed]) -> list[tuple[str, ...]]:
    """The cells of a table, in the order of `render.notices`."""
    return [
        (instant_text(item.at), item.kind, item.proposal_id or "", item.recipient, item.state, item.last, item.why)
        for item in found
    ]
