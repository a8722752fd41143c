"""`policy`: the life of the governed documents, one file an action; `policy show` is here."""

import argparse

from activities.documents import KINDS, Documents, NotPublishedError, stored
from cli import (
    exits,
    policy_cases,
    policy_ceremony,
    policy_check,
    policy_compare,
    policy_draft,
    policy_effective,
    policy_propose,
    policy_publish,
)
from cli.arguments import Commands
from cli.documents import publish_one, read_file
from cli.place import NO_RECORD, find_place

__all__ = ["publish_one", "read_file", "register"]


def register(commands: Commands) -> None:
    parser = commands.add_parser("policy", help="check, test, compare, publish and show governed documents")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for module in (
        policy_check,
        policy_cases,
        policy_compare,
        policy_propose,
        policy_draft,
        policy_ceremony,
        policy_publish,
        policy_effective,
    ):
        module.register(actions)
    show = actions.add_parser("show", help="print the document in force")
    show.set_defaults(run=_show)
    show.add_argument("--kind", choices=KINDS, default="policy", help="which (default: policy)")


async def _show(args: argparse.Namespace) -> int:
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"{args.kind} cannot be read: {NO_RECORD}")
        async with database.snapshot() as connection:
            digests = await Documents().digests_in_force(connection)
            if args.kind not in digests:
                raise NotPublishedError(
                    f"no {args.kind} is in force: publish one with `countersign policy publish FILE`"
                )
            body = await stored(connection, args.kind, digests[args.kind])
    print(f"# {args.kind} in force, {digests[args.kind]}\n{body.decode()}", end="")
    return exits.OK
