"""Working hours: when time counts for a deadline, and when people may be reminded.

- Hours are local, by day of the week, in one zone; `closed` are local dates on which nothing is open.
- A day without an entry is closed. `24:00` is the end of the day. Spans of a day are in order and do not overlap.
- A local time that a clock change skips is read with the offset before the change; one that occurs twice is the first
  of the two (RFC 5545, section 3.3.5). Open time is exact: a day on which the clocks change has an hour more or less.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from policy.base import EdgeModel
from policy.rules.zones import zone_of

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def _span(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise ValueError("hours must be written like 09:00-17:30, and 24:00 is the end of the day")
    opens, closes = text.split("-")
    if opens >= closes:
        raise ValueError(f"hours {text} end before they begin: make two of them, one a day")
    return text


def _zone(text: str) -> str:
    try:
        zone_of(text)
    except ValueError:
        raise ValueError("zone must be one of the IANA time zones, like Europe/Berlin or UTC") from None
    return text


Span = Annotated[str, AfterValidator(_span)]
ZoneName = Annotated[str, AfterValidator(_zone)]


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
        return self


_LOOKED_AHEAD_DAYS = 366


def next_open(hours: Hours, start: datetime) -> datetime:
    """The first open instant (UTC) that is not before `start`; a year later where there is none until then."""
    zone = zone_of(hours.zone)
    first = start.astimezone(zone).date()
    names = list(get_args(Day))
    for ahead in range(_LOOKED_AHEAD_DAYS):
        day = first + timedelta(days=ahead)
        if day in hours.closed:
            continue
        for span in hours.days.get(names[day.weekday()], ()):
            opens, closes = (_instant(day, text, zone) for text in span.split("-"))
            if start < closes:
                return max(start.astimezone(UTC), opens)
    return start + timedelta(days=_LOOKED_AHEAD_DAYS)


def _instant(day: date, text: str, zone: ZoneInfo) -> datetime:
    if text == "24:00":
        return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    return datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)
