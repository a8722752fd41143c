"""What a match covers, compared by its lists: is everything that one rule speaks of spoken of by another, too?

- A dimension that a match does not name is everything. Of `match` and a document's `covers` both must hold.
- One footprint covers another when it does in every dimension. Conditions are not looked at here: whoever asks knows
  which footprints have one.
- `effects` ask for any of several, so two lists of them have no exact intersection: the narrower footprint is taken
  wider than it is, and the wider one is taken to cover nothing. Both can only leave something unsaid.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from policy.catalog import normalize
from policy.rules.match import Match, Where

DIMENSIONS = ("operations", "environments", "targets", "systems", "effects", "destructive", "read_only", "tiers")
Values = frozenset[Any]


class Footprint:
    """What a match covers within what its document covers. `exact` is false where it was taken wider than it is."""

    def __init__(self, match: Match | None, covers: Where | None = None) -> None:
        mine, whole = _lists(match), _lists(covers)
        both = mine.keys() & whole.keys() - {"effects"}
        self.lists: Mapping[str, Values] = {**whole, **mine, **{name: mine[name] & whole[name] for name in both}}
        self.exact = not {"effects"} <= mine.keys() & whole.keys()

    @property
    def empty(self) -> tuple[str, ...]:
        """The dimensions in which nothing is left of it."""
        return tuple(name for name in DIMENSIONS if self.lists.get(name) == frozenset())


class Coverage:
    """Many footprints, asked which of them cover another; as bits of one number each, so that thousands are quick."""

    def __init__(self, footprints: Sequence[Footprint]) -> None:
        self._any: dict[str, int] = dict.fromkeys(DIMENSIONS, 0)
        self._by_value: dict[tuple[str, Any], int] = {}
        self._exact = sum(1 << number for number, item in enumerate(footprints) if item.exact)
        for number, item in enumerate(footprints):
            for name in DIMENSIONS:
                if name not in item.lists:
                    self._any[name] |= 1 << number
                for value in item.lists.get(name, ()):
                    self._by_value[name, value] = self._by_value.get((name, value), 0) | 1 << number

    def of(self, narrow: Footprint) -> int:
        """The footprints that cover this one, a bit each; itself is one of them."""
        return reduce(and_, self._in_each_dimension(narrow), self._exact)

    def _in_each_dimension(self, narrow: Footprint) -> Iterable[int]:
        for name in DIMENSIONS:
            if name not in narrow.lists:
                yield self._any[name]
            for value in narrow.lists.get(name, ()):
                yield self._any[name] | self._by_value.get((name, value), 0)


def first(bits: int) -> int | None:
    """The number of the first footprint among bits; None where there is none."""
    return (bits & -bits).bit_length() - 1 if bits else None


def _lists(match: Where | None) -> dict[str, Values]:
    """The lists that a match gives, as sets; of targets as the catalog writes them."""
    found: dict[str, Values] = {}
    for name in DIMENSIONS:
        given = getattr(match, name, None)
        if isinstance(given, bool):
            found[name] = frozenset({given})
        elif given is not None:
            found[name] = frozenset(normalize(item) for item in given) if name == "targets" else frozenset(given)
    return found
