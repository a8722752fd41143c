"""Quorum against brute force."""

from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.approval.eligibility import identities, stands_for
from policy.approval.quorum import is_inside, tally
from policy.approval.seating import BOUND, in_line
from policy.people.facts import PersonFacts
from policy.rules.chains import Mode, Requirement
from tests.unit.crowds import REQUIREMENTS, a_person, approval, crowds

_RULES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(Mode),
        "outside_team": st.integers(0, 2),
        "teams": st.sampled_from([(), ("m",)]),
        "separate_lines": st.booleans(),
    }
)


def _fits(requirement: Requirement, person: PersonFacts) -> bool:
    return not set(requirement.groups).isdisjoint(person.groups)


def _together(chosen: tuple[PersonFacts, ...], rules: dict[str, Any]) -> bool:
    """Whether those who sit may sit together."""
    outsiders = sum(not is_inside(person, rules["teams"]) for person in chosen)
    pairs = list(combinations(chosen, 2))
    apart = not any(identities(one) & identities(other) for one, other in pairs)
    lines = not rules["separate_lines"] or not any(in_line(one, other) for one, other in pairs)
    return outsiders >= rules["outside_team"] and apart and lines


def _by_brute_force(requirements: list[Requirement], voters: list[PersonFacts], rules: dict[str, Any]) -> bool:
    names = {person.person_id for person in voters}
    voters = [one for one in voters if stands_for(one) == one.person_id or stands_for(one) not in names]
    alternatives = [[item] for item in requirements] if rules["mode"] is Mode.any_of else [requirements]
    return any(
        all(_fits(seat, person) for seat, person in zip(seats, chosen, strict=True)) and _together(chosen, rules)
        for wanted in alternatives
        for seats in [[item for item in wanted for _ in range(item.count)]]
        for chosen in permutations(voters, len(seats))
    )


@settings(max_examples=400)
@given(REQUIREMENTS, crowds(delegates=True), _RULES, st.randoms())
def test_if_some_assignment_satisfies_it_is_satisfied(
    requirements: list[Requirement], voters: list[PersonFacts], rules: dict[str, Any], random: Any
) -> None:
    """Whatever the order of votes, the answer is that of trying every assignment, in both modes and with all rules."""
    expected = _by_brute_force(requirements, voters, rules)
    for _ in range(3):
        random.shuffle(voters)
        found = tally(requirements, voters, **rules)
        assert found.met == expected
        assert bool(found.missing) != expected


@given(REQUIREMENTS, crowds(delegates=True), _RULES)
def test_seats_are_taken_by_people_who_may_sit_together(
    requirements: list[Requirement], voters: list[PersonFacts], rules: dict[str, Any]
) -> None:
    """Everybody who sits fits the seat and sits once; those who fill a stage keep all of its rules."""
    found = tally(requirements, voters, **rules)
    people = {person.person_id: person for person in voters}
    assert len(set(found.seated.values())) == len(found.seated)
    for seat, name in found.seated.items():
        assert _fits(requirements[int(seat.split(".")[0])], people[name])
    sitting = tuple(people[name] for name in found.seated.values())
    assert _together(sitting, rules if found.met else {**rules, "outside_team": 0})


@given(REQUIREMENTS, crowds(), st.integers(1, 3))
def test_no_assignment_has_more_outsiders(
    requirements: list[Requirement], voters: list[PersonFacts], wanted: int
) -> None:
    """Outsiders are seated first, and no way to fill all seats has more of them (Edmonds and Fulkerson 1965)."""
    rules: dict[str, Any] = {"mode": Mode.all_of, "outside_team": wanted, "teams": ("m",), "separate_lines": False}
    most = max(
        (number for number in range(4) if _by_brute_force(requirements, voters, {**rules, "outside_team": number})),
        default=-1,
    )
    assert tally(requirements, voters, **rules).met == (most >= wanted)


@given(REQUIREMENTS, crowds(), _RULES, crowds(most=2))
def test_who_sits_in_another_stage_bars_the_lines(
    requirements: list[Requirement], voters: list[PersonFacts], rules: dict[str, Any], others: list[PersonFacts]
) -> None:
    """With lines kept apart it is as if those in line with somebody of another stage had not voted."""
    free = [one for one in voters if not rules["separate_lines"] or not any(in_line(one, other) for other in others)]
    found = tally(requirements, voters, barred_lines=others, **rules)
    assert found.met == tally(requirements, free, **rules).met


@given(REQUIREMENTS, st.frozensets(st.sampled_from("xyz")))
def test_one_person_named_often_is_one_person(requirements: list[Requirement], groups: frozenset[str]) -> None:
    """A person who is named again does not fill a second seat."""
    once, again = a_person("ann", " ".join(groups)), a_person("ann", "x y z")
    found = tally(requirements, [once, again, once])
    assert len(found.seated) <= 1
    assert found == tally(requirements, [once])


