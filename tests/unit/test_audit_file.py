"""Reading audit files: what is none is refused readably, and the specification's example is a real entry."""

import json
import re
from pathlib import Path

import pytest

from activities.auditing import audit
from policy.audit import AuditFile, GovernedDocuments, named_documents, read_audit_file, read_entries
from policy.audit_evaluations import compare, difference
from policy.base import Reason
from policy.canonical import canonical, digest
from policy.errors import AuditError
from policy.permit import entry_id
from tests.unit.tampering import entries, load
from worker import workflow_runner

LEDGER_SPEC = (Path(__file__).parents[2] / "docs" / "spec" / "ledger.md").read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "malformed"),
        (b"\xff", "not utf-8"),
        (b"[]", "valid dictionary"),
        (b"{}", "proposal_id: field required"),
        (b'{"format":"x","format":"y"}', "occurs twice"),
        (b'{"format":"countersign-audit/2"}', "format: input should be 'countersign-audit/1'"),
    ],
)
def test_what_is_no_audit_file_is_refused(body: bytes, said: str) -> None:
    """The error says what was read and what was expected."""
    with pytest.raises(AuditError, match=re.escape(said)):
        read_audit_file(body)


def test_an_unknown_field_is_refused() -> None:
    """A file of a later format is not read as if it were of this one."""
    with pytest.raises(AuditError, match="more: extra inputs are not permitted"):
        read_audit_file(json.dumps({**load("allowed"), "more": 1}).encode())


def test_a_file_is_written_as_it_is_read() -> None:
    """Reading a file and writing it again gives the same bytes, so digests can be compared."""
    body = (Path(__file__).parents[1] / "replay" / "histories" / "allowed.json").read_bytes()

    assert read_audit_file(body).body() == body


async def test_a_file_that_says_nothing_does_not_pass() -> None:
    """Neither a history nor a ledger: nothing was checked, so nothing is consistent."""
    doc = load("malformed-start") | {"history": None}

    audited = await audit(json.dumps(doc).encode(), workflow_runner())

    assert [str(finding) for finding in audited.findings] == ["file: it has neither a history nor a ledger"]


@pytest.mark.parametrize(
    "history", [{}, {"events": []}, {"events": [{}]}, {"events": "none"}, {"events": [{"eventId": "x"}]}]
)
async def test_what_is_no_history_is_a_finding(history: object) -> None:
    """A history that cannot be read fails the audit without a crash."""
    doc = load("allowed") | {"history": history}

    audited = await audit(json.dumps(doc).encode(), workflow_runner())

    assert any(finding.where.startswith(("history", "event")) for finding in audited.findings)


def test_every_document_that_entries_name_is_found() -> None:
    """The policy that closed the gate is exported next to the one of the assessment."""
    doc = load("dispatch-refused")
    file = AuditFile.model_validate(doc)

    named = named_documents(read_entries(file)[0])

    assert {(item["kind"], item["digest"]) for item in doc["documents"]} == named
    assert sum(kind == "policy" for kind, _ in named) == 2


def test_a_document_that_is_missing_is_named() -> None:
    """Asking for a document that the file lacks says which."""
    with pytest.raises(AuditError, match="the file has no policy sha256:1"):
        GovernedDocuments(()).policy("sha256:1")


@pytest.mark.parametrize(
    ("recorded", "computed", "said"),
    [
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": True}, {"a": 1}, "a is recorded as True, computed as 1"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b is recorded as 1, computed as 2"),
        ({"a": [1, 2]}, {"a": [1]}, "a is recorded as [1, 2], computed as [1]"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a.1 is recorded as 2, computed as 3"),
        ({}, {"a": 1}, "a is computed only"),
        ({"a": 1}, {}, "a is recorded only"),
        (1, None, "the value is recorded as 1, computed as None"),
    ],
)
def test_the_first_difference_is_named(recorded: object, computed: object, said: str | None) -> None:
    """Two JSON values are compared as JSON, and the place is named."""
    assert difference(recorded, computed) == said


def test_a_field_that_came_later_is_no_difference() -> None:
    """What an earlier release recorded lacks a field that has a default today; what nobody knows is a difference."""
    reason = Reason(code="x", message="y")

    assert compare("reason", {"code": "x", "message": "y"}, reason) == []
    assert compare("reason", {"code": "x", "message": "y", "more": 1}, reason) == ["reason: more is recorded only"]
    assert compare("reason", {"code": "x"}, reason)[0].startswith("reason is malformed")


def test_the_example_of_the_specification_is_an_entry() -> None:
    """The example has canonical bytes, the id that the page's formula gives, and the digest that the page names."""
    example = re.search(r"```json\n(.*?)\n```", LEDGER_SPEC, re.DOTALL)
    named = re.search(r"Its digest is `(sha256:[0-9a-f]{64})`", LEDGER_SPEC)
    assert example is not None
    assert named is not None
    body = example[1].encode()
    value = json.loads(body)
    due = value["content"]["due"]

    assert canonical(value) == body
    assert digest(body) == named[1]
    assert value["entry_id"] == entry_id("two-stages", "escalated", due["stage"], due["kind"], due["index"])
    assert set(value) == set(entries(load("two-stages"))[0])
