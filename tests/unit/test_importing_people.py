"""People from elsewhere: everybody and everything is imported as meant, or said to be skipped, and why."""

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
from tests.unit.people import days, held, people

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def user(key: str, account: str, **more: Any) -> dict[str, Any]:
    """A user as a SCIM service has it."""
    return {"schemas": [_USER], "id": key, "userName": account, "active": True, **more}


def group(key: str, name: str, *members: str) -> dict[str, Any]:
    """A group of users."""
    return {"schemas": [_GROUP], "id": key, "displayName": name, "members": [{"value": item} for item in members]}


def scim(*resources: Any, base: Directory | None = None, day: float = 0, **listed: Any) -> ImportedDirectory:
    """The import of one list response, at so many days after T0."""
    response = {"totalResults": len(resources), "Resources": resources, **listed}
    return import_directory("scim", [("users.json", json.dumps(response).encode())], base, days(day))


def claims(*sets: Any, base: Directory | None = None, day: float = 0) -> ImportedDirectory:
    """The import of one array of claim sets."""
    return import_directory("oidc-groups", [("claims.json", json.dumps(sets).encode())], base, days(day))


def _person(found: ImportedDirectory, identity: str) -> Person:
    person_id = found.directory.resolve(identity)
    return next(person for person in found.directory.people if person.id == person_id)


def _said(found: ImportedDirectory) -> str:
    return "\n".join(found.report.lines())


def test_a_user_and_a_group() -> None:
    """Accounts, addresses, groups by either way, roles, entitlements, team, manager and the beginning are read."""
    found = scim(
        user(
            "1",
            "ann",
            displayName="Ann Lind",
            emails=[{"value": "ann@example.org", "primary": True}, {"value": "ANN@example.org"}],
            groups=[{"value": "g1", "display": "ops"}],
            roles=[{"value": "lead"}, "approver"],
            entitlements=[{"value": "prod access"}],
            meta={"created": "2020-01-01T00:00:00Z"},
            **{_ENTERPRISE: {"department": "Payments", "manager": {"value": "2"}}},
        ),
        user("2", "bob", name={"formatted": "Bob Okafor"}),
        group("g1", "ops", "2"),
        group("g2", "Platform Leads", "1"),
    )
    since = "2030-01-01T09:00:00Z"
    assert _person(found, "scim:1").model_dump(mode="json", exclude_defaults=True) == {
        "id": "ann",
        "name": "Ann Lind",
        "aliases": ["ann@example.org", "scim:1"],
        "groups": [{"name": "ops", "since": since}, {"name": "Platform-Leads", "since": since}],
        "roles": [{"name": "lead", "since": since}, {"name": "approver", "since": since}],
        "qualifications": [{"name": "entitlement:prod-access", "since": since}],
        "manager": "bob",
        "team": "Payments",
        "since": "2020-01-01T00:00:00Z",
    }
    assert found.directory.members("ops", T0) == ("ann", "bob")
    assert found.directory.as_of == T0
    assert "note: groups Platform Leads is Platform-Leads here" in _said(found)
    assert "read: 2 people who are new\nread: 2 users\n" in _said(found)


_BASE = people(
    {
        "id": "ann",
        "aliases": ["scim:1", "ann@example.org", "old@example.org"],
        "groups": [held("ops", since=-9), "dba", held("gone", until=-5)],
        "roles": ["boss"],
        "qualifications": ["first-aid", held("entitlement:a", since=-9), held("entitlement:b", since=-9)],
        "manager": "kim",
        "team": "old",
        "since": days(-99),
        "contacts": {"mail": "ann@example.org"},
    },
    {"id": "bob", "aliases": ["scim:2"], "groups": ["ops"], "since": days(-99)},
    {"id": "cleo", "aliases": ["scim:3"], "until": days(-3), "groups": ["ops"], "since": days(-99)},
    {"id": "kim", "groups": ["dba"]},
    agents=[{"id": "tuner", "owner": "ann"}],
    service_accounts=[{"id": "ci", "owner": "kim"}],
    groups=[{"name": "ops", "parent": "sre"}],
    rotations=[{"group": "ops", "order": ["ann", "bob"], "start": T0, "every": "7d"}],
    delegations=[
        {"id": "d", "delegator": "ann", "delegate": "bob", "since": T0, "until": days(9), "reason": "away\u2028\x85"}
    ],
)


