"""Who fits a requirement, by what, and since when."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.eligibility import counts, fit, too_new
from policy.people.facts import PersonFacts
from policy.rules.chains import Requirement
from tests.unit.builders import T0
from tests.unit.crowds import a_person, some

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
EVERYTHING: dict[str, Any] = {"groups": ("dba",), "roles": ("owner",), "people": ("eve",)}

# What is asked, of whom, by what they fit, and what is lacking.
CASES: dict[str, tuple[dict[str, Any], PersonFacts, tuple[str, ...], tuple[str, ...]]] = {
    "by a group": (EVERYTHING, a_person("ann", "dba"), ("group dba",), ()),
    "by a role": (EVERYTHING, a_person("ann", roles="owner"), ("role owner",), ()),
    "by name": (EVERYTHING, a_person("eve"), ("person",), ()),
    "by several ways": (EVERYTHING, a_person("eve", "dba"), ("group dba", "person"), ()),
    "by none": (EVERYTHING, a_person("ann", "ops"), (), ("dba or role owner or eve",)),
    "the name of a group is no role": ({"roles": ("dba",)}, a_person("ann", "dba"), (), ("role dba",)),
    "qualified": (
        {"groups": ("dba",), "qualifications": ("backup", "oncall")},
        a_person("ann", "dba", skills="backup oncall"),
        ("group dba",),
        (),
    ),
    "of two qualifications one": (
        {"groups": ("dba",), "qualifications": ("backup", "oncall")},
        a_person("ann", "dba", skills="backup"),
        ("group dba",),
        ("oncall",),
    ),
    "anybody who is qualified": ({"qualifications": ("backup",)}, a_person("ann", skills="backup"), ("person",), ()),
    "the condition holds": ({"when": "x"}, a_person("ann", satisfies=("x",)), ("person",), ()),
    "the condition does not hold": ({"groups": ("dba",), "when": "x"}, a_person("ann", "dba"), ("group dba",), ("x",)),
    "a delegate of who is named": (
        {"people": ("eve",)},
        a_person("ann").model_copy(update={"delegator": "eve"}),
        ("person",),
        (),
    ),
    "a delegate for some groups of who is named": (
        {"people": ("eve",)},
        a_person("ann", "dba").model_copy(update={"delegator": "eve", "groups_only": True}),
        (),
        ("eve",),
    ),
    "a delegate for some groups where anybody will do": (
        {"qualifications": ("backup",)},
        a_person("ann", "dba", skills="backup").model_copy(update={"delegator": "eve", "groups_only": True}),
        (),
        ("a delegation of more than groups",),
    ),
    "a delegate for a group that is asked": (
        EVERYTHING,
        a_person("ann", "dba").model_copy(update={"delegator": "eve", "groups_only": True}),
        ("group dba",),
        (),
    ),
    "who is named acts for somebody else": (
        {"people": ("ann",)},
        a_person("ann").model_copy(update={"delegator": "eve"}),
        (),
        ("ann",),
    ),
}


@pytest.mark.parametrize(("asked", "person", "by", "lacking"), CASES.values(), ids=CASES)
def test_fit(asked: dict[str, Any], person: PersonFacts, by: tuple[str, ...], lacking: tuple[str, ...]) -> None:
    """A person fits by any of the ways, with all of the qualifications, and where the condition holds."""
    found = fit(Requirement(**asked), person)
    assert (found.by, found.lacking, found.fits) == (by, lacking, not lacking)
    assert counts(Requirement(**asked), person, None, None) is found.fits


_OLD, _NEW = T0 - 30 * DAY, T0 - DAY
# What the person holds since when, and what the answer names; empty where they are old enough.
NEWCOMERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "old in everything": ("dba", {"person": _OLD, "group dba": _OLD}, ""),
    "exactly as old as asked": ("dba", {"person": T0 - WEEK, "group dba": T0 - WEEK}, ""),
    "a moment younger": ("dba", {"person": _OLD, "group dba": T0 - WEEK + timedelta(seconds=1)}, "group dba"),
    "a new account": ("dba", {"person": _NEW, "group dba": _OLD}, "is there since"),
    "a new membership": ("dba", {"person": _OLD, "group dba": _NEW}, "group dba"),
    "a membership of unknown age": ("dba", {"person": _OLD}, "since nobody knows when"),
    "an account of unknown age": ("dba", {"group dba": _OLD}, "is there since nobody knows when"),
    "one old way is enough": ("dba sre", {"person": _OLD, "group dba": _NEW, "group sre": _OLD}, ""),
    "an old group that is not asked": ("dba ops", {"person": _OLD, "group dba": _NEW, "group ops": _OLD}, "group dba"),
}


@pytest.mark.parametrize(("groups", "since", "said"), NEWCOMERS.values(), ids=NEWCOMERS)
def test_newcomers(groups: str, since: dict[str, Any], said: str) -> None:
    """Whoever is there, or holds what they fit by, for a shorter time or since nobody knows when is told so."""
    asked, person = Requirement(groups=("dba", "sre")), a_person("ann", groups, since=since)
    why = too_new(fit(asked, person), person, WEEK, T0)
    assert (why or "") == "" if not said else said in (why or "")
    assert counts(asked, person, WEEK, T0) == (not said)
    assert counts(asked, person, None, None)


def test_who_is_named_is_as_old_as_their_account() -> None:
    """Somebody named under `people` holds that since they are there."""
    asked = Requirement(people=("ann",))
    assert counts(asked, a_person("ann", since={"person": _OLD}), WEEK, T0)
    assert not counts(asked, a_person("ann", since={"person": _NEW}), WEEK, T0)


_PEOPLE = st.builds(
    PersonFacts,
    person_id=st.sampled_from("ab"),
    groups=some("xy", 2),
    roles=some("xy", 2),
    qualifications=some("q", 1),
    satisfies=some("w", 1),
    delegator=st.sampled_from((None, "a")),
    since=st.dictionaries(
        st.sampled_from(("person", "group x", "group y", "role x", "role y")), st.sampled_from((_OLD, _NEW))
    ),
)
_ASKED: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    groups=some("xy", 2),
    roles=some("xy", 2),
    people=some("ab", 1),
    qualifications=some("q", 1),
    when=st.sampled_from((None, "w")),
).filter(lambda asked: any(asked.values()))


@given(_ASKED, _PEOPLE, st.sampled_from((None, WEEK)))
def test_who_counts_is_who_fits_and_is_not_too_new(
    asked: dict[str, Any], person: PersonFacts, wait: timedelta | None
) -> None:
    """The quick answer is that of the evidence."""
    requirement = Requirement(**asked)
    found = fit(requirement, person)
    expected = found.fits and too_new(found, person, wait, T0) is None
    assert counts(requirement, person, wait, T0) == expected
