"""Canonical bytes and digests.

- A digest is SHA-256 over the RFC 8785 (JCS) form of a JSON value, written `sha256:<64 hex>`.
- JSON from outside is parsed strictly: a duplicate key, NaN or infinity, a lone surrogate or noncharacter, and a number
  outside I-JSON (RFC 7493: an integer beyond 2^53-1) are refused, because two readers could take them for different
  values. U+0000 is refused too: the record could not hold it as text.
- RFC 8785 writes 1.0 and 1 alike, so a view of a received value is always made from its canonical bytes: what has one
  digest has one meaning.
- A received value is digested as received. A model is a view of it and is never serialised to make a digest again.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import rfc8785

from policy.errors import CanonicalError

MAX_TEXT_BYTES = 256 * 1024
MAX_DEPTH = 32
_MAX_DEPTH_WITHIN = 64
_MAX_SAFE_INTEGER = 2**53 - 1
_SHOWN = 60
# Surrogates and noncharacters: RFC 7493, section 2.1.
_UNSAID = re.compile(
    "[\0\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(p << 16 | 0xFFFE)}{chr(p << 16 | 0xFFFF)}" for p in range(17))
    + "]"
)


def parse_json(text: bytes | str, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """The value of a strict JSON text.

    Raises:
        CanonicalError: not UTF-8, not JSON, too large (256 KiB unless told), nested deeper than 32, a duplicate key,
            a number outside I-JSON, or a string that I-JSON cannot say.
    """
    value = _parse(text, max_bytes)
    check_value(value)
    return value


def parse_canonical(body: bytes) -> Any:
    """The value of bytes that Countersign wrote itself, of any size.

    Raises:
        CanonicalError: the bytes are not the RFC 8785 form of a value.
    """
    value = _parse(body, len(body))
    if canonical(value) != body:
        raise CanonicalError("json text is not in canonical form")
    return value


def check_value(value: Any, max_depth: int = MAX_DEPTH) -> None:
    """Refuse what RFC 8785 or I-JSON cannot say.

    Raises:
        CanonicalError: names the value that is outside.
    """
    match value:
        case bool() | None:
            return
        case str():
            _check_text(value)
        case int() | float():
            _check_number(value)
        case list() | dict():
            _check_container(value, max_depth)
        case _:
            raise CanonicalError(f"value of type {type(value).__name__} is not json")


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value; up to 64 levels, so that what was received at 32 can be quoted.

    Raises:
        CanonicalError: the value has none.
    """
    check_value(value, _MAX_DEPTH_WITHIN)
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """`sha256:` and the 64 hex digits of the SHA-256 of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """The digest of the RFC 8785 form of a JSON value."""
    return digest(canonical(value))


def _parse(text: bytes | str, max_bytes: int) -> Any:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise CanonicalError(f"json text has {len(raw)} bytes, at most {max_bytes} are read")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise CanonicalError(f"json text is not utf-8 at byte {error.start}") from None
    except RecursionError:
        raise CanonicalError(f"json text is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise CanonicalError(f"json text is malformed: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(f"key {name[:_SHOWN]!r} occurs twice")
        value[name] = item
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not json")


def _check_container(value: list[Any] | dict[Any, Any], max_depth: int) -> None:
    if max_depth == 0:
        raise CanonicalError(f"value is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise CanonicalError(f"key {key!r} is not a string")
            _check_text(key)
    for item in value.values() if isinstance(value, dict) else value:
        check_value(item, max_depth - 1)


def _check_number(value: int | float) -> None:  # noqa: PYI041 - what is tested is which of the two it is
    if isinstance(value, float) and not math.isfinite(value):
        raise CanonicalError(f"number {value} is not finite")
    # Every float beyond 2^53 is an integer. An int may be too long to be written out.
    if abs(value) > _MAX_SAFE_INTEGER:
        shown = repr(value) if isinstance(value, float) else f"of {value.bit_length()} bits"
        raise CanonicalError(f"number {shown} is beyond 2^53-1: send it as a string")


def _check_text(text: str) -> None:
    if found := _UNSAID.search(text):
        raise CanonicalError(
            f"string {text[:_SHOWN]!r} has U+{ord(found[0]):04X} in it: surrogates, noncharacters and NUL are refused"
        )
