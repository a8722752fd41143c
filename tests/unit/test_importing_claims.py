"""People of OpenID Connect; and that whatever any source says is imported or refused."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import DocumentError
from policy.importing.directories import ImportedDirectory, import_directory
from policy.people.directory import Directory, Person, read_directory
from tests.unit.builders import T0
from tests.unit.people import days, people
from tests.unit.providers import BASE, ENTERPRISE, GROUP, USER, claims, said_of, scim

CLAIMS: dict[str, tuple[dict[str, Any], str, tuple[str, ...], str]] = {
    "a verified address": (
        {"sub": "1", "email": "ann@x", "email_verified": True},
        "ann@x",
        ("oidc:1",),
        "",
    ),
    "an address that nobody verified": (
        {"sub": "1", "email": "kim@x", "preferred_username": "kim"},
        "oidc:1",
        (),
        "email kim@x is not verified",
    ),
    "an address that is said to be verified": (
        {"sub": "1", "email": "a@x", "email_verified": "true"},
        "oidc:1",
        (),
        "not",
    ),
    "a subject that is no name": (
        {"sub": "auth0|1", "email": "ann@x", "email_verified": True},
        "ann@x",
        (),
        "sub has characters that no name has",
    ),
}


@pytest.mark.parametrize(("given", "person", "aliases", "said"), CLAIMS.values(), ids=CLAIMS)
def test_claims(given: dict[str, Any], person: str, aliases: tuple[str, ...], said: str) -> None:
    """Only the subject and a verified address are identities."""
    found = claims({**given, "name": "Ann", "groups": ["ops"], "roles": ["lead"]})
    assert [(item.id, item.aliases, item.name) for item in found.directory.people] == [(person, aliases, "Ann")]
    assert found.directory.members("ops", T0) == (person,)
    assert said in said_of(found)


def test_who_has_not_signed_in_has_not_left() -> None:
    """People without a claim set stay as they are, also those who had one before."""
    first = claims({"sub": "1", "groups": ["ops"]}, {"sub": "2", "groups": ["ops"]})
    second = claims({"sub": "1", "groups": []}, base=first.directory, day=1)
    assert second.directory.members("ops", days(1)) == ("oidc:2",)
    assert second.directory.members("ops", T0) == ("oidc:1", "oidc:2")


def test_an_address_is_as_good_as_a_subject_that_is_no_name() -> None:
    """Somebody without a usable subject is known again by the verified address."""
    base = people({"id": "ann", "aliases": ["ann@x", "oidc:1"]})
    found = claims({"sub": "a|1", "email": "ann@x", "email_verified": True, "groups": ["ops"]}, base=base)
    assert found.directory.members("ops", T0) == ("ann",)


CLAIMS_REFUSED = {
    "no array": ({"sub": "1"}, "holds no array of claim sets"),
    "two issuers": ([{"sub": "1", "iss": "a"}, {"sub": "1", "iss": "b"}], "are of 2 issuers"),
    "nobody": ([5, {"sub": 1}, {"sub": "1", "groups": "ops"}, {"sub": "| "}], "nobody in them that can be read"),
}


@pytest.mark.parametrize(("value", "message"), CLAIMS_REFUSED.values(), ids=CLAIMS_REFUSED)
def test_claims_refused(value: Any, message: str) -> None:
    """Claim sets of which nobody can say who they are of are not imported."""
    with pytest.raises(DocumentError, match=message):
        import_directory("oidc-groups", [("claims.json", json.dumps(value).encode())], None, T0)


_WORDS = st.sampled_from(
    ["ann", "bob", "cleo", "ANN", "a@x", "x y", "ops", "o ps", "", "tuner", "1", "2", "scim:1", "é|"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "display", "created", "manager", "department", "type"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
_USERS = st.fixed_dictionaries(
    {"schemas": st.just([USER]), "id": _WORDS | _VALUES, "userName": _WORDS | _VALUES, "active": st.booleans()},
    optional={
        "groups": st.lists(st.fixed_dictionaries({"value": _WORDS})) | _VALUES,
        "emails": st.lists(st.fixed_dictionaries({"value": _WORDS})) | _VALUES,
        "entitlements": st.lists(_WORDS) | _VALUES,
        "roles": _VALUES,
        ENTERPRISE: st.fixed_dictionaries({}, optional={"manager": _WORDS, "department": _WORDS}) | _VALUES,
        "meta": st.just({"created": "2029-01-01T00:00:00Z"}) | _VALUES,
    },
)
_GROUPS = st.fixed_dictionaries(
    {
        "schemas": st.just([GROUP]),
        "id": _WORDS,
        "displayName": _WORDS,
        "members": st.lists(st.fixed_dictionaries({"value": _WORDS})),
    }
)


@given(st.lists(_USERS | _GROUPS | _VALUES, max_size=6), st.lists(_USERS, max_size=3), st.booleans())
def test_anything_is_imported_or_refused(first: list[Any], second: list[Any], joined: bool) -> None:
    """Whatever a source says makes a directory that can be read, the same again from the same, or a refusal."""
    base = BASE if joined else None
    try:
        found = scim(*first, base=base)
    except DocumentError:
        return
    _same(scim(*first, base=base), found)
    _same(scim(*first, base=found.directory), found)
    try:
        then = scim(*second, base=found.directory, day=1)
    except DocumentError:
        return
    assert {person.id for person in then.directory.people} >= {person.id for person in found.directory.people}
    for person in found.directory.people:
        assert _then(then.directory, person, T0) == _then(found.directory, person, T0)


_SETS = st.fixed_dictionaries(
    {"sub": _WORDS | _VALUES},
    optional={
        "email": _WORDS | _VALUES,
        "email_verified": st.booleans(),
        "groups": st.lists(_WORDS) | _VALUES,
        "roles": st.lists(_WORDS) | _VALUES,
        "name": _WORDS,
    },
)


@given(st.lists(_SETS | _VALUES, max_size=6), st.booleans())
def test_any_claims_are_imported_or_refused(sets: list[Any], joined: bool) -> None:
    """Whatever claims say makes a directory that can be read, the same again from the same, or a refusal."""
    base = BASE if joined else None
    try:
        found = claims(*sets, base=base)
    except DocumentError:
        return
    _same(claims(*sets, base=base), found)
    _same(claims(*sets, base=found.directory), found)
    for person in BASE.people if joined else ():
        assert _then(found.directory, person, days(-1)) == _then(BASE, person, days(-1))


def _same(again: ImportedDirectory, found: ImportedDirectory) -> None:
    assert (again.directory, again.text) == (found.directory, found.text)
    assert read_directory(again.text) == again.directory


def _then(directory: Directory, person: Person, at: datetime) -> Any:
    """What a directory says that somebody held at an instant."""
    facts = directory.facts(person.id, at)
    return facts and (set(facts.groups), set(facts.roles), set(facts.qualifications))
