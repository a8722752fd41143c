"""Calendars: known instants, both clock changes, and what they say of an action."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from policy.catalog import SloObjective
from policy.document import PolicySet
from policy.errors import DocumentError
from policy.facts import Facts
from policy.observed import SloState
from policy.rules.calendars import Calendar, Span, timing_of
from policy.rules.timing import Timing
from policy.rules.zones import zone_of
from tests.unit.builders import POLICY, T0, a_policy, a_proposal, facts_of


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _calendar(**fields: Any) -> Calendar:
    given = {"id": "c", "kind": "window", "zone": "Europe/Berlin", "start": "2026-01-01T09:00", "duration": "1h"}
    return Calendar.model_validate({**given, **fields})


def _open_at(calendar: Calendar, instant: str) -> list[str]:
    """The occurrences that are open or yet to come on the day of an instant, the first two, as texts in UTC."""
    return [f"{span.start:%m-%dT%H:%M}/{span.end:%m-%dT%H:%M}" for span in calendar.spans(_utc(instant))[:2]]


# name: fields, an instant (UTC), the first two occurrences (UTC) that end after the beginning of its day
SPANS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "once": ({}, "2026-01-01T00:00", ["01-01T08:00/01-01T09:00"]),
    "not any more": ({}, "2026-01-02T00:00", []),
    "not yet": ({}, "2025-12-01T00:00", []),
    "daily, winter in Berlin": (
        {"rrule": "FREQ=DAILY"},
        "2026-03-27T12:00",
        ["03-27T08:00/03-27T09:00", "03-28T08:00/03-28T09:00"],
    ),
    "daily, the clocks go forward": (
        {"rrule": "FREQ=DAILY"},
        "2026-03-28T12:00",
        ["03-28T08:00/03-28T09:00", "03-29T07:00/03-29T08:00"],
    ),
    "daily, the clocks go back": (
        {"rrule": "FREQ=DAILY"},
        "2026-10-24T12:00",
        ["10-24T07:00/10-24T08:00", "10-25T08:00/10-25T09:00"],
    ),
    "a time that does not exist in Berlin": (
        {"start": "2026-03-29T02:30"},
        "2026-03-29T00:00",
        ["03-29T01:30/03-29T02:30"],
    ),
    "a time that is there twice in Berlin": (
        {"start": "2026-10-25T02:30"},
        "2026-10-25T00:00",
        ["10-25T00:30/10-25T01:30"],
    ),
    "a time that does not exist in New York": (
        {"start": "2026-03-08T02:30", "zone": "America/New_York"},
        "2026-03-08T00:00",
        ["03-08T07:30/03-08T08:30"],
    ),
    "a time that is there twice in New York": (
        {"start": "2026-11-01T01:30", "zone": "America/New_York"},
        "2026-11-01T00:00",
        ["11-01T05:30/11-01T06:30"],
    ),
    "four hours over the missing one are four hours": (
        {"start": "2026-03-29T00:00", "duration": "4h"},
        "2026-03-29T00:00",
        ["03-28T23:00/03-29T03:00"],
    ),
    "four hours over the doubled one are four hours": (
        {"start": "2026-10-25T00:00", "duration": "4h"},
        "2026-10-25T00:00",
        ["10-24T22:00/10-25T02:00"],
    ),
    "a day with a time of day is 24 hours": (
        {"start": "2026-03-28T12:00", "duration": "1d"},
        "2026-03-29T00:00",
        ["03-28T11:00/03-29T11:00"],
    ),
    "a whole day of 23 hours": (
        {"start": "2026-03-29", "duration": "1d"},
        "2026-03-29T00:00",
        ["03-28T23:00/03-29T22:00"],
    ),
    "a whole day of 25 hours": (
        {"start": "2026-10-25", "duration": "1d"},
        "2026-10-25T00:00",
        ["10-24T22:00/10-25T23:00"],
    ),
    "whole days over a change in New York": (
        {"start": "2026-10-31", "duration": "3d", "zone": "America/New_York"},
        "2026-11-01T00:00",
        ["10-31T04:00/11-03T05:00"],
    ),
    "over midnight": ({"start": "2026-01-01T22:00", "duration": "8h"}, "2026-01-02T00:00", ["01-01T21:00/01-02T05:00"]),
    "a zone without clock changes": (
        {"zone": "Asia/Kolkata", "rrule": "FREQ=DAILY"},
        "2026-03-29T00:00",
        ["03-29T03:30/03-29T04:30", "03-30T03:30/03-30T04:30"],
    ),
    "a day left out": (
        {"rrule": "FREQ=DAILY", "exdates": ["2026-01-01", "2026-01-02"]},
        "2026-01-01T00:00",
        ["01-03T08:00/01-03T09:00", "01-04T08:00/01-04T09:00"],
    ),
    "a day added": (
        {"rrule": "FREQ=WEEKLY", "rdates": ["2026-01-03"]},
        "2026-01-01T00:00",
        ["01-01T08:00/01-01T09:00", "01-03T08:00/01-03T09:00"],
    ),
    "a day added and left out": (
        {"rdates": ["2026-01-03"], "exdates": ["2026-01-03"]},
        "2026-01-01T00:00",
        ["01-01T08:00/01-01T09:00"],
    ),
    "until an instant": (
        {"rrule": "FREQ=DAILY;UNTIL=20260102T075959Z"},
        "2026-01-01T00:00",
        ["01-01T08:00/01-01T09:00"],
    ),
    "until the instant of a start": (
        {"rrule": "FREQ=DAILY;UNTIL=20260102T080000Z"},
        "2026-01-01T00:00",
        ["01-01T08:00/01-01T09:00", "01-02T08:00/01-02T09:00"],
    ),
    "leap day": (
        {"start": "2024-02-29T09:00", "rrule": "FREQ=YEARLY"},
        "2028-02-28T00:00",
        ["02-29T08:00/02-29T09:00"],
    ),
}


@pytest.mark.parametrize(("fields", "instant", "expected"), SPANS.values(), ids=SPANS)
def test_spans(fields: dict[str, Any], instant: str, expected: list[str]) -> None:
    """Local times become instants as RFC 5545 says, and hours stay hours."""
    assert _open_at(_calendar(**fields), instant) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a zone that is none": ({"zone": "Europe/Nowhere"}, "IANA time zones"),
    "a path for a zone": ({"zone": "Europe/../../etc/passwd"}, "IANA time zones"),
    "an offset for a zone": ({"zone": "UTC+1"}, "IANA time zones"),
    "a start with an offset": ({"start": "2026-01-01T09:00Z"}, "without an offset"),
    "a start that is no day": ({"start": "2026-02-30"}, "day is out of range"),
    "a start long ago": ({"start": "1999-12-31T09:00"}, "from 2000 to 2200"),
    "hours of a whole day": ({"start": "2026-01-01", "duration": "90m"}, "duration must be in whole days"),
    "no duration": ({"duration": "0h"}, "greater than"),
    "more than a year": ({"duration": "367d"}, "more than 366d"),
    "every second": ({"rrule": "FREQ=SECONDLY"}, "FREQ is SECONDLY"),
    "a billion times": ({"rrule": "FREQ=DAILY;COUNT=1000000000"}, "use 1 to 1000"),
    "never": ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never occurs"),
    "only on days left out": ({"exdates": ["2026-01-01"]}, "never occurs"),
    "a count that takes a century": ({"rrule": "FREQ=YEARLY;COUNT=100"}, "COUNT is not reached within 30 years"),
    "a match of nothing": ({"match": {}}, "match is empty"),
    "a match by tier, which is not known yet": ({"match": {"tiers": ["low"]}}, "tiers"),
    "too many dates": ({"rdates": ["2026-01-01"] * 501}, "at most 500"),
    "another kind": ({"kind": "holiday"}, "'window', 'freeze' or 'peak'"),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(fields: dict[str, Any], message: str) -> None:
    """A calendar that means nothing, or would take long, is refused when it is read."""
    started = time.thread_time()
    with pytest.raises(ValidationError, match=message):
        _calendar(**fields)
    assert time.thread_time() - started < 1


_CALENDARS = b"""
calendars:
  - {id: mornings, kind: window, zone: UTC, start: "2030-01-01T08:00", duration: 4h, rrule: FREQ=DAILY}
  - {id: first-half, kind: window, zone: UTC, start: "2030-01-01T08:00", duration: 2h, match: {operations: [pg.set]}}
  - {id: second-half, kind: window, zone: UTC, start: "2030-01-01T10:00", duration: 1h, match: {operations: [pg.set]}}
  - {id: elsewhere, kind: window, zone: UTC, start: "2030-01-01T00:00", duration: 9d, match: {environments: [staging]}}
  - {id: audit, kind: freeze, zone: UTC, start: "2030-01-01T11:30", duration: 1h, reason: auditors}
  - {id: rush, kind: peak, zone: UTC, start: "2030-01-01T09:30", duration: 30m}
