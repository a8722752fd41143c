"""Holding a ceremony: verifying what people signed, and putting exactly that in force, in one transaction.

What people signed is compared with what would come in force under the lock of publications: nothing can come between.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import KINDS, Documents, Kind, lock_publications, publish, stored
from activities.tables_ceremonies import CeremonyRow
from policy.canonical import canonical, digest
from policy.ceremony import Replaced, in_order, receive_ceremony
from policy.errors import DocumentError
from policy.people.directory import Directory, read_directory
from signing.ceremonies import ceremony_faults

_CEREMONY = CeremonyRow.__table__.c  # type: ignore[attr-defined]


def replaced(bodies: Mapping[Kind, bytes], in_force: Mapping[Kind, str]) -> tuple[Replaced, ...]:
    """What comes in force with these texts, and over what; nothing of what is in force as it is."""
    digests = {kind: digest(body) for kind, body in bodies.items()}
    return in_order(
        Replaced(kind=kind, digest=key, previous=in_force.get(kind))
        for kind, key in digests.items()
        if in_force.get(kind) != key
    )


def who_may_sign(bodies: Mapping[Kind, bytes], in_force: bytes | None) -> Directory:
    """The directory whose people sign: the one in force, or where none is, the one that comes with the ceremony.

    Args:
        bodies: what is to come in force.
        in_force: the text of the directory in force, or None.

    Raises:
        DocumentError: there is none yet, and none comes.
    """
    body = in_force or bodies.get("directory")
    if body is None:
        raise DocumentError("no directory is in force: the first ceremony brings one, with the keys of who signs it")
    return read_directory(body)


async def hold_ceremony(
    connection: AsyncConnection,
    bodies: Mapping[Kind, bytes],
    statements: Sequence[Mapping[str, Any]],
    *,
    by: str,
    at: datetime,
) -> dict[Kind, str]:
    """Put documents in force by signed statements; the digest of each. What is in force already needs no signature.

    Args:
        connection: a transaction as `countersign_owner` or a superuser; no worker's role may do this.
        bodies: the texts by kind.
        statements: as they were signed.
        by: who holds the ceremony, for people.
        at: the instant (UTC).

    Raises:
        DocumentError: a document cannot be used, or the ceremony does not hold, and why.
    """
    await lock_publications(connection)
    in_force = await Documents().digests_in_force(connection)
    documents = replaced(bodies, in_force)
    if not documents:
        return {kind: in_force[kind] for kind in bodies}
    before = await stored(connection, "directory", in_force["directory"]) if "directory" in in_force else None
    if found := ceremony_faults(statements, documents, who_may_sign(bodies, before), at):
        raise DocumentError("the ceremony puts nothing in force:\n" + "\n".join(f"- {item}" for item in found))
    key = await _store(connection, statements, by=by, at=at)
    return {
        kind: await publish(connection, kind, bodies[kind], by=by, at=at, ceremony=key)
        for kind in KINDS
        if kind in bodies
    }


async def _store(connection: AsyncConnection, statements: Sequence[Mapping[str, Any]], *, by: str, at: datetime) -> str:
    body, nonce = canonical(list(statements)), receive_ceremony(statements[0]).nonce
    if await connection.scalar(select(_CEREMONY.digest).where(_CEREMONY.nonce == nonce)) is not None:
        raise DocumentError(f"the ceremony with nonce {nonce} was held before: sign a new one")
    row = {"digest": digest(body), "nonce": nonce, "body": body, "held_by": by, "held_at": at}
    await connection.execute(insert(CeremonyRow).values(row))
    return digest(body)
