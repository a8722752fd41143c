"""Who is who."""

from datetime import datetime, timedelta

import pytest

from policy.checks.checking import check
from policy.errors import DocumentError
from policy.people.directory import Person, read_directory
from tests.unit.builders import DIRECTORY, T0, a_directory


def _body(people: str, agents: str = "[]", more: str = "") -> bytes:
    head = "apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: d, version: '1'}\n"
    return f"{head}people: {people}\nagents: {agents}\n{more}".encode()


def _two(more: str) -> bytes:
    return _body("[{id: ann}, {id: bob, aliases: [b]}]", more=more)


_ROTATION = "rotations: [{group: ops, order: [ann], start: 2030-01-01T00:00:00Z, every: 7d, %s}]"
_OVERRIDE = "{person: %s, since: %s, until: %s}"
_DELEGATION = "delegations: [{id: d, delegator: %s, delegate: %s, since: %s, until: %s, reason: away}]"
_JAN, _FEB, _MAY = "2030-01-01T00:00:00Z", "2030-02-01T00:00:00Z", "2030-05-01T00:00:00Z"


REFUSED = {
    "an alias of two people": (
        _body("[{id: ann, aliases: [x]}, {id: bob, aliases: [x]}]"),
        "x belongs to ann and to bob",
    ),
    "an alias that is somebody's id": (
        _body("[{id: ann}, {id: bob, aliases: [ann]}]"),
        "ann belongs to ann and to bob",
    ),
    "an alias in another case": (_body("[{id: ann}, {id: bob, aliases: [ANN]}]"), "ANN belongs to ann and to bob"),
    "one id twice": (_body("[{id: ann}, {id: ann, groups: [dba]}]"), "two people have the same id"),
    "an agent that is a person": (_body("[{id: ann}]", "[{id: ann, owner: ann}]"), "agent ann has the identity of ann"),
    "an agent that is an alias": (
        _body("[{id: ann, aliases: [bot]}]", "[{id: Bot, owner: ann}]"),
        "agent Bot has the identity of ann",
    ),
    "an agent of two owners": (
        _body("[{id: ann}, {id: bob}]", "[{id: bot, owner: ann}, {id: bot, owner: bob}]"),
        "agent bot has the identity of agent bot",
    ),
    "an agent of nobody": (_body("[{id: ann}]", "[{id: bot, owner: eve}]"), "owner eve is not the id of a person"),
    "an agent of an alias": (
        _body("[{id: ann, aliases: [a]}]", "[{id: bot, owner: a}]"),
        "owner a is not the id of a person",
    ),
    "an agent of an agent": (
        _body("[{id: ann}]", "[{id: bot, owner: ann}, {id: bot2, owner: bot}]"),
        "owner bot is not the id of a person",
    ),
    "a schedule of nobody": (
        _body("[{id: ann}]", "[{id: bot, owner: ann, scheduled_by: [eve]}]"),
        "agent bot: scheduled_by eve is not the id of a person",
    ),
    "an account that is an agent": (
        _body("[{id: ann}]", "[{id: bot, owner: ann}]", "service_accounts: [{id: BOT, owner: ann}]"),
        "service account BOT has the identity of agent bot",
    ),
    "an account of nobody": (_two("service_accounts: [{id: ci, owner: b}]"), "owner b is not the id of a person"),
    "an executor that nobody runs": (
        _two("executors: [{name: postgres, operators: [b]}]"),
        "executor postgres: operator b is not the id of a person",
    ),
    "an executor twice": (
        _two("executors: [{name: postgres, operators: [ann]}, {name: postgres, operators: [bob]}]"),
        "two executors have the same name",
    ),
    "a manager who is nobody": (
        _body("[{id: ann, manager: eve}]"),
        "person ann: manager eve is not the id of a person",
    ),
    "one's own manager": (_body("[{id: ann, manager: ann}]"), "person ann is above itself"),
    "managers in a circle": (
        _body("[{id: ann, manager: bob}, {id: bob, manager: cleo}, {id: cleo, manager: bob}]"),
        "person bob is above itself",
    ),
    "a person who leaves before they come": (
        _body(f"[{{id: ann, since: {_FEB}, until: {_JAN}}}]"),
        "person ann: until is not after since",
    ),
    "a role that ends when it begins": (
        _body(f"[{{id: ann, roles: [{{name: boss, since: {_JAN}, until: {_JAN}}}]}}]"),
        "person ann: boss ends before it begins",
    ),
    "a group twice": (_two("groups: [{name: ops}, {name: ops}]"), "group ops is there twice"),
    "groups in a circle": (
        _two("groups: [{name: ops, parent: sre}, {name: sre, parent: ops}]"),
        "group ops is above itself",
    ),
    "two rotations of a group": (
        _two((_ROTATION % "").replace("}]", "},") + (_ROTATION % "").removeprefix("rotations: [")),
        "rotation of group ops is there twice",
    ),
    "a rotation of an alias": (
        _two((_ROTATION % "").replace("[ann]", "[ann, b]")),
        "order b is not the id of a person",
    ),
    "a rotation of nobody": (_two((_ROTATION % "").replace("[ann]", "[]")), "rotations.0.order: "),
    "a turn of no time": (_two((_ROTATION % "").replace("7d", "0d")), "rotations.0.every: "),
    "an override that ends before it begins": (
        _two(_ROTATION % f"overrides: [{{person: bob, since: {_FEB}, until: {_JAN}}}]"),
        "an override of bob ends before it begins",
    ),
    "overrides that overlap": (
        _two(_ROTATION % f"overrides: [{_OVERRIDE % ('bob', _JAN, _MAY)}, {_OVERRIDE % ('ann', _FEB, _MAY)}]"),
        "two overrides overlap",
    ),
    "a delegation to oneself": (_two(_DELEGATION % ("ann", "ann", _JAN, _FEB)), "ann delegates to themselves"),
    "a delegation to nobody": (
        _two(_DELEGATION % ("ann", "eve", _JAN, _FEB)),
        "delegation d: delegate eve is not the id of a person",
    ),
    "a delegation by an agent": (
        _body("[{id: ann}]", "[{id: bot, owner: ann}]", _DELEGATION % ("bot", "ann", _JAN, _FEB)),
        "delegator bot is not the id of a person",
    ),
    "a delegation for more than 90 days": (
        _two(_DELEGATION % ("ann", "bob", _JAN, _MAY)),
        "delegation d: lasts longer than 90 days",
    ),
    "a delegation that ends before it begins": (
        _two(_DELEGATION % ("ann", "bob", _FEB, _JAN)),
        "until is not after since",
    ),
    "a delegation in a tier that there is not": (
        _two((_DELEGATION % ("ann", "bob", _JAN, _FEB)).replace("reason", "tiers: [huge], reason")),
        "delegations.0.tiers.0",
    ),
    "an unknown field": (_body("[{id: ann, admin: true}]"), "people.0.admin: extra"),
    "another kind": (DIRECTORY.replace(b"Directory", b"PolicyDocument"), "kind: input should be 'Directory'"),
    "two documents": (DIRECTORY + b"---\na: 1", "exactly one yaml document, got 2"),
    "no document": (b"", "exactly one yaml document, got 0"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(body: bytes, message: str) -> None:
    """A directory that leaves open who somebody is cannot be used."""
    with pytest.raises(DocumentError, match=message):
        read_directory(body)


def test_aliases_are_one_person() -> None:
    """Every alias resolves to the same person, with the same groups; nobody else resolves."""
    directory = a_directory()
    by_id, by_alias = directory.facts("ann", T0), directory.facts("ann@example.org", T0)
    assert by_id == by_alias
    assert by_id is not None
    assert by_id.groups == ("ops",)
    assert [directory.resolve(name) for name in ("ann@example.org", "tuner", "ANN")] == ["ann", None, None]
    assert [directory.facts(name, T0) for name in ("tuner", "ANN")] == [None, None]


def test_accounts_stand_for_people() -> None:
    """A service account is nobody who could vote, and stands for who answers for it where somebody asks."""
    directory = read_directory(_two("service_accounts: [{id: ci, owner: bob}]"))
    assert directory.facts("ci", T0) is None
    assert [directory.behind(name) for name in ("ci", "b", "eve")] == ["bob", "bob", None]
    assert directory.resolve("ci") is None


def test_a_line_goes_up_to_the_top() -> None:
    """Everybody above a person is known, the nearest first; whoever of them has left is passed over when asked for."""
    people = f"[{{id: ann, manager: bob}}, {{id: bob, manager: cleo, until: {_JAN}}}, {{id: cleo}}]"
    directory = read_directory(_body(people))
    ann = directory.facts("ann", T0)
    assert ann is not None
    assert ann.managers == ("bob", "cleo")
    assert directory.managers_of("ann", T0) == ("cleo",)
    assert directory.managers_of("nobody", T0) == ()


def test_a_large_directory_is_read_as_json() -> None:
    """A text above the limit of YAML is one JSON value; as YAML it is refused."""
    people = ", ".join(f'{{"id": "person-{number:06}", "groups": ["ops"]}}' for number in range(100_000))
    head = '"apiVersion": "countersign/v1", "kind": "Directory", "metadata": {"name": "d", "version": "1"}'
    body = f'{{{head}, "people": [{people}]}}'
    directory = read_directory(body.encode())
    assert len(directory.people) == 100_000
    assert directory.resolve("person-099999") == "person-099999"
    assert check("directory", body.encode(), now=T0) == ()
    assert [item.code for item in check("directory", body.encode()[:-2], now=T0)] == ["unreadable"]
    with pytest.raises(DocumentError, match="read as yaml"):
        read_directory(b"# so that it is YAML\n" + body.encode())


def test_a_copy_looks_people_up_anew() -> None:
    """A directory that was asked and then copied with other people knows those."""
    directory = a_directory()
    assert directory.resolve("ann") == "ann"
    copy = directory.model_copy(update={"people": (Person(id="eve"),), "agents": ()})
    assert (copy.resolve("ann"), copy.resolve("eve")) == (None, "eve")


AGES = {
    "published later than it was true": (T0, T0 - timedelta(days=9), T0 - timedelta(days=9)),
    "published with facts that nobody dated": (T0, None, T0),
    "dated after it was published": (T0, T0 + timedelta(days=1), T0),
    "never published": (None, T0, None),
}


@pytest.mark.parametrize(("published", "as_of", "expected"), AGES.values(), ids=AGES)
def test_age(published: datetime | None, as_of: datetime | None, expected: datetime | None) -> None:
    """A directory is as old as its source, or as its publication, if that is longer ago."""
    assert a_directory().model_copy(update={"as_of": as_of}).true_at(published) == expected


def test_agents_have_owners() -> None:
    """The person behind an agent is the one whom the directory names."""
    assert a_directory().owner_of("tuner") == "ann"
    assert a_directory().owner_of("ann") is None


def test_members_of_a_group() -> None:
    """The members of a group are sorted; a group that nobody is in has none."""
    assert a_directory().members("dba") == ("bob", "cleo")
    assert a_directory().members("nobody") == ()
