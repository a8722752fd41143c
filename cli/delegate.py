"""`delegate`: sign that somebody else decides for you, within a scope and until an instant.

It prints the entry for `delegations` of the directory: it counts once the directory with it is in force, which two
others approve (`policy propose`), and nobody can make it longer or wider in between.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from activities.documents import NotPublishedError
from cli import exits
from cli.arguments import Commands
from cli.documents import instant, read_file
from cli.place import NO_RECORD, find_place
from cli.signing import directory_of
from cli.statement_files import add_key, signer_of
from policy.base import instant_text
from policy.errors import DocumentError, explain
from policy.people.directory import Delegation, Directory, read_directory
from policy.proofs import Assurance, Domain
from signing.delegations import shown_by

_SCOPES = ("groups", "environments", "tiers")


def register(commands: Commands) -> None:
    parser = commands.add_parser("delegate", help="sign that somebody else decides for you until an instant")
    parser.set_defaults(run=_run)
    parser.add_argument("delegate", metavar="PERSON", help="who decides for you: the id of a person")
    parser.add_argument("--until", metavar="TIME", type=instant, required=True, help="until when")
    parser.add_argument("--since", metavar="TIME", type=instant, default=datetime.now(UTC), help="from when (now)")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why")
    for name in _SCOPES:
        parser.add_argument(f"--{name}", metavar="NAME", nargs="+", help=f"only these {name}")
    parser.add_argument("--directory", metavar="FILE", type=Path, help="instead of the directory in force")
    add_key(parser)


async def _run(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    directory, way = await _directory(args.directory), await signer_of(args)
    entry = _entry(args, way.check(directory, now), now)
    value = entry.statement(directory.audience)
    fields = {name: item for name, item in value.items() if name != "audience"}
    fields["proof"] = await way.prove(value, Domain.delegation, directory, None)
    shown = shown_by(_read(fields), directory)
    if not isinstance(shown, Assurance):
        raise DocumentError(f"the delegation would give nothing: {shown}")
    print(f"signed by {entry.delegator}, {shown}; add it to the delegations of the directory", file=sys.stderr)
    print(yaml.safe_dump([fields], sort_keys=False, allow_unicode=True, width=120), end="")
    return exits.OK


async def _directory(path: Path | None) -> Directory:
    if path is not None:
        return read_directory(read_file(path))
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"the directory in force cannot be read: {NO_RECORD}; or give --directory")
        directory = await directory_of(database)
    if directory is None:
        raise NotPublishedError("no directory is in force: give --directory FILE")
    return directory


def _entry(args: argparse.Namespace, delegator: str, now: datetime) -> Delegation:
    scope = {name: getattr(args, name) for name in _SCOPES if getattr(args, name) is not None}
    return _read(
        {
            "id": f"{delegator}-{args.delegate}-{now:%Y%m%dT%H%M%SZ}",
            "delegator": delegator,
            "delegate": args.delegate,
            "since": instant_text(args.since),
            "until": instant_text(args.until),
            **scope,
            "reason": args.reason,
            "issued_at": instant_text(now),
        }
    )


def _read(value: dict[str, Any]) -> Delegation:
    try:
        return Delegation.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise DocumentError(f"malformed delegation: {explain(error)}") from None
