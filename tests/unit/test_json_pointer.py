"""JSON pointers, as RFC 6901 has them."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from activities.executors.pointer import Pointer, PointerError, find

# Section 5 of the RFC.
DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}
EXAMPLES: dict[str, Any] = {
    "": DOCUMENT,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
}


@pytest.mark.parametrize(("pointer", "value"), EXAMPLES.items())
def test_the_examples_of_the_rfc_are_found(pointer: str, value: Any) -> None:
    assert find(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/foo/bar", "/no", "/a~1b/x", "/foo/0/0"]
)
def test_what_is_not_there_is_no_value(pointer: str) -> None:
    with pytest.raises(PointerError):
        find(DOCUMENT, pointer)


def test_an_escape_is_read_once() -> None:
    """~01 is ~1 and never /, as section 4 warns."""
    assert find({"~1": "right", "/": "wrong"}, "/~01") == "right"


@pytest.mark.parametrize("text", ["foo", "/a~b", "/a~2", "#/foo", "/" + "x" * 500])
def test_what_is_no_pointer_is_refused_where_it_is_written(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Pointer).validate_python(text)
