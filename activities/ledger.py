"""Appending to the ledger, inside the transaction of what it speaks of.

The caller holds the proposal's lock (`Database.transaction(proposal_id)`), so position and previous digest cannot
change before the commit. An entry id that exists already is left as it is: the first writer wins.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, bindparam, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import LedgerEntryRow
from activities.telemetry import note_entry
from policy.ledger import EntryKind, EntryRef, make_entry
from policy.permit import entry_id

_ROW = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_OURS = _ROW.proposal_id == bindparam("proposal_id")
_ENTRY = select(_ROW.entry_id, _ROW.position, _ROW.digest).where(_ROW.entry_id == bindparam("entry_id"))
_HEAD = select(_ROW.position, _ROW.digest).where(_OURS).order_by(_ROW.position.desc()).limit(1)
# An entry and the head in one round trip: most entries are the first of their transaction, and new.
_ENTRY_AND_HEAD = (
    select(_ROW.entry_id, _ROW.position, _ROW.digest)
    .where(
        _OURS,
        or_(
            _ROW.entry_id == bindparam("entry_id"),
            _ROW.position == select(func.max(_ROW.position)).where(_OURS).scalar_subquery(),
        ),
    )
    .order_by(_ROW.position)
)
_INSERT = insert(LedgerEntryRow)


def head_of(proposal_id: ColumnElement[str]) -> Subquery:
    """Position and digest of the newest entry of a proposal, to be joined to what is read with it."""
    newest = select(_ROW.position, _ROW.digest).where(_ROW.proposal_id == proposal_id)
    return newest.order_by(_ROW.position.desc()).limit(1).subquery("head")


class Ledger:
    """The ledger of one proposal inside one transaction. Reads the head once, and appends in order."""

    def __init__(self, connection: AsyncConnection, proposal_id: str, at: datetime) -> None:
        self._connection = connection
        self._proposal_id = proposal_id
        self._at = at
        self._head: tuple[int, str | None] | None = None

    def knows(self, position: int | None, newest: str | None) -> None:
        """The head, where it was read in this transaction together with something else; None before the first."""
        if self._head is None:
            self._head = (position or 0, newest)

    async def append(
        self, kind: EntryKind, content: Any, *key: object, late: bool = False, new: bool = False
    ) -> EntryRef:
        """Append an entry; `key` are the parts that make its id the only one of its kind.

        `new` says that there can be none of that id, because what is written with it was not there under the same lock.
        Then nobody looks for one; the database would refuse a second.
        """
        identity = entry_id(self._proposal_id, str(kind), *key)
        known = new and self._head is not None
        if not known and (stored := await self._stored(UUID(identity))) is not None:
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
        row = {
            "entry_id": UUID(identity),
            "proposal_id": self._proposal_id,
            "position": entry.position,
            "kind": str(kind),
            "previous_digest": previous,
            "digest": entry.digest,
            "body": entry.body,
            "recorded_at": self._at,
            "late": late,
        }
        await self._connection.execute(_INSERT, row)
        self._head = (entry.position, entry.digest)
        note_entry(kind, self._proposal_id, content)
        return EntryRef(position=entry.position, digest=entry.digest)

    async def head(self) -> EntryRef | None:
        """The newest entry, what this transaction appended included; None before the first."""
        position, newest = await self._read_head()
        return EntryRef(position=position, digest=newest) if newest is not None else None

    async def _stored(self, identity: UUID) -> EntryRef | None:
        if self._head is None:
            wanted = {"proposal_id": self._proposal_id, "entry_id": identity}
            rows = (await self._connection.execute(_ENTRY_AND_HEAD, wanted)).all()
            self._head = (rows[-1].position, rows[-1].digest) if rows else (0, None)
        else:
            rows = (await self._connection.execute(_ENTRY, {"entry_id": identity})).all()
        found = next((row for row in rows if row.entry_id == identity), None)
        return EntryRef(position=found.position, digest=found.digest) if found else None

    async def _read_head(self) -> tuple[int, str | None]:
        if self._head is None:
            found = (await self._connection.execute(_HEAD, {"proposal_id": self._proposal_id})).first()
            self._head = (found.position, found.digest) if found else (0, None)
        return self._head
