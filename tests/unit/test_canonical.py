"""Canonical bytes: RFC 8785, and what I-JSON (RFC 7493) does not allow."""

import json
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.canonical import (
    MAX_DEPTH,
    MAX_TEXT_BYTES,
    canonical,
    check_value,
    digest,
    digest_of,
    parse_canonical,
    parse_json,
)
from policy.errors import CanonicalError

# RFC 8785, appendix B: IEEE 754 bits and the text. Those beyond 2^53-1 are outside I-JSON and refused here.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "4340000000000000": None,
    "c340000000000000": None,
    "4430000000000000": None,
    "44b52d02c7e14af5": None,
    "44b52d02c7e14af6": None,
    "44b52d02c7e14af7": None,
    "444b1ae4d6e2ef4e": None,
    "444b1ae4d6e2ef4f": None,
    "444b1ae4d6e2ef50": None,
    "7fefffffffffffff": None,
    "ffefffffffffffff": None,
    "7fffffffffffffff": None,
    "7ff0000000000000": None,
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

# RFC 8785, sections 3.2.2 and 3.2.3: what is given, and its canonical form.
_SORTED = r"""{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
 "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"""
_SORTED_FORM = """{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis",\
"€":"Euro Sign","😀":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}"""
_LITERALS = r"""{"numbers": [4.50, 2e-3, 0.000000000000000000000000001],
 "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
_LITERALS_FORM = r"""{"literals":[null,true,false],"numbers":[4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"""

VALUES: dict[str, tuple[str, str]] = {
    "sorting by UTF-16": (_SORTED, _SORTED_FORM),
    "literals and escapes": (_LITERALS, _LITERALS_FORM),
    "1.0 is 1": ("[1.0, 1, 1e0, -0, -0.0]", "[1,1,1,0,0]"),
    "the largest integer": ("[9007199254740991, -9007199254740991]", "[9007199254740991,-9007199254740991]"),
    "a number that is too small is zero": ("1e-400", "0"),
    "white space around": (" \n{ } ", "{}"),
    "a value at the limit of depth": ("[" * MAX_DEPTH + "]" * MAX_DEPTH, "[" * MAX_DEPTH + "]" * MAX_DEPTH),
}

REFUSED: dict[str, tuple[bytes | str, str]] = {
    "2^53": ("9007199254740992", "beyond 2^53-1"),
    "2^53+1": ("9007199254740993", "beyond 2^53-1"),
    "2^53+1 as a float": ("9007199254740993.0", "beyond 2^53-1"),
    "1e300": ("1e300", "beyond 2^53-1"),
    "a float beyond doubles": ("1e400", "not finite"),
    "an integer of 5000 digits": ("9" * 5000, "malformed"),
    "NaN": ("[NaN]", "NaN is not json"),
    "Infinity": ("-Infinity", "-Infinity is not json"),
    "a duplicate key": ('{"a": 1, "b": 2, "a": 1}', "key 'a' occurs twice"),
    "a duplicate key in another spelling": (r'{"a": 1, "\u0061": 2}', "key 'a' occurs twice"),
    "a duplicate key further in": ('[{"x": {"k": 1, "k": 1}}]', "key 'k' occurs twice"),
    "a lone high surrogate": (r'"\ud800"', "U+D800"),
    "a lone low surrogate in a key": (r'{"\udc00": 1}', "U+DC00"),
    "a surrogate in the text itself": ('"\ud800"', "not utf-8"),
    "a noncharacter": (r'"\uffff"', "U+FFFF"),
    "NUL": (r'"a\u0000"', "U+0000"),
    "latin-1": (b'"\xe9"', "not utf-8 at byte 1"),
    "a byte order mark": ("\ufeff1", "malformed"),
    "a trailing comma": ("[1,]", "malformed"),
    "two values": ("1 2", "malformed"),
    "nothing": ("", "malformed"),
    "too deep": ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 32"),
    "far too deep": ("[" * 100_000, "nested deeper than 32"),
    "too large": ('"' + "a" * MAX_TEXT_BYTES + '"', "at most 262144 are read"),
}

NOT_JSON: dict[str, tuple[Any, str]] = {
    "a key that is no string": ({1: 2}, "key 1 is not a string"),
    "a tuple": ((1,), "type tuple"),
    "bytes": (b"x", "type bytes"),
    "an int too long to be written": (10**5000, "of 16610 bits"),
    "nan": (float("nan"), "nan is not finite"),
    "too deep for what we write": (eval("[" * 65 + "]" * 65), "nested deeper"),
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items(), ids=NUMBERS)
def test_numbers_of_rfc_8785(bits: str, text: str | None) -> None:
    """Each number of the RFC's table is written as there, or refused where I-JSON has no such number."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    if text is None:
        with pytest.raises(CanonicalError):
            canonical(number)
    else:
        assert canonical(number).decode() == text


@pytest.mark.parametrize(("text", "expected"), VALUES.values(), ids=VALUES)
def test_canonical_form(text: str, expected: str) -> None:
    """A strict JSON text has the canonical form of the RFC."""
    assert canonical(parse_json(text)).decode() == expected


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_text(text: bytes | str, message: str) -> None:
    """What two readers could take for different values is refused, with a short message that says why."""
    with pytest.raises(CanonicalError, match=re.escape(message)) as raised:
        parse_json(text)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(("value", "message"), NOT_JSON.values(), ids=NOT_JSON)
def test_refused_value(value: Any, message: str) -> None:
    """A Python value that is no JSON value has no canonical form."""
    with pytest.raises(CanonicalError, match=message):
        canonical(value)


def test_booleans_are_no_numbers() -> None:
    """true and 1 have different digests, 1 and 1.0 have the same."""
    assert digest_of(True) != digest_of(1)
    assert digest_of(1.0) == digest_of(1)


def test_what_was_received_can_be_quoted() -> None:
    """A value at the limit of depth still has a canonical form inside a ledger entry."""
    value: Any = "x"
    for _ in range(MAX_DEPTH):
        value = [value]
    check_value(value)
    assert canonical({"content": {"submission": value}})


def test_own_bytes_have_no_size_limit() -> None:
    """What Countersign wrote is read whatever its size, and only in canonical form."""
    body = canonical(["a" * MAX_TEXT_BYTES])
    assert parse_canonical(body) == ["a" * MAX_TEXT_BYTES]
    with pytest.raises(CanonicalError, match="not in canonical form"):
        parse_canonical(b"[1.0]")


def test_many_keys_with_the_last_one_twice() -> None:
    """Finding a duplicate takes no longer than reading: a hostile text cannot keep a worker busy."""
    keys = ",".join(f'"{number}":0' for number in range(20_000))
    with pytest.raises(CanonicalError, match="key '19999' occurs twice"):
        parse_json("{" + keys + ',"19999":0}')


def test_digest_is_sha256() -> None:
    """A digest is written sha256: and hex, of the bytes themselves."""
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cn"))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cn"))), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_canonical_form_is_a_fixed_point(value: Any) -> None:
    """Reading canonical bytes and writing them again gives the same bytes, however the text was laid out."""
    body = canonical(value)
    assert canonical(parse_json(body)) == body
    assert canonical(parse_json(json.dumps(value, indent=1))) == body
