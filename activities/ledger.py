"""Appending to the ledger, inside the transaction of what it speaks of.

The caller holds the proposal's lock (`Database.transaction(proposal_id)`), so position and previous digest cannot
change before the commit. An entry id that exists already is left as it is: the first writer wins.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import LedgerEntryRow
from activities.telemetry import note_entry
from policy.ledger import EntryKind, EntryRef, make_entry
from policy.permit import entry_id

_ROW = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]


class Ledger:
    """The ledger of one proposal inside one transaction. Reads the head once, and appends in order."""

    def __init__(self, connection: AsyncConnection, proposal_id: str, at: datetime) -> None:
        self._connection = connection
        self._proposal_id = proposal_id
        self._at = at
        self._head: tuple[int, str | None] | None = None

    async def append(self, kind: EntryKind, content: Any, *key: object, late: bool = False) -> EntryRef:
        """Append an entry; `key` are the parts that make its id the only one of its kind."""
        identity = entry_id(self._proposal_id, str(kind), *key)
        if (stored := await self._stored(identity)) is not None:
            return stored
        position, previous = await self._read_head()
        entry = make_entry(
            entry_id=identity,
            proposal_id=self._proposal_id,
            position=position + 1,
            previous=previous,
            kind=kind,
            at=self._at,
            content=content,
            late=late,
        )
        await self._connection.execute(
            insert(LedgerEntryRow).values(
                entry_id=UUID(identity),
                proposal_id=self._proposal_id,
                position=entry.position,
                kind=str(kind),
                previous_digest=previous,
                digest=entry.digest,
                body=entry.body,
                recorded_at=self._at,
                late=late,
            )
        )
        self._head = (entry.position, entry.digest)
        note_entry(kind, self._proposal_id, content)
        return EntryRef(position=entry.position, digest=entry.digest)

    async def head(self) -> EntryRef | None:
        """The newest entry, what this transaction appended included; None before the first."""
        position, newest = await self._read_head()
        return EntryRef(position=position, digest=newest) if newest is not None else None

    async def _stored(self, identity: str) -> EntryRef | None:
        found = (
            await self._connection.execute(select(_ROW.position, _ROW.digest).where(_ROW.entry_id == UUID(identity)))
        ).first()
        return EntryRef(position=found.position, digest=found.digest) if found else None

    async def _read_head(self) -> tuple[int, str | None]:
        if self._head is None:
            newest = select(_ROW.position, _ROW.digest).where(_ROW.proposal_id == self._proposal_id)
            found = (await self._connection.execute(newest.order_by(_ROW.position.desc()).limit(1))).first()
            self._head = (found.position, found.digest) if found else (0, None)
        return self._head
