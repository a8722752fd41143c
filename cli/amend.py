"""`amend`: how an action that has ended did end, as people know it now. The result stays as it is, this beside it.

It is a decision of its own kind, about a question that is put together from the record and the policy in force.
"""

import argparse
from datetime import UTC, datetime

from activities.cases import read_case
from activities.documents import Documents
from activities.item_keeping import read_amendment
from cli.arguments import Commands, proposal_id
from cli.case import UnknownActionError
from cli.item import item_value, recorded, say
from cli.place import find_place
from cli.signing import add_signing, signing_of
from policy.decision import Vote
from policy.findings import Amended, Finding
from policy.items import standing_of
from policy.rules.stepping_up import wanted_in
from workflows.interface import amendment_item


def register(commands: Commands) -> None:
    parser = commands.add_parser("amend", help="say how an action that has ended did end, as you know it now")
    parser.set_defaults(run=_amend)
    parser.add_argument("proposal_id", metavar="ID", type=proposal_id, help="the action")
    parser.add_argument("--outcome", choices=[str(one) for one in Amended], required=True, help="how it ended")
    parser.add_argument("--because", metavar="TEXT", required=True, help="how you know")
    parser.add_argument("--incident", metavar="REF", help="the incident that was traced to it")
    add_signing(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


async def _amend(args: argparse.Namespace) -> int:
    place = find_place()
    signing = await signing_of(args, place)
    async with recorded(place, "outcomes") as database, database.snapshot() as connection:
        case = await read_case(connection, args.proposal_id)
        file = await read_amendment(connection, case, await Documents().in_force(connection))
    if file is None:
        raise UnknownActionError(f"{args.proposal_id} has not ended, or is a dry run: there is no outcome to amend")
    now = datetime.now(UTC)
    finding = Finding(outcome=Amended(args.outcome), incident=args.incident)
    stage = standing_of(file.item, file.said, finding, now).stage
    said = {"outcome": args.outcome, "incident": args.incident}
    value = item_value(file.item, stage, Vote.amend, args.because, now, **said)
    wanted = wanted_in(file.item.chain, stage, Vote.approve)
    return await say(place, signing, amendment_item(args.proposal_id), value, wanted, args)
