"""`setup`: make a user's own Temporal namespace and database ready; safe to run again."""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path

from cli import exits
from cli.arguments import Commands
from cli.place import find_place
from cli.policy_publish import UNSIGNED, add_signed
from cli.ready import prepare_record, prepare_schedules, publish_folder, register_search_attributes
from cli.statement_files import read_statement


def register(commands: Commands) -> None:
    parser = commands.add_parser(
        "setup", help="migrate the database, register search attributes and schedules (safe to repeat)"
    )
    parser.set_defaults(run=_setup)
    parser.add_argument(
        "--publish", metavar="DIR", type=Path, help="also put the documents of a folder in force, where none is"
    )
    add_signed(parser)


async def _setup(args: argparse.Namespace) -> int:
    place = find_place()
    url = place.admin_url()
    applied = await prepare_record(url)
    print(f"database: {', '.join(applied) or 'nothing'} to migrate, now at the newest revision")
    client = await place.client()
    added = await register_search_attributes(client)
    print(f"namespace {client.namespace}: {', '.join(added) or 'no search attribute'} registered")
    made = await prepare_schedules(
        client,
        slo_states=place.settings.prometheus_url is not None,
        notices=place.settings.channels is not None,
        trails=bool(place.settings.trails),
    )
    print(f"schedules: {', '.join(made) or 'none'} to make, housekeeping runs by itself")
    if args.publish:
        statements = [read_statement(path) for path in args.signed]
        by, unsigned = getpass.getuser(), place.development and not statements
        if unsigned:
            print(UNSIGNED)
        told = await publish_folder(
            url, args.publish, statements=None if unsigned else statements, by=by, at=datetime.now(UTC)
        )
        for kind, digest, ours in told:
            left = "" if ours else ", and was before: change it with `countersign policy propose FILE`"
            print(f"{kind} {digest} is in force{left}")
    return exits.OK
