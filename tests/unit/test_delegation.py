"""Who may act for whom, and what counts then."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.eligibility import counts, fit
from policy.people.delegation import acting
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.rules.chains import Requirement
from tests.unit.builders import T0
from tests.unit.people import days, held, people

_OPS = "'ops' in person.groups && person.id == 'ann'"


def _directory(**scope: Any) -> Directory:
    """Ann, of ops and dba and a lead, lets bob decide from T0 for ten days; bob lets cleo."""
    given = {"since": T0, "until": days(10), "reason": "away"}
    return people(
        {
            "id": "ann",
            "aliases": ["a"],
            "groups": [held("ops", since=-9), "dba"],
            "roles": ["lead"],
            "qualifications": ["exam"],
            "team": "payments",
            "manager": "eve",
            "since": days(-99),
            "until": days(9),
        },
        {"id": "bob", "groups": ["bobs"], "team": "shop", "manager": "dan", "since": days(-1)},
        {"id": "cleo"},
        {"id": "dan", "manager": "eve"},
        {"id": "eve"},
        agents=[{"id": "bot", "owner": "bob"}],
        service_accounts=[{"id": "ci", "owner": "bob"}],
        delegations=[
            {"id": "ann-bob", "delegator": "ann", "delegate": "bob", **given, **scope},
            {"id": "bob-cleo", "delegator": "bob", "delegate": "cleo", **given},
        ],
    )


def _acting(
    directory: Directory,
    delegate: str = "bob",
    delegator: str = "ann",
    day: float = 0,
    environment: str | None = "production",
    tier: str | None = "high",
    *,
    signed: bool = False,
) -> PersonFacts | str:
    return acting(
        directory,
        delegate,
        delegator,
        days(day),
        environment=environment,
        tier=tier,
        conditions=(_OPS, "person.id == 'bob'"),
        signed=signed,
    )


def test_a_delegate_is_eligible_as_the_delegator_and_named_as_themselves() -> None:
    """What the delegator holds counts; duties see both lines and teams; new is whoever of the two is new."""
    assert _acting(_directory(), delegator="a") == PersonFacts(
        person_id="bob",
        groups=("ops", "dba"),
        roles=("lead",),
        qualifications=("exam",),
        satisfies=(_OPS,),
        managers=("dan", "eve"),
        teams=("shop", "payments"),
        since={"person": days(-1), "group ops": days(-9)},
        delegator="ann",
    )


def test_a_scope_of_groups() -> None:
    """Only the groups that are named count, no role, no name, and conditions are asked of what is left."""
    found = _acting(_directory(groups=["dba", "bobs"]))
    assert isinstance(found, PersonFacts)
    assert (found.groups, found.roles, found.satisfies, found.groups_only) == (("dba",), (), (), True)


# what is asked, whether a delegation of everything, and one of the group dba, lets bob answer for ann
WAYS: dict[str, tuple[Requirement, bool, bool]] = {
    "the group": (Requirement(groups=("dba",)), True, True),
    "another group of hers": (Requirement(groups=("ops",)), True, False),
    "a role of hers": (Requirement(roles=("lead",)), True, False),
    "her name": (Requirement(people=("ann",)), True, False),
    "the group or her name": (Requirement(groups=("dba",), people=("ann",)), True, True),
    "another group or her name": (Requirement(groups=("ops",), people=("ann",)), True, False),
    "everybody with what she passed": (Requirement(qualifications=("exam",)), True, False),
}


@pytest.mark.parametrize(("asked", "whole", "scoped"), WAYS.values(), ids=WAYS)
def test_a_scope_of_groups_is_no_name(asked: Requirement, whole: bool, scoped: bool) -> None:
    """What is asked of the delegator by name, by role or as anybody is not given by a delegation of groups."""
    for directory, expected in ((_directory(), whole), (_directory(groups=["dba"]), scoped)):
        found = _acting(directory)
        assert isinstance(found, PersonFacts)
        assert (fit(asked, found).fits, counts(asked, found, None, None)) == (expected, expected)
        assert bool(" ".join(fit(asked, found).lacking)) is not expected


def test_whose_team_nobody_knows_leaves_the_team_open() -> None:
    """Where the team of one of the two is not known, nobody can say that both are of another team."""
    directory = _directory()
    found = _acting(directory, "cleo", "bob")
    assert isinstance(found, PersonFacts)
    assert (found.teams, found.since, found.delegator) == ((), {}, "bob")


def test_two_delegations_give_together() -> None:
    """Of several delegations whatever one of them gives in this environment and tier counts."""
    directory = _directory(groups=["ops"])
    more = directory.delegations[0].model_copy(update={"id": "more", "groups": ("dba",), "tiers": ("high",)})
    both = directory.model_copy(update={"delegations": (*directory.delegations, more)})
    for tier, groups in (("high", ("ops", "dba")), ("low", ("ops",))):
        found = _acting(both, tier=tier)
        assert isinstance(found, PersonFacts)
        assert found.groups == groups


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "before it begins": ({}, {"day": -0.1}, "no delegation lets bob for ann decide now"),
    "at its end": ({"until": days(5)}, {"day": 5}, "no delegation lets bob for ann decide now"),
    "the other way round": ({}, {"delegate": "ann", "delegator": "bob"}, "no delegation lets ann for bob"),
    "passed on": ({}, {"delegate": "cleo"}, "never passed on"),
    "for oneself": ({}, {"delegate": "ann"}, "nobody acts for themselves"),
    "for oneself by an alias": ({}, {"delegate": "a"}, "nobody acts for themselves"),
    "the delegator has left": ({}, {"day": 9}, "ann is nobody in the directory"),
    "an agent": ({}, {"delegate": "bot"}, "bot is nobody in the directory"),
    "an account": ({}, {"delegate": "ci"}, "ci is nobody in the directory"),
    "for an agent": ({}, {"delegator": "bot"}, "bot is nobody in the directory"),
    "nobody": ({}, {"delegate": "x"}, "x is nobody in the directory"),
    "another environment": ({"environments": ["staging"]}, {}, "does not cover tier high in production"),
    "an unknown environment": ({"environments": ["staging"]}, {"environment": None}, "does not cover"),
    "another tier": ({"tiers": ["low"]}, {}, "does not cover tier high in production"),
    "an unknown tier": ({"tiers": ["low"]}, {"tier": None}, "does not cover"),
}


@pytest.mark.parametrize(("scope", "asked", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(scope: dict[str, Any], asked: dict[str, Any], reason: str) -> None:
    """Outside of its time and scope, and for anybody else, a delegation gives nothing."""
    found = _acting(_directory(**scope), **asked)
    assert isinstance(found, str)
    assert reason in found


@given(st.sets(st.sampled_from(["ops", "dba", "bobs", "none"]), min_size=1) | st.none(), st.integers(-2, 12))
def test_a_delegation_gives_nothing_that_the_delegator_has_not(groups: set[str] | None, day: int) -> None:
    """Whoever acts for somebody holds a part of what that person holds at that instant."""
    directory = _directory(groups=sorted(groups) if groups is not None else None)
    found, ann = _acting(directory, day=day), directory.facts("ann", days(day), (_OPS,))
    if isinstance(found, PersonFacts):
        assert ann is not None
        for held_by_both in ("groups", "roles", "qualifications", "satisfies"):
            assert set(getattr(found, held_by_both)) <= set(getattr(ann, held_by_both))
        assert set(found.managers) >= set(ann.managers)
