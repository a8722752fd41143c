"""Many single points said in few sentences.

- A point has one value in each dimension. A box has a set of values in each, and stands for all their combinations.
- Points become boxes dimension by dimension: boxes that differ in one dimension only become one. Every point is in
  exactly one box, and no box has a point that was not there.
- In a sentence a dimension whose values are all in the box is left out; one that lacks few is said by what it lacks.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Point = tuple[str, ...]
Box = tuple[frozenset[str], ...]
_FEW = 6


class Dimension(NamedTuple):
    """A dimension: all its values in order, how one value is said, and how all but some are said.

    `one` and `but` have a `{}` for the values.
    """

    name: str
    values: tuple[str, ...]
    one: str
    but: str


def boxes(points: Iterable[Point], order: Sequence[int]) -> list[Box]:
    """The boxes that together are these points.

    Args:
        points: all of the same length.
        order: the dimensions, in the order in which they are merged.
    """
    found: list[Box] = [tuple(frozenset({value}) for value in point) for point in dict.fromkeys(points)]
    for dimension in order:
        merged: dict[tuple[frozenset[str], ...], frozenset[str]] = {}
        for box in found:
            rest = (*box[:dimension], *box[dimension + 1 :])
            merged[rest] = merged.get(rest, frozenset()) | box[dimension]
        found = [(*rest[:dimension], values, *rest[dimension:]) for rest, values in merged.items()]
    return found


def sentence(box: Box, dimensions: Sequence[Dimension]) -> str:
    """Where a box is, in words; `everything` where nothing narrows it."""
    parts = [_words(values, dimension) for values, dimension in zip(box, dimensions, strict=True)]
    return " ".join(part for part in parts if part) or "everything"


def _words(values: frozenset[str], dimension: Dimension) -> str:
    if len(values) == len(dimension.values):
        return ""
    inside = [value for value in dimension.values if value in values]
    outside = [value for value in dimension.values if value not in values]
    if len(outside) * 2 < len(inside):
        return dimension.but.format(_listed(outside))
    return dimension.one.format(_listed(inside))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _FEW:
        return ", ".join(names)
    return f"{', '.join(names[:_FEW])} and {len(names) - _FEW} more"
