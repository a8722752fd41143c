"""Governed documents from files: reading them for a command, and publishing one."""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from activities.database import Database
from activities.documents import Kind, publish
from policy.base import Instant
from policy.catalog import Catalog, read_catalog
from policy.errors import DocumentError
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory, read_directory

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


@dataclass(frozen=True)
class GivenWorld:
    """The documents that a policy is looked at with, as far as somebody gave them."""

    operations: OperationsRegistry | None = None
    catalog: Catalog | None = None
    directory: Directory | None = None


def read_file(path: Path) -> bytes:
    """The bytes of a document.

    Raises:
        DocumentError: it cannot be read.

    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(f"file {path} cannot be read: {error.strerror}") from None


async def publish_one(url: str, kind: Kind, body: bytes, *, by: str, at: datetime) -> str:
    """Publish one document in a transaction of its own; its digest."""
    database = Database(url, pool_size=1, application="countersign-publish")
    try:
        async with database.transaction() as connection:
            return await publish(connection, kind, body, by=by, at=at)
    finally:
        await database.close()


def add_world(parser: argparse.ArgumentParser) -> None:
    """Take the files of the documents that a policy is looked at with."""
    for name, what in (
        ("operations", "the operations registry that its names are looked up in"),
        ("catalog", "the catalog of the targets and environments"),
        ("directory", "the people and their groups"),
    ):
        parser.add_argument(f"--{name}", metavar="FILE", type=Path, help=what)


def read_world(args: argparse.Namespace) -> GivenWorld:
    """Read those that were given.

    Raises:
        DocumentError: names the file and what is wrong with it.

    """
    return GivenWorld(
        operations=read_operations(read_file(args.operations)) if args.operations else None,
        catalog=read_catalog(read_file(args.catalog)) if args.catalog else None,
        directory=read_directory(read_file(args.directory)) if args.directory else None,
    )


def instant(text: str) -> datetime:
    """An instant as typed, like 2030-01-31T09:00:00Z; a day alone is its beginning in UTC."""
    try:
        return _INSTANT.validate_python(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except ValidationError:
        message = f"`{text[:60]}` is no instant, write it like 2030-01-31T09:00:00Z or 2030-01-31"
        raise argparse.ArgumentTypeError(message) from None


def add_instant(parser: argparse.ArgumentParser, what: str) -> None:
    """Take an instant; now unless given."""
    parser.add_argument("--at", metavar="TIME", type=instant, default=datetime.now(UTC), help=f"{what} (default: now)")
