"""`policy propose`: put a document in force by an action, with people who did not write it.

The draft is stored as `countersign_author`, a database role that can do nothing else; then the action is proposed like
any other. Who approves, with how many others, is the policy's own answer, and never fewer than `policy/governance.py`
pins. `policy publish` is for the ceremony that starts it all, and for the local development stack.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from activities.database import Database
from activities.documents import identity_of, kind_of
from activities.drafts import store_draft
from cli import exits
from cli.documents import read_file
from cli.envelope import add_key, enveloped
from cli.place import Place, find_place
from cli.policy_publish import compose, in_force, refuse, world_of
from cli.propose import start
from policy.draft import Draft, publication
from policy.errors import DocumentError
from policy.proposal import receive

if TYPE_CHECKING:
    from activities.documents import Kind
    from cli.arguments import Commands


def register(actions: "Commands") -> None:
    parser = actions.add_parser("propose", help="propose to put a document in force")
    parser.set_defaults(run=_run)
    parser.add_argument("file", metavar="FILE", type=Path, help="a YAML document; its kind says what it is")
    parser.add_argument("--whole", action="store_true", help="replace all documents of the kind, not only this one")
    parser.add_argument(
        "--as", dest="identity", metavar="IDENTITY", help="who proposes (default: COUNTERSIGN_IDENTITY)"
    )
    parser.add_argument("--because", metavar="TEXT", required=True, help="why")
    add_key(parser)


async def _run(args: argparse.Namespace) -> int:
    place = find_place()
    identity = args.identity or place.settings.identity
    if identity is None:
        raise DocumentError("nobody is named: say who proposes with --as IDENTITY or COUNTERSIGN_IDENTITY")
    part, now = read_file(args.file), datetime.now(UTC)
    kind = kind_of(part)
    database = Database(place.author_url(), pool_size=1, application="countersign-propose")
    try:
        bodies, digests = await in_force(database)
        if kind not in digests:
            raise DocumentError(f"no {kind} is in force: the first one is published with `countersign policy publish`")
        body = compose(bodies.get(kind), part, kind, whole=args.whole)
        if body == bodies[kind]:
            raise DocumentError(f"{args.file} changes nothing: it is in force as it is")
        refuse(str(args.file), kind, body, world_of(bodies), now)
        key = await _store(database, kind, body, identity, now)
    finally:
        await database.close()
    proposal_id = f"publish-{kind}-{uuid4().hex[:12]}"
    parameters = {"kind": kind, "digest": key, "previous": digests[kind]}
    value = publication(proposal_id, parameters, identity, args.because)
    await _propose(place, await enveloped(args, place, value, receive(value)), proposal_id)
    return exits.OK


async def _store(database: Database, kind: "Kind", body: bytes, identity: str, now: datetime) -> str:
    name, version = identity_of(kind, body)
    async with database.transaction() as connection:
        return await store_draft(connection, Draft(kind, name, version, body), by=identity, at=now)


async def _propose(place: Place, value: Any, proposal_id: str) -> None:
    client = await place.client()
    await start(client, value, proposal_id)
    print(f"{proposal_id}: proposed; `countersign show {proposal_id}` says who is asked")
    if link := place.link(proposal_id, client.namespace):
        print(f"temporal ui  {link}")
