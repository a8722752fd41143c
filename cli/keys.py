"""`keys`: make a key, say which there are, and write the directory with one more or one less.

- A private key is written to a file that only its owner can read, and never shown.
- Whose a key is the directory says, and that changes by an approved action like every governed document: `add`, `end`
  and `revoke` write the changed text, and `countersign policy propose` asks for it.
- `end` is for rotation: the new key begins before the old one ends, and what the old one signed counts after its end.
  `revoke` is for a key that somebody else may have: what it signed and is still pending counts no longer.
"""

import argparse
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activities.documents import Documents, NotPublishedError, stored
from activities.settings_keys import PERMIT_KEY_FILE, PERMIT_KEYS_FILE
from cli import exits, render
from cli.arguments import Commands
from cli.documents import instant, read_file
from cli.key_files import PublicKey, fingerprint, read_public
from cli.place import NO_RECORD, find_place
from policy.base import instant_text
from policy.errors import DocumentError
from policy.people.directory import Directory, read_directory
from policy.people.key_text import End, Holders, with_end, with_key
from policy.people.keys import RegisteredKey
from policy.screens.neutral import visible
from signing.keys import KeyFileError, SigningKey, generate


def register(commands: Commands) -> None:
    parser = commands.add_parser("keys", help="make signing keys, list those of the directory, add and revoke them")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _register_new(actions)
    listing = actions.add_parser("list", help="the keys of the directory: whose, since when, until when")
    listing.set_defaults(run=_list)
    listing.add_argument("--json", action="store_true", help="print JSON")
    show = actions.add_parser("show", help="the public half of a key file, and its fingerprint")
    show.set_defaults(run=_show)
    show.add_argument("key", metavar="FILE", type=Path, help="a JWK, a PEM, or an OpenSSH .pub")
    add = actions.add_parser("add", help="write the directory with a key more, to be proposed")
    add.set_defaults(run=_add)
    add.add_argument(
        "key", metavar="FILE", type=Path, help="a JWK, a PEM, or an OpenSSH .pub: the public half is taken"
    )
    _add_holder(add)
    add.add_argument("--id", dest="key_id", metavar="KID", help="its id (default: what the file says)")
    add.add_argument("--since", metavar="TIME", type=instant, help="from when on it signs")
    add.add_argument("--until", metavar="TIME", type=instant, help="until when it signs")
    for name, text in (("end", "end a key at a time, as its successor takes over"), ("revoke", "revoke a key, now")):
        ending = actions.add_parser(name, help=f"write the directory that says so: {text}")
        ending.set_defaults(run=_end, field="until" if name == "end" else "revoked_at")
        ending.add_argument("key_id", metavar="KID", help="id of the key")
        ending.add_argument("--at", metavar="TIME", type=instant, required=name == "end", help="when (default: now)")
    for changing in (add, *(actions.choices[name] for name in ("end", "revoke"))):
        changing.add_argument("--out", metavar="FILE", type=Path, help="where to (default: directory-KID.yaml)")
    for reading in (listing, add, *(actions.choices[name] for name in ("end", "revoke"))):
        reading.add_argument("--file", metavar="FILE", type=Path, help="this directory instead of the one in force")


def _register_new(actions: Commands) -> None:
    new = actions.add_parser("new", help="make a key: the private half goes to a file, the public one is printed")
    new.set_defaults(run=_new)
    _add_holder(new, permit=True)
    new.add_argument("--kind", choices=("ed25519", "p256"), default="ed25519", help="(default: ed25519)")
    new.add_argument("--id", dest="key_id", metavar="KID", help="its id, for good (default: whose and the day)")
    new.add_argument("--out", metavar="FILE", type=Path, help="where to, never over another file (default: KID.jwk)")


def _add_holder(parser: argparse.ArgumentParser, *, permit: bool = False) -> None:
    holder = parser.add_mutually_exclusive_group(required=True)
    holder.add_argument("--for", dest="person", metavar="PERSON", help="person id of whose it is")
    holder.add_argument("--agent", metavar="AGENT", help="agent whose platform has it")
    if permit:
        holder.add_argument("--permit", action="store_true", help="a key that signs permits")


async def _new(args: argparse.Namespace) -> int:
    holder = args.person or args.agent or "permit"
    key = generate(args.key_id or f"{holder}-{datetime.now(UTC):%Y-%m-%d}", args.kind)
    path = args.out or Path(f"{_file_name(key.id)}.jwk")
    _write_private(path, key)
    print(f"{path}: the private key {key.id}, readable by you alone; it is never shown, and lost if the file is")
    print(f"fingerprint  {fingerprint(PublicKey(key.id, jwk=key.public))}")
    print("\n".join(_snippet(key, path, args)))
    return exits.OK


