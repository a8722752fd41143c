"""YAML without its traps."""

from typing import Any

import pytest

from policy.errors import DocumentError
from policy.yaml_text import MAX_DOCUMENT_BYTES, read_yaml

READ: dict[str, tuple[str, list[Any]]] = {
    "Norway": ("[no, off, yes, on, y, n, NO, True]", [["no", "off", "yes", "on", "y", "n", "NO", "True"]]),
    "booleans": ("[true, false]", [[True, False]]),
    "nothing": ("a:\nb: ~\nc: null\nd: Null", [{"a": None, "b": None, "c": None, "d": "Null"}]),
    "integers": ("[0, 7, -3]", [[0, 7, -3]]),
    "octal, hex, binary, underscores": ("[010, 0x10, 0b1, 1_000, +1]", [["010", "0x10", "0b1", "1_000", "+1"]]),
    "base sixty": ("[1:30, 190:20:30]", [["1:30", "190:20:30"]]),
    "floats": ("[1.5, 1e3, -0.5]", [[1.5, 1000.0, -0.5]]),
    "not quite floats": ("[.5, 1., .inf, .nan]", [[".5", "1.", ".inf", ".nan"]]),
    "dates": ("[2030-01-01, 2030-01-01T09:00:00Z]", [["2030-01-01", "2030-01-01T09:00:00Z"]]),
    "merge keys are keys": ("<<: {a: 1}\n=: 2", [{"<<": {"a": 1}, "=": 2}]),
    "two documents": ("a: 1\n---\nb: 2", [{"a": 1}, {"b": 2}]),
    "none": ("", []),
}

REFUSED: dict[str, tuple[bytes, str]] = {
    "a duplicate key": (b"a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' occurs twice"),
    "a duplicate key further in": (b"x: {a: 1, a: 1}", "line 1, column 11: key 'a' occurs twice"),
    "an alias": (b"a: &x [1]\nb: *x", "line 1, column 4: anchors and aliases are not read"),
    "an alias to nothing": (b"b: *x", "line 1, column 4: anchors and aliases are not read"),
    "a tag": (b"a: !!binary aGk=", "line 1, column 4: tag tag:yaml.org,2002:binary is not read"),
    "a python tag": (b"a: !!python/object/apply:os.system [ls]", "tag .* is not read"),
    "a set": (b"!!set {a, b}", "tag .* is not read"),
    "a key that is a number": (b"1: a", "line 1, column 1: key 1 is not a string"),
    "a key that is nothing": (b"~: a", "key None is not a string"),
    "a key that is a mapping": (b"? {a: 1}\n: 2", "is not a string"),
    "too deep": (b"[" * 1000, "line 1, column 33: nested deeper than 32"),
    "a number beyond 2^53": (b"a: 9007199254740993", "document is malformed: number of 54 bits"),
    "a number too long to read": (b"a: " + b"9" * 5000, "document is malformed"),
    "a lone surrogate": (b'a: "\\ud800"', "line 1, column 7: found invalid Unicode"),
    "a control character": (b"a: \x07", "document is malformed: unacceptable character"),
    "not utf-8": (b"a: \xff", "document is not utf-8 at byte 3"),
    "not yaml": (b"a: [1", "line 2, column 1: did not find expected"),
    "too large": (b"#" * (MAX_DOCUMENT_BYTES + 1), "at most 4194304 are read"),
}


@pytest.mark.parametrize(("text", "values"), READ.values(), ids=READ)
def test_read(text: str, values: list[Any]) -> None:
    """Only what JSON writes as a number, a boolean or null is one; everything else is a string."""
    assert read_yaml(text.encode()) == values


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(body: bytes, message: str) -> None:
    """What YAML would silently change, repeat or execute is refused on one line, with its place where it has one."""
    with pytest.raises(DocumentError, match=message) as raised:
        read_yaml(body)
    assert "\n" not in str(raised.value)