def test_what_the_directory_has_besides_survives() -> None:
    """Agents, accounts, groups, rotations, delegations, qualifications, contacts and people of elsewhere stay."""
    found = scim(user("1", "ann"), base=_BASE)
    for name in ("agents", "service_accounts", "groups", "rotations", "delegations"):
        assert getattr(found.directory, name) == getattr(_BASE, name)
    assert _person(found, "kim") == _BASE.people[3]
    ann = _person(found, "ann")
    assert (ann.qualifications, ann.contacts, ann.aliases) == (
        _BASE.people[0].qualifications,
        _BASE.people[0].contacts,
        _BASE.people[0].aliases,
    )


def test_what_no_file_speaks_of_stays() -> None:
    """Where no user has any group, role, team or manager, nothing is known to have ended."""
    ann = _person(scim(user("1", "ann"), base=_BASE), "ann")
    assert (ann.groups, ann.roles, ann.team, ann.manager) == (
        _BASE.people[0].groups,
        _BASE.people[0].roles,
        "old",
        "kim",
    )


def test_what_ends_and_what_begins() -> None:
    """A membership that is left ends, one that is kept keeps its beginning, one that is new begins with the import."""
    found = scim(
        user(
            "1",
            "ann",
            groups=[{"value": "x", "display": "ops"}, {"value": "y", "display": "gone"}],
            entitlements=["b", "c"],
        ),
        user("2", "bob", **{_ENTERPRISE: {"manager": "ann", "department": "new"}}),
        base=_BASE,
    )
    ann = _person(found, "ann")
    assert [item if isinstance(item, str) else (item.name, item.since, item.until) for item in ann.groups] == [
        ("ops", days(-9), None),
        ("dba", None, T0),
        ("gone", None, days(-5)),
        ("gone", T0, None),
    ]
    assert [item if isinstance(item, str) else (item.name, item.since, item.until) for item in ann.qualifications] == [
        "first-aid",
        ("entitlement:a", days(-9), T0),
        ("entitlement:b", days(-9), None),
        ("entitlement:c", T0, None),
    ]
    assert (ann.manager, ann.team, ann.roles) == (None, "", ("boss",))
    assert found.directory.members("ops", T0) == ("ann",)
    assert _person(found, "bob").manager == "ann"


LEFT: dict[str, tuple[tuple[Any, ...], str, tuple[float | None, float | None]]] = {
    "still there": ((user("1", "ann"),), "ann", (-99, None)),
    "not active any more": ((user("1", "ann", active=False),), "ann", (-99, 0)),
    "nobody says that they are active": ((user("1", "ann", active=None),), "ann", (-99, 0)),
    "not in the source any more": ((user("1", "ann"),), "bob", (-99, 0)),
    "had left before": ((user("1", "ann"), user("3", "cleo", active=False)), "cleo", (-99, -3)),
    "had left before and is not there": ((user("1", "ann"),), "cleo", (-99, -3)),
    "is back, as somebody new": ((user("3", "cleo", meta={"created": "2020-01-01T00:00:00Z"}),), "cleo", (0, None)),
    "was never in the source": ((user("1", "ann"),), "kim", (None, None)),
    "is new": ((user("9", "eve"),), "eve", (0, None)),
    "is new, and was made before": ((user("9", "eve", meta={"created": "2029-12-31T09:00:00Z"}),), "eve", (-1, None)),
    "is new, and not there any more": ((user("9", "eve", active=False),), "eve", (None, 0)),
    "cannot be read": ((user("1", "ann"), user("2", "bob", active="True")), "bob", (-99, 0)),
}


@pytest.mark.parametrize(("users", "who", "expected"), LEFT.values(), ids=LEFT)
def test_coming_and_leaving(users: tuple[Any, ...], who: str, expected: tuple[float | None, float | None]) -> None:
    """Whoever the source does not have as active has left, and whoever comes back is new."""
    person = _person(scim(*users, base=_BASE), who)
    assert (person.since, person.until) == tuple(days(item) if item is not None else None for item in expected)


def test_who_leaves_stays_in_the_line() -> None:
    """Whoever leaves keeps the manager and the team that they had: the line above others goes on through them."""
    found = scim(
        user("1", "ann", active=False),
        user("2", "bob", **{_ENTERPRISE: {"manager": "1", "department": "new"}}),
        base=_BASE,
    )
    assert found.directory.line_of("bob") == ("ann", "kim")
    assert _person(found, "ann").team == "old"


