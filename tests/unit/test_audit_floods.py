"""One edit at a time in what was recorded under a flood: the audit names it."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.auditing import audit
from activities.calls import Call
from activities.explaining import explain_entries
from activities.replaying import Event
from policy.audit import AuditFile, ReadEntry
from policy.ledger import EntryKind
from tests.unit.tampering import (
    Edit,
    answer,
    chain_again,
    entries,
    event,
    in_payload,
    load,
    name_of,
    of_entry,
    said,
    set_to,
)
from worker import workflow_runner


def _carried(path: str, value: Any) -> Edit:
    """Change what the run before handed over."""

    def edit(doc: Any) -> str:
        started = event(doc, "WORKFLOW_EXECUTION_STARTED")
        payloads = said(started)["input"]["payloads"]
        in_payload({"payloads": payloads[1:]}, set_to(path, value))
        return name_of(started)

    return edit


def _handed_over(path: str, value: Any) -> Edit:
    """Change what a run hands to the next one."""

    def edit(doc: Any) -> str:
        last = event(doc, "WORKFLOW_EXECUTION_CONTINUED_AS_NEW")
        in_payload({"payloads": said(last)["input"]["payloads"][1:]}, set_to(path, value))
        return name_of(last)

    return edit


# name: which recorded file, and the edit
EDITS: dict[str, tuple[str, Edit]] = {
    "a receipt of a batch": ("batch", answer("take_decisions", set_to("receipts.0.code", "expired"))),
    "a receipt of a batch made a vote": ("batch", answer("take_decisions", set_to("receipts.0.counted", True))),
    "the standing after a batch": ("batch", answer("take_decisions", set_to("resolution", "denied"))),
    "a receipt missing from a batch": (
        "batch",
        answer("take_decisions", lambda value: {**value, "receipts": value["receipts"][1:]}),
    ),
    "an entry of a batch, chain mended": (
        "batch",
        of_entry("decision_counted", set_to("content.arrival", 77), how="chain"),
    ),
    "the ledger that a run knew": ("continued-as-new", _carried("entry.digest", "sha256:" + "0" * 64)),
    "a number that is handed over": ("continued-as-new-before", _handed_over("arrived", 3)),
    "a vote that is handed over": ("continued-as-new-before", _handed_over("receipts.0.counted", False)),
    "which action to wait for": ("collapsed", answer("assess", set_to("result.see", "another"))),
    "why it was not admitted": ("not-admitted", answer("assess", set_to("result.reasons.0.message", "no"))),
    "how many waited, chain mended": (
        "not-admitted",
        of_entry("admission_refused", set_to("content.counted.0.pending", 0), how="chain"),
    ),
    "which refusal it is, chain mended": (
        "not-admitted",
        of_entry("admission_refused", set_to("content.number", 21), how="chain"),
    ),
    "the effect that is pending, chain mended": (
        "collapsed",
        of_entry("admission_refused", set_to("content.see", None), how="chain"),
    ),
}


@pytest.mark.parametrize("name", ["batch", "continued-as-new", "continued-as-new-before", "collapsed", "not-admitted"])
async def test_an_untouched_file_passes(name: str) -> None:
    """A file that was only written anew has no finding."""
    doc = load(name)
    chain_again(doc, entries(doc))
    assert (await audit(json.dumps(doc).encode(), workflow_runner())).findings == ()


@pytest.mark.parametrize("what", EDITS)
async def test_an_edit_is_named(what: str) -> None:
    """A single edit is found, and the finding names the event or the entry."""
    name, edit = EDITS[what]
    doc = load(name)
    before = copy.deepcopy(doc)
    expected = edit(doc)
    assert doc != before
    found = [str(finding) for finding in (await audit(json.dumps(doc).encode(), workflow_runner())).findings]
    assert any(expected in text for text in found), (expected, found)


@pytest.mark.parametrize(("told", "found"), [(4, 0), (3, 1)])
def test_a_count_that_a_dropped_task_wrote_is_a_note(told: int, found: int) -> None:
    """A later call that counts at least as many took the same refusals again; one that does not explains nothing."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    later = at + timedelta(seconds=2)
    asked: dict[str, Any] = {"unlisted": {"unknown_person": 60}, "messages": []}
    call = Call(
        "take_decisions", asked, {"unlisted": {"unknown_person": told}}, "event 9", ((later, later),), began=later
    )
    events = [
        Event(1, "WORKFLOW_EXECUTION_STARTED", at, None, b""),
        Event(9, "WORKFLOW_EXECUTION_COMPLETED", later, None, b""),
    ]
    content = {"count": 70, "codes": {"unknown_person": 70}}
    kind, when = EntryKind.refusals_unlisted, at + timedelta(seconds=1)
    entry = ReadEntry("id", 7, kind, when, late=False, content=content, digest="sha256:0")
    findings, notes = explain_entries(AuditFile.model_validate(load("batch")), events, [call], [entry])
    assert (len(findings), len(notes)) == (found, 1 - found)
