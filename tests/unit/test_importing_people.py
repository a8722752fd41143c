"""People of SCIM: everybody and everything is imported as meant, or said to be skipped, and why."""

import json
from typing import Any

import pytest

from policy.errors import DocumentError
from policy.importing.directories import import_directory
from tests.unit.builders import T0
from tests.unit.people import days, people
from tests.unit.providers import BASE, ENTERPRISE, USER, group, person_of, said_of, scim, user


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
            **{ENTERPRISE: {"department": "Payments", "manager": {"value": "2"}}},
        ),
        user("2", "bob", name={"formatted": "Bob Okafor"}),
        group("g1", "ops", "2"),
        group("g2", "Platform Leads", "1"),
    )
    since = "2030-01-01T09:00:00Z"
    assert person_of(found, "scim:1").model_dump(mode="json", exclude_defaults=True) == {
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
    assert "note: groups Platform Leads is Platform-Leads here" in said_of(found)
    assert "read: 2 people who are new\nread: 2 users\n" in said_of(found)


def test_what_the_directory_has_besides_survives() -> None:
    """Agents, accounts, groups, rotations, delegations, qualifications, contacts and people of elsewhere stay."""
    found = scim(user("1", "ann"), base=BASE)
    for name in ("agents", "service_accounts", "groups", "rotations", "delegations"):
        assert getattr(found.directory, name) == getattr(BASE, name)
    assert person_of(found, "kim") == BASE.people[3]
    ann = person_of(found, "ann")
    assert (ann.qualifications, ann.contacts, ann.aliases) == (
        BASE.people[0].qualifications,
        BASE.people[0].contacts,
        BASE.people[0].aliases,
    )


def test_what_no_file_speaks_of_stays() -> None:
    """Where no user has any group, role, team or manager, nothing is known to have ended."""
    ann = person_of(scim(user("1", "ann"), base=BASE), "ann")
    assert (ann.groups, ann.roles, ann.team, ann.manager) == (
        BASE.people[0].groups,
        BASE.people[0].roles,
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
        user("2", "bob", **{ENTERPRISE: {"manager": "ann", "department": "new"}}),
        base=BASE,
    )
    ann = person_of(found, "ann")
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
    assert person_of(found, "bob").manager == "ann"


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
    person = person_of(scim(*users, base=BASE), who)
    assert (person.since, person.until) == tuple(days(item) if item is not None else None for item in expected)


def test_who_leaves_stays_in_the_line() -> None:
    """Whoever leaves keeps the manager and the team that they had: the line above others goes on through them."""
    found = scim(
        user("1", "ann", active=False),
        user("2", "bob", **{ENTERPRISE: {"manager": "1", "department": "new"}}),
        base=BASE,
    )
    assert found.directory.line_of("bob") == ("ann", "kim")
    assert person_of(found, "ann").team == "old"


def test_who_is_known_by_another_account() -> None:
    """The source's own id tells who somebody is, whatever they are called by now; the id in the directory stays."""
    found = scim(user("1", "ann.lind", emails=[{"value": "bob@example.org"}]), user("2", "bob"), base=BASE)
    assert [found.directory.resolve(name) for name in ("ann.lind", "bob@example.org", "old@example.org")] == ["ann"] * 3


def test_an_address_that_changes_hands() -> None:
    """An address goes to whom the source gives it; whoever had it is not mistaken for them."""
    found = scim(user("1", "ann"), user("7", "old@example.org"), base=BASE)
    assert found.directory.resolve("old@example.org") == "scim:7"
    assert "old@example.org" not in person_of(found, "ann").aliases
    assert "note: old@example.org was ann's and is scim:7's now" in said_of(found)


def test_an_id_never_changes_hands() -> None:
    """An account that is somebody's id is nobody else's, even if they have left."""
    found = scim(user("1", "ann"), user("7", "cleo", emails=[{"value": "c@example.org"}]), base=BASE)
    assert found.directory.resolve("cleo") == "cleo"
    assert found.directory.resolve("scim:7") == "c@example.org"
    assert "users.json, resource 2 (cleo): cleo is the id of cleo" in said_of(found)


SKIPPED: dict[str, tuple[tuple[Any, ...], str]] = {
    "no object": ((5,), "resource 1: 5 is no object"),
    "an attribute twice": (({**user("9", "eve"), "USERNAME": "x"},), "resource 1: an attribute is there twice"),
    "another kind of resource": (({"schemas": ["x"], "id": "1"},), "is neither a user nor a group"),
    "no account": (({**user("9", ""), "userName": None},), "resource 1 (9): username is missing"),
    "no id": (({"schemas": [USER], "userName": "eve", "active": True},), "resource 1 (eve): id is missing"),
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
        (user("9", "eve", **{ENTERPRISE: {"manager": {"value": "x"}}}),),
        "manager x is nobody in these files",
    ),
    "one's own manager": ((user("9", "eve", **{ENTERPRISE: {"manager": "9"}}),), "manager 9 is the same person"),
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
def test_what_is_skipped_issaid_of(resources: tuple[Any, ...], reason: str) -> None:
    """What cannot be read as meant is skipped alone, with its place and the reason."""
    found = scim(user("1", "zoe", displayName="Zoe"), *resources, base=_KNOWN)
    assert person_of(found, "zoe").name == "Zoe"
    assert reason.replace("resource 1", "resource 2") in said_of(found)


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
                    user("1", "ann", **{ENTERPRISE: {"manager": "2"}}),
                    user("2", "bob", **{ENTERPRISE: {"manager": "1"}}),
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
