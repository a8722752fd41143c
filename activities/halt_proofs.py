"""Whether a halt ended: whoever issues or claims a permit believes no row of that, but the statements behind it.

- The control role writes the end of a halt, and the statements by which it says that two people released it. Here each
  of them is verified again, with the policy and the directory that were in force when it came, and never with older
  ones than those of the halt: whoever leaves the directory later puts no old halt in force again.
- Which documents were in force, the publications say, which no role of a worker writes. When a statement came, control
  says: so a release counts that two people signed who might have at any one moment since the halt.
- What was proved once stays so, and the same process verifies it once. Where nobody ever halted, nothing is read.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import Documents
from activities.tables_halts import HaltRow, HaltStatementRow
from policy.canonical import parse_canonical
from policy.catalog import normalize
from policy.document import PolicySet
from policy.errors import CanonicalError, DocumentError
from policy.halting import HaltFact, missing, receive_halt
from policy.people.directory import Directory
from policy.rules.chains import Requirement
from signing.halting import signed_by

# How many statements of one release are looked at, the newest of them.
LOOKED_AT = 20
_HALT = HaltRow.__table__.c  # type: ignore[attr-defined]
_STATEMENT = HaltStatementRow.__table__.c  # type: ignore[attr-defined]


class Signed(NamedTuple):
    """A statement of a release as it came, and when (UTC)."""

    body: bytes
    received_at: datetime


class Releases:
    """The releases that this process verified; one a process, so that each is verified once.

    Args:
        documents: the governed documents.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._proved: set[str] = set()

    async def in_force(self, connection: AsyncConnection, halts: Iterable[HaltFact]) -> tuple[HaltFact, ...]:
        """Those of some halts that are in force: nobody released them, or nobody proved that two people did."""
        found = []
        for halt in halts:
            if halt.released and halt.halt_id not in self._proved:
                if not await ended(connection, self._documents, halt.halt_id):
                    found.append(halt)
                    continue
                self._proved.add(halt.halt_id)
            elif not halt.released:
                found.append(halt)
        return tuple(found)


async def ended(connection: AsyncConnection, documents: Documents, halt_id: str) -> bool:
    """Whether the statements of two people who may prove that a halt was released."""
    halt = (await connection.execute(select(*_HALT).where(_HALT.halt_id == halt_id))).first()
    if halt is None:
        return False
    statements = await read_signed(connection, halt_id)
    for at in sorted({item.received_at for item in statements}, reverse=True):
        known = await documents.deciding_at(connection, max(at, halt.placed_at))
        if known is None:
            continue
        until_then = [item for item in statements if item.received_at <= at]
        signers = await signers_of(until_then, halt_id, *known, at)
        halted_by, _ = await placed_by(halt, *known)
        if missing(signers, halted_by) is None:
            return True
    return False


async def read_signed(connection: AsyncConnection, halt_id: str) -> list[Signed]:
    """The newest statements of the release of a halt."""
    wanted = select(_STATEMENT.body, _STATEMENT.received_at).where(_STATEMENT.halt_id == halt_id)
    newest = wanted.order_by(_STATEMENT.received_at.desc(), _STATEMENT.digest).limit(LOOKED_AT)
    return [Signed(row.body, row.received_at) for row in await connection.execute(newest)]


async def signers_of(
    statements: Sequence[Signed], halt_id: str, policy: PolicySet, directory: Directory, at: datetime
) -> frozenset[str]:
    """The ids of the people whose statements release a halt at an instant (UTC), each once."""
    found = set()
    for item in statements:
        try:
            value = parse_canonical(item.body)
            statement = receive_halt(value)
        except (CanonicalError, DocumentError):
            continue
        if (statement.verb, statement.halt_id) != ("release", halt_id):
            continue
        said = await asyncio.to_thread(signed_by, value, statement, policy, directory, at)
        if isinstance(said, str):
            found.add(said)
    return frozenset(found)


async def placed_by(
    row: Any, policy: PolicySet, directory: Directory, owners: Sequence[Requirement] = ()
) -> tuple[str | None, str | None]:
    """The id of who proved a halt, or why nobody did, as of when it was placed.

    Args:
        row: that of the halt.
        policy: in force then.
        directory: in force then.
        owners: who owned its target then, and may place a hold on it. Who releases need not know them.
    """
    try:
        value = parse_canonical(row.body)
        statement = receive_halt(value)
    except (CanonicalError, DocumentError) as error:
        return None, str(error)
    target = normalize(statement.target) if statement.target is not None else None
    said = (statement.verb, statement.halt_id, statement.environment, target)
    if said != ("halt", row.halt_id, row.environment, row.target):
        return None, "its statement is about something else"
    found = await asyncio.to_thread(signed_by, value, statement, policy, directory, row.placed_at, owners)
    return (None, f"{found[0]}: {found[1]}") if isinstance(found, tuple) else (found, None)
