"""Large governed texts: a stream of JSON documents, one a line. It is YAML as well, and is read a hundred times faster.

- Each line is `--- ` and one JSON document; or the whole text is one JSON document, or an array of them.
- What is neither is read as YAML, up to YAML's own limit: nothing means one thing here and another there.
- JSON is read as strictly as anywhere: duplicate keys, numbers beyond 2^53-1, lone surrogates, NUL and more than 32
  levels are refused.
"""

import json
from collections.abc import Iterator
from typing import Any

from policy.canonical import MAX_DEPTH, check_value
from policy.errors import CanonicalError, DocumentError
from policy.yaml_text import MAX_DOCUMENT_BYTES, read_yaml

MAX_STREAM_BYTES = 128 * 1024 * 1024
# What is read as one value costs up to twenty times its bytes while it is read.
MAX_VALUE_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_BRACKETS = 4_000_000
_MARK = b"--- "
_BOM = b"\xef\xbb\xbf"
_MAX_SAFE_INTEGER = 2**53 - 1
_SHOWN = 60


def read_stream(body: bytes) -> Iterator[Any]:
    """The values of the documents in a text, one after the other; of a large one, without keeping those that were read.

    Raises:
        DocumentError: with its line, where there is one; what comes before it may have been yielded.
    """
    if body.startswith(_BOM):
        raise DocumentError("document starts with a byte order mark, save it as utf-8 without one")
    if len(body) > MAX_STREAM_BYTES:
        raise DocumentError(f"document has {len(body)} bytes, at most {MAX_STREAM_BYTES} are read, split it")
    start = body[:64].lstrip()[:5]
    if not start.startswith((b"--- {", b"--- [", b"{", b"[")):
        yield from _as_yaml(body)
    elif len(body) > MAX_DOCUMENT_BYTES:
        yield from _as_json(body)
    else:
        try:
            found = list(_as_json(body))
        except DocumentError:
            found = read_yaml(body)
        yield from found


def _as_yaml(body: bytes) -> Iterator[Any]:
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            f"document has {len(body)} bytes, at most {MAX_DOCUMENT_BYTES} are read as yaml: write it as json,"
            " or split it (`countersign catalog import` joins files)"
        )
    yield from read_yaml(body)


def _as_json(body: bytes) -> Iterator[Any]:
    if body[:64].lstrip().startswith(_MARK):
        yield from _lines(body)
    elif len(body) > MAX_VALUE_BYTES or body.count(b"{") + body.count(b"[") > MAX_BRACKETS:
        raise DocumentError(
            f"one json value of {len(body)} bytes is too large (at most {MAX_VALUE_BYTES} bytes, {MAX_BRACKETS}"
            " mappings and lists): write one document a line, each after `--- `"
        )
    else:
        yield _value(body, 1)


def _lines(body: bytes) -> Iterator[Any]:
    start, number = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if end - start > MAX_LINE_BYTES:
            raise DocumentError(f"line has {end - start} bytes, at most {MAX_LINE_BYTES} are read", number, 1)
        line = body[start:end]
        start = end + 1
        if line.startswith(_MARK):
            yield _value(line[len(_MARK) :], number)
        elif line.strip():
            raise DocumentError("line is no json document, write each as `--- {…}` on a line of its own", number, 1)


def _value(text: bytes, line: int) -> Any:
    """The value of one JSON text that begins on a line.

    Raises:
        DocumentError: it is not strict JSON.
    """
    try:
        value = _DECODER.decode(text.decode("utf-8"))
        if not _is_plain(text):
            check_value(value)
    except UnicodeDecodeError as error:
        raise DocumentError(f"document is not utf-8 at byte {error.start} of the line", line, 1) from None
    except json.JSONDecodeError as error:
        place = (line + error.lineno - 1, error.colno)
        raise DocumentError(f"document is malformed json: {error.msg.lower()}", *place) from None
    except RecursionError:
        raise DocumentError(f"nested deeper than {MAX_DEPTH}", line, 1) from None
    except (CanonicalError, ValueError) as error:
        raise DocumentError(f"document is malformed: {str(error).splitlines()[0]}", line, 1) from None
    return value


def _is_plain(text: bytes) -> bool:
    """Whether no string can be one that JSON must not say, and nothing can be too deep: numbers were checked."""
    return text.isascii() and b"\\u" not in text and text.count(b"{") + text.count(b"[") <= MAX_DEPTH


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:_SHOWN]!r} occurs twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > len(str(-_MAX_SAFE_INTEGER)) or abs(value := int(digits)) > _MAX_SAFE_INTEGER:
        raise ValueError(f"number {digits[:_SHOWN]} is beyond 2^53-1: send it as a string")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    check_value(value)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not json")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_no_constant
)
