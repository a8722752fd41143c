"""The parameters of a tool, from the JSON Schema of its input, as far as they have a type that the registry knows.

- What has no single type (`anyOf`, `$ref`, no type) cannot be held to anything. Optional, it is left out and so refused
  where it is given; required, the tool is skipped.
- A text that is called a password, a secret or an API key is given by reference only.
"""

import re
from typing import Any

from pydantic import ValidationError

from policy.parameter_types import Parameter, is_of

MAX_PARAMETERS = 200
MAX_VALUES = 1000
_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "object": "object"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")
_SECRET = re.compile(
    r"(?:^|[_.-])(?:password|passphrase|passwd|secret|credentials?|api_?key|private_?key|access_?key)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BOUNDS = {"string": ("minLength", "maxLength"), "list": ("minItems", "maxItems")}
_FACTOR = 2**53


class Untyped(Exception):  # noqa: N818 - not a failure: what cannot be typed is skipped and reported
    """Something that an entry cannot be made of; the message says why."""


def parameters_of(schema: Any) -> tuple[dict[str, Parameter], tuple[str, ...]]:
    """The parameters, and which optional ones were left out and why.

    Raises:
        Untyped: a required parameter, or the whole, cannot be typed.
    """
    if schema is None:
        return {}, ()
    properties = schema.get("properties", {}) if isinstance(schema, dict) else None
    required = _names(schema.get("required", [])) if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or required is None or len(properties) > MAX_PARAMETERS:
        raise Untyped(f"its inputSchema is no object schema with at most {MAX_PARAMETERS} properties")
    found: dict[str, Parameter] = {}
    left_out: list[str] = []
    for name, one in properties.items():
        try:
            found[name] = _parameter(name, one, required=name in required)
        except Untyped as why:
            if name in required:
                raise Untyped(f"its parameter {name[:60]!r} {why}") from None
            left_out.append(f"optional parameter {name[:60]!r} {why}: left out")
    if missing := [name for name in required if name not in properties]:
        raise Untyped(f"its required parameter {str(missing[0])[:60]!r} is not described")
    return found, tuple(left_out)


def _names(given: Any) -> list[str] | None:
    return given if isinstance(given, list) and all(isinstance(name, str) for name in given) else None


def _parameter(name: str, schema: Any, *, required: bool) -> Parameter:
    if not _NAME.fullmatch(name):
        raise Untyped("has a name that a registry cannot hold")
    if not isinstance(schema, dict):
        raise Untyped("has no schema")
    kind = _type(schema)
    given: dict[str, Any] = {"type": kind, "required": required}
    values = schema
    if kind == "list":
        given["items"] = _items(schema.get("items"))
        values = schema["items"] if isinstance(schema.get("items"), dict) else {}
    if kind == "string" and _is_secret(name, schema):
        return Parameter(**given, secret=True)
    one = given.get("items") or kind
    enum = values.get("enum")
    if isinstance(enum, list) and 1 <= len(enum) <= MAX_VALUES and all(is_of(item, one) for item in enum):
        given["enum"] = tuple(enum)
    given |= _bounds(kind, schema)
    try:
        return Parameter(**given)
    except ValidationError:
        raise Untyped("contradicts itself") from None


def _type(schema: dict[str, Any]) -> str:
    said = schema.get("type")
    if isinstance(said, list):
        kinds = [item for item in said if item != "null"]
        said = kinds[0] if len(kinds) == 1 else None
    if said == "array":
        return "list"
    if isinstance(said, str) and said in _TYPES:
        return _TYPES[said]
    raise Untyped("has no single type")


def _items(schema: Any) -> str:
    kind = _type(schema) if isinstance(schema, dict) else None
    if kind is None or kind == "list":
        raise Untyped("is a list of items without a single type")
    return kind


def _is_secret(name: str, schema: dict[str, Any]) -> bool:
    plain = _CAMEL.sub("_", name).lower()
    return bool(_SECRET.search(plain)) or schema.get("format") == "password" or schema.get("writeOnly") is True


def _bounds(kind: str, schema: dict[str, Any]) -> dict[str, float]:
    low, high = _BOUNDS.get(kind, ("minimum", "maximum"))
    if kind in ("boolean", "object"):
        return {}
    found = {}
    for ours, theirs in (("minimum", low), ("maximum", high)):
        value = schema.get(theirs)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _FACTOR:
            found[ours] = float(value)
    return found
