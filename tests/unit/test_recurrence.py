"""Recurrence rules: the dates they fall on, held to dateutil's answers, and what is refused."""

import time
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import takewhile

import pytest
from dateutil.rrule import rrulestr  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.rules.recurrence import read_recurrence

_START = date(2026, 1, 1)

DATES = {
    "every day": ("FREQ=DAILY", date(2026, 1, 1), ["01-01", "01-02", "01-03"]),
    "every third day": ("FREQ=DAILY;INTERVAL=3", date(2026, 1, 1), ["01-01", "01-04", "01-07"]),
    "every third day, asked later": ("FREQ=DAILY;INTERVAL=3", date(2026, 3, 1), ["03-02", "03-05", "03-08"]),
    "the weekday of the start": ("FREQ=WEEKLY", date(2026, 1, 2), ["01-08", "01-15", "01-22"]),
    "working days": ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", date(2026, 1, 2), ["01-02", "01-05", "01-06"]),
    "every other week": ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", date(2026, 1, 1), ["01-12", "01-26", "02-09"]),
    "every other week from Sunday": ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU", _START, ["01-11", "01-25", "02-08"]),
    "a day that some months lack": ("FREQ=MONTHLY;BYMONTHDAY=31", date(2026, 2, 1), ["03-31", "05-31", "07-31"]),
    "the last day of a month": ("FREQ=MONTHLY;BYMONTHDAY=-1", date(2026, 2, 1), ["02-28", "03-31", "04-30"]),
    "the second Tuesday": ("FREQ=MONTHLY;BYDAY=2TU", _START, ["01-13", "02-10", "03-10"]),
    "the last Friday": ("FREQ=MONTHLY;BYDAY=-1FR", _START, ["01-30", "02-27", "03-27"]),
    "the last working day": ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", _START, ["01-30", "02-27", "03-31"]),
    "Friday the thirteenth": ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", _START, ["02-13", "03-13", "11-13"]),
    "the fourth Thursday of November": ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", _START, ["11-26"]),
    "the first and the last Monday of the year": ("FREQ=YEARLY;BYDAY=1MO,-1MO", _START, ["01-05", "12-28"]),
    "so many times": ("FREQ=DAILY;COUNT=2", _START, ["01-01", "01-02"]),
    "so many times, asked in between": ("FREQ=DAILY;COUNT=4", date(2026, 1, 3), ["01-03", "01-04"]),
    "until a day": ("FREQ=DAILY;UNTIL=20260102", _START, ["01-01", "01-02"]),
    "never": ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", _START, []),
    "plain and counted weekdays together": ("FREQ=MONTHLY;BYDAY=1MO,SU", _START, ["01-04", "01-05", "01-11"]),
}


@pytest.mark.parametrize(("rule", "first", "expected"), DATES.values(), ids=DATES)
def test_dates(rule: str, first: date, expected: list[str]) -> None:
    """The first dates of a year from a day on; the rule begins on 2026-01-01, a Thursday."""
    found = read_recurrence(rule).dates(_START, first, date(2026, 12, 31))

    assert [f"{day:%m-%d}" for day in found[: max(len(expected), 3)]] == expected


REFUSED = {
    "no frequency": ("BYDAY=MO", "FREQ is missing"),
    "every second": ("FREQ=SECONDLY", "FREQ is SECONDLY"),
    "every minute": ("FREQ=MINUTELY;INTERVAL=5", "FREQ is MINUTELY"),
    "every hour": ("FREQ=HOURLY", "FREQ is HOURLY"),
    "a billion times": ("FREQ=DAILY;COUNT=1000000000", "COUNT is 1000000000, use 1 to 1000"),
    "no times": ("FREQ=DAILY;COUNT=0", "COUNT is 0"),
    "a billion days apart": ("FREQ=DAILY;INTERVAL=1000000000", "INTERVAL is 1000000000"),
    "backwards": ("FREQ=DAILY;INTERVAL=-1", "INTERVAL is -1"),
    "several times a day": ("FREQ=DAILY;BYHOUR=1,2,3", "part 'BYHOUR=1,2,3' is not read"),
    "Easter": ("FREQ=YEARLY;BYEASTER=0", "is not read"),
    "weeks by number": ("FREQ=YEARLY;BYWEEKNO=20", "is not read"),
    "a start": ("DTSTART=20260101;FREQ=DAILY", "is not read"),
    "a name before the rule": ("RRULE:FREQ=DAILY", "is not read"),
    "lower case": ("freq=daily", "is not read"),
    "a part twice": ("FREQ=DAILY;FREQ=WEEKLY", "FREQ occurs twice"),
    "a part of nothing": ("FREQ=DAILY;COUNT=", "is not read"),
    "a count and an end": ("FREQ=DAILY;COUNT=2;UNTIL=20260102", "COUNT and UNTIL"),
    "an end in local time": ("FREQ=DAILY;UNTIL=20260102T100000", "write 20261231 or"),
    "an end that is no day": ("FREQ=DAILY;UNTIL=20260230", "UNTIL is 20260230"),
    "a month that is none": ("FREQ=YEARLY;BYMONTH=13", "BYMONTH is 13"),
    "a month from the end": ("FREQ=YEARLY;BYMONTH=-1", "BYMONTH is -1"),
    "a day that is none": ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY is 32"),
    "day zero": ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY is 0"),
    "a weekday that is none": ("FREQ=WEEKLY;BYDAY=XX", "BYDAY is XX"),
    "the second Monday of a week": ("FREQ=WEEKLY;BYDAY=2MO", "only FREQ=MONTHLY and YEARLY"),
    "the sixth Monday of a month": ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY is 6"),
    "a day of the month of a week": ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go with FREQ=WEEKLY"),
    "a position of nothing": ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS needs"),
    "other digits": ("FREQ=DAILY;COUNT=٣", "COUNT is"),
    "nothing": ("", "is not read"),
}


