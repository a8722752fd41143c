"""`policy check`, `policy publish`, `policy show`: the governed documents (policy, operations, catalog, directory)."""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path

from activities.database import Database
from activities.documents import KINDS, READERS, Documents, Kind, NotPublishedError, kind_of, publish, stored
from cli import exits
from cli.arguments import Commands
from cli.place import NO_RECORD, find_place
from policy.canonical import digest
from policy.catalog import Catalog
from policy.directory import Directory
from policy.document import PolicySet
from policy.errors import DocumentError


def register(commands: Commands) -> None:
    parser = commands.add_parser("policy", help="check, publish and show governed documents")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say whether a document can be used, and its digest")
    check.set_defaults(run=_check)
    publishing = actions.add_parser("publish", help="put a document in force")
    publishing.set_defaults(run=_publish)
    for action in (check, publishing):
        action.add_argument("file", metavar="FILE", type=Path, help="a YAML document; its kind says what it is")
    show = actions.add_parser("show", help="print the document in force")
    show.set_defaults(run=_show)
    show.add_argument("--kind", choices=KINDS, default="policy", help="which (default: policy)")


async def _check(args: argparse.Namespace) -> int:
    body = read_file(args.file)
    try:
        kind = kind_of(body)
        document = READERS[kind](body)
    except DocumentError as error:
        raise DocumentError(f"{args.file}: {error}") from None
    print(f"{args.file}: a {kind} that can be used, {digest(body)}")
    print(_summary(document))
    return exits.OK


async def _publish(args: argparse.Namespace) -> int:
    body = read_file(args.file)
    kind = kind_of(body)
    key = await publish_one(find_place().admin_url(), kind, body, by=getpass.getuser(), at=datetime.now(UTC))
    print(f"{kind} {key} is in force")
    return exits.OK


async def publish_one(url: str, kind: Kind, body: bytes, *, by: str, at: datetime) -> str:
    """Publish one document in a transaction of its own; its digest."""
    database = Database(url, pool_size=1, application="countersign-publish")
    try:
        async with database.transaction() as connection:
            return await publish(connection, kind, body, by=by, at=at)
    finally:
        await database.close()


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


def read_file(path: Path) -> bytes:
    """The bytes of a document.

    Raises:
        DocumentError: it cannot be read.

    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(f"file {path} cannot be read: {error.strerror}") from None


def _summary(document: object) -> str:
    match document:
        case PolicySet():
            return "\n".join(
                f"{len(one.limits)} limits, {len(one.rules)} rules, {len(one.chains)} chains"
                for one in document.documents
            )
        case Directory():
            return f"{len(document.people)} people, {len(document.agents)} agents"
        case Catalog():
            return "\n".join([f"{len(document.entities)} entities", *document.skipped])
        case _:
            return ""
