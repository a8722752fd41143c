"""The notices of the outbox for people who look: to whom, what became of each, and why not."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from activities.delivery_rows import EVERY_CHANNEL
from activities.tables_notices import NoticeDeliveryRow, NoticeRow
from policy.notices.delivery import DeliveryStatus

_NOTICE = NoticeRow.__table__.c  # type: ignore[attr-defined]
_CLOSING = aliased(NoticeDeliveryRow.__table__, name="closing")  # type: ignore[attr-defined]
_STEP = aliased(NoticeDeliveryRow.__table__, name="step")  # type: ignore[attr-defined]
_NEWEST_STEP = (
    select(_STEP.c.channel, _STEP.c.attempt, _STEP.c.status, _STEP.c.detail)
    .where(_STEP.c.notice_id == _NOTICE.notice_id, _STEP.c.channel != EVERY_CHANNEL)
    .order_by(_STEP.c.at.desc(), _STEP.c.attempt.desc(), _STEP.c.status.desc())
    .limit(1)
    .correlate(NoticeRow)
    .lateral("newest")
)


@dataclass(frozen=True)
class Listed:
    """One notice. `state` is the status that closed it, `tried` while it is tried, `waits` before; `last` is the newest
    step in a channel, and `why` what was noted with either.
    """

    notice_id: str
    at: datetime
    kind: str
    proposal_id: str | None
    recipient: str
    state: str
    last: str
    why: str


async def read_listed(
    connection: AsyncConnection, *, proposal_id: str | None, undelivered: bool, limit: int
) -> list[Listed]:
    """The newest notices, the newest first; an audience is left out once it became people.

    Args:
        connection: to read by.
        proposal_id: only those of this action.
        undelivered: only those that nobody was told yet, or that every channel gave up.
        limit: so many at most.
    """
    wanted = (
        select(
            *(_NOTICE.notice_id, _NOTICE.created_at, _NOTICE.kind, _NOTICE.proposal_id, _NOTICE.recipient),
            _CLOSING.c.status.label("closed"),
            _CLOSING.c.detail.label("closed_why"),
            *(_NEWEST_STEP.c.channel, _NEWEST_STEP.c.attempt, _NEWEST_STEP.c.status, _NEWEST_STEP.c.detail),
        )
        .select_from(NoticeRow)
        .outerjoin(_CLOSING, and_(_CLOSING.c.notice_id == _NOTICE.notice_id, _CLOSING.c.channel == EVERY_CHANNEL))
        .outerjoin(_NEWEST_STEP, _CLOSING.c.status.is_distinct_from(str(DeliveryStatus.addressed)))
        .where(_CLOSING.c.status.is_distinct_from(str(DeliveryStatus.addressed)))
        .order_by(_NOTICE.created_at.desc(), _NOTICE.notice_id)
        .limit(limit)
    )
    if proposal_id is not None:
        wanted = wanted.where(_NOTICE.proposal_id == proposal_id)
    if undelivered:
        wanted = wanted.where(or_(_CLOSING.c.status.is_(None), _CLOSING.c.status == str(DeliveryStatus.given_up)))
    return [
        Listed(
            notice_id=str(row.notice_id),
            at=row.created_at,
            kind=row.kind,
            proposal_id=row.proposal_id,
            recipient=row.recipient,
            state=row.closed or ("tried" if row.channel else "waits"),
            last=f"{row.channel} {row.attempt} {row.status}" if row.channel else "",
            why=row.detail or row.closed_why or "",
        )
        for row in await connection.execute(wanted)
    ]