@pytest.mark.parametrize(("rule", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(rule: str, message: str) -> None:
    """What is not read is refused by name, and nothing that would take long is read."""
    with pytest.raises(ValueError, match=message):
        read_recurrence(rule)


_DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@st.composite
def _rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]

    def some(name: str, values: list[str]) -> None:
        chosen = draw(st.lists(st.sampled_from(values), max_size=3, unique=True))
        parts.extend([f"{name}={','.join(chosen)}"] if chosen else [])

    some("BYMONTH", [str(number) for number in range(1, 13)])
    if frequency != "WEEKLY":
        some("BYMONTHDAY", ["1", "2", "13", "28", "-1", "-2", "-28"])
    # dateutil takes plain and counted weekdays in one list for two conditions; RFC 5545 takes them for one list.
    counted = [f"{nth}{day}" for nth in ("1", "2", "-1", "-2") for day in _DAYS]
    some("BYDAY", draw(st.sampled_from([_DAYS, counted])) if frequency in ("MONTHLY", "YEARLY") else _DAYS)
    if any(part.startswith(("BYDAY", "BYMONTH")) for part in parts):
        some("BYSETPOS", ["1", "2", "-1"])
    parts += draw(st.sampled_from([[], ["WKST=SU"], ["COUNT=7"], ["UNTIL=20281231"]]))
    return ";".join(parts)


@settings(max_examples=150, deadline=None)
@given(rule=_rules(), start=st.dates(date(2020, 1, 1), date(2022, 12, 31)), later=st.integers(0, 700))
def test_the_dates_are_those_of_dateutil(rule: str, start: date, later: int) -> None:
    """Another reading of RFC 5545 finds the same dates, wherever one begins to look."""
    first, last = start + timedelta(days=later), start + timedelta(days=later + 400)
    # Where there are no more occurrences dateutil would look until the year 9999.
    shortened = rule if "COUNT" in rule or "UNTIL" in rule else f"{rule};UNTIL={last:%Y%m%d}"
    mine = read_recurrence(rule).dates(start, first, last)
    if not mine:
        return
    theirs = rrulestr(shortened, dtstart=datetime.combine(start, datetime.min.time()))
    expected = [at.date() for at in takewhile(lambda at: at.date() <= mine[-1], theirs)]

    assert mine == [day for day in expected if day >= first]


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;INTERVAL=7;BYDAY=FR", "FREQ=YEARLY"]
)
def test_a_rule_that_never_occurs_costs_what_any_other_does(rule: str) -> None:
    """A question about a year takes milliseconds, however long ago the rule began and whether or not it occurs."""
    known, started = read_recurrence(rule), time.thread_time()
    for _ in range(10):
        known.dates(date(2001, 1, 1), date(2150, 1, 1), date(2151, 1, 1))

    assert time.thread_time() - started < 1


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["FREQ=", "DAILY", "YEARLY", "COUNT=", "UNTIL=", "BYDAY=", "MO", "-1", "9" * 20, ";", ",", "="])
    ).map("".join)
    | st.text(max_size=40)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is written where a rule belongs, it is a rule or a `ValueError` with a reason."""
    with suppress(ValueError):
        read_recurrence(text).dates(_START, _START, date(2027, 1, 1))
