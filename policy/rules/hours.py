"""Working hours: when time counts for a deadline, and when people may be reminded.

- Hours are local, by day of the week, in one zone; `closed` are local dates on which nothing is open.
- A day without an entry is closed. `24:00` is the end of the day. Spans of a day are in order and do not overlap.
- Open is the instant at which a span begins, and no more that at which it ends.
- A local time that a clock change skips is read with the offset before the change; one that occurs twice is the first
  of the two (RFC 5545, section 3.3.5). Open time is exact: a day on which the clocks change has an hour more or less.
- A day ends where the next one begins: what a zone skips altogether is not open.
- Hours that stay closed for more than a year are refused. Nothing counts for longer than ten years.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from policy.base import EdgeModel
from policy.rules.zones import ZoneName, zone_of

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MAX_CLOSED = timedelta(days=366)
_MAX_DAYS = 3660
_MINUTES = 24 * 60
_DAYS: tuple[Day, ...] = get_args(Day)
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def _span(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise ValueError("hours must be written like 09:00-17:30, and 24:00 is the end of the day")
    opens, closes = text.split("-")
    if opens >= closes:
        raise ValueError(f"hours {text} end before they begin: make two of them, one a day")
    return text


Span = Annotated[str, AfterValidator(_span)]


class Hours(EdgeModel):
    """Open hours by day of the week, in a zone, but for the dates that are closed."""

    zone: ZoneName
    days: Annotated[dict[Day, Annotated[tuple[Span, ...], Field(min_length=1, max_length=10)]], Field(min_length=1)]
    closed: Annotated[tuple[date, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> "Hours":
        for day, spans in self.days.items():
            ends = [end for span in spans for end in span.split("-")]
            if ends != sorted(ends):
                raise ValueError(f"hours of {day} overlap or are out of order")
        for day_off in sorted(set(self.closed)):
            begins = datetime.combine(day_off, time(), UTC)
            if next_open(self, begins) - begins > MAX_CLOSED:
                raise ValueError(f"hours never open within a year of {day_off}: take dates out of closed")
        return self

    @cached_property
    def spans(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """Begin and end of each span in minutes of the day, by day of the week (0 is Monday)."""
        return {_DAYS.index(day): tuple(_minutes(span) for span in spans) for day, spans in self.days.items()}

    @cached_property
    def dates_off(self) -> frozenset[date]:
        """The dates on which nothing is open."""
        return frozenset(self.closed)


def open_at(hours: Hours, instant: datetime) -> bool:
    """Whether an instant (UTC) is in open hours."""
    return next_open(hours, instant) == instant


def next_open(hours: Hours, start: datetime) -> datetime:
    """The first open instant (UTC) that is not before `start`."""
    return max(start, next(_openings(hours, start))[0])


def ends(hours: Hours | None, start: datetime, open_time: timedelta, latest: datetime | None = None) -> datetime:
    """The instant at which so much open time has passed.

    Args:
        hours: when time counts; None counts all of it.
        start: from when (UTC); closed time after it does not count.
        open_time: how much; with none the answer is `start`.
        latest: nothing later is looked for, and that instant is the answer then.
    """
    if open_time <= timedelta(0):
        return start
    if hours is None:
        found = start + open_time
        return found if latest is None else min(found, latest)
    left = open_time
    end = start
    for opens, closes in _openings(hours, start, latest):
        if left <= closes - opens:
            return opens + left if latest is None else min(opens + left, latest)
        left -= closes - opens
        end = closes
    return latest if latest is not None else end


def passed(hours: Hours | None, start: datetime, end: datetime) -> timedelta:
    """How much open time lies between two instants (UTC); none where the end is not after the start."""
    if end <= start:
        return timedelta(0)
    if hours is None:
        return end - start
    spans = _openings(hours, start, end)
    return sum((min(closes, end) - opens for opens, closes in spans if opens < end), timedelta(0))


def _openings(hours: Hours, start: datetime, latest: datetime | None = None) -> Iterator[tuple[datetime, datetime]]:
    """Begin and end (UTC) of what is open from `start` on, in order and apart; none that begins after `latest`."""
    zone = zone_of(hours.zone)
    first = start.astimezone(zone).date() - timedelta(days=1)
    for number in range(_MAX_DAYS):
        day = first + timedelta(days=number)
        for opens, closes in _of_day(hours, day):
            if latest is not None and opens > latest:
                return
            if closes > start:
                yield max(opens, start), closes
    horizon = _at(hours, first + timedelta(days=_MAX_DAYS), 0)
    yield horizon, horizon


def _of_day(hours: Hours, day: date) -> Iterator[tuple[datetime, datetime]]:
    if day in hours.dates_off:
        return
    begins, over = _at(hours, day, 0), _at(hours, day, _MINUTES)
    spans = sorted(
        (max(begins, _at(hours, day, opens)), min(over, _at(hours, day, closes)))
        for opens, closes in hours.spans.get(day.weekday(), ())
    )
    reached = begins
    for opens, closes in spans:
        if closes > (opens := max(opens, reached)):
            yield opens, closes
            reached = closes


def _at(hours: Hours, day: date, minutes: int) -> datetime:
    """A local time as an instant (UTC), by the rule of RFC 5545 where the clocks change: that of `fold=0`."""
    days, minute = divmod(minutes, _MINUTES)
    local = datetime.combine(day + timedelta(days=days), time(*divmod(minute, 60)), zone_of(hours.zone))
    return local.astimezone(UTC)


def _minutes(span: str) -> tuple[int, int]:
    opens, closes = (int(at[:2]) * 60 + int(at[3:]) for at in span.split("-"))
    return opens, closes
