"""Taking what people state to have been done past Countersign; the rules are in `policy/outside.py`.

At the commit, what is true: the row and its entry in the ledger of such statements are durable together. A statement
that does not count is answered and leaves nothing: it is evidence of nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import Clock, differs
from activities.database import Database
from activities.documents import Documents
from activities.ledger import Ledger
from activities.proving import Prover
from activities.tables_items import OutsideRow
from policy.canonical import canonical, digest, parse_canonical
from policy.decision import DecisionReceipt, Refusal
from policy.ledger import EntryKind
from policy.outside import OUTSIDE_LEDGER, Happened, OutsideError, OutsideStatement, covers, receive_outside, why_not
from policy.permit import entry_id
from policy.proofs import Domain, Principal
from workflows.interface import outside_item
from workflows.messages_items import ItemAnswerRequest, ItemResult

STATED = "stated"

_ROW = OutsideRow.__table__.c  # type: ignore[attr-defined]
_KNOWN = select(_ROW.body).where(_ROW.outside_id == bindparam("outside_id"))
_LISTED = select(_ROW.body, _ROW.stated_by, _ROW.stated_at).order_by(_ROW.began_at.desc()).limit(bindparam("most"))

_BETWEEN = (
    select(_ROW.body, _ROW.stated_by, _ROW.stated_at)
    .where(_ROW.began_at <= bindparam("until"), _ROW.ended_at >= bindparam("since"))
    .order_by(_ROW.began_at)
    .limit(bindparam("most"))
)
_MOST_STATED = 1000


@dataclass(frozen=True)
class Stated:
    """A statement that counted: by whom, when (UTC)."""

    statement: OutsideStatement
    by: str
    at: datetime


class OutsideKeeper:
    """Takes statements of what was done outside, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents.
        clock: what time it is.
        prover: verifies who made a statement.

    """

    def __init__(self, database: Database, documents: Documents, clock: Clock, prover: Prover) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prover = prover

    async def take(self, request: ItemAnswerRequest) -> ItemResult:
        """Verify and store one statement; the item ends with it, counted or not."""
        try:
            statement = receive_outside(request.submission)
        except OutsideError as error:
            return _answer("", (Refusal.malformed, request.problem or str(error)))
        if request.item_id != outside_item(statement.statement_id):
            why = f"statement {statement.statement_id} belongs to item {outside_item(statement.statement_id)}"
            return _answer(statement.statement_id, (Refusal.unknown_request, why))
        async with self._database.transaction(OUTSIDE_LEDGER) as connection:
            if await differs(self._clock, request.now):
                return ItemResult(stale=True)
            return await self._store(connection, statement, request)

    async def _store(
        self, connection: AsyncConnection, statement: OutsideStatement, request: ItemAnswerRequest
    ) -> ItemResult:
        name, now = statement.statement_id, request.now
        outside_id = UUID(entry_id(OUTSIDE_LEDGER, STATED, name))
        known = await connection.scalar(_KNOWN, {"outside_id": outside_id})
        if known is not None:
            same = digest(known) == digest(canonical(request.submission))
            reused = (Refusal.decision_id_reused, f"id {name} was used for another statement: choose a new one")
            return _answer(name, None if same else reused)
        in_force = await self._documents.in_force(connection)
        said_by = await self._prover.prove(
            request.submission, statement.proof, in_force.directory, now, domain=Domain.outside
        )
        if not isinstance(said_by, Principal):
            return _answer(name, said_by)
        if (refused := why_not(statement, said_by, in_force.directory, now)) is not None:
            return _answer(name, refused)
        person = in_force.directory.resolve(said_by.identity)
        body = canonical(request.submission)
        row = {
            "outside_id": outside_id,
            "target": statement.target_ref,
            "began_at": statement.began_at,
            "ended_at": statement.ended_at,
            "stated_by": person,
            "stated_at": now,
            "body": body,
            "digest": digest(body),
        }
        await connection.execute(insert_once(OutsideRow).values(**row))
        content = {
            "statement": request.submission,
            "person": person,
            "principal": said_by.model_dump(mode="json"),
            "directory": in_force.directory_digest,
        }
        await Ledger(connection, OUTSIDE_LEDGER, now).append(EntryKind.outside_stated, content, name)
        return _answer(name, None)


async def read_stated(connection: AsyncConnection, most: int) -> tuple[Stated, ...]:
    """What was stated, the newest deeds first."""
    rows = await connection.execute(_LISTED, {"most": most})
    return tuple(Stated(receive_outside(parse_canonical(row.body)), row.stated_by, row.stated_at) for row in rows)


async def stated_outside(
    connection: AsyncConnection, documents: Documents, happened: Sequence[Happened]
) -> dict[Happened, tuple[Stated, ...]]:
    """What people state of each thing that happened, the earliest deeds first; nothing of what no statement covers.

    Which target stands for which resources the catalog in force says.
    """
    if not happened:
        return {}
    span = {"since": min(one.at for one in happened), "until": max(one.at for one in happened), "most": _MOST_STATED}
    rows = (await connection.execute(_BETWEEN, span)).all()
    if not rows:
        return {}
    stated = [Stated(receive_outside(parse_canonical(row.body)), row.stated_by, row.stated_at) for row in rows]
    catalog = (await documents.in_force(connection)).catalog
    found = {}
    for what in happened:
        by = [one for one in stated if covers(one.statement, catalog.resolve(one.statement.target), what)]
        if by:
            found[what] = tuple(by)
    return found


def _answer(name: str, refused: tuple[Refusal, str] | None) -> ItemResult:
    code, message = refused or (None, "stated: it is evidence, and authorizes nothing")
    receipt = DecisionReceipt(decision_id=name, counted=refused is None, code=code, message=message)
    closed: Any = STATED if refused is None else "refused"
    return ItemResult(unasked=True, receipt=receipt, closed=closed)
