"""Working hours: what is open, and when so much open time has passed, held against counting minute by minute."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy.rules.hours import Hours, ends, next_open, open_at, passed
from policy.rules.zones import zone_of

MINUTE = timedelta(minutes=1)
# Clock changes of every kind: in the night, at midnight, by half an hour, and a day that a zone left out.
ZONES = {
    "Europe/Berlin": (date(2026, 3, 28), date(2026, 10, 24)),
    "America/New_York": (date(2026, 3, 7), date(2026, 10, 31)),
    "America/Sao_Paulo": (date(2018, 2, 17), date(2018, 11, 3)),
    "America/Havana": (date(2026, 3, 7), date(2026, 10, 31)),
    "Australia/Lord_Howe": (date(2026, 4, 4), date(2026, 10, 3)),
    "Pacific/Apia": (date(2011, 12, 29),),
    "UTC": (date(2026, 3, 28),),
}
_TIMES = [*(f"{hour:02}:{minute:02}" for hour in (*range(5), 9, 12, 17, 22, 23) for minute in (0, 15, 30)), "24:00"]
_SPANS = (
    st.lists(st.sampled_from(_TIMES), min_size=2, max_size=6, unique=True)
    .map(sorted)
    .map(lambda times: tuple(f"{opens}-{closes}" for opens, closes in zip(times[::2], times[1::2], strict=False)))
)
_DAYS = st.dictionaries(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), _SPANS, min_size=1)


@st.composite
def _around(draw: st.DrawFn) -> tuple[Hours, datetime]:
    """Hours, and an instant near a change of their clocks."""
    zone = draw(st.sampled_from(sorted(ZONES)))
    day = draw(st.sampled_from(ZONES[zone]))
    closed = draw(st.lists(st.sampled_from([day, day + timedelta(days=1)]), max_size=1))
    hours = Hours.model_validate({"zone": zone, "days": draw(_DAYS), "closed": closed})
    start = datetime.combine(day, time(), UTC) + timedelta(minutes=draw(st.integers(-600, 2400)))
    return hours, start


def _is_open(hours: Hours, instant: datetime) -> bool:
    """Whether any span of the days around has begun and not ended, by the rule for local times alone."""
    zone = zone_of(hours.zone)
    local = instant.astimezone(zone).date()
    for number in (-1, 0, 1):
        day = local + timedelta(days=number)
        name = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[day.weekday()]
        if day in hours.closed or not _local(zone, day, "00:00") <= instant < _local(zone, day, "24:00"):
            continue
        for span in hours.days.get(name, ()):  # type: ignore[call-overload]
            opens, closes = span.split("-")
            if _local(zone, day, opens) <= instant < _local(zone, day, closes):
                return True
    return False


def _local(zone: ZoneInfo, day: date, text: str) -> datetime:
    if text == "24:00":
        day, text = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)


@given(_around())
def test_open_is_what_the_spans_say(drawn: tuple[Hours, datetime]) -> None:
    """Every minute of three days over a clock change is open exactly where a span of its day has begun."""
    hours, start = drawn
    for minute in range(0, 3 * 24 * 60, 7):
        instant = start + minute * MINUTE
        assert open_at(hours, instant) == _is_open(hours, instant), instant


@given(_around(), st.integers(1, 900))
def test_open_time_is_counted_minute_by_minute(drawn: tuple[Hours, datetime], wanted: int) -> None:
    """So much open time has passed after as many open minutes, however the clocks change meanwhile."""
    hours, start = drawn
    counted, instant = 0, start
    while counted < wanted and instant < start + timedelta(days=4):
        counted += _is_open(hours, instant)
        instant += MINUTE
    assert passed(hours, start, instant) == counted * MINUTE
    if counted == wanted:
        assert ends(hours, start, wanted * MINUTE) == instant
    else:
        assert ends(hours, start, wanted * MINUTE) > instant
    assert ends(hours, start, wanted * MINUTE, instant) <= instant


@given(_around(), st.integers(0, 2000), st.integers(0, 2000))
def test_open_time_adds_up(drawn: tuple[Hours, datetime], one: int, other: int) -> None:
    """Counting in two parts is counting at once, so a clock that stood still in between is right again."""
    hours, start = drawn
    middle = ends(hours, start, one * MINUTE)
    assert ends(hours, middle, other * MINUTE) == ends(hours, start, (one + other) * MINUTE) or other == 0
    assert passed(hours, start, middle) == one * MINUTE
    assert not open_at(hours, middle) or next_open(hours, middle) == middle


WEEK = Hours.model_validate(
    {
        "zone": "Europe/Berlin",
        "days": {day: ["09:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
    }
)
NIGHT = Hours.model_validate({"zone": "Europe/Berlin", "days": {"sun": ["00:00-24:00"]}})


@pytest.mark.parametrize(
    ("hours", "start", "open_time", "end"),
    [
        (WEEK, "2026-11-27T15:00Z", timedelta(hours=1), "2026-11-27T16:00Z"),
        (WEEK, "2026-11-27T15:30Z", timedelta(hours=1), "2026-11-30T08:30Z"),
        (WEEK, "2026-11-28T12:00Z", timedelta(hours=4), "2026-11-30T13:00Z"),
        (WEEK, "2026-11-27T15:00Z", timedelta(0), "2026-11-27T15:00Z"),
        (WEEK, "2026-10-23T14:00Z", timedelta(hours=2), "2026-10-26T09:00Z"),
        (NIGHT, "2026-03-28T20:00Z", timedelta(hours=23), "2026-03-29T22:00Z"),
        (NIGHT, "2026-10-24T20:00Z", timedelta(hours=25), "2026-10-25T23:00Z"),
        (None, "2026-10-24T20:00Z", timedelta(hours=25), "2026-10-25T21:00Z"),
    ],
)
def test_a_deadline_in_open_hours(hours: Hours | None, start: str, open_time: timedelta, end: str) -> None:
    """Only open hours count; a Sunday has 23 hours in March and 25 in October."""
    assert ends(hours, datetime.fromisoformat(start), open_time) == datetime.fromisoformat(end)


def test_nothing_counts_without_end() -> None:
    """An hour a week is counted for ten years at most."""
    hours = Hours.model_validate({"zone": "UTC", "days": {"mon": ["09:00-10:00"]}})
    start = datetime(2026, 11, 27, tzinfo=UTC)
    assert start + timedelta(days=3650) < ends(hours, start, timedelta(days=900000)) < start + timedelta(days=3670)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"closed": [str(date(2026, 1, 5) + timedelta(days=7 * week)) for week in range(60)]}, "never open within"),
        ({"days": {}}, "at least 1 item"),
        ({"days": {"mon": []}}, "at least 1 item"),
        ({"days": {"mon": ["10:00-09:00"]}}, "end before they begin"),
        ({"days": {"mon": ["09:00-11:00", "10:00-12:00"]}}, "overlap"),
        ({"zone": "Mars/Olympus"}, "IANA"),
    ],
)
def test_hours_that_cannot_be_meant_are_refused(change: dict[str, Any], problem: str) -> None:
    """Hours that never open, or that nobody can read, are refused with what is wrong."""
    with pytest.raises(ValidationError, match=problem):
        Hours.model_validate({"zone": "UTC", "days": {"mon": ["09:00-10:00"]}, **change})
