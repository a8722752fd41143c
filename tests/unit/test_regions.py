"""Many points said in few sentences."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.checks.regions import Dimension, boxes, sentence

DIMENSIONS = (
    Dimension("operation", ("set", "reset", "drop", "any other operation"), "{}", "every operation but {}"),
    Dimension("environment", ("production", "staging", "any other"), "in {}", "everywhere but {}"),
    Dimension("tier", ("low", "medium", "high", "critical"), "at {}", "at any tier but {}"),
)
_ALL = list(product(*(dimension.values for dimension in DIMENSIONS)))

SAID: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {
    "one point": ([("set", "production", "low")], ["set in production at low"]),
    "everything": (_ALL, ["everything"]),
    "one dimension": ([point for point in _ALL if point[1] == "production"], ["in production"]),
    "all but one": ([point for point in _ALL if point[0] != "drop"], ["every operation but drop"]),
    "two of four": (
        [point for point in _ALL if point[0] in {"set", "reset"} and point[2] == "high"],
        ["set, reset at high"],
    ),
    "an L is two boxes": (
        [point for point in _ALL if point[0] == "set" or point[1] == "staging"],
        ["set", "every operation but set in staging"],
    ),
}


@pytest.mark.parametrize(("points", "said"), SAID.values(), ids=SAID)
def test_points_are_said(points: list[tuple[str, ...]], said: list[str]) -> None:
    """A dimension that does not matter is not mentioned, and one that nearly does not is said by what it lacks."""
    assert [sentence(box, DIMENSIONS) for box in boxes(points, (2, 1, 0))] == said


@given(st.lists(st.sampled_from(_ALL), unique=True), st.permutations((0, 1, 2)))
def test_boxes_are_the_points(points: list[tuple[str, ...]], order: list[int]) -> None:
    """No point is lost, none is added, and none is said twice."""
    found = [point for box in boxes(points, order) for point in product(*box)]
    assert sorted(found) == sorted(points)
