"""Search attributes that no server can choke on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.canonical import digest
from policy.search_attributes import LIMIT, TYPES, attributes, cut, cut_list
from tests.unit.builders import T0

SERVER_LIMIT = 2048

CASES: dict[str, tuple[str, str]] = {
    "a name": ("pg-orders", "pg-orders"),
    "nothing": ("", ""),
    "just short enough": ("x" * LIMIT, "x" * LIMIT),
    "too long": ("x" * 201, "x" * 190),
    "a line end": ("a\nb", "a?b"),
    "not ascii": ("für", "f?r"),
}


@pytest.mark.parametrize(("text", "kept"), CASES.values(), ids=CASES)
def test_cut(text: str, kept: str) -> None:
    """A value that fits stays; of any other the beginning stays, and eight digits of its digest follow."""
    assert cut(text) == (kept if kept == text else f"{kept}#{digest(text.encode())[7:15]}")


@given(st.text(max_size=300), st.text(max_size=300))
def test_cut_values_fit_and_stay_different(one: str, other: str) -> None:
    """Whatever comes, it fits, and different values stay different."""
    assert len(json.dumps(cut(one))) < 2 * LIMIT + 10
    assert cut(one).isascii()
    assert (cut(one) == cut(other)) == (one == other)


def test_a_value_cannot_pose_as_a_cut_one() -> None:
    """A short value that looks like a cut one is cut itself."""
    long = "x" * 500
    assert cut(cut(long)) != cut(long)


@given(st.lists(st.text(max_size=300), max_size=40))
def test_a_list_fits(values: list[str]) -> None:
    """A list as a whole stays below the limit at which the server terminates a workflow."""
    assert len(json.dumps(cut_list(values))) < SERVER_LIMIT


def test_a_cut_list_says_so() -> None:
    """What is left out of a list is counted; what occurs twice is there once."""
    assert cut_list(["ops", "dba", "ops"]) == ["ops", "dba"]
    groups = [f"{number:0200}" for number in range(30)]
    assert cut_list(groups) == [*groups[:7], "23 more"]
    assert cut_list([]) == []


def test_all_are_set_and_registered() -> None:
    """Every attribute is in the table of types, and is set or unset each time."""
    found = attributes(state="pending", tier=None, target="t", environment="e", proposer="p", next_deadline=T0)
    assert found.keys() == TYPES.keys()
    assert found["CountersignNextDeadline"] == "2030-01-01T09:00:00Z"
    assert (
        attributes(state="s", tier="low", target="t", environment="e", proposer="p")["CountersignNextDeadline"] is None
    )
