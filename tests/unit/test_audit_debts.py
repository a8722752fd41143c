"""Edits of what an action owes: revocations, labels, reviews, offers, and what people say after its end; each is found
and named.
"""

import copy
import json

import pytest

from activities.auditing import audit
from tests.unit.tampering import Doc, Edit, chain_again, entries, load, named, of_entry, position, set_to
from worker import workflow_runner


def _drop(kind: str) -> Edit:
    """Leave an entry out, with the chain written anew."""

    def edit(doc: Doc) -> str:
        values = entries(doc)
        del values[position(doc, kind)]
        chain_again(doc, values)
        return ""

    return edit


CASES: dict[str, tuple[str, Edit]] = {
    "who revoked": ("revoked", of_entry("stopped", set_to("content.actor", "person:carol"), how="chain")),
    "why it was revoked": ("revoked", of_entry("stopped", set_to("content.why", "for fun"), how="chain")),
    "the decision it rests on": (
        "revoked",
        of_entry("stopped", set_to("content.decision_id", "erin-revoke-1"), how="chain"),
    ),
    "a revocation made a withdrawal": (
        "revoked",
        named("stopped is True", of_entry("stopped", set_to("content.kind", "withdrawn"), how="chain")),
    ),
    "a revocation left out": ("revoked", _drop("stopped")),
    "a refused revocation made one that counts": (
        "revoked",
        of_entry("decision_refused", set_to("kind", "decision_counted"), how="chain"),
    ),
    "why a label is a violation": (
        "rolled-back-wrongly",
        of_entry("violation", set_to("content.why", "a slip"), how="chain"),
    ),
    "a violation left out": ("rolled-back-wrongly", _drop("violation")),
    "when what is undone ended": (
        "rolled-back",
        of_entry(
            "assessed", set_to("content.revision.facts.observed.undone.ended_at", "2020-01-01T00:00:00Z"), how="chain"
        ),
    ),
    "what the undone action did": (
        "rolled-back",
        of_entry("assessed", set_to("content.revision.facts.observed.undone.steps.0.undo.parameters", {}), how="chain"),
    ),
    "who owes a review": (
        "glass-broken",
        of_entry("review_opened", set_to("content.review.people", ["person:bob"]), how="chain"),
    ),
    "until when a review is due": (
        "glass-broken",
        of_entry("review_opened", set_to("content.review.due_at", "2099-01-01T00:00:00Z"), how="chain"),
    ),
    "a review left out": ("glass-broken", _drop("review_opened")),
    "who may say how it ended": (
        "settled",
        of_entry("unresolved_opened", set_to("content.item.people", []), how="chain"),
    ),
    "until when it is to be resolved": (
        "settled",
        of_entry("unresolved_opened", set_to("content.item.due_at", "2099-01-01T00:00:00Z"), how="chain"),
    ),
    "what was found": (
        "settled",
        of_entry("item_decided", set_to("content.submission.found", "done"), how="chain", number=2),
    ),
    "a refused statement made one that counts": (
        "settled",
        of_entry("item_decided", set_to("content.receipt.counted", True), how="chain"),
    ),
    "what it was closed by": (
        "settled",
        of_entry("unresolved_closed", set_to("content.found", "done"), how="chain"),
    ),
    "who settled it": ("settled", of_entry("unresolved_closed", set_to("content.by", ["person:bob"]), how="chain")),
    "how it ended": (
        "settled",
        of_entry("amended", set_to("content.finding.outcome", "succeeded"), how="chain"),
    ),
    "the incident": ("settled", of_entry("amended", set_to("content.finding.incident", None), how="chain", number=2)),
    "what it was before": ("settled", of_entry("amended", set_to("content.was", "succeeded"), how="chain", number=2)),
    "an amendment left out": ("settled", _drop("amended")),
    "an undo that was not tried": (
        "stopped-at-failed-undo",
        of_entry("recorded", set_to("content.each_undo", False), how="chain"),
    ),
    "what is offered": (
        "offered",
        of_entry("offered", set_to("content.considered.0.offer.proposal.rationale", "harmless"), how="chain"),
    ),
    "that nothing is offered": (
        "offered",
        of_entry("offered", set_to("content.considered.0.offer", None), how="chain"),
    ),
    "an offer left out": ("offered", _drop("offered")),
}


@pytest.mark.parametrize("what", CASES)
async def test_an_edit_of_what_is_owed_is_found(what: str) -> None:
    """A single edit, with the chain mended behind it, is a finding that names the entry."""
    name, edit = CASES[what]
    doc = load(name)
    before = copy.deepcopy(doc)
    expected = edit(doc)
    assert doc != before
    found = [str(finding) for finding in (await audit(json.dumps(doc).encode(), workflow_runner())).findings]
    assert any(expected in text for text in found), found
