"""`policy check`: what is wrong with governed documents, where, and what to do about it.

Ends with 0 where nothing is wrong, with 1 for warnings under --strict, and with 2 for errors.
"""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from activities.documents import READERS, Kind, kind_of
from cli import exits
from cli.documents import GivenWorld, add_instant, add_world, read_file, read_world
from policy.canonical import digest
from policy.catalog import Catalog
from policy.checks.checking import check
from policy.checks.findings import Finding, Severity, worst
from policy.document import PolicySet
from policy.errors import DocumentError
from policy.operations import OperationsRegistry
from policy.people.directory import Directory
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from cli.arguments import Commands

WARNED, WRONG = 1, 2
_A = {"policy": "a policy", "operations": "an operations registry", "catalog": "a catalog", "directory": "a directory"}


def register(actions: "Commands") -> None:
    parser = actions.add_parser("check", help="say what is wrong with a document, where, and how to mend it")
    parser.set_defaults(run=_run)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="a YAML document; its kind says what it is")
    add_world(parser)
    add_instant(parser, "the instant that ends and reviews are compared with")
    parser.add_argument("--strict", action="store_true", help="end with 1 where there are warnings")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


async def _run(args: argparse.Namespace) -> int:
    world = read_world(args)
    found = {str(path): check_body(read_file(path), world, args.at) for path in args.files}
    if args.json:
        print(json.dumps({path: [item.model_dump(mode="json") for item in items] for path, items in found.items()}))
    else:
        for path, items in found.items():
            _print(path, items)
    worst_of_all = worst(item for items in found.values() for item in items)
    if worst_of_all is Severity.error:
        return WRONG
    return WARNED if worst_of_all is Severity.warning and args.strict else exits.OK


def check_body(body: bytes, world: GivenWorld, at: datetime) -> tuple[Finding, ...]:
    """Everything that is found in a text; what is no governed document at all is one finding."""
    try:
        kind: Kind = kind_of(body)
    except DocumentError as error:
        line, column = error.line or 1, error.column or 1
        message = str(error).removeprefix(f"line {line}, column {column}: ")
        return (Finding(severity=Severity.error, code="unreadable", line=line, column=column, message=message),)
    return check(kind, body, now=at, operations=world.operations, catalog=world.catalog, directory=world.directory)


def shown(path: str, found: Finding) -> str:
    """A finding as compilers show theirs, so that editors can go there."""
    return visible(f"{path}:{found.line}:{found.column}: {found.severity} {found.code}: {found.message}")


def _print(path: str, found: tuple[Finding, ...]) -> None:
    for item in found:
        print(shown(path, item))
    if worst(found) is Severity.error:
        return
    body = read_file(Path(path))
    kind = kind_of(body)
    print(f"{path}: {_A[kind]} that can be used, {digest(body)}")
    print(_summary(READERS[kind](body)))


def _summary(document: object) -> str:
    match document:
        case PolicySet():
            parts = document.documents
            counts = ((sum(len(getattr(part, name)) for part in parts), name) for name in ("limits", "rules", "chains"))
            return ", ".join(f"{count} {name}" for count, name in counts)
        case OperationsRegistry():
            return f"{len(document.operations)} operations"
        case Directory():
            return f"{len(document.people)} people, {len(document.agents)} agents"
        case Catalog():
            return "\n".join([f"{len(document.entities)} entities", *document.skipped])
        case _:
            return ""
