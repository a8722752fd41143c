"""Noting an event of an open case: one row that the case is read with, and one ledger entry that says so.

Both are written once, by whoever comes first, in the transaction of what brought it about. The entry keeps the event as
it is, and whatever else somebody needs to conclude it again.
"""

from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.ledger import Ledger
from activities.tables import CaseEventRow
from policy.approval.standing import CaseEvent
from policy.canonical import canonical, digest
from policy.ledger import EntryKind

_EVENT = CaseEventRow.__table__.c  # type: ignore[attr-defined]
KINDS: dict[str, EntryKind] = {
    "escalated": EntryKind.escalated,
    "dropped": EntryKind.vote_dropped,
    "unreachable": EntryKind.unreachable,
    "grace": EntryKind.graced,
}


async def note_event(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, event: CaseEvent, key: str, **inputs: Any
) -> bool:
    """Note an event of the newest revision; whether it is new.

    Args:
        connection: in a transaction that holds the proposal's lock.
        ledger: of the same proposal, in the same transaction.
        file: the case as it was read.
        event: what is noted; its instant is later than those of all ballots and events before (`ApprovalCase.after`).
        key: makes it the only one of its kind in this revision, such as ``escalated 1 0``.
        inputs: what the event was concluded from and no entry before says (JSON values).
    """
    assert file.revision is not None
    value = event.model_dump(mode="json")
    body = canonical(value)
    row = {
        "proposal_id": file.proposal.proposal_id,
        "revision": file.revision.revision,
        "key": key,
        "kind": event.kind,
        "body": body,
        "digest": digest(body),
        "happened_at": event.at,
    }
    once = insert(CaseEventRow).values(row).on_conflict_do_nothing().returning(_EVENT.key)
    if (await connection.execute(once)).first() is None:
        return False
    content = {"revision": file.revision.revision, "key": key, "event": value, **inputs}
    await ledger.append(KINDS[event.kind], content, file.revision.revision, key)
    return True
