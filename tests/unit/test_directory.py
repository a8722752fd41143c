"""Who is who."""

import pytest

from policy.errors import DocumentError
from policy.people.directory import read_directory
from tests.unit.builders import DIRECTORY, T0, a_directory


def _body(people: str, agents: str = "[]") -> bytes:
    head = "apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: d, version: '1'}\n"
    return f"{head}people: {people}\nagents: {agents}".encode()


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


def test_agents_have_owners() -> None:
    """The person behind an agent is the one whom the directory names."""
    assert a_directory().owner_of("tuner") == "ann"
    assert a_directory().owner_of("ann") is None


def test_members_of_a_group() -> None:
    """The members of a group are sorted; a group that nobody is in has none."""
    assert a_directory().members("dba") == ("bob", "cleo")
    assert a_directory().members("nobody") == ()