def _need(*wanted: str) -> list[Requirement]:
    """Requirements written `x|y` or `2 x`."""
    found = []
    for text in wanted:
        count, _, groups = text.rpartition(" ")
        found.append(Requirement(groups=tuple(groups.split("|")), count=int(count or 1)))
    return found


def _people(text: str) -> list[PersonFacts]:
    """People written `name:groups/team<manager`, the groups joined by `+`; `name=delegator` acts for somebody."""
    found: list[PersonFacts] = []
    for word in text.split():
        rest, _, managers = word.partition("<")
        rest, _, team = rest.partition("/")
        name, _, groups = rest.partition(":")
        name, _, delegator = name.partition("=")
        person = a_person(name, groups.replace("+", " "), teams=team, managers=managers.replace("+", " "))
        found.append(approval(person, delegator=delegator or None))
    return found


LINES: dict[str, Any] = {"separate_lines": True}
OUTSIDE: dict[str, Any] = {"outside_team": 1, "teams": ("red",)}
ANY: dict[str, Any] = {"mode": Mode.any_of}
# What is needed, who votes, the rules, and what is missing.
CASES: dict[str, tuple[list[Requirement], str, dict[str, Any], tuple[str, ...]]] = {
    "the order is no matter": (_need("a", "b"), "p:a+b q:a", {}, ()),
    "nobody": (_need("2 a|b"), "", {}, ("2 of a or b",)),
    "one of two": (_need("2 a"), "p:a q:b", {}, ("1 of a",)),
    "each requirement has its own people": (_need("a", "b"), "p:a+b", {}, ("1 of b",)),
    "nobody is asked": ([], "p:a q:b", {}, ("the stage asks for nobody, so nobody can satisfy it",)),
    "any of two, the second": (_need("2 a", "b"), "p:b", ANY, ()),
    "any of two, neither": (_need("2 a", "b"), "p:a", ANY, ("1 of a, or 1 of b",)),
    "all seats from one team": (_need("2 a"), "p:a/red q:a/red", OUTSIDE, ("1 from outside the team of who asks",)),
    "one from another team": (_need("2 a"), "p:a/red q:a/red r:a/blue", OUTSIDE, ()),
    "of no known team is inside": (_need("a"), "p:a", OUTSIDE, ("1 from outside the team of who asks",)),
    "the outsider sits where an insider could, too": (_need("a", "b"), "p:a+b/red q:a/blue", OUTSIDE, ()),
    "the only outsider cannot fill what is needed": (
        _need("a"),
        "p:a/red q:b/blue",
        OUTSIDE,
        ("1 from outside the team of who asks",),
    ),
    "a manager beside who reports to them": (_need("2 a"), "p:a<q q:a", LINES, ("1 of a",)),
    "two of the same manager": (_need("2 a"), "p:a<q r:a<q q:a", LINES, ()),
    "the manager's manager": (_need("2 a"), "p:a<q+r r:a", LINES, ("1 of a",)),
    "lines are mixed without the rule": (_need("2 a"), "p:a<q q:a", {}, ()),
    "a delegate sits as the delegator": (_need("a"), "p=q:a", {}, ()),
    "two delegates of one delegator": (_need("2 a"), "p=q:a r=q:a", {}, ("1 of a",)),
    "a delegate and the delegator": (_need("2 a"), "p=q:a q:a", {}, ("1 of a",)),
    "the delegator's own vote replaces the delegate's": (_need("a"), "p=q:a q:b", {}, ("1 of a",)),
    "delegates of two": (_need("2 a"), "p=q:a r=s:a", {}, ()),
    "one delegate of two fits better": (_need("a", "b"), "p=q:a r=q:b s:a", {}, ()),
    "a delegate of a team that asks": (_need("a"), "p=q:a/red", OUTSIDE, ("1 from outside the team of who asks",)),
    "a delegate of somebody below": (_need("2 a"), "p=q:a r:a<q", LINES, ("1 of a",)),
}


@pytest.mark.parametrize(("requirements", "voters", "rules", "missing"), CASES.values(), ids=CASES)
def test_missing(requirements: list[Requirement], voters: str, rules: dict[str, Any], missing: tuple[str, ...]) -> None:
    """What is missing is said per requirement; asking nobody is never met."""
    found = tally(requirements, _people(voters), **rules)
    assert (found.met, found.missing) == (not missing, missing)


def test_a_search_that_ends_without_an_answer_is_not_met_and_says_so() -> None:
    """Where so many attempts find no way, the stage is not satisfied, and that is what is missing."""
    pairs = range(12)
    people = [a_person(f"p{number}", "a") for number in pairs]
    people += [a_person(f"q{number}", "a", managers=f"p{number}") for number in pairs]
    found = tally([Requirement(groups=("a",), count=13)], people, separate_lines=True)
    assert not found.met
    assert f"a way to seat them that {BOUND} attempts did not find" in found.missing
