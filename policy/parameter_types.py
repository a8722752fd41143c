"""What the value of a parameter must be.

- A value has its JSON type, never converted: "1", 1.0 and true are not the integer 1.
- `minimum` and `maximum` bound a number, or the length of a text or list. `pattern` is matched from end to end. In a
  list, `pattern` and `enum` hold for each item.
- A secret is given by reference, `secret://name`, and the executor looks it up. What is given instead is refused, and
  the refusal never repeats it.
"""

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from policy.base import EdgeModel
from policy.canonical import canonical
from policy.errors import CanonicalError

Scalar = Literal["string", "integer", "number", "boolean", "object"]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}
_SECRET = re.compile(r"secret://[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_NUMBERS = ("integer", "number")


class Parameter(EdgeModel):
    """The type of a parameter and what its value must look like. `items` is the type of a list's items (string)."""

    type: Literal["string", "integer", "number", "boolean", "list", "object"]
    items: Scalar | None = None
    required: bool = True
    pattern: Annotated[str, Field(max_length=1000)] | None = None
    enum: Annotated[tuple[JsonValue, ...], Field(min_length=1, max_length=1000)] | None = None
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
    description: str = ""

    def refusal(self, value: Any) -> str | None:
        """Why a value is not one of this parameter, or None. Of a secret it never says the value."""
        if not is_of(value, self.type):
            return f"is not of type {self.type}"
        if self.secret:
            return None if _SECRET.fullmatch(value) else "is not a reference: write secret://NAME, never the secret"
        if refusal := self._size(value):
            return refusal
        if self.type != "list":
            return self._form(value)
        for number, item in enumerate(value, start=1):
            refusal = self._form(item) if is_of(item, self.items or "string") else f"is not of type {self.items}"
            if refusal is not None:
                return f"item {number} {refusal}"
        return None

    @cached_property
    def _allowed(self) -> frozenset[bytes | None]:
        return frozenset(_written(item) for item in self.enum or ())

    def _size(self, value: Any) -> str | None:
        size = value if isinstance(value, int | float) else len(value)
        what = "" if isinstance(value, int | float) else "has a length that "
        if self.minimum is not None and size < self.minimum:
            return f"{what}is below {self.minimum:g}"
        if self.maximum is not None and size > self.maximum:
            return f"{what}is above {self.maximum:g}"
        return None

    def _form(self, value: Any) -> str | None:
        if self.enum is not None and _written(value) not in self._allowed:
            return f"is none of {', '.join(str(item) for item in self.enum)[:120]}"
        if self.pattern is not None:
            text = value if isinstance(value, str) else canonical(value).decode()
            if not re.fullmatch(self.pattern, text):
                return f"does not match {self.pattern}"
        return None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _means_something(self) -> "Parameter":
        if self.items is not None and self.type != "list":
            raise ValueError(f"items is for type list, not {self.type}")
        if self.secret and self.type != "string":
            raise ValueError(f"secret is for type string, not {self.type}")
        if self.secret and (self.pattern, self.enum, self.minimum, self.maximum) != (None, None, None, None):
            raise ValueError("a secret is a reference and has no form of its own: remove pattern, enum and bounds")
        if self.type in ("boolean", "object") and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"minimum and maximum are for numbers and lengths, not for {self.type}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}: no value fits")
        one = (self.items or "string") if self.type == "list" else self.type
        if wrong := [item for item in self.enum or () if not is_of(item, one)]:
            raise ValueError(f"enum has {wrong[0]!r}, which is not of type {one}")
        return self


def is_of(value: Any, name: str) -> bool:
    """Whether a JSON value has a type, by its name in a registry."""
    # true is an int in Python, and no number in JSON.
    return isinstance(value, bool) == (name == "boolean") and isinstance(value, _TYPES[name])


def is_number(name: str) -> bool:
    """Whether a type is one that can be counted with."""
    return name in _NUMBERS


def _written(value: Any) -> bytes | None:
    """A value as RFC 8785 writes it: true is not 1, and 1.0 is."""
    try:
        return canonical(value)
    except CanonicalError:
        return None
