"""`policy ceremony`: sign that documents come in force as the owner publishes them; people sign one after the other.

What is signed is computed here from the documents and from what is in force: nobody signs digests that they were given.
Documents with errors are not signed, above all none that asks for proofs which its people could never show: then nobody
could change it.
Who signs second names the file of the first (`--with`), whose reason, times and nonce are then the same, and is refused
where the documents are not.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from activities.ceremonies import replaced, who_may_sign
from activities.documents import Kind, kind_of
from cli import exits
from cli.documents import read_file
from cli.place import find_place
from cli.policy_publish import compose, in_force, refuse, world_of
from cli.ready import documents_of
from cli.statement_files import add_key, read_statement, signer_of
from policy.base import instant_text
from policy.ceremony import LONGEST, receive_ceremony
from policy.errors import DocumentError
from policy.people.directory import Directory
from policy.proofs import Domain
from policy.screens.neutral import visible

if TYPE_CHECKING:
    from cli.arguments import Commands

_HOURS = 24


def register(actions: "Commands") -> None:
    parser = actions.add_parser("ceremony", help="sign that documents come in force past the gate")
    parser.set_defaults(run=_run)
    parser.add_argument(
        "path",
        metavar="PATH",
        type=Path,
        help="the document, as for `policy publish`; or the folder, as for `setup --publish`",
    )
    parser.add_argument("--whole", action="store_true", help="replace all documents of the kind, not only this one")
    parser.add_argument("--because", metavar="TEXT", help="why it is done past the gate")
    parser.add_argument("--with", dest="first", metavar="FILE", type=Path, help="what somebody else signed before")
    parser.add_argument(
        "--hours", metavar="N", type=int, default=_HOURS, help=f"for how long it can be held (default: {_HOURS})"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: standard output)")
    add_key(parser)


async def _run(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    bodies, digests, directory = await _planned(args.path, now, whole=args.whole)
    documents = [item.model_dump() for item in replaced(bodies, digests)]
    if not documents:
        raise DocumentError(f"{args.path} changes nothing: it is in force as it is")
    if directory.audience is None:
        raise DocumentError("the directory names no audience: add the name of this installation to it, and sign then")
    value = {**_terms(args, now), "audience": directory.audience, "documents": documents}
    if args.first is not None and (first := _without_proof(read_statement(args.first))) != value:
        raise DocumentError(
            f"{args.first} is about something else:\n{_shown(first)}\nhere it would be:\n{_shown(value)}"
        )
    print(visible_lines(_shown(value)), file=sys.stderr)
    way = await signer_of(args)
    person = way.check(directory, now)
    statement = {**value, "proof": await way.prove(value, Domain.ceremony, directory, None)}
    print(f"signed by {person} with {way.says}", file=sys.stderr)
    body = json.dumps(statement, indent=1, sort_keys=True) + "\n"
    if args.output is None:
        print(body, end="")
    else:
        _write(args.output, body)
    return exits.OK


def visible_lines(text: str) -> str:
    """Lines of which no character controls the terminal."""
    return "\n".join(visible(line) for line in text.split("\n"))


async def _planned(path: Path, now: datetime, *, whole: bool) -> tuple[dict[Kind, bytes], dict[Kind, str], Directory]:
    """The texts that come in force, the digests in force, and the directory whose people sign."""
    async with find_place().record() as database:
        if database is None:
            print("no record is named: this is signed as the first ceremony of a place", file=sys.stderr)
        before, digests = await in_force(database) if database is not None else ({}, {})
    bodies = planned(path, before, whole=whole)
    world = world_of({**before, **bodies})
    for kind, body in bodies.items():
        refuse(str(path), kind, body, world, now, undone="signed")
    return bodies, digests, who_may_sign(bodies, before.get("directory"))


def planned(path: Path, before: Mapping[Kind, bytes], *, whole: bool) -> dict[Kind, bytes]:
    """What comes in force: of a folder the kinds of which nothing is yet, of a file the text with it in its place."""
    if path.is_dir():
        return {kind: body for kind, body in documents_of(path).items() if kind not in before}
    part = read_file(path)
    kind = kind_of(part)
    return {kind: compose(before.get(kind), part, kind, whole=whole)}


def _terms(args: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Reason, times and nonce: those of whoever signed first, or new ones."""
    if args.first is not None:
        first = receive_ceremony(read_statement(args.first))
        given = {"reason": first.reason, "nonce": first.nonce}
        return {**given, "issued_at": instant_text(first.issued_at), "expires_at": instant_text(first.expires_at)}
    if not args.because:
        raise DocumentError("nobody says why: give --because TEXT, or --with the file of whoever signed first")
    until = now + timedelta(hours=args.hours)
    if not timedelta() < until - now <= LONGEST:
        raise DocumentError(f"--hours {args.hours} is out of range: 1 to {LONGEST // timedelta(hours=1)}")
    times = {"issued_at": instant_text(now), "expires_at": instant_text(until)}
    return {"reason": args.because, "nonce": uuid4().hex, **times}


def _without_proof(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name != "proof"}


def _shown(value: Mapping[str, Any]) -> str:
    documents = [
        f"  {item['kind']:10} {item['digest']}\n        over {item['previous'] or 'none'}"
        for item in value["documents"]
    ]
    head = f"ceremony for {value['audience']}: {value['reason']}"
    return "\n".join([head, *documents, f"  until {value['expires_at']}, nonce {value['nonce']}"])


def _write(path: Path, body: str) -> None:
    try:
        path.write_text(body)
    except OSError as error:
        raise DocumentError(f"file {path} cannot be written: {error.strerror}") from None
    print(f"written to {path}", file=sys.stderr)
