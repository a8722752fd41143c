"""`policy effective`: which documents were in force at a time, and what of the policy was in effect then."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activities.documents import NotPublishedError, Publication, in_force_at, stored
from cli import exits
from cli.documents import add_instant, read_file
from cli.place import NO_RECORD, find_place
from policy.base import instant_text
from policy.checks.effective import Effective, effective
from policy.document import PolicySet, read_policy
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from datetime import datetime

    from cli.arguments import Commands


def register(actions: "Commands") -> None:
    parser = actions.add_parser("effective", help="print what was in force at a time, and what was in effect then")
    parser.set_defaults(run=_run)
    add_instant(parser, "the instant")
    parser.add_argument("--operation", metavar="NAME", help="only what may speak of this operation")
    parser.add_argument("--target", metavar="REF", help="only what may speak of this target")
    parser.add_argument("--file", metavar="FILE", type=Path, help="this policy instead of the one that was in force")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


async def _run(args: argparse.Namespace) -> int:
    published: list[Publication] = []
    if args.file:
        policy = read_policy(read_file(args.file))
    else:
        published, policy = await _then(args.at)
    found = effective(policy, args.at, operation=args.operation, target=args.target)
    if args.json:
        documents = [_document(item) for item in published]
        parts = [item.model_dump(mode="json") for item in found]
        print(json.dumps({"at": instant_text(args.at), "documents": documents, "effective": parts}))
    else:
        print("\n".join(visible(line) for line in lines_of(args.at, published, found)))
    return exits.OK


async def _then(at: "datetime") -> tuple[list[Publication], PolicySet]:
    """What was in force at an instant, and the policy of then.

    Raises:
        NotPublishedError: no policy was in force.

    """
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"what was in force cannot be read: {NO_RECORD}")
        async with database.snapshot() as connection:
            published = await in_force_at(connection, at)
            if "policy" not in published:
                raise NotPublishedError(f"no policy was in force at {instant_text(at)}: the first came later")
            body = await stored(connection, "policy", published["policy"].digest)
    return list(published.values()), read_policy(body)


def _document(item: Publication) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "digest": item.digest,
        "name": item.name,
        "version": item.version,
        "published_at": instant_text(item.published_at),
        "published_by": item.published_by,
    }


def lines_of(at: "datetime", published: list[Publication], found: tuple[Effective, ...]) -> list[str]:
    """The documents in force and what was in effect, a line each."""
    documents = [
        f"{item.kind:10} {item.name} {item.version}, published by {item.published_by} at "
        f"{instant_text(item.published_at)}, {item.digest}"
        for item in published
    ]
    parts = [
        f"{item.what.replace('_', '-'):11} {item.id} ({item.document}): {item.says}"
        + (f", until {instant_text(item.until)}" if item.until else "")
        for item in found
    ]
    return [f"in force at {instant_text(at)}", *documents, *parts]
