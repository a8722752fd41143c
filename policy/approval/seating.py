"""Seating: so many seats, so many people, each person on one seat at most. Is there a way, and which?

- People are assigned by matching, never greedily: augmenting paths move those who sit to other seats that they may take
  (Kuhn 1955). Whoever sits stays seated, on one seat or another.
- The sets of people who can be seated together are the independent sets of a transversal matroid (Edmonds and Fulkerson
  1965). In a matroid, taking those first who are wanted most gives as many of them as any other way: so of one stage,
  outsiders are seated first, and no assignment that fills all seats has more of them.
- Of several stages that want outsiders, a stage that lacks some gets one seat more on which only outsiders may sit, of
  each of its requirements in turn.
- Some exclude each other: whoever has an identity in common (a delegate and the delegator, two delegates of one), and
  where lines are kept apart, whoever is above or below somebody. Where two of them sit, the search goes on without the
  one that excludes the most, and then with that one and without whoever it excludes. One of the two holds in every way
  that there is.
- The search tries so many matchings (`BOUND`). If that was not enough, there is no way that anybody knows of: that
  counts as none, and is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from policy.approval.eligibility import identities
from policy.people.facts import PersonFacts

BOUND = 500


class Seat(NamedTuple):
    """A seat of a requirement of a stage. `may` are the people who may take it, by their place among the people."""

    stage: int
    requirement: int
    place: int
    may: frozenset[int]


class Rules(NamedTuple):
    """What holds besides: how many outsiders each stage wants, where lines are kept apart, and who is inside."""

    outside: Mapping[int, int] = {}
    lines: frozenset[int] = frozenset()
    insiders: frozenset[int] = frozenset()


class Budget:
    """How many matchings may still be tried."""

    def __init__(self, matchings: int = BOUND) -> None:
        self.left = matchings

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0

    @property
    def spent(self) -> bool:
        return self.left < 0


def match(may: Sequence[Sequence[int]], order: Sequence[int], seats: int) -> dict[int, int]:
    """Seat people in an order, as many as possible: the person by seat.

    Args:
        may: the seats that each person may take, by person.
        order: who comes first; whoever sits is never left without a seat for somebody who comes later.
        seats: how many there are.
    """
    holder: dict[int, int] = {}
    for person in order:
        if len(holder) == seats:
            break
        augment(person, may, holder, set())
    return holder


def augment(person: int, may: Sequence[Sequence[int]], holder: dict[int, int], tried: set[int]) -> bool:
    """Seat one person more, moving others to seats that they may take; whether there is a seat.

    Args:
        person: who.
        may: the seats that each person may take, by person.
        holder: who sits where; changed where there is a seat.
        tried: the seats that were tried.
    """
    for seat in may[person]:
        if seat in tried:
            continue
        tried.add(seat)
        if seat not in holder or augment(holder[seat], may, holder, tried):
            holder[seat] = person
            return True
    return False


class _Choice(NamedTuple):
    """What a branch of the search rules out: people from a stage, and insiders from the first seats of requirements."""

    without: frozenset[tuple[int, int]] = frozenset()
    reserved: tuple[int, ...] = ()


class Seating:
    """One question: these people, these seats, these rules."""

    def __init__(self, people: Sequence[PersonFacts], seats: Sequence[Seat], rules: Rules) -> None:
        self._seats, self._rules = seats, rules
        self._stages = sorted({seat.stage for seat in seats})
        self._may: list[list[int]] = [[] for _ in people]
        for at, seat in enumerate(seats):
            for person in seat.may:
                self._may[person].append(at)
        asked = [person for person, taken in enumerate(self._may) if taken]
        self._same, self._line = _exclusions(people, asked, lines=bool(rules.lines))
        self._order = sorted(asked, key=self._rank)

    def _rank(self, person: int) -> tuple[bool, int]:
        """Outsiders first where some are wanted, and then whoever excludes fewer."""
        inside = any(self._rules.outside.values()) and person in self._rules.insiders
        return inside, len(self._same.get(person, ())) + len(self._line.get(person, ()))

    def solve(self, budget: Budget) -> dict[int, int] | None:
        """A way to fill every seat, the person by seat; None where there is none, or the budget is spent."""
        choices = [_Choice()]
        while choices and budget.spend():
            choice = choices.pop()
            holder = match(self._allowed(choice), self._order, len(self._seats))
            if len(holder) < len(self._seats):
                continue
            branches = self._branches(holder, choice)
            if branches is None:
                return holder
            choices += reversed(branches)
        return None

    def fill(self) -> dict[int, int]:
        """As many seats as can be filled by seating one after the other those whom nobody who sits excludes."""
        holder: dict[int, int] = {}
        for person in self._order:
            trial = dict(holder)
            if augment(person, self._may, trial, set()) and self._violated(trial) is None:
                holder = trial
        return holder

    def _allowed(self, choice: _Choice) -> list[list[int]]:
        if not choice.without and not choice.reserved:
            return self._may
        seats, insiders = self._seats, self._rules.insiders
        kept = {number: choice.reserved.count(number) for number in choice.reserved}
        return [
            [
                at
                for at in taken
                if (person, seats[at].stage) not in choice.without
                and not (person in insiders and seats[at].place < kept.get(seats[at].requirement, 0))
            ]
            for person, taken in enumerate(self._may)
        ]

    def _branches(self, holder: Mapping[int, int], choice: _Choice) -> list[_Choice] | None:
        """What to try next where something is violated; None where nothing is."""
        if (stage := self._lacks_outsiders(holder)) is not None:
            return list(self._reserving(stage, choice))
        if (worst := self._violated(holder)) is None:
            return None
        without = (frozenset({worst}), self._excluded(*worst))
        return [_Choice(choice.without | more, choice.reserved) for more in without]

    def _lacks_outsiders(self, holder: Mapping[int, int]) -> int | None:
        for stage, wanted in self._rules.outside.items():
            sitting = [person for at, person in holder.items() if self._seats[at].stage == stage]
            if sum(person not in self._rules.insiders for person in sitting) < wanted:
                return stage
        return None

    def _reserving(self, stage: int, choice: _Choice) -> Iterator[_Choice]:
        if len(self._stages) == 1:
            return
        mine = sorted({seat.requirement for seat in self._seats if seat.stage == stage})
        newest = max((number for number in choice.reserved if number in mine), default=-1)
        for number in mine:
            room = sum(seat.requirement == number for seat in self._seats)
            if number >= newest and choice.reserved.count(number) < room:
                yield _Choice(choice.without, (*choice.reserved, number))

    def _violated(self, holder: Mapping[int, int]) -> tuple[int, int] | None:
        """Of those who sit and exclude each other, who excludes the most, and in which stage they sit."""
        if not self._same and not self._line:
            return None
        sits = {person: self._seats[at].stage for at, person in holder.items()}
        wrong = [
            (person, stage)
            for person, stage in sits.items()
            if any(other in sits for other in self._same.get(person, ()))
            or any(
                other in sits and max(stage, sits[other]) in self._rules.lines for other in self._line.get(person, ())
            )
        ]
        return max(wrong, key=lambda item: (self._rank(item[0])[1], item), default=None)

    def _excluded(self, person: int, stage: int) -> frozenset[tuple[int, int]]:
        """Whom somebody in a stage excludes, and from where."""
        same = {(other, where) for other in self._same.get(person, ()) for where in self._stages}
        line = {
            (other, where)
            for other in self._line.get(person, ())
            for where in self._stages
            if max(stage, where) in self._rules.lines
        }
        return frozenset(same | line)


def _exclusions(
    people: Sequence[PersonFacts], asked: Sequence[int], *, lines: bool
) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """For each of those who are asked, who has an identity in common, and who is above or below."""
    named: dict[str, list[int]] = {}
    for person in asked:
        for name in identities(people[person]):
            named.setdefault(name, []).append(person)
    same: dict[int, set[int]] = {}
    for together in named.values():
        for person in together if len(together) > 1 else ():
            same.setdefault(person, set()).update(other for other in together if other != person)
    line: dict[int, set[int]] = {}
    for person in asked if lines else ():
        for above in {other for name in people[person].managers for other in named.get(name, ())} - {person}:
            line.setdefault(person, set()).add(above)
            line.setdefault(above, set()).add(person)
    return same, line


def in_line(one: PersonFacts, other: PersonFacts) -> bool:
    """Whether one of two is above the other."""
    return not identities(one).isdisjoint(other.managers) or not identities(other).isdisjoint(one.managers)
