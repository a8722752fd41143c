"""Where the parts of a governed text stand."""

import json
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from policy.base import EdgeModel, Name
from policy.checks.positions import MAX_MISFITS, Misfit, Place, Positions
from policy.errors import DocumentError
from policy.yaml_text import read_written, read_yaml

TEXT = b"""\
name: first
rules:
  - id: one
    match: {operations: [a.b, c.d]}
  - id: two
    reason: >-
      folded
chains:
  pair:
    stages: []
---
name: second
"""

PLACES: dict[str, tuple[tuple[str | int, ...], tuple[int, int]]] = {
    "the document": ((), (1, 1)),
    "a value": (("name",), (1, 7)),
    "a block below its key": (("rules",), (2, 1)),
    "an item": (("rules", 1), (5, 5)),
    "a value in an item": (("rules", 1, "id"), (5, 9)),
    "an item of a flow": (("rules", 0, "match", "operations", 1), (4, 31)),
    "a flow is where it begins": (("rules", 0, "match"), (4, 12)),
    "a folded text": (("rules", 1, "reason"), (6, 13)),
    "a block of a block": (("chains", "pair"), (9, 3)),
    "what is missing is missing in there": (("rules", 0, "reason"), (3, 5)),
    "the branch of a union": (("rules", 0, "match", "function-after[x()]", "operations"), (4, 25)),
    "a key": (("chains", "pair", "[key]"), (9, 3)),
    "an index that is not there": (("rules", 7), (2, 1)),
}


@pytest.mark.parametrize(("path", "place"), PLACES.values(), ids=PLACES)
def test_each_part_has_its_place(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    """A value is found by its path, and what is not there by the last part that is."""
    first, _ = read_written(TEXT)
    assert Positions(first.node).of(*path) == place


def test_each_document_of_a_text_has_places_of_its_own() -> None:
    """Lines count from the beginning of the text, not of the document."""
    _, second = read_written(TEXT)
    assert Positions(second.node).of("name") == Place(12, 7)
    assert str(Positions(second.node).key("name")) == "12:1"


def test_what_a_sentence_names_is_found() -> None:
    """An error about the whole document has the place of the last value that it names."""
    first, _ = read_written(TEXT)
    assert Positions(first.node).named("rule two: is not good") == (5, 9)
    assert Positions(first.node).named("nothing of this") is None


class _Part(EdgeModel):
    count: Annotated[int, Field(ge=1)] = 1
    kind: int | list[int] = 1


class _Whole(EdgeModel):
    name: str = Field(alias="apiName")
    parts: tuple[_Part, ...] = ()
    by_name: dict[Name, _Part] = {}


MISFITS: dict[str, tuple[bytes, list[str]]] = {
    "a wrong value": (
        b"apiName: x\nparts:\n  - {count: 0}\n",
        ["3:13 parts.0.count: input should be greater than or equal to 1 (got 0)"],
    ),
    "an unknown field": (
        b"apiName: x\nparts:\n  - count: 1\n    cuont: 2\n",
        ["4:5 parts.0.cuont is no field here: remove it, or correct its name"],
    ),
    "a missing field, by the name that it is written with": (b"parts: []\n", ["1:1 apiName is missing"]),
    "both branches of a union": (
        b"apiName: x\nparts: [{kind: no}]\n",
        [
            "2:16 parts.0.kind.int: input should be a valid integer (got 'no')",
            "2:16 parts.0.kind.list[int]: input should be a valid array (got 'no')",
        ],
    ),
    "a key": (
        b"apiName: x\nby_name:\n  ok: {}\n  ' no': {}\n",
        [
            "4:3 by_name. no.[key]: string should match pattern '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$' (got ' no')",
        ],
    ),
    "in the order of the text": (
        b"zzz: 1\napiName: 2\n",
        [
            "1:1 zzz is no field here: remove it, or correct its name",
            "2:10 apiName: input should be a valid string (got 2)",
        ],
    ),
}


@pytest.mark.parametrize(("body", "expected"), MISFITS.values(), ids=MISFITS)
def test_each_misfit_has_its_place(body: bytes, expected: list[str]) -> None:
    """What a schema refuses is named with line and column, aliases, unions and keys of mappings included."""
    assert [f"{item.place} {item.message}" for item in _misfits(body)] == expected


def test_a_wrong_file_is_not_explained_ten_thousand_times() -> None:
    """The number of misfits is bounded."""
    assert len(_misfits("\n".join(f"k{number}: 1" for number in range(5000)).encode())) == MAX_MISFITS


def _misfits(body: bytes) -> list[Misfit]:
    (written,) = read_written(body)
    with pytest.raises(ValidationError) as raised:
        _Whole.model_validate_json(json.dumps(written.value), strict=True)
    return Positions(written.node).misfits(raised.value)


UNREADABLE: dict[str, tuple[bytes, tuple[int, int]]] = {
    "not utf-8": ("ä: x\nbß: ".encode() + b"\xff", (2, 5)),
    "a control character": (b"a: 1\nb: \x07", (2, 4)),
    "a number beyond 2^53": (b"a: 1\nb:\n  - 2\n  - 9007199254740993", (4, 5)),
    "a number too long to read": (b"a: 1\nb: " + b"9" * 5000, (2, 4)),
    "a key twice": (b"a: 1\na: 2", (2, 1)),
    "an alias": (b"a: 1\nb: *a", (2, 4)),
    "too deep": (b"a:\n  " + b"[" * 40, (2, 34)),
    "no yaml": (b"a: 1\n b: 2", (2, 3)),
}


@pytest.mark.parametrize(("body", "place"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_has_a_place(body: bytes, place: tuple[int, int]) -> None:
    """The error carries line and column, and says them."""
    with pytest.raises(DocumentError, match=f"^line {place[0]}, column {place[1]}: ") as raised:
        read_yaml(body)
    assert (raised.value.line, raised.value.column) == place
