"""`unresolved`, `resolve`: what ended without a definite state, and what people found.

The lists come from the record. What somebody found is a decision of its own kind: it goes to the item's workflow.
"""

import argparse
import json
from datetime import UTC, datetime

from activities.item_answers import ItemFile
from activities.item_rows import read_item, read_open_items
from cli import exits
from cli.arguments import Commands, proposal_id
from cli.case import UnknownActionError
from cli.decide import NotDecidableError
from cli.item import item_value, listed, recorded, say
from cli.place import find_place
from cli.signing import add_signing, signing_of
from policy.base import instant_text
from policy.decision import Vote
from policy.findings import AMENDS, Finding, Found
from policy.items import Item, item_id, standing_of
from policy.rules.stepping_up import wanted_in
from policy.screens.neutral import visible

_ALONE = tuple(str(one) for one in Found if one is not Found.repaired)


def register(commands: Commands) -> None:
    parser = commands.add_parser("unresolved", help="what ended without a definite state and waits for a person")
    parser.set_defaults(run=_list)
    resolve = commands.add_parser("resolve", help="say what became of an action whose end nobody knows")
    resolve.set_defaults(run=_resolve)
    resolve.add_argument("proposal_id", metavar="ID", type=proposal_id, help="the action")
    found = resolve.add_mutually_exclusive_group(required=True)
    found.add_argument("--found", choices=_ALONE, help="whether its effect is there, never was, or is gone again")
    found.add_argument("--repaired-by", metavar="ID", type=proposal_id, help="the action that has put it right")
    resolve.add_argument("--because", metavar="TEXT", required=True, help="what you looked at")
    resolve.add_argument("--incident", metavar="REF", help="the incident that belongs to it")
    add_signing(resolve)
    parser.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    for each in (parser, resolve):
        each.add_argument("--json", action="store_true", help="print JSON")


async def _list(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    async with recorded(find_place(), "items") as database, database.snapshot() as connection:
        items = await read_open_items(connection, args.limit)
    rows = [
        {
            "action": item.proposal_id,
            "outcome": str(item.outcome),
            "target": item.target,
            "owner": item.owner or "nobody",
            "since": instant_text(item.opened_at),
            "due": _due(item, now),
            "asks": who_may(item),
            "not": ", ".join(item.people),
            "note": "its hold is released: it closes by itself" if released else "",
        }
        for item, released in items
    ]
    print(json.dumps(rows, indent=2) if args.json else listed(rows, "nothing is unresolved", wide=visible))
    return exits.OK


async def _resolve(args: argparse.Namespace) -> int:
    place = find_place()
    signing = await signing_of(args, place)
    name = item_id(args.proposal_id, "unresolved")
    async with recorded(place, "items") as database, database.snapshot() as connection:
        file = await read_item(connection, name)
    if file is None:
        message = f"nothing of {args.proposal_id} is unresolved on record: look with `countersign show`"
        raise UnknownActionError(message)
    if file.closed is not None:
        raise NotDecidableError(f"what became of {args.proposal_id} is known: {file.closed}; amend it instead")
    found = args.found or str(Found.repaired)
    said = {"found": found, "repaired_by": args.repaired_by, "incident": args.incident}
    stage = stage_for(file, Found(found), said, datetime.now(UTC))
    value = item_value(file.item, stage, Vote.resolve, args.because, datetime.now(UTC), **said)
    return await say(place, signing, name, value, wanted_in(file.item.chain, stage, Vote.approve), args)


def stage_for(file: ItemFile, found: Found, said: dict[str, str | None], now: datetime) -> int:
    """The stage that is open for whoever says this: those who say the same fill the seats together."""
    amends = AMENDS[file.item.outcome, found]
    finding = Finding(outcome=amends, found=found, repaired_by=said["repaired_by"], incident=said["incident"])
    return standing_of(file.item, file.said, finding, now).stage


def who_may(item: Item) -> str:
    """Whom an item is asked of, in words."""
    stages = []
    for stage in item.chain.stages:
        wanted = [f"{rule.count} of {rule.wanted}" for rule in stage.requirements]
        stages.append((" or " if stage.mode == "any_of" else " and ").join(dict.fromkeys(wanted)))
    return ", then ".join(stages)


def _due(item: Item, now: datetime) -> str:
    if item.due_at is None:
        return ""
    return instant_text(item.due_at) + (" OVERDUE" if item.pages(now) else "")
