"""The text of a directory with a key more or less: only that place changes, whatever it is written like."""

import difflib

import pytest

from policy.errors import DocumentError
from policy.people.directory import read_directory
from policy.people.key_text import End, Holders, with_end, with_key
from signing.keys import generate

KEY = {"id": "new-1", "jwk": generate("new-1").public}
OLD = generate("old-1").public
HEAD = 'apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: people, version: "1"}\n'
LAYOUTS = {
    "a block without keys": "people:\n  - id: ann # first\n    groups: [dba] # more\n\n  # next\n  - id: ben\n",
    "a block with keys": f"people:\n- id: ann\n  keys:\n    - id: old-1\n      jwk: {OLD}\n    # end\n- id: ben\n",
    "keys on one line": f"people:\n- id: ann\n  keys: [{{id: old-1, jwk: {OLD}}}]\n- id: ben\n",
    "no keys yet": "people:\n- id: ann\n  keys: []\n  team: x\n- id: ben\n",
    "a person on one line": "people:\n  - {id: ann, groups: [dba], name: 'Ann, }'}\n  - {id: ben}\n",
    "a person over lines": "people:\n  - {\n      id: ann,\n      groups: [dba] # here\n    }\n  - {id: ben}\n",
    "the last, without an end of line": "people:\n  - id: ben\n  - id: ann",
    "letters of two bytes": "people:\n  - id: ann\n    name: Ännchen 🦀\n  - id: ben\n    name: Bén\n",
    "a text over lines": "people:\n  - id: ann\n    name: |\n      Ann\n      of old\n  - id: ben\n",
    "windows": "people:\r\n  - id: ann\r\n    team: x\r\n  - id: ben\r\n",
    "json": '{"x": 1}',
}
JSON = (
    '{"apiVersion": "countersign/v1", "kind": "Directory", "metadata": {"name": "p", "version": "1"},'
    ' "people": [{"id": "ann"}, {"id": "ben"}]}'
)


def _text(layout: str) -> bytes:
    return (JSON if layout == "json" else HEAD + LAYOUTS[layout]).encode()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_key_is_added_and_nothing_else_changes(layout: str) -> None:
    """The person has the key after those that were there, and of the old text no character is lost."""
    old = _text(layout)
    new = with_key(old, "people", "ann", KEY)

    before, after = read_directory(old), read_directory(new)
    had = [key.id for person in before.people if person.id == "ann" for key in person.keys]
    assert [key.id for person in after.people if person.id == "ann" for key in person.keys] == [*had, "new-1"]
    gone = [
        old.decode()[start:end]
        for kind, start, end, _, _ in difflib.SequenceMatcher(None, old.decode(), new.decode(), False).get_opcodes()
        if kind in ("delete", "replace")
    ]
    assert gone in ([], ["[]"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("field", ["until", "revoked_at"])
def test_a_key_ends_where_it_stands(layout: str, field: End) -> None:
    """The instant stands with the key; an end that was given before is replaced, a revocation is for good."""
    body = with_key(_text(layout), "people", "ann", {**KEY, "until": "2031-01-01T00:00:00Z"})
    ended = with_end(body, "new-1", field, "2030-06-01T00:00:00Z")

    found = read_directory(ended).key_of_person("new-1")
    assert found is not None
    assert getattr(found[1], field).isoformat() == "2030-06-01T00:00:00+00:00"
    if field == "revoked_at":
        with pytest.raises(DocumentError, match="was revoked at 2030-06-01"):
            with_end(ended, "new-1", "until", "2030-07-01T00:00:00Z")


def test_an_agent_has_keys_too() -> None:
    """The list says whose it is."""
    body = (HEAD + "people: [{id: ann}]\nagents:\n  - id: tuner\n    owner: ann\n").encode()
    assert read_directory(with_key(body, "agents", "tuner", KEY)).key_of_agent("new-1") is not None


@pytest.mark.parametrize(
    ("holders", "holder", "message"),
    [
        ("people", "eve", "people of the directory have no id eve"),
        ("agents", "ann", "agents of the directory have no id ann"),
    ],
)
def test_nobody_gets_no_key(holders: Holders, holder: str, message: str) -> None:
    """Whose key it would be is named."""
    with pytest.raises(DocumentError, match=message):
        with_key(_text("a block without keys"), holders, holder, KEY)


def test_what_the_directory_would_refuse_is_refused() -> None:
    """A key that somebody has already under another id, and a key that is not there."""
    body = with_key(_text("a block without keys"), "people", "ann", KEY)
    with pytest.raises(DocumentError, match="is also one of"):
        with_key(body, "people", "ben", {**KEY, "id": "other"})
    with pytest.raises(DocumentError, match="has no key old-9"):
        with_end(body, "old-9", "until", "2030-06-01T00:00:00Z")


def test_two_documents_are_no_directory() -> None:
    """What is more than one document is not changed."""
    with pytest.raises(DocumentError, match="one document"):
        with_key(_text("json") + b"\n---\n{}\n", "people", "ann", KEY)
