"""Conditions on a value: what they hold of, what they say, and which of them say nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy.bounds import Condition, always, impossible, overlap

HOLDS: dict[str, tuple[dict[str, Any], Any, Any, bool | None]] = {
    "the same": ({"equals": "up"}, "up", None, True),
    "one is not true": ({"equals": 1}, True, None, False),
    "exactly at the least": ({"at_least": 5}, 5, None, True),
    "not above it": ({"above": 5}, 5, None, False),
    "exactly at the most": ({"at_most": 5}, 5.0, None, True),
    "not below it": ({"below": 5}, 5, None, False),
    "between": ({"above": 1, "at_most": 5}, 3, None, True),
    "outside": ({"above": 1, "at_most": 5}, 0.5, None, False),
    "a text has no size": ({"at_least": 5}, "9", None, None),
    "nothing has no size": ({"at_least": 5}, None, None, None),
    "whether has no size": ({"at_least": 0}, True, None, None),
    "not a number": ({"at_least": 0}, float("nan"), None, None),
    "without end": ({"at_least": 0}, float("inf"), None, None),
    "a fifth more than before": ({"at_most": {"baseline_times": 1.25}}, 50, 40, True),
    "and more": ({"at_most": {"baseline_times": 1.25}}, 50.1, 40, False),
    "five more than before": ({"at_most": {"baseline_plus": 5}}, 45, 40, True),
    "a fifth and five more": ({"at_most": {"baseline_times": 1.25, "baseline_plus": 5}}, 55, 40, True),
    "less than before": ({"below": {"baseline_plus": 0}}, 40, 40, False),
    "nobody knows what was before": ({"at_most": {"baseline_times": 1.25}}, 50, None, None),
    "what was before was no number": ({"at_most": {"baseline_times": 1.25}}, 50, "x", None),
}


@pytest.mark.parametrize(("said", "value", "baseline", "holds"), HOLDS.values(), ids=HOLDS)
def test_whether_a_condition_holds(said: dict[str, Any], value: Any, baseline: Any, holds: bool | None) -> None:
    assert Condition(**said).holds(value, baseline) is holds


MALFORMED = {
    "nothing": ({}, "needs equals or one of"),
    "a value and a bound": ({"equals": 1, "at_most": 2}, "not equals and at_most"),
    "two least": ({"at_least": 1, "above": 2}, "at_least or above, not both"),
    "two most": ({"at_most": 1, "below": 2}, "at_most or below, not both"),
    "an empty baseline": ({"at_most": {}}, "needs baseline_times or baseline_plus"),
    "infinity": ({"at_least": float("-inf")}, "finite number"),
    "not a number": ({"at_least": float("nan")}, "finite number"),
    "more than a number can say": ({"at_most": 1e300}, "less than or equal to"),
    "less than nothing of it": ({"at_most": {"baseline_times": -1}}, "greater than 0"),
    "a name": ({"at_most": "$limit"}, "valid number"),
    "something else": ({"around": 5}, "Extra inputs"),
}


@pytest.mark.parametrize(("said", "why"), MALFORMED.values(), ids=MALFORMED)
def test_what_says_nothing_or_two_things_is_no_condition(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Condition(**said)


IMPOSSIBLE = {
    "more than less": ({"at_least": 5, "at_most": 3}, True),
    "nothing between": ({"above": 5, "at_most": 5}, True),
    "exactly one": ({"at_least": 5, "at_most": 5}, False),
    "above the same multiple": ({"above": {"baseline_plus": 5}, "below": {"baseline_plus": 5}}, True),
    "of two multiples nobody knows": ({"above": {"baseline_times": 2}, "below": {"baseline_times": 1}}, False),
    "one bound": ({"at_least": 5}, False),
}


@pytest.mark.parametrize(("said", "so"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_number_fulfils_is_found(said: dict[str, Any], so: bool) -> None:
    assert impossible(Condition(**said)) is so


OVERLAPS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "apart": ({"at_most": 5}, {"above": 5}, False),
    "at one number": ({"at_most": 5}, {"at_least": 5}, True),
    "one within the other": ({"at_most": 5}, {"at_most": 3}, True),
    "the same value": ({"equals": "x"}, {"equals": "x"}, True),
    "two values": ({"equals": "x"}, {"equals": "y"}, False),
    "a value within": ({"at_most": 5}, {"equals": 3}, True),
    "the same of before": ({"at_most": {"baseline_times": 2}}, {"at_most": {"baseline_times": 2}}, True),
    "another of before": ({"at_most": {"baseline_times": 2}}, {"above": {"baseline_times": 3}}, False),
}


@pytest.mark.parametrize(("success", "failure", "so"), OVERLAPS.values(), ids=OVERLAPS)
def test_values_that_are_success_and_failure_are_found(
    success: dict[str, Any], failure: dict[str, Any], so: bool
) -> None:
    assert overlap(Condition(**success), Condition(**failure)) is so


@given(
    low=st.integers(-9, 9), high=st.integers(-9, 9), other_low=st.integers(-9, 9), other_high=st.integers(-9, 9),
    names=st.tuples(*[st.booleans()] * 4), value=st.integers(-20, 20),
)  # fmt: skip
def test_no_value_is_both_where_none_was_found(
    low: int, high: int, other_low: int, other_high: int, names: tuple[bool, ...], value: int
) -> None:
    """What is found to be apart is apart, and what is found to be empty is empty, for every half."""
    one = Condition(**{("above" if names[0] else "at_least"): low, ("below" if names[1] else "at_most"): high})
    two = Condition(
        **{("above" if names[2] else "at_least"): other_low, ("below" if names[3] else "at_most"): other_high}
    )

    both = one.holds(value / 2) and two.holds(value / 2)

    assert not both or overlap(one, two)
    assert not one.holds(value / 2) or not impossible(one)


ALWAYS: dict[str, tuple[dict[str, Any], float | None, float | None, bool]] = {
    "a share is at most one": ({"at_most": 1}, 0, 1, True),
    "a share is at least nothing": ({"at_least": 0}, 0, 1, True),
    "less than all": ({"below": 1}, 0, 1, False),
    "nobody says what it can be": ({"at_most": 1}, None, None, False),
    "of one end nobody says it": ({"at_least": 0}, 0, None, True),
    "of before": ({"at_most": {"baseline_times": 1}}, 0, 1, False),
    "of before, and all that there is": ({"at_most": {"baseline_plus": 1}}, 0, 1, True),
    "of before, and nearly all": ({"at_most": {"baseline_plus": 0.9}}, 0, 1, False),
    "of before, less all that there is": ({"at_least": {"baseline_plus": -1}}, 0, 1, True),
    "of before, and nobody says what it can be": ({"at_most": {"baseline_plus": 9e15}}, None, None, False),
    "what no number exceeds": ({"at_most": 2**53 - 1}, None, None, True),
    "a value": ({"equals": 1}, 1, 1, False),
}


@pytest.mark.parametrize(("said", "least", "most", "so"), ALWAYS.values(), ids=ALWAYS)
def test_what_every_value_fulfils_is_found(
    said: dict[str, Any], least: float | None, most: float | None, so: bool
) -> None:
    assert always(Condition(**said), least, most) is so


def test_a_condition_is_said_in_words() -> None:
    said = {"above": 1.5, "at_most": {"baseline_times": 1.2, "baseline_plus": 5}}

    assert Condition(**said).words == "above 1.5 and at most 1.2 times the value before +5"
    assert Condition(equals="up").words == '"up"'
    assert Condition(below={"baseline_plus": -3}).words == "below the value before -3"
