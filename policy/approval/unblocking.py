"""Unblocking: which people, if they approved now, would finish the open stage?

- A set is named if the stage is satisfied with it, and by no part of it. Smaller sets come first, then by the alphabet;
  so many are named (`SETS`) at most.
- In it are people whom the stage asks at this instant, whom nothing bars, and who have not approved it: a newcomer or
  somebody whom only an escalation would ask could not approve now.
- In a matroid (`policy/approval/seating.py`) whoever adds neither a seat nor an outsider to some people adds none to
  more people either, so nobody looks further that way. Where lines are kept apart that does not hold, and is not used.
- The search looks at so many sets (`LOOKS`); what it found until then is named.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from policy.approval.ballot import ApprovalCase
from policy.approval.candidates import Candidates
from policy.approval.eligibility import counts
from policy.approval.quorum import Tally, is_inside, tally, tally_stage
from policy.approval.reading import Reading, read
from policy.people.facts import PersonFacts
from policy.rules.chains import Mode

SETS = 5
LOOKS = 500


class _Lack(NamedTuple):
    """How many seats are empty, and how many outsiders are lacking."""

    seats: int
    outsiders: int


def unblocking(
    case: ApprovalCase, population: Sequence[PersonFacts], at: datetime, most: int = SETS
) -> tuple[tuple[str, ...], ...]:
    """Minimal sets of person ids who could finish the open stage; none where it is resolved, or nobody could; pure.

    Args:
        case: as it stands.
        population: everybody whom its chain could ask, as of `at`.
        at: the instant (UTC).
        most: how many sets.
    """
    reading = read(case)
    reading.let_pass(at, deadline_counts_as_passed=False)
    if reading.resolution != "pending":
        return ()
    every = range(len(reading.requirements))
    alternatives = [tuple(every)] if reading.stage.mode is Mode.all_of else [(place,) for place in every]
    found = {chosen for wanted in alternatives for chosen in _Search(reading, population, wanted, at).sets(most)}
    least = [chosen for chosen in found if not any(set(other) < set(chosen) for other in found)]
    return tuple(sorted(least, key=lambda chosen: (len(chosen), chosen))[:most])


class _Search:
    """The sets by which some of the requirements of the open stage are met."""

    def __init__(
        self, reading: Reading, population: Sequence[PersonFacts], wanted: Sequence[int], at: datetime
    ) -> None:
        self._reading, self._stage, self._at = reading, reading.stage, at
        candidates = Candidates(reading, population)
        people = [candidates.people[place] for place in candidates.new]
        asked, wait = [reading.requirements[place] for place in wanted], self._stage.newcomer_wait
        able = [person for person in people if any(counts(item, person, wait, at) for item in asked)]
        self._people = sorted(able, key=lambda person: person.person_id)
        self._wanted = [reading.ever_asked[place] for place in wanted]
        self._growing = not self._stage.separate_lines and all(item.delegator is None for item in reading.approvals)
        self._looks = LOOKS

    def sets(self, most: int) -> list[tuple[str, ...]]:
        """The first sets, as person ids."""
        lack, found = self._lack(()), []
        least = max(lack) if self._growing else 1
        for size in range(least, sum(item.count for item in self._wanted) + 1):
            for chosen in self._grow((), 0, lack, size):
                if self._unblocks(chosen):
                    found.append(tuple(person.person_id for person in chosen))
                if len(found) == most:
                    return found
        return found

    def _grow(
        self, chosen: tuple[PersonFacts, ...], start: int, lack: _Lack, size: int
    ) -> Iterator[tuple[PersonFacts, ...]]:
        if len(chosen) == size:
            yield chosen
            return
        for place in range(start, len(self._people) - (size - len(chosen)) + 1):
            if self._looks <= 0:
                return
            more = (*chosen, self._people[place])
            left = self._lack(more) if self._growing else lack
            if not self._growing or (left != lack and max(left) <= size - len(more)):
                yield from self._grow(more, place + 1, left, size)

    def _unblocks(self, chosen: tuple[PersonFacts, ...]) -> bool:
        """Whether the stage is satisfied with all of these, and with none of them left out."""
        parts = (tuple(person for person in chosen if person is not one) for one in chosen)
        return self._stands(chosen).met and not any(self._stands(part).met for part in parts)

    def _stands(self, chosen: tuple[PersonFacts, ...]) -> Tally:
        reading, people = self._reading, self._with(chosen)
        self._looks -= 1
        return tally_stage(
            self._stage,
            reading.ever_asked,
            people,
            teams=reading.case.teams,
            elsewhere=reading.elsewhere,
            at=self._at,
        )

    def _with(self, chosen: tuple[PersonFacts, ...]) -> tuple[PersonFacts, ...]:
        """The approvals, and theirs: whoever has acted for somebody votes anew."""
        again = {person.person_id for person in chosen}
        return (*(item for item in self._reading.approvals if item.person_id not in again), *chosen)

    def _lack(self, chosen: tuple[PersonFacts, ...]) -> _Lack:
        self._looks -= 1
        people, teams, stage = self._with(chosen), self._reading.case.teams, self._stage
        found = tally(
            self._wanted,
            people,
            outside_team=stage.outside_team,
            teams=teams,
            newcomer_wait=stage.newcomer_wait,
            at=self._at,
        )
        insiders = {person.person_id for person in people if is_inside(person, teams)}
        outsiders = sum(name not in insiders for name in found.seated.values())
        empty = sum(item.count for item in self._wanted) - len(found.seated)
        return _Lack(empty, max(0, stage.outside_team - outsiders))