limits:"""
_TIMED = a_policy(POLICY.replace(b"\nlimits:", _CALENDARS))


def _timing(at: str | None, policy: PolicySet = _TIMED, **changes: Any) -> Timing:
    return timing_of(policy, _facts(None if at is None else _utc(f"2030-01-01T{at}"), **changes))


def _facts(at: datetime | None, **changes: Any) -> Facts:
    facts = facts_of(a_proposal())
    return facts.model_copy(update={"observed": facts.observed.model_copy(update={"at": at, **changes})})


# an instant of 2030-01-01: open windows, freezes, peak, when it ends for good
TIMINGS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str | None, str | None]] = {
    "before all": ("07:59:59", (), (), None, "11:30"),
    "at the beginning": ("08:00:00", ("mornings", "first-half"), (), None, "11:30"),
    "in peak hours": ("09:30:00", ("mornings", "first-half"), (), "rush", "11:30"),
    "at the end of the peak, and of a window that another follows": (
        "10:00:00",
        ("mornings", "second-half"),
        (),
        None,
        "11:30",
    ),
    "frozen": ("11:30:00", ("mornings",), ("audit",), None, "12:00"),
    "at the end of the window": ("12:00:00", (), ("audit",), None, None),
    "thawed": ("12:30:00", (), (), None, None),
}


@pytest.mark.parametrize(("at", "windows", "freezes", "peak", "ends"), TIMINGS.values(), ids=TIMINGS)
def test_timing(
    at: str, windows: tuple[str, ...], freezes: tuple[str, ...], peak: str | None, ends: str | None
) -> None:
    """An instant is in every calendar that began and has not ended, and that speaks of the action."""
    found = _timing(at)

    assert (found.windows, found.freezes, found.peak) == (windows, freezes, peak)
    assert found.window_ends == (_utc(f"2030-01-01T{ends}") if ends else None)


def test_a_window_closes_when_nothing_follows() -> None:
    """Each window has its own end; a window that goes on the next second has not ended."""
    assert _timing("09:00:00").ends == {
        "mornings": _utc("2030-01-01T12:00"),
        "first-half": _utc("2030-01-01T10:00"),
    }
    around_the_clock = _calendar(start="2030-01-01T00:00", zone="UTC", duration="24h", rrule="FREQ=DAILY")
    assert around_the_clock.spans(T0)[0] == Span(_utc("2030-01-01T00:00"), _utc("2030-01-02T00:00"))
    policy = POLICY.replace(
        b"\nlimits:",
        b"\ncalendars: [{id: always, kind: window, zone: UTC, duration: 24h, rrule: FREQ=DAILY,"
        b' start: "2030-01-01T00:00"}]\nlimits:',
    )
    (end,) = timing_of(a_policy(policy), _facts(T0)).ends.values()
    assert end > T0 + timedelta(days=7)


def test_without_an_instant_nothing_is_open_and_everything_is_frozen() -> None:
    """Where nobody knows what time it is, no window lets anything through."""
    found = _timing(None)

    assert (found.windows, found.freezes, found.peak) == ((), ("audit",), "rush")


_AGES = a_policy(POLICY.replace(b"\nlimits:", b"\nfact_ages: {catalog: 30d, directory: 7d, slo: 15m}\nlimits:"))
_FRESH = {"catalog_at": T0 - timedelta(days=30), "directory_at": T0 - timedelta(days=7)}
_SLO = SloState(name="latency", target="component:default/orders", budget_left=0.5, at=T0, source="prometheus")

STALE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "all fresh": (_FRESH, ()),
    "never published": ({}, ("catalog", "directory")),
    "too old by a second": ({**_FRESH, "catalog_at": T0 - timedelta(days=30, seconds=1)}, ("catalog",)),
    "a measured slo": ({**_FRESH, "slo_states": (_SLO,)}, ()),
    "an slo that was measured long ago": (
        {**_FRESH, "slo_states": (_SLO.model_copy(update={"at": T0 - timedelta(minutes=16)}),)},
        ("slo",),
    ),
    "an slo that could not be measured": (
        {**_FRESH, "slo_states": (_SLO.model_copy(update={"budget_left": None}),)},
        ("slo",),
    ),
    "no instant": ({**_FRESH, "at": None}, ("catalog", "directory")),
}


@pytest.mark.parametrize(("observed", "expected"), STALE.values(), ids=STALE)
def test_stale_facts(observed: dict[str, Any], expected: tuple[str, ...]) -> None:
    """A fact that is missing, or older than the policy takes, is named."""
    assert timing_of(_AGES, _facts(observed.pop("at", T0), **observed)).stale == expected


def test_an_objective_that_nobody_measures_is_stale() -> None:
    """An objective in the catalog without a measured state is a missing fact; without ages nothing is stale."""
    facts = _facts(T0, **_FRESH)
    facts = facts.model_copy(update={"target_objectives": (SloObjective(name="latency", objective=0.99),)})

    assert timing_of(_AGES, facts).stale == ("slo",)
    assert timing_of(_TIMED, facts).stale == ()


def test_a_window_that_a_rule_names_is_there() -> None:
    """A freeze is no window, and a typo is found when the document is read."""
    for name in (b"audit", b"morning"):
        rule = b"verdict: allow, windows: [%s], outside: deny}" % name
        with pytest.raises(DocumentError, match=f"window {name.decode()} is named by rule sessions and not defined"):
            a_policy(POLICY.replace(b"\nlimits:", _CALENDARS).replace(b"verdict: allow}", rule))


def test_zones_are_those_of_the_locked_package() -> None:
    """The machine's own time zone database is not asked; what is no name, or no file of the package, is refused."""
    assert zone_of("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)  # noqa: DTZ001
    for name in ("../../etc/passwd", "Europe", "zone.tab", "Mars/Olympus", "", "tzdata.zi", "Europe/Berlin/../Berlin"):
        with pytest.raises(ValueError, match="zone"):
            zone_of(name)