def test_who_is_known_by_another_account() -> None:
    """The source's own id tells who somebody is, whatever they are called by now; the id in the directory stays."""
    found = scim(user("1", "ann.lind", emails=[{"value": "bob@example.org"}]), user("2", "bob"), base=_BASE)
    assert [found.directory.resolve(name) for name in ("ann.lind", "bob@example.org", "old@example.org")] == ["ann"] * 3


def test_an_address_that_changes_hands() -> None:
    """An address goes to whom the source gives it; whoever had it is not mistaken for them."""
    found = scim(user("1", "ann"), user("7", "old@example.org"), base=_BASE)
    assert found.directory.resolve("old@example.org") == "scim:7"
    assert "old@example.org" not in _person(found, "ann").aliases
    assert "note: old@example.org was ann's and is scim:7's now" in _said(found)


def test_an_id_never_changes_hands() -> None:
    """An account that is somebody's id is nobody else's, even if they have left."""
    found = scim(user("1", "ann"), user("7", "cleo", emails=[{"value": "c@example.org"}]), base=_BASE)
    assert found.directory.resolve("cleo") == "cleo"
    assert found.directory.resolve("scim:7") == "c@example.org"
    assert "users.json, resource 2 (cleo): cleo is the id of cleo" in _said(found)


SKIPPED: dict[str, tuple[tuple[Any, ...], str]] = {
    "no object": ((5,), "resource 1: 5 is no object"),
    "an attribute twice": (({**user("9", "eve"), "USERNAME": "x"},), "resource 1: an attribute is there twice"),
    "another kind of resource": (({"schemas": ["x"], "id": "1"},), "is neither a user nor a group"),
    "no account": (({**user("9", ""), "userName": None},), "resource 1 (9): username is missing"),
    "no id": (({"schemas": [_USER], "userName": "eve", "active": True},), "resource 1 (eve): id is missing"),
    "an id that is no name": ((user("9 9", "eve"),), "id 9 9 has characters that no name has"),
    "active as a text": ((user("9", "eve", active="False"),), "active is False, it must be true or false"),
    "a beginning that is none": ((user("9", "eve", meta={"created": "soon"}),), "meta.created is soon"),
    "groups that are no list": ((user("9", "eve", groups="ops"),), "groups is no array"),
    "a group without a value": ((user("9", "eve", groups=[{}]),), "groups has one without a value"),
    "an address that is no name": (
        (user("9", "eve", emails=[{"value": "eve+ops@example.org"}]),),
        "eve+ops@example.org is no identity here",
    ),
    "a group within a group": (
        ({**group("g", "ops"), "members": [{"value": "h", "type": "Group"}]},),
        "resource 1 (ops): member h is a Group: whoever is in that is not in this",
    ),
    "two groups of one name": (
        (group("g", "on call", "1"), group("h", "on-call!", "1")),
        "groups, on call: is another one that comes to on-call: rename one of them",
    ),
    "a group of no name": ((group("g", "***", "1"),), "groups, ***: makes no name"),
    "a manager who is nobody": (
        (user("9", "eve", **{_ENTERPRISE: {"manager": {"value": "x"}}}),),
        "manager x is nobody in these files",
    ),
    "one's own manager": ((user("9", "eve", **{_ENTERPRISE: {"manager": "9"}}),), "manager 9 is the same person"),
    "one user twice": ((user("9", "eve"), user("9", "eve")), "has the id of resource 1 (eve)"),
    "an agent": ((user("9", "TUNER"),), "is agent tuner, and no person"),
    "a service account": ((user("9", "x", emails=[{"value": "ci"}]),), "is service account ci, and no person"),
    "two people at once": ((user("9", "kim", emails=[{"value": "lee"}]),), "is kim and lee in the directory"),
    "an address of two": (
        (user("8", "ben", emails=[{"value": "x@y"}]), user("9", "eve", emails=[{"value": "X@y"}])),
        "x@y is the identity of several, so of nobody",
    ),
    "two who are one in the directory": (
        (user("8", "kim@x"), user("9", "kim")),
        "is kim, as resource 1 (kim@x) is",
    ),
    "an account that looks like an id": ((user("9", "SCIM:1"),), "SCIM:1 could be taken for an id of a source"),
    "not said to be active": ((user("9", "eve", active=None),), "does not say whether it is active, so it is not"),
}
_KNOWN = people(
    {"id": "kim", "aliases": ["kim@x"]},
    {"id": "lee"},
    agents=[{"id": "tuner", "owner": "kim"}],
    service_accounts=[{"id": "ci", "owner": "kim"}],
)


