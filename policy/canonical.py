"""Canonical bytes and digests.

- A digest is SHA-256 over the RFC 8785 (JCS) form of a JSON value, written `sha256:<64 hex>`.
- JSON from outside is parsed strictly: a duplicate key, NaN or infinity, a lone surrogate, and a number outside I-JSON
  (RFC 7493: an integer beyond 2^53-1) are refused, because two readers could take them for different values.
- A received value is digested as received. A model is a view of it and is never serialised to make a digest of it again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from policy.errors import CanonicalError

MAX_TEXT_BYTES = 256 * 1024
MAX_DEPTH = 32
_MAX_SAFE_INTEGER = 2**53 - 1


def parse_json(text: bytes | str) -> Any:
    """The value of a strict JSON text.

    Raises:
        CanonicalError: not UTF-8, not JSON, too large (256 KiB), too deep (32), a duplicate key, or a number outside I-JSON.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_TEXT_BYTES:
        raise CanonicalError(f"json text has {len(raw)} bytes, at most {MAX_TEXT_BYTES} are read")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise CanonicalError(f"json text is not utf-8 at byte {error.start}") from None
    except RecursionError:
        raise CanonicalError(f"json text is nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise CanonicalError(f"json text is malformed: {error}") from None
    check_value(value)
    return value


def check_value(value: Any, depth: int = 0) -> None:
    """Refuse what RFC 8785 or I-JSON cannot say.

    Raises:
        CanonicalError: names the value that is outside.
    """
    if depth > MAX_DEPTH:
        raise CanonicalError(f"value is nested deeper than {MAX_DEPTH}")
    match value:
        case bool() | None:
            return
        case int() if abs(value) > _MAX_SAFE_INTEGER:
            raise CanonicalError(f"number {value} is beyond 2^53-1: send it as a string")
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - the test for NaN
            raise CanonicalError(f"number {value} is not finite")
        case float() if abs(value) > _MAX_SAFE_INTEGER and value.is_integer():
            raise CanonicalError(f"number {value!r} is beyond 2^53-1: send it as a string")
        case str():
            _check_text(value)
        case list():
            for item in value:
                check_value(item, depth + 1)
        case dict():
            for key, item in value.items():
                _check_text(key)
                check_value(item, depth + 1)
        case int() | float():
            return
        case _:
            raise CanonicalError(f"value of type {type(value).__name__} is not json")


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a JSON value.

    Raises:
        CanonicalError: the value has none.
    """
    check_value(value)
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """`sha256:` and the 64 hex digits of the SHA-256 of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """The digest of the RFC 8785 form of a JSON value."""
    return digest(canonical(value))


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} occurs twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not json")


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise CanonicalError(f"key {text!r} is not a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise CanonicalError(f"string {text[:20]!r} has a lone surrogate") from None
