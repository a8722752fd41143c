"""Leases that ended though their action has no result: nobody is at work on it, and nobody said so.

What it had is free since the lease ended, by itself. That is noted once, in the ledger of the action, counted, and told
to the operators: a lease that lapses means that a workflow is gone or stuck, and somebody should look at it. An action
that began is ended by the sweep long before; what is left is one that was permitted and never claimed.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.types import Text

from activities.cases import read_case
from activities.database import Database
from activities.ledger import Ledger
from activities.outbox import about_case, write
from activities.tables import LedgerEntryRow, ResultRow
from activities.tables_reservations import ReservationRow
from policy.base import instant_text
from policy.errors import CountersignError
from policy.ledger import EntryKind
from policy.notices.occasions_told import lease_lapsed

log = logging.getLogger("countersign.house")

NOTED_AT_ONCE = 100
# How far back a sweep looks that did not run for a while.
_BACK = timedelta(days=7)
_RESERVED = ReservationRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_NOTED = select(1).where(_ENTRY.proposal_id == _RESERVED.proposal_id, _ENTRY.kind == str(EntryKind.lease_lapsed))
_LAPSED = (
    select(_RESERVED.proposal_id)
    .where(_RESERVED.lease_until <= bindparam("now"), _RESERVED.lease_until > bindparam("since"))
    .where(~select(1).where(_RESULT.proposal_id == _RESERVED.proposal_id).exists(), ~_NOTED.exists())
    .group_by(_RESERVED.proposal_id)
    .order_by(func.min(_RESERVED.lease_until))
    .limit(NOTED_AT_ONCE)
)
_OF_ONE = (
    select(func.max(_RESERVED.lease_until).label("until"), func.array_agg(_RESERVED.scope.distinct()).label("scopes"))
    .outerjoin(ResultRow, _RESULT.proposal_id == _RESERVED.proposal_id)
    .where(_RESERVED.proposal_id == bindparam("proposal_id", type_=Text), _RESULT.proposal_id.is_(None))
)


async def note_lapsed(database: Database, now: datetime) -> list[str]:
    """Note the leases that lapsed; what went wrong, a sentence each."""
    async with database.snapshot() as connection:
        names = list(await connection.scalars(_LAPSED, {"now": now, "since": now - _BACK}))
    failed = []
    for proposal_id in names:
        try:
            await _note(database, proposal_id, now)
        except CountersignError as error:
            failed.append(f"lease of {proposal_id}: {error}")
    return failed


async def _note(database: Database, proposal_id: str, now: datetime) -> None:
    async with database.transaction(proposal_id) as connection:
        row = (await connection.execute(_OF_ONE, {"proposal_id": proposal_id})).one()
        if row.until is None or row.until > now:
            return
        content = {"lease_until": instant_text(row.until), "scopes": sorted(row.scopes)}
        ledger = Ledger(connection, proposal_id, now)
        file = await read_case(connection, proposal_id, ledger)
        await ledger.append(EntryKind.lease_lapsed, content, content["lease_until"])
        if file is not None and file.revision is not None:
            await write(connection, [(lease_lapsed(about_case(file), row.until, now), None)])
    log.warning("the lease of %s ended at %s without a result: nobody is at work on it", proposal_id, row.until)