@pytest.mark.parametrize(("resources", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_what_is_skipped_is_said(resources: tuple[Any, ...], reason: str) -> None:
    """What cannot be read as meant is skipped alone, with its place and the reason."""
    found = scim(user("1", "zoe", displayName="Zoe"), *resources, base=_KNOWN)
    assert _person(found, "zoe").name == "Zoe"
    assert reason.replace("resource 1", "resource 2") in _said(found)


def test_a_group_that_is_written_so_is_meant() -> None:
    """Nobody gets into a group by founding another one whose name comes to the same."""
    found = scim(user("1", "ann"), user("2", "eve"), group("g", "on-call", "1"), group("h", "on call", "2"))
    assert found.directory.members("on-call", T0) == ("ann",)


REFUSED: dict[str, tuple[list[bytes], str]] = {
    "no json": ([b"{"], "f0.json: json text is malformed"),
    "a text": ([b'"x"'], "files have nobody in them"),
    "resources that are no list": ([b'{"Resources": {}}'], "list response is malformed"),
    "a total that is no number": ([b'{"totalResults": "2", "Resources": []}'], "list response is malformed"),
    "a page of several": (
        [json.dumps({"totalResults": 2, "Resources": [user("1", "ann")]}).encode()],
        r"files have 1 of 2 resources \(users\): give all pages",
    ),
    "nobody": ([json.dumps([group("g", "ops")]).encode()], "files have nobody in them that can be read"),
    "managers in a circle": (
        [
            json.dumps(
                [
                    user("1", "ann", **{_ENTERPRISE: {"manager": "2"}}),
                    user("2", "bob", **{_ENTERPRISE: {"manager": "1"}}),
                ]
            ).encode()
        ],
        "person ann is above itself",
    ),
}


@pytest.mark.parametrize(("files", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(files: list[bytes], message: str) -> None:
    """What would make people seem to leave, or cannot be so, is not imported at all."""
    with pytest.raises(DocumentError, match=message):
        import_directory("scim", [(f"f{at}.json", body) for at, body in enumerate(files)], None, T0)


def test_pages_in_several_files() -> None:
    """All pages of a list are as good as one."""
    pages = [{"totalResults": 2, "Resources": [user(str(n), name)]} for n, name in enumerate(("ann", "bob"))]
    files = [(f"{n}.json", json.dumps(page).encode()) for n, page in enumerate(pages)]
    assert len(import_directory("scim", files, None, T0).directory.people) == 2
    assert len(import_directory("scim", [("all.json", json.dumps(pages).encode())], None, T0).directory.people) == 2


def test_older_files_are_refused() -> None:
    """What was true before the directory takes nothing back."""
    with pytest.raises(DocumentError, match="give newer files"):
        scim(user("1", "ann"), base=scim(user("1", "ann")).directory, day=-1)


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
    assert said in _said(found)


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
    {"schemas": st.just([_USER]), "id": _WORDS | _VALUES, "userName": _WORDS | _VALUES, "active": st.booleans()},
    optional={
        "groups": st.lists(st.fixed_dictionaries({"value": _WORDS})) | _VALUES,
        "emails": st.lists(st.fixed_dictionaries({"value": _WORDS})) | _VALUES,
        "entitlements": st.lists(_WORDS) | _VALUES,
        "roles": _VALUES,
        _ENTERPRISE: st.fixed_dictionaries({}, optional={"manager": _WORDS, "department": _WORDS}) | _VALUES,
        "meta": st.just({"created": "2029-01-01T00:00:00Z"}) | _VALUES,
    },
)
_GROUPS = st.fixed_dictionaries(
    {
        "schemas": st.just([_GROUP]),
        "id": _WORDS,
        "displayName": _WORDS,
        "members": st.lists(st.fixed_dictionaries({"value": _WORDS})),
    }
)


@given(st.lists(_USERS | _GROUPS | _VALUES, max_size=6), st.lists(_USERS, max_size=3), st.booleans())
def test_anything_is_imported_or_refused(first: list[Any], second: list[Any], joined: bool) -> None:
    """Whatever a source says makes a directory that can be read, the same again from the same, or a refusal."""
    base = _BASE if joined else None
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


def _same(again: ImportedDirectory, found: ImportedDirectory) -> None:
    assert (again.directory, again.text) == (found.directory, found.text)
    assert read_directory(again.text) == again.directory


def _then(directory: Directory, person: Person, at: datetime) -> Any:
    """What a directory says that somebody held at an instant."""
    facts = directory.facts(person.id, at)
    return facts and (set(facts.groups), set(facts.roles), set(facts.qualifications))
