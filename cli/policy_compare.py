"""`policy diff`: what changes in meaning from one policy to another. Ends with 0, whatever changes."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cli import exits
from cli.documents import GivenWorld, add_instant, add_world, read_file, read_world
from policy.checks.policy_diff import PolicyDiff, diff
from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from datetime import datetime

    from cli.arguments import Commands


def register(actions: "Commands") -> None:
    parser = actions.add_parser("diff", help="say what changes in meaning from one policy to another")
    parser.set_defaults(run=_run)
    parser.add_argument("old", metavar="OLD", type=Path, help="the policy before")
    parser.add_argument("new", metavar="NEW", type=Path, help="the policy after")
    add_world(parser)
    add_instant(parser, "what expired by this instant is not there any more")
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")


async def _run(args: argparse.Namespace) -> int:
    found = compare(_read(args.old), _read(args.new), read_world(args), args.at)
    if args.json:
        print(json.dumps(found.model_dump(mode="json")))
    else:
        print("\n".join(lines_of(found)))
    return exits.OK


def compare(old: PolicySet, new: PolicySet, world: GivenWorld, at: "datetime") -> PolicyDiff:
    """What changes from one policy to another, in the world that was given."""
    return diff(old, new, now=at, operations=world.operations, catalog=world.catalog)


def lines_of(found: PolicyDiff) -> list[str]:
    """The changes, a line each, and how they were found."""
    how = f"{found.asked} cases compared" + (
        f"; {found.conditions} conditions compared by their text" if found.conditions else ""
    )
    if not found.changes:
        return [f"no change in meaning ({how})"]
    changes = [visible(str(item)) for item in found.changes]
    return [*changes, f"{len(changes)} change{'' if len(changes) == 1 else 's'} in meaning ({how})"]


def _read(path: Path) -> PolicySet:
    try:
        return read_policy(read_file(path))
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from None
