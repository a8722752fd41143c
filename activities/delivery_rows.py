"""The outbox, read and written: what is open, what was tried, and each step of an attempt as a row.

- Whoever inserts the row that begins an attempt makes it; a second one finds it there and leaves it alone.
- A notice is open until it has a closing row (channel `*`), and for a week at most.
- How far back to look is remembered between two drains, with a margin for transactions that committed late.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.outbox import ROWS_AT_ONCE
from activities.tables import AssessmentRow, ResolutionRow, ResultRow
from activities.tables_notices import NoticeDeliveryRow, NoticeRow
from activities.telemetry import note_delivery
from policy.canonical import parse_canonical
from policy.notices.delivery import DeliveryStatus, Try
from policy.notices.notice import Notice, Urgency
from policy.screen import Screen

log = logging.getLogger("countersign.notices")

EVERY_CHANNEL = "*"
KEPT = timedelta(days=7)
READ_AT_ONCE = 1000
MARGIN = timedelta(minutes=10)
_DETAIL = 300

_NOTICE = NoticeRow.__table__.c  # type: ignore[attr-defined]
_DELIVERY = NoticeDeliveryRow.__table__.c  # type: ignore[attr-defined]
_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_RESOLUTION = ResolutionRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]

_CLOSED = (
    select(1).where(_DELIVERY.notice_id == _NOTICE.notice_id, _DELIVERY.channel == EVERY_CHANNEL).correlate(NoticeRow)
)
OPEN = ~_CLOSED.exists()


@dataclass(frozen=True)
class Stored:
    """A notice as the outbox has it: for whom it is, and what was tried."""

    notice: Notice
    recipient_kind: str
    recipient: str
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True)
class Row:
    """A step of an attempt, or, of `EVERY_CHANNEL`, the end of a notice."""

    notice_id: str
    status: DeliveryStatus
    channel: str = EVERY_CHANNEL
    attempt: int = 0
    detail: str = ""


async def read_open(connection: AsyncConnection, since: datetime) -> list[Stored]:
    """The notices that are open and were written since, urgent ones first, then the oldest; so many at once.

    Recipients take turns, so that what waits for one of them keeps nothing from another.
    """
    order = (case((_NOTICE.urgency == str(Urgency.urgent), 0), else_=1), _NOTICE.created_at, _NOTICE.notice_id)
    turn = func.row_number().over(partition_by=(_NOTICE.recipient_kind, _NOTICE.recipient), order_by=order)
    wanted = (
        select(_NOTICE.notice_id, _NOTICE.recipient_kind, _NOTICE.recipient, _NOTICE.body)
        .where(_NOTICE.created_at >= since, OPEN)
        .order_by(order[0], turn, *order[1:])
        .limit(READ_AT_ONCE)
    )
    rows = (await connection.execute(wanted)).all()
    tries = await _read_tries(connection, [row.notice_id for row in rows])
    found = []
    for row in rows:
        try:
            notice = Notice.model_validate(parse_canonical(row.body))
        except ValidationError:
            log.warning(
                "notice %s is of a kind that this release does not know: a newer worker tells it", row.notice_id
            )
            continue
        found.append(Stored(notice, row.recipient_kind, row.recipient, tuple(tries.get(row.notice_id, ()))))
    return found


async def _read_tries(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, list[Try]]:
    found: dict[UUID, list[Try]] = {}
    if not ids:
        return found
    wanted = select(_DELIVERY.notice_id, _DELIVERY.channel, _DELIVERY.attempt, _DELIVERY.status, _DELIVERY.at).where(
        _DELIVERY.notice_id.in_(ids)
    )
    for row in await connection.execute(wanted):
        item = Try(channel=row.channel, attempt=row.attempt, status=row.status, at=row.at)
        found.setdefault(row.notice_id, []).append(item)
    return found


async def read_told(connection: AsyncConnection, since: datetime) -> dict[tuple[str, str], list[datetime]]:
    """When each person or group was told something since: by kind and name of the recipient."""
    wanted = (
        select(_NOTICE.recipient_kind, _NOTICE.recipient, _DELIVERY.at)
        .join(NoticeRow, _NOTICE.notice_id == _DELIVERY.notice_id)
        .where(_DELIVERY.at > since, _DELIVERY.status == str(DeliveryStatus.begun), _DELIVERY.attempt == 1)
    )
    found: dict[tuple[str, str], list[datetime]] = {}
    for row in await connection.execute(wanted):
        found.setdefault((row.recipient_kind, row.recipient), []).append(row.at)
    return found


async def read_over(connection: AsyncConnection, proposal_ids: Iterable[str]) -> dict[str, int]:
    """From which revision on each proposal may still ask people: those before have ended or were superseded."""
    ids = sorted(set(proposal_ids))
    if not ids:
        return {}
    wanted = (
        select(
            _ASSESSMENT.proposal_id,
            _ASSESSMENT.revision,
            _RESOLUTION.kind.label("resolution"),
            _RESULT.proposal_id.label("result"),
        )
        .outerjoin(
            ResolutionRow,
            (_RESOLUTION.proposal_id == _ASSESSMENT.proposal_id) & (_RESOLUTION.revision == _ASSESSMENT.revision),
        )
        .outerjoin(ResultRow, _RESULT.proposal_id == _ASSESSMENT.proposal_id)
        .where(_ASSESSMENT.proposal_id.in_(ids))
    )
    found: dict[str, int] = {}
    for row in await connection.execute(wanted):
        ended = row.resolution is not None or row.result is not None
        found[row.proposal_id] = max(found.get(row.proposal_id, 0), row.revision + ended)
    return found


async def read_screens(
    connection: AsyncConnection, keys: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], Screen]:
    """What approvers are shown, by proposal id and revision, where it was sealed."""
    wanted = set(keys)
    if not wanted:
        return {}
    rows = await connection.execute(
        select(_ASSESSMENT.proposal_id, _ASSESSMENT.revision, _ASSESSMENT.screen).where(
            _ASSESSMENT.proposal_id.in_(sorted({proposal_id for proposal_id, _ in wanted})),
            _ASSESSMENT.screen.is_not(None),
        )
    )
    return {
        (row.proposal_id, row.revision): Screen.model_validate(parse_canonical(row.screen))
        for row in rows
        if (row.proposal_id, row.revision) in wanted
    }


async def store(connection: AsyncConnection, rows: Sequence[Row], at: datetime) -> int:
    """Insert these steps, all of them or those that nobody has inserted yet; the number of those inserted."""
    values: list[dict[str, Any]] = [
        {
            "notice_id": UUID(row.notice_id),
            "channel": row.channel,
            "attempt": row.attempt,
            "status": str(row.status),
            "detail": row.detail[:_DETAIL],
            "at": at,
        }
        for row in rows
    ]
    stored = 0
    for start in range(0, len(values), ROWS_AT_ONCE):
        some = insert_once(NoticeDeliveryRow).values(values[start : start + ROWS_AT_ONCE])
        for status in await connection.scalars(some.on_conflict_do_nothing().returning(_DELIVERY.status)):
            note_delivery(status)
            stored += 1
    return stored
