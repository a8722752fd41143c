"""Whatever somebody writes: `policy check` answers with findings, and soon."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.catalog import read_catalog
from policy.checks.checking import check
from policy.checks.findings import Finding, Severity
from policy.operations import read_operations
from policy.people.directory import read_directory
from tests.unit.builders import CATALOG, DIRECTORY, OPERATIONS, POLICY

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
REGISTRY, TARGETS, PEOPLE = read_operations(OPERATIONS), read_catalog(CATALOG), read_directory(DIRECTORY)
EXAMPLE = (Path(__file__).parents[2] / "examples/policy.yaml").read_bytes()
HEAD = b"apiVersion: countersign/v1\nkind: PolicyDocument\nmetadata: {name: x, version: '1'}\nrules:\n"
# A second on a machine that has nothing else to do; a test machine may be busy.
BOUND_SECONDS = 5.0
SNIPPETS = [
    *(b"[", b"]", b"{", b"}", b": ", b"- ", b"&a ", b"*a", b"!!x ", b"---\n", b"...\n", b"'", b'"', b"\t", b"|", b">"),
    *(b"null", b"true", b"9007199254740993", b"1e999", b"\xff", b"\x00", b"\xef\xbb\xbf", b"when: ", b"#", b"? "),
    *(b"%YAML 1.1\n", b"rules:\n", b"chains: {}\n", b"    rrule: FREQ=DAILY;COUNT=9999999\n"),
    b'when: "risk.score > 1 && (((("\n',
]


def _check(body: bytes) -> tuple[Finding, ...]:
    return check("policy", body, now=NOW, operations=REGISTRY, catalog=TARGETS, directory=PEOPLE)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    base=st.sampled_from([EXAMPLE, POLICY]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(SNIPPETS)), max_size=6),
)
def test_a_mutated_document_is_answered(base: bytes, edits: list[tuple[float, int, bytes]]) -> None:
    """Cut here and pasted there, a document gives findings whose places are in the text, and never an exception."""
    body = base
    for where, cut, snippet in edits:
        at = int(where * len(body))
        body = body[:at] + snippet + body[at + cut :]
    lines = body.count(b"\n") + body.count(b"\r") + 2
    for item in _check(body):
        assert 1 <= item.line <= lines
        assert item.column >= 1
        assert item.message
        assert "\n" not in item.message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_answered(body: bytes) -> None:
    """What is no document is one error."""
    found = _check(body)
    assert found
    assert found[0].severity is Severity.error


def _rules(line: bytes) -> bytes:
    """A hundred kilobytes of one rule."""
    return HEAD + b"".join(line.replace(b"%", b"%d" % number) for number in range(100_000 // (len(line) + 2)))


LARGE: dict[str, bytes] = {
    "many rules that differ": _rules(b"  - {id: r%, match: {operations: [a.n%], targets: [t%]}, verdict: deny}\n"),
    "many rules that are the same": _rules(b"  - {id: r%, match: {operations: [a.b]}, verdict: deny}\n"),
    "many conditions": _rules(b"  - {id: r%, when: 'risk.score > % && target.ref != \"x%\"', verdict: deny}\n"),
    "many wrong conditions": _rules(b"  - {id: r%, when: 'nothing.n% > 1', verdict: deny}\n"),
    "many mistakes": _rules(b"  - {idd: r%, match: 3}\n"),
    "many keys": HEAD + b"".join(b"k%d: 1\n" % number for number in range(10_000)),
    "one long list": HEAD + b"  - {id: r, match: {operations: [" + b"a.b, " * 20_000 + b"a.c]}, verdict: deny}\n",
    "many brackets": b"[" * 100_000,
    "many markers": b"---\n" * 25_000,
    "many anchors": b"a: &a [x]\n" + b"b: *a\n" * 15_000,
    "one long line": b"a: " + b"x" * 100_000,
    "many quotes": b"'" * 100_000,
    "hostile condition": HEAD
    + b"  - {id: r, when: '"
    + b"(" * 50_000
    + b"true"
    + b")" * 50_000
    + b"', verdict: deny}\n",
    "many chains": HEAD
    + b"  - {id: r, match: {operations: [a.b]}, verdict: deny}\nchains:\n"
    + b"".join(
        b"  c%d: {stages: [{name: s, requirements: [{groups: [ops, dba], count: 50}], deadline: 1h}]}\n" % number
        for number in range(1_000)
    ),
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_large_document_is_answered_soon(body: bytes) -> None:
    """A hundred kilobytes of whatever cost about a second of computing at most, however busy the machine is."""
    started = time.thread_time()
    found = _check(body)
    took = time.thread_time() - started

    assert found
    assert took < BOUND_SECONDS, took
