"""Quorum: do these people satisfy these requirements?

- A stage needs all of its requirements (`all_of`), each by its own people, or any one of them (`any_of`). One person
  fills one seat, once.
- If some assignment of people to seats satisfies the stage, it is satisfied, in whatever order the votes came
  (`policy/approval/seating.py`).
- With `outside_team`, at least so many of those who sit are in none of the teams of who asks. Whose team nobody knows
  counts as inside, and so does everybody where the teams of who asks are not known.
- With `separate_lines` nobody sits beside somebody above or below them, or above or below somebody who sits in another
  stage.
- A delegate and the delegator are one for this: one eligibility is used once. The delegator's own vote replaces that of
  a delegate.
- What is missing is said per requirement: how many seats of which people are still empty.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from policy.approval.ballot import Ballot
from policy.approval.eligibility import counts, stands_for
from policy.approval.seating import BOUND, Budget, Rules, Seat, Seating, in_line
from policy.base import RecordModel
from policy.people.facts import PersonFacts
from policy.rules.chains import Mode, Requirement, Stage

_NOBODY = "the stage asks for nobody, so nobody can satisfy it"


class Tally(RecordModel):
    """The seats of a stage: who sits where (`seated`: person id by seat), and what is missing."""

    met: bool
    seated: dict[str, str]
    missing: tuple[str, ...]


def tally(
    requirements: Sequence[Requirement],
    voters: Sequence[PersonFacts],
    *,
    mode: Mode = Mode.all_of,
    outside_team: int = 0,
    teams: Collection[str] = (),
    separate_lines: bool = False,
    barred_lines: Collection[PersonFacts] = (),
    newcomer_wait: timedelta | None = None,
    at: datetime | None = None,
    budget: Budget | None = None,
) -> Tally:
    """Assign voters to the seats of the requirements.

    Args:
        requirements: what the stage asks for; at least one.
        voters: everyone whose approval counts, in order of arrival. A person who is named again is one person, with the
            facts of the first time.
        mode: whether all of the requirements are needed, or any one.
        outside_team: how many must be outside the `teams` of who asks.
        teams: see there.
        separate_lines: whether nobody may sit beside somebody above or below them.
        barred_lines: those who sit in other stages, where lines are kept apart.
        newcomer_wait: for how long somebody must have held what makes them eligible.
        at: the instant (UTC) at which that is asked; a ballot's own where there is one.
        budget: how many matchings may be tried, where several questions share them.
    """
    people = _who_counts(voters, barred_lines if separate_lines else ())
    if separate_lines or any(stands_for(person) != person.person_id for person in people):
        # A search that may end without an answer must not depend on who came first.
        people.sort(key=lambda person: person.person_id)
    if not requirements:
        return Tally(met=False, seated={}, missing=(_NOBODY,))
    rules = Rules(
        outside={1: outside_team} if outside_team else {},
        lines=frozenset({1} if separate_lines else ()),
        insiders=frozenset(number for number, person in enumerate(people) if is_inside(person, teams)),
    )

    def seats_of(number: int, requirement: Requirement) -> Iterator[Seat]:
        may = frozenset(
            place
            for place, person in enumerate(people)
            if counts(requirement, person, newcomer_wait, person.received_at if isinstance(person, Ballot) else at)
        )
        return (Seat(1, number, place, may) for place in range(requirement.count))

    seats = [list(seats_of(number, requirement)) for number, requirement in enumerate(requirements)]
    alternatives = seats if mode is Mode.any_of else [[seat for each in seats for seat in each]]
    found = [_seated(requirements, people, chosen, rules, budget or Budget()) for chosen in alternatives]
    best = next((item for item in found if item.met), None)
    if best is not None or len(found) == 1:
        return best or found[0]
    nearest = max(found, key=lambda item: len(item.seated))
    return nearest.model_copy(update={"missing": (", or ".join(" and ".join(item.missing) for item in found),)})


def tally_stage(
    stage: Stage,
    requirements: Sequence[Requirement],
    approvals: Sequence[PersonFacts],
    *,
    teams: Collection[str] = (),
    elsewhere: Collection[PersonFacts] = (),
    at: datetime | None = None,
    budget: Budget | None = None,
) -> Tally:
    """Assign those who approve to the seats of a stage, by all of its rules.

    Args:
        stage: whose rules.
        requirements: what it asks for by now, escalations included.
        approvals: as for `tally`.
        teams: of who asks.
        elsewhere: those who sit in other stages.
        at: as for `tally`.
        budget: as for `tally`.
    """
    return tally(
        requirements,
        approvals,
        mode=stage.mode,
        outside_team=stage.outside_team,
        teams=teams,
        separate_lines=stage.separate_lines,
        barred_lines=elsewhere,
        newcomer_wait=stage.newcomer_wait,
        at=at,
        budget=budget,
    )


def is_inside(person: PersonFacts, teams: Collection[str]) -> bool:
    """Whether a person counts as one of the teams of who asks; where the teams of one side are not known, they do."""
    return not teams or not person.teams or not set(person.teams).isdisjoint(teams)


def _who_counts(voters: Sequence[PersonFacts], barred_lines: Collection[PersonFacts]) -> list[PersonFacts]:
    people = {person.person_id: person for person in reversed(voters)}
    first = [people[name] for name in dict.fromkeys(person.person_id for person in voters)]
    return [
        person
        for person in first
        if (stands_for(person) == person.person_id or stands_for(person) not in people)
        and not any(in_line(person, other) for other in barred_lines)
    ]


def _seated(
    requirements: Sequence[Requirement],
    people: Sequence[PersonFacts],
    seats: Sequence[Seat],
    rules: Rules,
    budget: Budget,
) -> Tally:
    seating = Seating(people, seats, rules)
    found = seating.solve(budget)
    holder = seating.fill() if found is None else found
    seated = {
        f"{seats[at].requirement}.{seats[at].place}": people[person].person_id for at, person in sorted(holder.items())
    }
    if found is not None:
        return Tally(met=True, seated=seated, missing=())
    empty: dict[int, int] = {}
    for at, seat in enumerate(seats):
        if at not in holder:
            empty[seat.requirement] = empty.get(seat.requirement, 0) + 1
    missing = [f"{count} of {requirements[number].wanted}" for number, count in empty.items()]
    outsiders = sum(person not in rules.insiders for person in holder.values())
    if (lacking := rules.outside.get(1, 0) - outsiders) > 0:
        missing.append(f"{lacking} from outside the team of who asks")
    if budget.spent:
        missing.append(f"a way to seat them that {BOUND} attempts did not find")
    return Tally(met=False, seated=seated, missing=tuple(missing))
