"""Large texts as a stream of JSON: read as YAML reads them, or refused."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.catalogs.json_stream import MAX_LINE_BYTES, MAX_STREAM_BYTES, MAX_VALUE_BYTES, read_stream
from policy.errors import DocumentError
from policy.importing.writing import line
from policy.yaml_text import MAX_DOCUMENT_BYTES, read_yaml

_TEXTS = st.text(
    st.characters(codec="utf-8", min_codepoint=32, max_codepoint=0xFFFD, exclude_characters="\ufdd0"), max_size=8
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_PAD = b" " * MAX_DOCUMENT_BYTES


READ: dict[str, tuple[bytes, list[Any]]] = {
    "nothing": (b"", []),
    "yaml": (b"a: 1\n---\nb: no", [{"a": 1}, {"b": "no"}]),
    "one json value": (b' {"a": [1, 1.5, true, null]}\n', [{"a": [1, 1.5, True, None]}]),
    "an array": (b'[{"a": 1}, {"a": 2}]', [[{"a": 1}, {"a": 2}]]),
    "a line each": (b'--- {"a": 1}\n--- {"a": 2}\n\n--- {"a": "\xc3\xa9"}', [{"a": 1}, {"a": 2}, {"a": "é"}]),
    "lines as windows ends them": (b'--- {"a": 1}\r\n--- {"a": 2}\r\n', [{"a": 1}, {"a": 2}]),
    "flow style that is no json": (b"--- {a: 1}\n--- {b: no}", [{"a": 1}, {"b": "no"}]),
    "a comment behind json": (b'{"a": 1} # one', [{"a": 1}]),
    "a pair of surrogates": (b'{"a": "\\ud83d\\ude00"}', [{"a": "😀"}]),
}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a byte order mark": (lambda: b"\xef\xbb\xbfa: 1", "starts with a byte order mark"),
    "a duplicate key": (lambda: b'{"a": 1, "a": 2}', "'a' occurs twice"),
    "a duplicate key on a line": (
        lambda: b'--- {"b": 1}\n--- {"a": 1, "a": 2}\n' + _PAD[:100] + b"\n" * MAX_DOCUMENT_BYTES,
        "line 2, column 1: .*'a' occurs twice",
    ),
    "not utf-8": (lambda: b'{"a": "\xff"}', "not utf-8"),
    "not utf-8 on a line": (
        lambda: b'--- {"b": 1}\n--- {"a": "\xff"}\n' + b"\n" * MAX_DOCUMENT_BYTES,
        "line 2, .*not utf-8 at byte 7 of the line",
    ),
    "a lone surrogate": (lambda: b'{"a": "\\ud800"}' + _PAD, "U\\+D800"),
    "nul": (lambda: b'{"a": "\\u0000"}' + _PAD, "U\\+0000"),
    "a number beyond 2^53": (lambda: b'{"a": 9007199254740993}' + _PAD, "is beyond 2\\^53-1"),
    "a float beyond 2^53": (lambda: b'{"a": 1e300}' + _PAD, "is beyond 2\\^53-1"),
    "a number too long to read": (lambda: b'{"a": ' + b"9" * 6000 + b"}" + _PAD, "is beyond 2\\^53-1"),
    "infinity": (lambda: b'{"a": Infinity}' + _PAD, "Infinity is not json"),
    "an overflow": (lambda: b'{"a": 1e999}' + _PAD, "number inf is not finite"),
    "too deep": (lambda: b"[" * 40 + b"]" * 40 + _PAD, "nested deeper than 32"),
    "far too deep": (lambda: b"[" * 200_000 + b"]" * 200_000 + _PAD, "nested deeper than 32"),
    "no json between the lines": (lambda: b'--- {"a": 1}\nb: 2\n' + _PAD, "line 2, column 1: line is no json document"),
    "cut off": (lambda: b'{"a": 1' + _PAD, "malformed json"),
    "yaml of the size of json": (lambda: b"a: 1\n" + b"#" * MAX_DOCUMENT_BYTES, "at most 4194304 are read as yaml"),
    "one value that is too large": (lambda: b"[" + b" " * MAX_VALUE_BYTES + b"]", "write one document a line"),
    "one value of very many lists": (lambda: b"[" + b"[]," * 4_000_001 + b"1]", "write one document a line"),
    "one line that is too long": (lambda: b"--- {" + b" " * MAX_LINE_BYTES + b"}", "line has 4194310 bytes"),
    "too large": (lambda: b"{" + b" " * MAX_STREAM_BYTES, "at most 134217728 are read"),
}


@pytest.mark.parametrize(("body", "values"), READ.values(), ids=READ)
def test_read(body: bytes, values: list[Any]) -> None:
    """Streams of JSON, single values and YAML are read alike."""
    assert list(read_stream(body)) == values


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(body: Callable[[], bytes], message: str) -> None:
    """What could be read in two ways, or would take too much, is refused on one line of text."""
    with pytest.raises(DocumentError, match=message) as raised:
        list(read_stream(body()))
    assert "\n" not in str(raised.value)


@given(st.lists(st.dictionaries(_TEXTS, _VALUES, max_size=3), max_size=4))
def test_a_stream_is_yaml(values: list[Any]) -> None:
    """Whoever reads the stream as YAML reads the same values."""
    body = b"".join(line(value).encode() for value in values)
    assert list(read_stream(body)) == values
    assert read_yaml(body) == values


@given(
    st.binary(max_size=60)
    | st.text("{}[]\":,-\\ \n0e1.atrufl'&*!#é\ud800", max_size=40).map(lambda t: t.encode("utf-8", "replace"))
)
@example(b'--- {"a":1}\n--- ')
@example(b"--- {")
def test_anything_is_read_or_refused(body: bytes) -> None:
    """Whatever the bytes are, the answer is values or a DocumentError, also in the large form."""
    for text in (body, b"--- " + body, body + b" " * 10):
        try:
            list(read_stream(text))
        except DocumentError:
            continue
