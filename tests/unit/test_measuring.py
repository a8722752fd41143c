"""What follows from the looks at a criterion: settled or not, met, failed, or nobody can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.measuring import MAX_KEPT, Judgement, baseline_of, judge, says, seen
from policy.outcome import Baseline, Looks
from policy.proposal import Criterion

NONE = object()
SUCCESS, BETWEEN, FAILURE = 1, 5, 9
LATENCY = {"success": {"at_most": 2}, "failure": {"above": 8}}


def _criterion(**said: Any) -> Criterion:
    return Criterion(probe="web.latency", **said)


def _looks(values: Sequence[tuple[float, Any]]) -> list[Looks]:
    return [
        Looks(first=at, last=at, error="no answer") if value is NONE else Looks(first=at, last=at, low=value)
        for at, value in values
    ]


def _judged(criterion: Criterion, values: Sequence[tuple[float, Any]], baseline: Any = None) -> Judgement:
    kept: tuple[Looks, ...] = ()
    for look in _looks(values):
        kept = seen(criterion, kept, look, baseline)
    return judge(criterion, kept, baseline)


@dataclass(frozen=True)
class Case:
    """What is read, as (second, value), and whether the criterion is met and over after the last of it."""

    said: dict[str, Any]
    values: Sequence[tuple[float, Any]]
    met: bool | None
    over: bool = True
    baseline: Any = None


ON = {"equals": True, "within_seconds": 5}
OBSERVED = {"equals": True, "within_seconds": 5, "observe_seconds": 10}
CASES = {
    "nothing was read yet": Case(ON, [], None, over=False),
    "at once": Case(ON, [(0, True)], True),
    "not yet": Case(ON, [(0, False), (4.9, False)], None, over=False),
    "in time": Case(ON, [(0, False), (4.9, True)], True),
    "never": Case(ON, [(0, False), (5, False)], False),
    "the last second counts": Case(ON, [(0, False), (5, True)], True),
    "much too late, as nobody looked": Case(ON, [(0, False), (40, True)], None),
    "no value at the last second": Case(ON, [(0, False), (5, NONE)], None),
    "no value at first": Case(ON, [(0, NONE), (3, True)], True),
    "exactly the same": Case({"equals": 1, "within_seconds": 0}, [(0, True)], False),
    "nothing is a value": Case({"equals": None, "within_seconds": 0}, [(0, None)], True),
    "observed": Case(OBSERVED, [(1, True), (6, True), (11, True)], True),
    "still observed": Case(OBSERVED, [(1, True), (10.9, True)], None, over=False),
    "it fell": Case(OBSERVED, [(1, True), (3, False)], False),
    "no value for a while": Case(OBSERVED, [(1, True), (3, NONE), (6, NONE), (11, True)], True),
    "no value for too long": Case(OBSERVED, [(1, True), (3, NONE), (6.1, NONE)], None),
    "no value at the end": Case(OBSERVED, [(1, True), (9, True), (11, NONE)], None),
    "a delay before it has to be met": Case(ON | {"initial_delay_seconds": 60}, [(60, False), (64, True)], True),
    "and not met after it": Case(ON | {"initial_delay_seconds": 60}, [(60, False), (65, False)], False),
    "between two conditions": Case(LATENCY | {"within_seconds": 0}, [(0, BETWEEN)], None),
    "between is waited for": Case(LATENCY, [(0, BETWEEN), (4, BETWEEN)], None, over=False),
    "and may become a success": Case(LATENCY, [(0, BETWEEN), (4, SUCCESS)], True),
    "a failure before it is settled": Case(LATENCY, [(0, FAILURE)], False),
    "observed between for too long": Case(
        LATENCY | {"observe_seconds": 20}, [(0, SUCCESS), (5, BETWEEN), (6, BETWEEN)], None
    ),
    "between at the end": Case(LATENCY | {"observe_seconds": 4}, [(0, SUCCESS), (4, BETWEEN)], None),
    "forgiven": Case(OBSERVED | {"failure_limit": 2}, [(0, True), (3, False), (4, False), (10, True)], True),
    "one too many": Case(OBSERVED | {"failure_limit": 1}, [(0, True), (3, False), (4, True), (5, False)], False),
    "forgiven, and failing at the end": Case(OBSERVED | {"failure_limit": 5}, [(0, True), (10, False)], False),
    "forgiven before it is settled": Case(LATENCY | {"failure_limit": 1}, [(0, FAILURE), (1, SUCCESS)], True),
    "errors forgiven": Case(OBSERVED | {"error_limit": 2}, [(0, True), (1, NONE), (9, NONE), (10, True)], True),
    "errors in a row": Case(OBSERVED | {"error_limit": 1}, [(0, True), (1, NONE), (2, NONE)], None),
    "errors apart": Case(OBSERVED | {"error_limit": 1}, [(0, True), (1, NONE), (2, True), (3, NONE), (10, True)], True),
    "errors most of the time": Case(
        OBSERVED | {"error_limit": 2},
        [(0, True), (1, NONE), (2, NONE), (3, True), (4, NONE), (5, NONE), (10, True)],
        None,
    ),
    "errors before it is settled": Case(ON | {"error_limit": 0}, [(0, NONE)], None),
    "often enough": Case(ON | {"consecutive_successes": 3}, [(0, True), (1, True), (2, True)], True),
    "not in a row": Case(ON | {"consecutive_successes": 2}, [(0, True), (1, False), (5, True)], None),
    "a number that is none": Case(LATENCY | {"within_seconds": 0}, [(0, "fast")], None),
    "whether is no number": Case(LATENCY | {"within_seconds": 0}, [(0, True)], None),
    "a little more than before": Case({"success": {"at_most": {"baseline_times": 1.5}}}, [(0, 14)], True, baseline=10),
    "much more than before": Case(
        {"success": {"at_most": {"baseline_times": 1.5, "baseline_plus": 1}}, "within_seconds": 0},
        [(0, 16.1)],
        False,
        baseline=10,
    ),
    "more than nobody knows": Case(
        {"success": {"at_most": {"baseline_times": 1.5}}, "within_seconds": 0}, [(0, 1)], None
    ),
    "success and failure at once": Case(
        {"success": {"at_most": 9}, "failure": {"above": {"baseline_plus": 1}}}, [(0, 5)], False, baseline=3
    ),
    "a state that is known to be bad": Case({"equals": "up", "failure": {"equals": "lost"}}, [(0, "lost")], False),
    "a state that is not": Case(
        {"equals": "up", "failure": {"equals": "lost"}, "within_seconds": 0}, [(0, "starting")], None
    ),
    "it changes all the time": Case(
        LATENCY | {"within_seconds": 3600}, [(at, (BETWEEN, NONE)[at % 2]) for at in range(MAX_KEPT)], None
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_follows_from_the_looks(case: Case) -> None:
    found = _judged(_criterion(**case.said), case.values, case.baseline)

    assert (found.met, found.over) == (case.met, case.over)
    assert bool(found.why) == case.over


def test_a_value_that_json_cannot_say_says_nothing() -> None:
    assert says(_criterion(equals=1), float("nan")) == "none"
    assert says(_criterion(success={"at_least": 0}), 2**60) == "none"


def test_looks_in_a_row_are_kept_as_one() -> None:
    """What was read for an hour is a few lines; how it was settled stays apart, as the observation begins there."""
    criterion = _criterion(success={"at_most": 100}, within_seconds=9, observe_seconds=3600)
    kept: tuple[Looks, ...] = ()
    for at in range(1000):
        kept = seen(criterion, kept, Looks(first=at, last=at, low=at % 7))

    assert [(item.first, item.last, item.count, item.low, item.high) for item in kept] == [
        (0, 0, 1, 0, None),
        (1, 999, 999, 0, 6),
    ]


def test_looks_that_do_not_all_say_the_same_are_no_success() -> None:
    """A record in which good and bad values were put together is judged by the worse half."""
    criterion = _criterion(success={"at_most": 2}, failure={"above": 8}, within_seconds=0)

    assert judge(criterion, [Looks(first=0, last=0, low=1, high=9)]).met is None


_VALUES = st.sampled_from([SUCCESS, BETWEEN, FAILURE, NONE])
_SERIES = st.lists(st.tuples(st.floats(0, 3), _VALUES), max_size=30)
_SAID = st.fixed_dictionaries(
    {
        "within_seconds": st.integers(0, 8),
        "observe_seconds": st.integers(0, 8),
        "failure_limit": st.integers(0, 3),
        "consecutive_successes": st.integers(1, 3),
    },
    optional={"error_limit": st.integers(0, 3), "failure": st.just({"above": 8})},
)


def _in_time(series: Sequence[tuple[float, Any]]) -> list[tuple[float, Any]]:
    """Steps between looks, as instants."""
    found, at = [], 0.0
    for pause, value in series:
        at += pause
        found.append((at, value))
    return found


@given(said=_SAID, series=_SERIES, cut=st.integers(0, 30))
def test_a_series_that_is_cut_short_is_no_success_unless_the_whole_is(
    said: dict[str, Any], series: list[tuple[float, Any]], cut: int
) -> None:
    criterion, values = _criterion(success={"at_most": 2}, **said), _in_time(series)

    whole, part = judge(criterion, _looks(values)), judge(criterion, _looks(values[:cut]))

    assert part.met is not True or whole.met is True
    assert not part.over or part == whole


@given(said=_SAID, series=_SERIES, at=st.integers(0, 30))
def test_one_more_failure_makes_no_success(said: dict[str, Any], series: list[tuple[float, Any]], at: int) -> None:
    """A failing look between others, or in the place of one, never turns what is no success into one."""
    criterion, values = _criterion(success={"at_most": 2}, **said), _in_time(series)
    before = judge(criterion, _looks(values))
    where = values[min(at, len(values) - 1)][0] if values else 0.0
    more = judge(criterion, _looks([*values[:at], (where, FAILURE), *values[at:]]))
    worse = [(when, FAILURE) for when, _ in values[at : at + 1]]
    instead = judge(criterion, _looks([*values[:at], *worse, *values[at + 1 :]]))

    assert more.met is not True or before.met is True
    assert instead.met is not True or before.met is True


@given(said=_SAID, series=_SERIES)
def test_what_is_kept_says_what_was_read(said: dict[str, Any], series: list[tuple[float, Any]]) -> None:
    """Putting looks together changes no conclusion."""
    criterion, values = _criterion(success={"at_most": 2}, **said), _in_time(series)
    found = Judgement()
    kept: tuple[Looks, ...] = ()
    for look in _looks(values):
        kept = seen(criterion, kept, look)
        found = judge(criterion, kept)
        if found.over:
            break

    assert found == judge(criterion, _looks(values))


def test_a_baseline_that_could_not_be_read_is_none() -> None:
    criterion = _criterion(success={"at_most": {"baseline_times": 2}}, parameters={"of": "a"})
    broken = Baseline(probe="web.latency", parameters={"of": "a"}, resource="web/a", error="no answer")
    other = Baseline(probe="web.latency", parameters={"of": "b"}, resource="web/a", value=1)
    known = Baseline(probe="web.latency", parameters={"of": "a"}, resource="web/a", value=2)

    assert baseline_of(criterion, "web/a", [broken, other]) is None
    assert baseline_of(criterion, "web/a", [broken, other, known]) == 2
    assert baseline_of(criterion, "web/b", [known]) is None
