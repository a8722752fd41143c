"""Who depends on whom, turned round once, so that asking what breaks with a target costs milliseconds.

- A **hard** edge breaks its user when what it needs breaks; a **soft** one degrades it. A dependent's way is the one
  with the fewest soft edges, then with the fewest edges; cycles are normal.
- A dependent weighs `max(criticality, SLO) * strength`: criticality 0.25, 0.5, 0.75, 1 (not given: 1); its strictest
  SLO objective 0.25 from 0.9 on, 0.5 from 0.99, 0.75 from 0.999, 1 from 0.9999; strength 1, 0.3, 0.09 with no, one and
  two soft edges on the way, and 0 with more. So an entity, an edge or a harder edge more never lowers the sum.
- Who depends on the target and is not in the catalog counts as the worst: 1, and is counted as dangling. Only
  describing them can lower it.
- APIs, systems and domains are passed through: who uses an API needs those that provide it, and who needs a system
  needs each of its parts. They are no dependents themselves, unless somebody says that one needs something.

Worked example: `checkout` (critical) needs `orders` hard, `mail` (low) needs `checkout` soft. The reach of `orders` is
2 dependents, 1 of them hard, weight 1 * 1 + 0.25 * 0.3 = 1.075.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import chain
from typing import Literal, NamedTuple

from policy.base import RecordModel

CRITICALITIES = ("low", "medium", "high", "critical")
# Nobody said how critical it is: as bad as it can be.
CRITICALITY_WEIGHT = {"low": 0.25, "medium": 0.5, "high": 0.75, "critical": 1.0, None: 1.0}
_SLO_WEIGHT = ((0.9999, 1.0), (0.999, 0.75), (0.99, 0.5), (0.9, 0.25))
# In hundredths, by soft edges on the way. Sums are of integers: floats would add up differently in another order.
_STRENGTH = (100, 30, 9, 0)
_WEIGHT_UNITS = 100
_NEAREST = 10
_REMEMBERED = 4096


class Dependent(RecordModel):
    """Something that depends on the target; `distance` counts edges, 1 is direct. `strength` is that of the strongest
    way to it: `hard` breaks, `soft` is degraded.
    """

    ref: str
    criticality: str | None
    distance: int
    strength: Literal["hard", "soft"] = "hard"


class Reach(RecordModel):
    """What depends on a target, in sum, and the first ten, worst first.

    Attributes:
        total: how many entities depend on it, directly or not.
        hard: how many of them break with it.
        weight: the sum over all of them of strength, criticality and SLO (`policy/catalogs/graph.py`).
        dangling: how many of them the catalog does not have.
        nearest: the ten that weigh most; the nearer first where they weigh the same.
    """

    total: int = 0
    hard: int = 0
    weight: float = 0.0
    dangling: int = 0
    nearest: tuple[Dependent, ...] = ()


class Edge(NamedTuple):
    """`user` needs `needed`. `passing`: the edge says how things hang together (a part, an API), not who uses what."""

    user: str
    needed: str
    hard: bool = True
    passing: bool = False


class Node(NamedTuple):
    """What the catalog says of an entity that can be a dependent."""

    criticality: str | None
    strictest_slo: float | None = None

    @property
    def weight(self) -> int:
        """In hundredths, 0 to 100."""
        slo = next((worth for least, worth in _SLO_WEIGHT if (self.strictest_slo or 0.0) >= least), 0.0)
        return round(_WEIGHT_UNITS * max(CRITICALITY_WEIGHT[self.criticality], slo))


_UNKNOWN = Node(criticality=None)
_PASSED = ("api:", "system:", "domain:")
_NOBODY: tuple[int, ...] = ()


class Graph:
    """Arrays over whole numbers. The heaviest has the smallest number; what is only passed through has the greatest."""

    def __init__(self, nodes: Mapping[str, Node], edges: Iterable[Edge]) -> None:
        """Turn the edges round; of two between the same entities the harder counts.

        Args:
            nodes: the entities of the catalog, by reference.
            edges: who needs whom; references need not be in `nodes`.
        """
        strongest: dict[tuple[str, str], bool] = {}
        named = {ref: not ref.startswith(_PASSED) for ref in nodes}
        for edge in edges:
            pair = (edge.user, edge.needed)
            strongest[pair] = strongest.get(pair, False) or edge.hard
            named.setdefault(edge.needed, not edge.needed.startswith(_PASSED))
            counted = not edge.passing or not edge.user.startswith(_PASSED)
            named[edge.user] = named.get(edge.user, False) or counted
        known = {ref: nodes.get(ref, _UNKNOWN) for ref in named}
        self._refs = sorted(named, key=lambda ref: (not named[ref], -known[ref].weight, ref))
        self._number = {ref: number for number, ref in enumerate(self._refs)}
        self._criticality = [known[ref].criticality for ref in self._refs]
        self._weight = [known[ref].weight for ref in self._refs]
        self._first_passed = sum(named.values())
        self._dangling = {number for number, ref in enumerate(self._refs) if named[ref] and ref not in nodes}
        self._hard = self._turned(strongest, hard=True)
        self._soft = self._turned(strongest, hard=False)
        self._found: dict[tuple[str, ...], Reach] = {}

    def reach(self, targets: tuple[str, ...]) -> Reach:
        """What depends on any of the targets; they are no dependents of each other. Remembered by targets."""
        found = self._found.get(targets)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[targets] = self._reach({self._number[ref] for ref in targets if ref in self._number})
        return found

    def direct(self, ref: str) -> tuple[str, ...]:
        """Who needs an entity without anything between, sorted."""
        number = self._number.get(ref)
        if number is None:
            return ()
        return tuple(sorted(self._refs[user] for user in (*self._hard[number], *self._soft[number])))

    def needs(self, ref: str) -> tuple[str, ...]:
        """What an entity needs without anything between, sorted. Walks all edges: for people to read."""
        number = self._number.get(ref)
        return tuple(
            sorted(
                self._refs[needed]
                for turned in (self._hard, self._soft)
                for needed, users in enumerate(turned)
                if number in users
            )
        )

    def _turned(self, strongest: Mapping[tuple[str, str], bool], *, hard: bool) -> list[Sequence[int]]:
        users: dict[int, list[int]] = {}
        for (user, needed), is_hard in strongest.items():
            if is_hard is hard:
                users.setdefault(self._number[needed], []).append(self._number[user])
        # Laid down in the order of their numbers: neighbours in memory are read together.
        return [tuple(sorted(users[number])) if number in users else _NOBODY for number in range(len(self._refs))]

    def _reach(self, targets: set[int]) -> Reach:
        """Ring after ring, first over hard edges only, then over one soft edge, two, and any number."""
        seen = bytearray(len(self._refs))
        for target in targets:
            seen[target] = 1
        arriving, softly = {1: _users(self._hard, targets)}, {1: _users(self._soft, targets)}
        total, hard, weight, dangling = 0, 0, 0, 0
        heaviest: list[tuple[int, int, str, int]] = []
        for level, strength in enumerate(_STRENGTH):
            merge = level == len(_STRENGTH) - 1
            for distance, ring in self._rings(arriving, softly, seen, merge=merge):
                total += len(ring)
                hard += len(ring) if level == 0 else 0
                dangling += len(self._dangling.intersection(ring)) if self._dangling else 0
                weight += strength * sum(map(self._weight.__getitem__, ring))
                first = nsmallest(_NEAREST, ring)
                heaviest += [(-strength * self._weight[at], distance, self._refs[at], level) for at in first]
                heaviest = sorted(heaviest)[:_NEAREST]
            arriving, softly = softly, {}
        return Reach(
            total=total,
            hard=hard,
            weight=weight / (_WEIGHT_UNITS * _STRENGTH[0]),
            dangling=dangling,
            nearest=tuple(self._dependent(ref, distance, level) for _, distance, ref, level in heaviest),
        )

    def _rings(
        self, arriving: dict[int, list[int]], softly: dict[int, list[int]], seen: bytearray, *, merge: bool
    ) -> Iterator[tuple[int, list[int]]]:
        """Who is reached at each distance without a further soft edge; those behind one are put into `softly`.

        With `merge`, soft edges are walked like hard ones.
        """
        distance, furthest = min(arriving, default=0), max(arriving, default=-1)
        ring: list[int] = []
        while ring or distance <= furthest:
            waiting = _users(self._hard, ring) + arriving.pop(distance, [])
            beyond = _users(self._soft, ring)
            ring = []
            if merge:
                beyond = waiting = waiting + beyond
            # What is only passed through takes no distance: its users join those that wait, while they are walked.
            for at in waiting:
                if not seen[at]:
                    seen[at] = 1
                    if at < self._first_passed:
                        ring.append(at)
                    else:
                        waiting += self._hard[at]
                        beyond += self._soft[at]
            if ring:
                yield distance, ring
            if beyond and not merge:
                softly.setdefault(distance, []).extend(beyond)
            distance += 1

    def _dependent(self, ref: str, distance: int, level: int) -> Dependent:
        criticality = self._criticality[self._number[ref]]
        return Dependent(ref=ref, criticality=criticality, distance=distance, strength="soft" if level else "hard")


def _users(turned: list[Sequence[int]], numbers: Iterable[int]) -> list[int]:
    return list(chain.from_iterable(map(turned.__getitem__, numbers)))
