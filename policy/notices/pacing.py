"""How often one person is told something: nobody reads the hundredth message.

- What is urgent is told at once, whatever the hour and however often.
- What asks, or has a question, is not told any more once nobody waits for an answer. Of several that ask the same, the
  newest is told, but never one that can wait in place of an urgent one.
- Outside of somebody's hours nothing is told that can wait until they begin. What asks and ends before them cannot.
- Within the limit of an hour, what comes alone is told at once; what comes together is one digest.
- Beyond the limit everything is one digest, so often at most.

These rules are an operator's, not the policy's: they change when somebody hears of something, never who may answer it
or until when.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from policy.base import EdgeModel, Instant, RecordModel
from policy.notices.notice import NoticeKind, Urgency
from policy.rules.durations import Duration, PositiveDuration
from policy.rules.hours import Hours, next_open

_HOUR = timedelta(hours=1)


class Pacing(EdgeModel):
    """The limits; `docs/notices.md` describes each field."""

    per_hour: Annotated[int, Field(ge=1, le=1000)] = 12
    digest_from: Annotated[int, Field(ge=2, le=100)] = 3
    digest_every: PositiveDuration = timedelta(minutes=15)
    head_start: Duration = timedelta(minutes=15)
    attempts: Annotated[int, Field(ge=1, le=20)] = 6
    first_retry: PositiveDuration = timedelta(seconds=30)
    longest_retry: PositiveDuration = timedelta(minutes=30)


class Waiting(RecordModel):
    """A notice that waits for one person. `over` says that nobody is asked any more."""

    notice_id: str
    kind: NoticeKind
    urgency: Urgency
    collapses: str
    created_at: Instant
    deadline: Instant | None = None
    over: bool = False


class Pace(RecordModel):
    """What becomes of what waits: told alone, in one digest, or not at all, and why. The rest goes on waiting."""

    alone: tuple[str, ...] = ()
    digest: tuple[str, ...] = ()
    suppressed: dict[str, str] = {}


def pace(
    waiting: Sequence[Waiting], *, told_at: Sequence[datetime], hours: Hours | None, rules: Pacing, now: datetime
) -> Pace:
    """What one person is told now.

    Args:
        waiting: what waits for this person, in any order.
        told_at: when the person was told something in the last hour.
        hours: the person's; None where any hour is good.
        rules: the limits.
        now: the instant (UTC).
    """
    suppressed = _suppressed(waiting)
    left = sorted(
        (item for item in waiting if item.notice_id not in suppressed),
        key=lambda item: (item.created_at, item.notice_id),
    )
    urgent = tuple(item.notice_id for item in left if item.urgency is Urgency.urgent)
    opens = next_open(hours, now) if hours is not None else now
    calm = [item.notice_id for item in left if item.urgency is not Urgency.urgent and not _can_wait(item, opens, now)]
    recent = [at for at in told_at if at > now - _HOUR]
    room = rules.per_hour - len(recent)
    if len(calm) <= room and len(calm) < rules.digest_from:
        return Pace(alone=(*urgent, *calm), suppressed=suppressed)
    if room <= 0 and now < max(recent) + rules.digest_every:
        return Pace(alone=urgent, suppressed=suppressed)
    if len(calm) == 1:
        return Pace(alone=(*urgent, *calm), suppressed=suppressed)
    return Pace(alone=urgent, digest=tuple(calm), suppressed=suppressed)


def _suppressed(waiting: Sequence[Waiting]) -> dict[str, str]:
    newest = {item.collapses: item for item in sorted(waiting, key=_newer)}
    found = {}
    for item in waiting:
        if item.over and item.kind.wants_answer:
            found[item.notice_id] = "nobody is asked any more"
        elif newest[item.collapses].notice_id != item.notice_id:
            found[item.notice_id] = f"notice {newest[item.collapses].notice_id} says the same, and is told instead"
    return found


def _newer(item: Waiting) -> tuple[bool, datetime, str]:
    return item.urgency is Urgency.urgent, item.created_at, item.notice_id


def _can_wait(item: Waiting, opens: datetime, now: datetime) -> bool:
    """Whether it is held back until somebody's hours begin."""
    return opens > now and not (item.kind.asks and item.deadline is not None and item.deadline <= opens)