def _snippet(key: SigningKey, path: Path, args: argparse.Namespace) -> Iterator[str]:
    """What the directory is to say of a new key, and how it comes to say so."""
    if args.permit:
        yield f"the permit role signs with it: {PERMIT_KEY_FILE}={path}"
        keys = json.dumps({"keys": [{"kid": key.id, **key.public}]})
        yield f"executors believe it, besides those that they believe already, by {PERMIT_KEYS_FILE}:\n{keys}"
        return
    holders, holder, option = ("people", args.person, "--for") if args.person else ("agents", args.agent, "--agent")
    entry = json.dumps({"id": key.id, "jwk": key.public})
    yield f"the directory says whose it is:\n{holders}:\n  - id: {holder}\n    keys:\n      - {entry}"
    yield f"write that with: countersign keys add {path} {option} {holder}"


def _write_private(path: Path, key: SigningKey) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"file {path} is there already: name another with --out, or another key with --id") from None
    except OSError as error:
        raise KeyFileError(f"file {path} cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "w") as file:
        file.write(key.private_json)


async def _list(args: argparse.Namespace) -> int:
    directory = read_directory(await _directory(args.file))
    rows = [_row(holder, key) for holder, key in _registered(directory)]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"audience {directory.audience or 'is not given: nothing that is signed counts'}")
        for item in directory.issuers:
            print(visible(f"issuer   {item.issuer}, clients {', '.join(item.client_ids)}"))
        print(render.keys(rows, datetime.now(UTC)))
    return exits.OK


def _registered(directory: Directory) -> Iterator[tuple[str, RegisteredKey]]:
    yield from ((person.id, key) for person in directory.people for key in person.keys)
    yield from ((f"agent {agent.id}", key) for agent in directory.agents for key in agent.keys)


def _row(holder: str, key: RegisteredKey) -> dict[str, Any]:
    public = PublicKey(key.id, jwk=key.jwk.value if key.jwk else None, ssh=key.ssh)
    times = {name: getattr(key, name) for name in ("since", "until", "revoked_at")}
    return {
        "holder": holder,
        "id": key.id,
        "kind": public.kind,
        "fingerprint": fingerprint(public),
        **{name: instant_text(at) if at is not None else None for name, at in times.items()},
    }


async def _show(args: argparse.Namespace) -> int:
    found = read_public(args.key)
    print(visible(f"id           {found.key_id or 'not given: choose one when it is added'}"))
    print(f"kind         {found.kind}")
    print(f"public       {visible(found.ssh) if found.ssh else json.dumps(found.jwk)}")
    print(f"fingerprint  {fingerprint(found)}")
    return exits.OK


async def _add(args: argparse.Namespace) -> int:
    found = read_public(args.key)
    key_id = args.key_id or found.key_id
    if key_id is None:
        raise DocumentError(f"{args.key} says no id: choose one with --id, which is never given to another key")
    holders: Holders = "people" if args.person else "agents"
    ends = {name: instant_text(at) for name in ("since", "until") if (at := getattr(args, name)) is not None}
    entry = {"id": key_id, **({"ssh": found.ssh} if found.ssh else {"jwk": found.jwk}), **ends}
    body = with_key(await _directory(args.file), holders, args.person or args.agent, entry)
    code = _write(args.out or _named(key_id), body, f"add key {key_id}")
    if found.key_id not in (None, key_id):
        print(visible(f"{args.key} calls it {found.key_id}: whoever signs with that file adds --key-id {key_id}"))
    return code


async def _end(args: argparse.Namespace) -> int:
    field: End = args.field
    at = instant_text(args.at or datetime.now(UTC).replace(microsecond=0))
    body = with_end(await _directory(args.file), args.key_id, field, at)
    return _write(args.out or _named(args.key_id), body, f"{'end' if field == 'until' else 'revoke'} key {args.key_id}")


def _named(key_id: str) -> Path:
    return Path(f"directory-{_file_name(key_id)}.yaml")


def _file_name(key_id: str) -> str:
    """An id as part of a file's name: of ids with a slash none leaves the folder."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in key_id)


def _write(path: Path, body: bytes, why: str) -> int:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise DocumentError(f"file {path} cannot be written: {error.strerror}") from None
    print(f"{path}: the directory, changed at that one place; nothing is in force yet")
    print(visible(f'read it, then: countersign policy propose {path} --as YOU --because "{why}"'))
    return exits.OK


async def _directory(path: Path | None) -> bytes:
    """The text of a directory: of a file, or the one in force.

    Raises:
        NotPublishedError: none is in force, or no record is known.
    """
    if path is not None:
        return read_file(path)
    async with find_place().record() as database:
        if database is None:
            raise NotPublishedError(f"the directory in force cannot be read: {NO_RECORD}; or give --file")
        async with database.snapshot() as connection:
            digests = await Documents().digests_in_force(connection)
            if "directory" not in digests:
                raise NotPublishedError("no directory is in force: publish one with `countersign policy publish FILE`")
            return await stored(connection, "directory", digests["directory"])
