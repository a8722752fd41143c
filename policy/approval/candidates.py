"""Who is left to sit in the stages of a case that are not resolved, and on which seats.

- Whoever approves the open stage may stay on the seat that the ballot is good for, or vote again with what the
  directory says now. A delegate's ballot is good for the open stage only.
- Everybody else sits by what the directory says now, in any stage, unless something bars them.
- Where lines are kept apart, whoever is above or below somebody who approved an earlier stage has no seat.
- A newcomer sits where they will be old enough before the stage ends.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from policy.approval.eligibility import counts, fit, identities, stands_for, too_new
from policy.approval.escalation import asked_too
from policy.approval.quorum import is_inside
from policy.approval.reading import Reading
from policy.approval.seating import in_line
from policy.people.facts import PersonFacts
from policy.rules.chains import EscalationStep, Requirement, Stage

_SHOWN = 5


class Step(NamedTuple):
    """An escalation of a stage, by its place: the one at the deadline comes after those before it."""

    stage: int
    place: int
    step: EscalationStep


def steps_of(reading: Reading) -> tuple[Step, ...]:
    """The escalations that can still come and name whom they ask, in the order of stages and steps."""
    return tuple(item for item in all_steps(reading) if item.step.add_groups and _adds(reading, item))


def all_steps(reading: Reading) -> Iterator[Step]:
    """Every escalation of the stages that are not resolved."""
    for number in range(reading.number, len(reading.case.chain.stages) + 1):
        stage = reading.case.chain.stages[number - 1]
        steps = (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
        yield from (Step(number, place, step) for place, step in enumerate(steps))


def _adds(reading: Reading, item: Step) -> bool:
    asked = asked_by(reading, item.stage)
    return asked != asked_by(reading, item.stage, (item,))


def asked_by(reading: Reading, number: int, steps: Sequence[Step] = ()) -> tuple[Requirement, ...]:
    """What an unresolved stage asks for now, or as it opens, and once these escalations came."""
    stage = reading.case.chain.stages[number - 1]
    now = reading.requirements if number == reading.number else stage.requirements
    groups = [group for item in steps if item.stage == number for group in item.step.add_groups]
    return tuple(asked_too(requirement, groups) for requirement in now) if groups else now


class Candidates:
    """The people of one case. `people` are those who could sit, `insiders` which of them are no outsiders."""

    def __init__(self, reading: Reading, population: Sequence[PersonFacts]) -> None:
        self._reading, self._population = reading, population
        self._ballots, self._ever = reading.approvals, reading.ever_asked
        self._elsewhere = reading.elsewhere
        self._taken = {name for item in self._elsewhere for name in identities(item)}
        mine = {item.person_id for item in self._ballots if stands_for(item) == item.person_id}
        free = [person for person in population if self._why_barred(person) is None]
        self._again = {person.person_id: person for person in free if person.person_id in mine}
        self.people: tuple[PersonFacts, ...] = (
            *self._ballots,
            *(person for person in free if person.person_id not in mine),
        )
        teams = reading.case.teams
        self.insiders = frozenset(at for at, person in enumerate(self.people) if is_inside(person, teams))
        self._known: dict[object, frozenset[int]] = {}
        self._holders: dict[tuple[str, str], list[int]] = {}
        for place in self.new:
            person = self.people[place]
            held = (*(("group", name) for name in person.groups), *(("role", name) for name in person.roles))
            for key in (*held, ("person", stands_for(person))):
                self._holders.setdefault(key, []).append(place)

    @property
    def new(self) -> range:
        """Those who have not approved, by their place among the people."""
        return range(len(self._ballots), len(self.people))

    def may_sit(self, number: int, at: int, requirement: Requirement) -> frozenset[int]:
        """Who may take a seat of the requirement `at` of a stage, by their place among the people."""
        key = (number, at, requirement.groups, requirement.people)
        if key not in self._known:
            sitting = frozenset(self._sitting(number, at, requirement))
            if self._elsewhere and self._stage(number).separate_lines:
                sitting = frozenset(place for place in sitting if not self._in_line(place))
            self._known[key] = sitting
        return self._known[key]

    def _sitting(self, number: int, at: int, requirement: Requirement) -> Iterator[int]:
        stage, end = self._stage(number), self._reading.end_of(number)
        wait, voted = stage.newcomer_wait, len(self._ballots)
        for place in range(voted):
            if self._ballot_sits(place, number, at) or (
                (again := self._again.get(self.people[place].person_id)) is not None
                and counts(requirement, again, wait, end)
            ):
                yield place
        for place in self._with_a_way(requirement):
            if counts(requirement, self.people[place], wait, end):
                yield place

    def _ballot_sits(self, place: int, number: int, at: int) -> bool:
        reading, ballot = self._reading, self._ballots[place]
        if number != reading.number:
            return False
        return counts(self._ever[at], ballot, reading.stage.newcomer_wait, ballot.received_at)

    def _with_a_way(self, requirement: Requirement) -> Collection[int]:
        """Of those who have not approved, who holds any of what a requirement names: few of many people."""
        if not requirement.named:
            return self.new
        keys = (*(("group", name) for name in requirement.groups), *(("role", name) for name in requirement.roles))
        found = {place for key in keys for place in self._holders.get(key, ())}
        return found.union(*(self._holders.get(("person", name), ()) for name in requirement.people))

    def _in_line(self, place: int) -> bool:
        return any(in_line(self.people[place], other) for other in self._elsewhere)

    def barred_from(self, number: int, asked: Sequence[Requirement]) -> tuple[str, ...]:
        """Who would fit a stage and is left out, with the reason; the first few."""
        found = [
            f"{person.person_id} {why}"
            for person in self._population
            if any(fit(item, person).fits for item in asked) and (why := self._why(number, asked, person))
        ]
        more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return (*found[:_SHOWN], *more)

    def _why(self, number: int, asked: Sequence[Requirement], person: PersonFacts) -> str | None:
        stage, end = self._stage(number), self._reading.end_of(number)
        fits = [found for item in asked if (found := fit(item, person)).fits]
        if all(too_new(found, person, stage.newcomer_wait, end) for found in fits):
            return "is new"
        if stage.separate_lines and any(in_line(person, other) for other in self._elsewhere):
            return "is above or below who approved another stage"
        return self._why_barred(person)

    def _why_barred(self, person: PersonFacts) -> str | None:
        name = person.person_id
        if name in self._reading.recused:
            return "recused"
        if name in self._reading.behind:
            return "asks"
        return "approved another stage" if name in self._taken else None

    def _stage(self, number: int) -> Stage:
        return self._reading.case.chain.stages[number - 1]
