"""Calendars: change windows, freezes and peak hours, and what they say of an instant.

- An occurrence begins at a local time of its zone. A local time that a clock change skips is read with the offset
  before the change; one that occurs twice is the first of the two (RFC 5545, section 3.3.5).
- An occurrence with a time of day lasts exactly its duration, whatever the clocks do meanwhile: 4h are four hours. One
  without (`start: 2026-12-24`) lasts whole local days, of 23 or 25 hours where the clocks change.
- At the very instant of its end it is over.
- A window that is open again at the instant it closes has not closed: `window_ends` is when it really does.
- Without an instant nothing is known: no window is open, every freeze and every peak is on.
- The work is bounded when the document is read: `policy/rules/recurrence.py`, and one occurrence that must be there.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from policy.base import EdgeModel, Name, Text
from policy.catalogs.parts import views_of_parts
from policy.facts import Facts
from policy.operations import RegisteredOperation
from policy.rules.durations import PositiveDuration
from policy.rules.match import Where
from policy.rules.recurrence import MAX_YEARS, Recurrence, read_recurrence
from policy.rules.timing import Timing
from policy.rules.zones import ZoneName, zone_of

if TYPE_CHECKING:
    from policy.document import PolicyDocument, PolicySet

MAX_DURATION = timedelta(days=366)
# How far ahead the next freeze is looked for; a permit is good for an hour at most.
LOOKAHEAD = timedelta(days=8)
_DAY = timedelta(days=1)
_YEARS = (2000, 2200)
_REMEMBERED_DAYS = 64
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")


def _local(text: str) -> str:
    if not _LOCAL.fullmatch(text):
        raise ValueError("local start must be written like 2026-12-24 or 2026-12-24T22:00, without an offset")
    if not _YEARS[0] <= datetime.fromisoformat(text).year <= _YEARS[1]:
        raise ValueError(f"local start must be from {_YEARS[0]} to {_YEARS[1]}")
    return text


def _rule(text: str) -> str:
    read_recurrence(text)
    return text


class Span(NamedTuple):
    """From an instant (included) to another (excluded), both UTC."""

    start: datetime
    end: datetime


class Calendar(EdgeModel):
    """A window, a freeze or peak hours. Of `match`, an action is meant where any of its operations is."""

    id: Name
    kind: Literal["window", "freeze", "peak"]
    match: Where | None = None
    zone: ZoneName
    start: Annotated[str, AfterValidator(_local)]
    duration: PositiveDuration
    rrule: Annotated[Text, AfterValidator(_rule)] | None = None
    rdates: Annotated[tuple[date, ...], Field(max_length=500)] = ()
    exdates: Annotated[tuple[date, ...], Field(max_length=500)] = ()
    reason: Text = ""

    @model_validator(mode="after")
    def _possible(self) -> "Calendar":
        if self.all_day and self.duration % _DAY:
            raise ValueError(f"calendar {self.id}: it starts on a day, so its duration must be in whole days, like 1d")
        if self.duration > MAX_DURATION:
            raise ValueError(f"calendar {self.id}: its duration is more than 366d, repeat it with an rrule")
        horizon = self._first + MAX_YEARS * 365 * _DAY
        recurring = self._recurrence.walk(self._first, self._first, horizon) if self._recurrence else [self._first]
        if all(day in self.exdates for day in chain(self.rdates, recurring)):
            raise ValueError(f"calendar {self.id}: it never occurs within {MAX_YEARS} years, mend its rrule or dates")
        if self._recurrence and self._recurrence.count:
            counted = self._recurrence.dates(self._first, self._first, horizon)
            if len(counted) < self._recurrence.count:
                raise ValueError(f"calendar {self.id}: its COUNT is not reached within {MAX_YEARS} years, use UNTIL")
        return self

    def speaks_of(self, operation: RegisteredOperation, facts: Facts) -> bool:
        """Whether an operation is meant."""
        return self.match is None or self.match.covers(operation, facts)

    @property
    def all_day(self) -> bool:
        """Whether it lasts whole local days."""
        return "T" not in self.start

    def spans(self, at: datetime) -> tuple[Span, ...]:
        """Its occurrences that are open on the day (UTC) of an instant or begin within `LOOKAHEAD` of it, in order."""
        day = at.astimezone(UTC).date()
        found = self._remembered.get(day)
        if found is None:
            if len(self._remembered) >= _REMEMBERED_DAYS:
                self._remembered.clear()
            found = self._remembered[day] = self._spans(day)
        return found

    def _spans(self, day: date) -> tuple[Span, ...]:
        found = (self._span(item) for item in self._dates(day - self.duration - 2 * _DAY, day + LOOKAHEAD + 2 * _DAY))
        begin = datetime.combine(day, time(), UTC)
        last = self._recurrence.until_instant if self._recurrence else None
        near = [span for span in found if span.end > begin and span.start < begin + _DAY + LOOKAHEAD]
        return tuple(sorted(span for span in near if last is None or span.start <= last))

    def _dates(self, first: date, last: date) -> list[date]:
        """The local dates from `first` to `last` on which it begins."""
        if self._recurrence is None:
            dates = {self._first} if first <= self._first <= last else set()
        else:
            dates = set(self._recurrence.dates(self._first, first, last))
        dates.update(item for item in self.rdates if first <= item <= last)
        return sorted(dates.difference(self.exdates))

    def _span(self, day: date) -> Span:
        zone = zone_of(self.zone)
        at = datetime.fromisoformat(self.start).time()
        # A skipped local time gets the offset before the change, a doubled one its first: that is fold 0.
        start = datetime.combine(day, at, zone).astimezone(UTC)
        if self.all_day:
            return Span(start, datetime.combine(day + self.duration, time(), zone).astimezone(UTC))
        return Span(start, start + self.duration)

    @cached_property
    def _first(self) -> date:
        return datetime.fromisoformat(self.start).date()

    @cached_property
    def _recurrence(self) -> Recurrence | None:
        return read_recurrence(self.rrule) if self.rrule else None

    @cached_property
    def _remembered(self) -> dict[date, tuple[Span, ...]]:
        return {}


def timing_of(policy: "PolicySet", facts: Facts) -> Timing:
    """What the calendars of a policy say of the instant of some facts, for the operations in them; pure."""
    at = facts.at
    stale = tuple(sorted({name for document in policy.documents for name in _stale(document, facts)}))
    views = views_of_parts(policy, facts)
    mine = [item for document in policy.documents for item in _calendars_of(document, facts, views)]
    if at is None:
        closed = tuple(item.id for item in mine if item.kind == "freeze")
        return Timing(freezes=closed, peak=next((item.id for item in mine if item.kind == "peak"), None), stale=stale)
    spans = {item.id: item.spans(at) for item in mine}
    current = [item for item in mine if any(span.start <= at < span.end for span in spans[item.id])]
    ends = {item.id: _closes(spans[item.id], at) for item in current if item.kind == "window"}
    coming = [span.start for item in mine if item.kind == "freeze" for span in spans[item.id] if span.start > at]
    next_freeze = min(coming, default=None)
    bounds = [instant for instant in (max(ends.values(), default=None), next_freeze) if instant is not None]
    return Timing(
        at=at,
        windows=tuple(ends),
        freezes=tuple(item.id for item in current if item.kind == "freeze"),
        peak=next((item.id for item in current if item.kind == "peak"), None),
        window_ends=min(bounds, default=None),
        ends=ends,
        next_freeze=next_freeze,
        stale=stale,
    )


def _calendars_of(document: "PolicyDocument", facts: Facts, views: tuple[Facts, ...]) -> list[Calendar]:
    """The calendars of a document that speak of any operation of an action. Freezes and peak hours of a part are those
    of the whole target, too; a window that is open for a part opens nothing.
    """
    if not document.calendars:
        return []
    asked = [
        (known, view)
        for view in (facts, *views)
        for known in facts.operations.values()
        if document.speaks_of(known, view)
    ]
    of_whole = [pair for pair in asked if pair[1] is facts]
    return [
        item
        for item in document.calendars
        if any(item.speaks_of(*pair) for pair in (of_whole if item.kind == "window" else asked))
    ]


def _stale(document: "PolicyDocument", facts: Facts) -> list[str]:
    """Which facts are missing, or older than a document takes."""
    ages, observed, at = document.fact_ages, facts.observed, facts.at
    slos = {item.name: item.at for item in observed.slo_states if item.budget_left is not None}
    wanted = {item.name for item in facts.target_objectives} | {item.name for item in observed.slo_states}
    asked = (
        ("catalog", ages.catalog, [observed.catalog_at]),
        ("directory", ages.directory, [observed.directory_at]),
        ("slo", ages.slo, [slos.get(name) for name in wanted]),
    )
    return [
        name
        for name, age, written_at in asked
        if age is not None and any(at is None or item is None or at - item > age for item in written_at)
    ]


def _closes(spans: tuple[Span, ...], at: datetime) -> datetime:
    """When what is open at an instant is closed, with what follows without a gap."""
    end = at
    for span in spans:
        if span.start <= end < span.end:
            end = span.end
    return end
