"""JSON pointers (RFC 6901): where in an answer a value stands. An operator writes them, never a proposal."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from policy.parameter_types import is_of

_WRITTEN = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]*")


class PointerError(ValueError):
    """There is no such value in the document."""


def checked_pointer(text: str) -> str:
    """A text that is a pointer.

    Raises:
        PointerError: it is none.
    """
    if not _WRITTEN.fullmatch(text):
        raise PointerError("is no json pointer: write /name/0/other, with ~1 for / and ~0 for ~ in a name")
    return text


Pointer = Annotated[str, Field(max_length=500), AfterValidator(checked_pointer)]


def find(document: Any, pointer: str) -> Any:
    """The value that a pointer names; the empty pointer names the document.

    Raises:
        PointerError: there is none.
    """
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise PointerError(f"the answer has nothing at {pointer}")
    return value


def checked_value(value: Any, kind: str) -> Any:
    """A value that a probe may have read: one, and of its type.

    Args:
        value: what was read.
        kind: the type by its name in a registry; empty where nobody said one.

    Raises:
        PointerError: it is none.
    """
    if value is None or isinstance(value, list | dict):
        raise PointerError("what was read is no single value")
    if kind and not is_of(value, kind):
        raise PointerError(f"what was read is not of type {kind}")
    return value
