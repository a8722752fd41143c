"""`policy publish`: put a document in force as the owner, after a check and with what it changes in meaning.

This is the ceremony that starts a place, and the way on the local development stack. In a place of your own it needs
what two people signed (`policy ceremony`), and where a document of the kind is in force, it is changed by an action
(`policy propose`); `--ceremony` says that you mean it all the same.

A file with one document of a policy, or of an operations registry, takes the place of the document of the same name in
what is in force; `--whole` replaces everything. What has errors is not published.
"""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from activities.ceremonies import hold_ceremony
from activities.database import Database
from activities.documents import COMPOSED, Documents, Kind, kind_of, publish_over, stored
from cli import exits
from cli.documents import GivenWorld, read_file
from cli.place import find_place
from cli.policy_check import check_body, shown
from cli.policy_compare import compare, lines_of
from cli.statement_files import read_statement
from policy.catalog import read_catalog
from policy.checks.findings import Severity
from policy.checks.streams import compose_stream
from policy.document import read_policy
from policy.errors import DocumentError
from policy.operations import read_operations
from policy.people.directory import read_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.arguments import Commands


UNSIGNED = "unsigned: on the development stack whoever runs it is the root"
_NAMES = {
    "policy": "PolicyDocument",
    "operations": "OperationsRegistry",
    "catalog": "catalog",
    "directory": "Directory",
}


def register(actions: "Commands") -> None:
    parser = actions.add_parser("publish", help="put a document in force")
    parser.set_defaults(run=_run)
    parser.add_argument("file", metavar="FILE", type=Path, help="a YAML document; its kind says what it is")
    parser.add_argument("--whole", action="store_true", help="replace all documents of the kind, not only this one")
    parser.add_argument("--ceremony", action="store_true", help="as the owner, though a document is in force already")
    add_signed(parser)


async def _run(args: argparse.Namespace) -> int:
    part, now = read_file(args.file), datetime.now(UTC)
    kind = kind_of(part)
    place = find_place()
    database = Database(place.admin_url(), pool_size=1, application="countersign-publish")
    try:
        bodies, digests = await in_force(database)
        old = bodies.get(kind)
        if old is not None and not (place.development or args.ceremony):
            raise DocumentError(
                f"a {kind} is in force: propose the change with `countersign policy propose {args.file}`, "
                f"or publish it as the owner with --ceremony"
            )
        world = world_of(bodies)
        refuse(str(args.file), kind, part, world, now)
        body = compose(old, part, kind, whole=args.whole)
        refuse(f"{args.file} with what is in force", kind, body, world, now)
        if kind == "policy" and old is not None:
            print("\n".join(lines_of(compare(read_policy(old), read_policy(body), world, now))))
        by, statements = getpass.getuser(), [read_statement(path) for path in args.signed]
        async with database.transaction() as connection:
            if place.development and not statements:
                key = await publish_over(connection, kind, body, digests.get(kind), by=by, at=now)
            else:
                key = (await hold_ceremony(connection, {kind: body}, statements, by=by, at=now))[kind]
    finally:
        await database.close()
    if place.development and not statements:
        print(UNSIGNED)
    print(f"{kind} {key} is in force")
    return exits.OK


def add_signed(parser: argparse.ArgumentParser) -> None:
    """Take what people signed."""
    what = "what each of at least two people signed with `countersign policy ceremony`"
    parser.add_argument("--signed", metavar="FILE", type=Path, nargs="+", default=[], help=what)


async def in_force(database: Database) -> tuple[dict[Kind, bytes], dict[Kind, str]]:
    """The texts in force and their digests, of each kind that was published."""
    async with database.snapshot() as connection:
        digests = await Documents().digests_in_force(connection)
        return {kind: await stored(connection, kind, key) for kind, key in digests.items()}, digests


def compose(old: bytes | None, part: bytes, kind: Kind, *, whole: bool) -> bytes:
    """The text that is to be in force: a part in its place, or the whole."""
    return compose_stream(old, part) if old is not None and kind in COMPOSED and not whole else part


def world_of(bodies: "Mapping[Kind, bytes]") -> GivenWorld:
    """The documents in force that a policy is checked against."""
    return GivenWorld(
        operations=read_operations(bodies["operations"]) if "operations" in bodies else None,
        catalog=read_catalog(bodies["catalog"]) if "catalog" in bodies else None,
        directory=read_directory(bodies["directory"]) if "directory" in bodies else None,
    )


def refuse(path: str, kind: Kind, body: bytes, world: GivenWorld, now: datetime, *, undone: str = "published") -> None:
    """Refuse a text that has errors, against the other documents in force.

    Raises:
        DocumentError: with every error, a line each.
    """
    errors = [item for item in check_body(body, world, now) if item.severity is Severity.error]
    if errors:
        lines = "\n".join(shown(path, item) for item in errors)
        raise DocumentError(f"errors in {_NAMES[kind]}, nothing was {undone}:\n{lines}")
