"""What people hold at an instant, and which conditions hold of them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from tests.unit.builders import T0
from tests.unit.people import days, held, people

_TICK = timedelta(microseconds=1)

PERIODS: dict[str, tuple[dict[str, Any], float, tuple[str, ...]]] = {
    "always": ({"groups": ["ops"]}, 0, ("ops",)),
    "at the beginning": ({"groups": [held("ops", since=0)]}, 0, ("ops",)),
    "before the beginning": ({"groups": [held("ops", since=1)]}, 0, ()),
    "just before the end": ({"groups": [held("ops", until=0.5)]}, 0, ("ops",)),
    "at the end": ({"groups": [held("ops", until=0)]}, 0, ()),
    "between two periods": ({"groups": [held("ops", until=-1), held("ops", since=1)]}, 0, ()),
    "in the second of two periods": ({"groups": [held("ops", until=-1), held("ops", since=0)]}, 0, ("ops",)),
    "in both of two periods": ({"groups": ["ops", held("ops", since=-1)]}, 0, ("ops",)),
}


@pytest.mark.parametrize(("person", "day", "groups"), PERIODS.values(), ids=PERIODS)
def test_periods(person: dict[str, Any], day: float, groups: tuple[str, ...]) -> None:
    """A membership holds from its beginning on and until just before its end."""
    facts = people({"id": "ann", **person}).facts("ann", days(day))
    assert facts is not None
    assert facts.groups == groups


THERE = {
    "before coming": (-1, False),
    "at coming": (0, True),
    "just before leaving": (9, True),
    "at leaving": (10, False),
}


@pytest.mark.parametrize(("day", "there"), THERE.values(), ids=THERE)
def test_who_is_not_there_is_nobody(day: float, there: bool) -> None:
    """Whoever has not come, or has left, is nobody, and still who wrote something before."""
    directory = people({"id": "ann", "groups": ["ops"], "since": days(0), "until": days(10)})
    assert (directory.facts("ann", days(day)) is not None) is there
    assert (directory.members("ops", days(day)) == ("ann",)) is there
    assert directory.resolve("ann") == "ann"
    assert directory.members("ops") == ("ann",)


def test_since_when() -> None:
    """The beginning of presence, groups and roles is said where it is known; of several periods the earliest."""
    ann = {
        "id": "ann",
        "since": days(-9),
        "groups": ["known", held("known", since=-5), held("known", since=-7), "unknown"],
        "roles": [held("boss", since=-1), held("later", since=1)],
        "qualifications": [held("first-aid", since=-3)],
    }
    facts = people(ann).facts("ann", T0)
    assert facts is not None
    assert facts.since == {"person": days(-9), "group known": days(-7), "role boss": days(-1)}
    assert facts.qualifications == ("first-aid",)


_ANN = {
    "id": "ann",
    "team": "payments",
    "manager": "bob",
    "groups": ["ops", "sre"],
    "roles": ["lead"],
    "qualifications": [held("dba-exam", until=-1), "first-aid"],
}
CONDITIONS = {
    "by group": ("'ops' in person.groups", True),
    "by role": ("person.roles.exists(role, role.startsWith('le'))", True),
    "by a qualification that has lapsed": ("'dba-exam' in person.qualifications", False),
    "by team": ("person.team == 'payments'", True),
    "by manager": ("person.manager != 'bob'", False),
    "by id": ("person.id == 'ann' || person.id == 'eve'", True),
}


@pytest.mark.parametrize(("text", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions(text: str, expected: bool) -> None:
    """A condition is asked of what the person holds at that instant."""
    facts = people(_ANN, {"id": "bob"}).facts("ann", T0, (text, text))
    assert facts is not None
    assert facts.satisfies == ((text,) if expected else ())


@pytest.mark.parametrize("text", ["person.team == 'a'", "person.team != 'a'", "person.manager != 'bob'", "not cel"])
def test_a_condition_without_an_answer_does_not_hold(text: str) -> None:
    """What nobody knows of a person satisfies nothing, and its opposite neither."""
    facts = people({"id": "eve"}).facts("eve", T0, (text,))
    assert facts is not None
    assert facts.satisfies == ()


def test_population() -> None:
    """Everybody who is there, or only those who hold what is named."""
    directory = people(
        {"id": "cleo", "groups": ["ops"], "until": days(0)},
        {"id": "bob", "groups": [held("ops", since=1)], "roles": ["lead"]},
        {"id": "ann", "groups": ["dba"]},
    )
    assert [item.person_id for item in directory.population(T0)] == ["ann", "bob"]
    chosen = directory.population(T0, ("person.id == 'bob'",), groups=["ops", "none"], people=["ann", "eve"])
    assert [(item.person_id, item.satisfies) for item in chosen] == [("ann", ()), ("bob", ("person.id == 'bob'",))]
    assert [item.person_id for item in directory.population(T0, roles=["lead"])] == ["bob"]
    assert directory.population(T0, groups=()) == ()
    assert directory.members("ops", T0) == ()
    assert directory.members("ops", days(1)) == ("bob",)


_DAY = st.none() | st.integers(-5, 5)
_HELD = st.tuples(st.sampled_from(["a", "b", "c"]), _DAY, _DAY).filter(
    lambda item: item[1] is None or item[2] is None or item[1] < item[2]
)


@given(st.lists(_HELD, max_size=6), st.lists(_HELD, max_size=6), st.integers(-6, 6), st.booleans())
def test_facts_are_what_a_day_by_day_search_finds(
    groups: list[tuple[str, int | None, int | None]],
    roles: list[tuple[str, int | None, int | None]],
    day: int,
    just_before: bool,
) -> None:
    """At any instant facts are what a plain search over all memberships finds."""
    directory = people(
        {"id": "ann", "groups": [held(*item) for item in groups], "roles": [held(*item) for item in roles]}
    )
    at = days(day) - (_TICK if just_before else timedelta())
    facts = directory.facts("ann", at)
    assert facts is not None
    for kind, items in (("groups", groups), ("roles", roles)):
        expected = {
            name
            for name, since, until in items
            if (since is None or days(since) <= at) and (until is None or at < days(until))
        }
        assert set(getattr(facts, kind)) == expected
        assert len(getattr(facts, kind)) == len(expected)
    assert facts.since.keys() <= {
        *(f"group {name}" for name in facts.groups),
        *(f"role {name}" for name in facts.roles),
    }
    assert all(since <= at for since in facts.since.values())


@given(st.lists(st.integers(0, 20), min_size=1, max_size=21))
def test_lines_have_no_end_in_the_middle(managers: list[int]) -> None:
    """Whoever is above is above everybody below: a manager's line is the rest of the line of whom they manage."""
    above = {number: manager for number, manager in enumerate(managers) if manager < number}
    directory: Directory = people(
        *({"id": f"p{n}", "manager": f"p{above[n]}" if n in above else None} for n in range(len(managers)))
    )
    for number in range(len(managers)):
        line = directory.line_of(f"p{number}")
        assert line == ((f"p{above[number]}", *directory.line_of(f"p{above[number]}")) if number in above else ())


def test_facts_of_before_can_be_read() -> None:
    """What an earlier release recorded of a person means what it meant."""
    assert PersonFacts.model_validate({"person_id": "ann", "groups": ["ops"]}).delegator is None
