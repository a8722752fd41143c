"""Unblocking: which people, if they approved now, would finish the open stage?

- A set is named if the stage is satisfied with it, and by no part of it. Smaller sets come first, then by the alphabet;
  so many are named (`SETS`) at most.
- None is named while a stage is held: nobody approves it before it is released.
- In it are people whom the stage asks at this instant, whom nothing bars, and who have not approved it: a newcomer or
  somebody whom only an escalation would ask could not approve now.
- In a matroid (`policy/approval/seating.py`) whoever adds neither a seat nor an outsider to some people adds none to
  more people either, so nobody looks further that way. Where lines are kept apart that does not hold, and is not used.
- Where more people are needed than somebody would ask one by one (`MOST_PEOPLE`), none are named.
- The search takes so many looks (`LOOKS`); what it found until then is named.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from policy.approval.ballot import ApprovalCase, Ballot
from policy.approval.candidates import Candidates
from policy.approval.eligibility import counts
from policy.approval.quorum import is_inside, tally_stage
from policy.approval.reading import Reading, read
from policy.approval.seating import Budget, augment
from policy.people.facts import PersonFacts
from policy.rules.chains import Mode, Requirement

SETS = 5
MOST_PEOPLE = 10
LOOKS = 250


def unblocking(
    case: ApprovalCase,
    population: Sequence[PersonFacts],
    at: datetime,
    most: int = SETS,
    asking_now: Collection[str] = (),
) -> tuple[tuple[str, ...], ...]:
    """Minimal sets of person ids who could finish the open stage; none where it is resolved or held; pure.

    Args:
        case: as it stands.
        population: everybody whom its chain could ask, as of `at`.
        at: the instant (UTC).
        most: how many sets.
        asking_now: who stands behind the proposal by the directory of now, besides those of the case.
    """
    reading = read(case)
    reading.asking_now = asking_now
    reading.let_pass(at, deadline_counts_as_passed=False)
    if reading.resolution != "pending" or reading.sitting.held:
        return ()
    every = range(len(reading.requirements))
    alternatives = [tuple(every)] if reading.stage.mode is Mode.all_of else [(place,) for place in every]
    budget = Budget(LOOKS)
    searches = (_Search(reading, population, wanted, at, budget) for wanted in alternatives)
    found = {chosen for search in searches for chosen in search.sets(most)}
    least = [chosen for chosen in found if not any(set(other) < set(chosen) for other in found)]
    return tuple(sorted(least, key=lambda chosen: (len(chosen), chosen))[:most])


class _Filled(NamedTuple):
    """Seats that are taken, the person by seat: by anybody, and by outsiders alone."""

    anybody: dict[int, int]
    outsiders: dict[int, int]


class _Search:
    """The sets by which some of the requirements of the open stage are met."""

    def __init__(
        self, reading: Reading, population: Sequence[PersonFacts], wanted: Sequence[int], at: datetime, budget: Budget
    ) -> None:
        self._reading, self._stage, self._at, self._budget = reading, reading.stage, at, budget
        candidates = Candidates(reading, population)
        everybody = [candidates.people[place] for place in candidates.new]
        now, ever, wait = reading.requirements, reading.ever_asked, self._stage.newcomer_wait
        asked = [now[place] for place in wanted]
        able = [person for person in everybody if any(counts(item, person, wait, at) for item in asked)]
        able.sort(key=lambda person: person.person_id)
        self._people = (*reading.approvals, *able)
        self._new = range(len(reading.approvals), len(self._people))
        self._seats = sum(item.count for item in asked)
        self._may = [self._seats_of([ever[place] for place in wanted], one) for one in self._people]
        self._growing = not self._stage.separate_lines and all(item.delegator is None for item in reading.approvals)

    def _seats_of(self, asked: Sequence[Requirement], person: PersonFacts) -> list[int]:
        at = person.received_at if isinstance(person, Ballot) else self._at
        fits = [fit for item in asked for fit in [counts(item, person, self._stage.newcomer_wait, at)] * item.count]
        return [seat for seat, fit in enumerate(fits) if fit]

    def sets(self, most: int) -> list[tuple[str, ...]]:
        """The first sets, as person ids."""
        filled, found = _Filled({}, {}), []
        for place in range(self._new.start):
            filled = self._with_one(filled, place)
        for size in range(max(1, self._lacking(filled)), min(self._seats, MOST_PEOPLE) + 1):
            for chosen in self._grow((), self._new.start, filled, size):
                if self._unblocks(chosen):
                    found.append(tuple(self._people[place].person_id for place in chosen))
                if len(found) == most:
                    return found
        return found

    def _grow(self, chosen: tuple[int, ...], start: int, filled: _Filled, size: int) -> Iterator[tuple[int, ...]]:
        if len(chosen) == size:
            yield chosen
            return
        for place in range(start, self._new.stop - (size - len(chosen)) + 1):
            if not self._budget.spend():
                return
            more = self._with_one(filled, place)
            if self._lacking(more) > size - len(chosen) - 1 or (self._growing and more == filled):
                continue
            yield from self._grow((*chosen, place), place + 1, more, size)

    def _with_one(self, filled: _Filled, place: int) -> _Filled:
        """What is filled with one person more; the same where the person adds nothing."""
        anybody, outsiders = dict(filled.anybody), dict(filled.outsiders)
        outside = not is_inside(self._people[place], self._reading.case.teams)
        added = augment(place, self._may, anybody, set())
        more = outside and len(outsiders) < self._stage.outside_team and augment(place, self._may, outsiders, set())
        return _Filled(anybody, outsiders) if added or more else filled

    def _lacking(self, filled: _Filled) -> int:
        """How many people are needed more, at the least."""
        return max(self._seats - len(filled.anybody), self._stage.outside_team - len(filled.outsiders))

    def _unblocks(self, chosen: tuple[int, ...]) -> bool:
        """Whether the stage is satisfied with all of these, and with none of them left out."""
        parts = (tuple(place for place in chosen if place != one) for one in chosen)
        return self._met(chosen) and not any(self._met(part) for part in parts)

    def _met(self, chosen: tuple[int, ...]) -> bool:
        """Whether the stage is satisfied; whoever has acted for somebody votes anew."""
        people, reading = [self._people[place] for place in chosen], self._reading
        again = {person.person_id for person in people}
        kept = [item for item in reading.approvals if item.person_id not in again]
        found = tally_stage(
            self._stage,
            reading.ever_asked,
            (*kept, *people),
            teams=reading.case.teams,
            elsewhere=reading.elsewhere,
            at=self._at,
            budget=self._budget,
        )
        return found.met
