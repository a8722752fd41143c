"""Whether people are left: against brute force, with a recusal after every vote, and what follows."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings

from policy.approval.eligibility import identities
from policy.approval.feasibility import Needed, feasible, next_step
from policy.approval.quorum import is_inside
from policy.approval.reading import read
from policy.approval.seating import Budget, Seating, in_line
from policy.approval.standing import ApprovalCase, CaseEvent, stand
from policy.people.facts import PersonFacts
from policy.rules.chains import EscalationStep, Mode, Requirement, Stage, Turn
from tests.unit.builders import T0, a_ballot, a_case, at, escalation, stage
from tests.unit.crowds import a_person, played

NOW = at(20)


def _seats(case: ApprovalCase, first: int, *, escalated: bool) -> Iterator[list[tuple[int, frozenset[str]]]]:
    """Every choice of requirements of the stages that are not resolved: stage and groups of each seat."""
    chosen: list[list[tuple[int, frozenset[str]]]] = [[]]
    for number, item in enumerate(case.chain.stages[first - 1 :], start=first):
        more = {group for step in item.escalations if escalated for group in step.add_groups}
        wanted = [[(number, frozenset(one.groups) | more) for _ in range(one.count)] for one in item.requirements]
        alternatives = wanted if item.mode is Mode.any_of else [[seat for each in wanted for seat in each]]
        chosen = [[*before, *more] for before in chosen for more in alternatives]
    yield from chosen


def _by_brute_force(case: ApprovalCase, population: Sequence[PersonFacts], *, escalated: bool = False) -> bool:
    reading = read(case)
    if reading.resolution != "pending":
        return True
    elsewhere, rules = reading.elsewhere, case.chain.stages
    out = {*case.requesters, *reading.recused, *(name for item in elsewhere for name in identities(item))}
    free = [person for person in population if person.person_id not in out]

    def together(sitting: list[tuple[int, PersonFacts]]) -> bool:
        for number in range(reading.number, len(rules) + 1):
            outside = sum(not is_inside(person, case.teams) for at, person in sitting if at == number)
            if outside < rules[number - 1].outside_team:
                return False
        for (one, person), (two, other) in combinations(sitting, 2):
            if identities(person) & identities(other):
                return False
            if rules[max(one, two) - 1].separate_lines and in_line(person, other):
                return False
        return not any(
            rules[number - 1].separate_lines and in_line(person, other)
            for number, person in sitting
            for other in elsewhere
        )

    def fill(seats: list[tuple[int, frozenset[str]]], sitting: list[tuple[int, PersonFacts]]) -> bool:
        if not seats:
            return together(sitting)
        (number, groups), *rest = seats
        here = [*free, *(reading.approvals if number == reading.number else ())]
        return any(
            fill(rest, [*sitting, (number, person)])
            for person in here
            if groups.intersection(person.groups)
            and all(identities(person).isdisjoint(identities(other)) for _, other in sitting)
        )

    return any(fill(seats, []) for seats in _seats(case, reading.number, escalated=escalated))


@settings(max_examples=300)
@given(played(escalating=True))
def test_what_is_left_is_what_trying_everything_finds(game: tuple[list[ApprovalCase], list[PersonFacts]]) -> None:
    """After every vote, and with each person stepping out, the answer is that of trying every assignment."""
    cases, people = game
    for case in cases:
        found = feasible(case, people, NOW)
        now, later = _by_brute_force(case, people), _by_brute_force(case, people, escalated=True)
        assert (found.feasible, not found.needs) == (later, now or not later)
        assert (found.stage is None, bool(found.reason)) == (later, not later)


@settings(max_examples=150)
@given(played())
def test_who_is_infeasible_stays_so(game: tuple[list[ApprovalCase], list[PersonFacts]]) -> None:
    """A recusal makes nothing feasible that was not, and fewer people neither."""
    cases, people = game
    case = cases[-1]
    if read(case).resolution == "pending" and not feasible(case, people, NOW).feasible:
        assert all(
            not feasible(case, people[:place] + people[place + 1 :], NOW).feasible for place in range(len(people))
        )


PAIR = (stage("ops", name="ops"), stage("dba", name="dba"))
TWO = (stage(requirements=(Requirement(groups=("dba",), count=2),), name="dba"),)
PEOPLE = (a_person("ann", "ops"), a_person("bob", "ops dba"), a_person("carol", "dba"))
RECUSED = (a_ballot("bob", "recuse", 5, "ops dba"),)
BOB_OF_ONE = (a_ballot("bob", "approve", 5, "ops dba"),)

# The stages, what happened, who asks, and why it cannot be satisfied; empty where it can.
CASES: dict[str, tuple[tuple[Stage, ...], dict[str, Any], str]] = {
    "enough people": (PAIR, {}, ""),
    "one asks and one is left": (PAIR, {"requesters": ("carol",)}, ""),
    "two people of one stage": (
        TWO,
        {"requesters": ("carol",), "ballots": RECUSED},
        "no 2 distinct eligible people are left for stage 1 (dba): bob recused, carol asks",
    ),
    "one person for two stages": (
        PAIR,
        {"requesters": ("ann", "carol")},
        "nobody eligible is left for stage 2 (dba): carol asks",
    ),
    "who approved an earlier stage": (
        PAIR,
        {"requesters": ("carol",), "ballots": BOB_OF_ONE},
        "nobody eligible is left for stage 2 (dba): bob approved another stage, carol asks",
    ),
    "a denial can still become an approval": (
        (stage("dba", deny_threshold=2),),
        {"requesters": ("carol",), "ballots": (a_ballot("bob", "deny", 5, "dba"),)},
        "",
    ),
    "nobody in the group": ((stage("sre", name="sre"),), {}, "nobody eligible is left for stage 1 (sre)"),
    "any of two": ((stage("sre", "dba", mode=Mode.any_of),), {}, ""),
    "nobody from outside": (
        (stage("dba", name="dba", outside_team=1),),
        {"teams": ("red",)},
        "nobody eligible is left for stage 1 (dba), with 1 from outside the team of who asks",
    ),
    "newcomers only": (
        (stage("dba", name="dba", newcomer_wait=timedelta(days=7)),),
        {},
        "nobody eligible is left for stage 1 (dba): bob is new, carol is new",
    ),
    "resolved": ((stage("ops"),), {"requesters": ("bob",), "ballots": (a_ballot("ann", "approve", 5),)}, ""),
}


@pytest.mark.parametrize(("stages", "case", "reason"), CASES.values(), ids=CASES)
def test_feasible(stages: tuple[Stage, ...], case: dict[str, Any], reason: str) -> None:
    """Whether people are left, and if not, for which stage and why."""
    found = feasible(a_case(*stages, **case), PEOPLE, NOW)
    assert (found.feasible, found.reason) == (not reason, reason)


def test_a_newcomer_who_will_be_old_enough_is_left() -> None:
    """Who can vote before the stage ends is not counted as missing before."""
    since = {"person": T0 - timedelta(days=7) + timedelta(minutes=50), "group dba": T0 - timedelta(days=9)}
    case = a_case(stage("dba", newcomer_wait=timedelta(days=7)))
    assert feasible(case, [a_person("eve", "dba", since=since)], NOW).feasible
    late = {**since, "group dba": T0}
    assert not feasible(case, [a_person("eve", "dba", since=late)], NOW).feasible


def test_the_escalation_that_is_needed_is_named() -> None:
    """Of the steps that could come, those are named without which nobody is left; the earliest that will do."""
    steps = (escalation(30, "managers"), escalation(40, "dba"), escalation(50, "ops"))
    found = feasible(a_case(stage("sre", escalations=steps)), PEOPLE, NOW)
    assert (found.feasible, found.needs) == (True, (Needed(stage=1, index=1),))


LOOKED_UP = EscalationStep(after=timedelta(minutes=40), to=(Turn.manager,), reason="nobody answered")
NEEDED: dict[str, Any] = {"escalations": (escalation(30, "dba"),)}
LOOKS: dict[str, Any] = {"escalations": (LOOKED_UP,)}
AT_ONCE: dict[str, Any] = {"on_infeasible": "escalate"}
FIRST = (stage("ops", name="first"),)
CAME = (CaseEvent(kind="escalated", at=at(6), stage=1, index=0),)

# The stages, what happened, and what follows: its kind, the stage and the step.
NEXT: dict[str, tuple[tuple[Stage, ...], dict[str, Any], tuple[str, int, int | None] | None]] = {
    "people are left": (PAIR, {}, None),
    "nobody is left": ((stage("sre"),), {}, ("unreachable", 1, None)),
    "nobody is left for a later stage": ((*FIRST, stage("sre")), {}, ("unreachable", 2, None)),
    "an escalation will come": ((stage("sre", **NEEDED),), {}, None),
    "an escalation comes at once": ((stage("sre", **NEEDED, **AT_ONCE),), {}, ("escalated", 1, 0)),
    "an escalation of a later stage waits for it": ((*FIRST, stage("sre", **NEEDED, **AT_ONCE)), {}, None),
    "nobody is left and none looks up": ((stage("sre", **LOOKS),), {}, ("unreachable", 1, None)),
    "one looks up at once": ((stage("sre", **LOOKS, **AT_ONCE),), {}, ("escalated", 1, 0)),
    "the one that looks up has come": (
        (stage("sre", **LOOKS, **AT_ONCE),),
        {"events": CAME},
        ("unreachable", 1, None),
    ),
    "no escalation helps": (
        (stage("sre", escalations=(escalation(30, "sre2"),), **AT_ONCE),),
        {},
        ("unreachable", 1, None),
    ),
    "resolved": ((stage("ops"),), {"ballots": (a_ballot("ann", "approve", 5),)}, None),
}


@pytest.mark.parametrize(("stages", "case", "expected"), NEXT.values(), ids=NEXT)
def test_next_step(
    stages: tuple[Stage, ...], case: dict[str, Any], expected: tuple[str, int, int | None] | None
) -> None:
    """What is found leads to the end, to an escalation at once, or to nothing."""
    opened = a_case(*stages, **case)
    found = next_step(opened, feasible(opened, PEOPLE, NOW), NOW)
    assert (found and (found.kind, found.stage, found.index)) == expected
    assert found is None or found.reason


def test_a_case_that_nobody_can_satisfy_is_denied_as_unreachable() -> None:
    """The event ends the case at its instant, with its reason."""
    case = a_case(*TWO, requesters=("carol",), ballots=RECUSED)
    event = next_step(case, feasible(case, PEOPLE, NOW), NOW)
    assert event is not None
    standing = stand(case.model_copy(update={"events": (event,)}), at(30), deadline_counts_as_passed=True)
    assert (standing.resolution, standing.resolved_at) == ("denied", NOW)
    assert [(reason.code, reason.message) for reason in standing.reasons] == [("unreachable", event.reason)]


def test_an_escalation_at_once_asks_whom_it_names() -> None:
    """Whom the event names may answer from its instant on."""
    case = a_case(stage("sre", **NEEDED, **AT_ONCE))
    event = next_step(case, feasible(case, PEOPLE, at(6)), at(6))
    assert event is not None
    escalated = case.model_copy(update={"events": (event,), "ballots": (a_ballot("bob", "approve", 7, "dba"),)})
    assert stand(escalated, at(8), deadline_counts_as_passed=False).resolution == "approved"


def test_a_stage_that_nobody_can_fill_alone_is_not_searched_for_with_the_others() -> None:
    """Of ten stages with twenty alternatives each, one that asks nobody is found by looking at each stage alone."""
    groups = ("ops",) * 9 + ("none",)
    stages = tuple(
        stage(requirements=(Requirement(groups=(group,)),) * 20, mode=Mode.any_of, separate_lines=True)
        for group in groups
    )
    looked: list[int] = []
    solve = Seating.solve

    def counted(self: Seating, budget: Budget) -> dict[int, int] | None:
        looked.append(1)
        return solve(self, budget)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Seating, "solve", counted)
        found = feasible(a_case(*stages), [a_person(f"p{number}", "ops") for number in range(40)], NOW)
    assert (found.feasible, found.stage) == (False, 10)
    assert len(looked) < 200
