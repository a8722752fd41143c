"""A team's part put into the text in force."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.checks.streams import compose_stream, split_stream
from policy.errors import DocumentError
from policy.yaml_text import read_yaml

ROOT = "# the root: \u00e4\U0001f600\nkind: P\nmetadata: {name: root}\nrules: 1\n"
TEAM = "--- # the team\nkind: P\nmetadata: {name: team}\nrules: 2\n"
LAST = "---\nkind: P\nmetadata: {name: last}\ntext: |\n  ---\n  is no marker here\n"
STREAM = ROOT + TEAM + LAST
NEW_TEAM = "kind: P\nmetadata: {name: team}\nrules: 3\n"

COMPOSED: dict[str, tuple[str, str, str]] = {
    "in the middle": (STREAM, NEW_TEAM, ROOT + "---\n" + NEW_TEAM + LAST),
    "with a marker of its own": (STREAM, "# mine\n---\n" + NEW_TEAM, ROOT + "---\n# mine\n" + NEW_TEAM + LAST),
    "the first": (STREAM, ROOT.replace("1", "9"), ROOT.replace("1", "9") + TEAM + LAST),
    "the last, without a newline": (
        STREAM,
        "kind: P\nmetadata: {name: last}",
        ROOT + TEAM + "---\nkind: P\nmetadata: {name: last}\n",
    ),
    "a new one comes last": (ROOT, NEW_TEAM, ROOT + "---\n" + NEW_TEAM),
    "two at once": (
        STREAM,
        NEW_TEAM + "---\nkind: P\nmetadata: {name: more}\n",
        ROOT + "---\n" + NEW_TEAM + LAST + "---\nkind: P\nmetadata: {name: more}\n",
    ),
    "the whole is itself, to the byte": (ROOT, "---\n" + ROOT + "\n\n", "---\n" + ROOT + "\n\n"),
    "the same again changes nothing": (ROOT + TEAM, ROOT + TEAM, ROOT + TEAM),
    "another kind of the same name is another document": (
        ROOT,
        "kind: Q\nmetadata: {name: root}\n",
        ROOT + "---\nkind: Q\nmetadata: {name: root}\n",
    ),
    "a first document with a marker": ("---\n" + ROOT + LAST, NEW_TEAM, "---\n" + ROOT + LAST + "---\n" + NEW_TEAM),
}


@pytest.mark.parametrize(("in_force", "part", "expected"), COMPOSED.values(), ids=COMPOSED)
def test_a_part_takes_its_place(in_force: str, part: str, expected: str) -> None:
    """The document of the same kind and name is replaced where it stands, and every other byte stays."""
    assert compose_stream(in_force.encode(), part.encode()).decode() == expected


REFUSED: dict[str, tuple[str, str, str]] = {
    "a part without a name": (ROOT, "kind: P\nrules: 3\n", "line 1, column 1: document has no kind and no metadata"),
    "a list": (ROOT, "- 1\n", "has no kind and no metadata.name"),
    "a part that names one thing twice": (ROOT, NEW_TEAM + "---\n" + NEW_TEAM, "have the same kind and name"),
    "a directive": ("%YAML 1.1\n---\n" + ROOT, NEW_TEAM, "line 1, column 1: yaml directives are not read"),
    "no yaml": (ROOT, "a: [", "line 2, column 1"),
}


@pytest.mark.parametrize(("in_force", "part", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_placed_is_refused(in_force: str, part: str, message: str) -> None:
    """A document that nothing can find again is not put anywhere."""
    with pytest.raises(DocumentError, match=message):
        compose_stream(in_force.encode(), part.encode())


def test_an_empty_document_is_none() -> None:
    """Comments between two markers are no document."""
    assert [item.identity[2] for item in split_stream((ROOT + "---\n# nothing\n" + TEAM).encode())] == ["root", "team"]


_NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


@given(old=_NAMES, new=_NAMES, markers=st.booleans())
def test_every_document_is_there_once(old: list[str], new: list[str], markers: bool) -> None:
    """Whatever is in force and whatever is published, each name is there once, and the new ones say the new."""

    def text(names: list[str], version: int) -> bytes:
        values = [{"kind": "P", "metadata": {"name": name}, "version": version} for name in names]
        return yaml.safe_dump_all(values, explicit_start=markers).encode()

    composed = read_yaml(compose_stream(text(old, 1), text(new, 2)))
    assert {value["metadata"]["name"]: value["version"] for value in composed} == {
        **dict.fromkeys(old, 1),
        **dict.fromkeys(new, 2),
    }
    assert len(composed) == len(set(old) | set(new))
