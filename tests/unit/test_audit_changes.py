"""Edits of recorded runs in which something changed while people were asked: each is found, where it was made.

The whole ledger is written anew after each edit, so that nothing but the computation can find it.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from activities.auditing import audit
from policy.canonical import canonical, digest
from tests.unit.tampering import Doc, Edit, answer, chain_again, entries, load, of_entry, position, set_to
from worker import workflow_runner


def _resealed(kind: str, change: Callable[[Any], None], number: int = 1) -> Edit:
    """Change the revision of an entry, and give it the digest that it then has."""

    def changed(entry: Doc) -> None:
        content = entry["content"]
        change(content["revision"])
        name = "assessment_digest" if kind == "assessed" else "digest"
        content[name] = digest(canonical(content["revision"]))

    return of_entry(kind, changed, how="chain", number=number)


def _without(kind: str, found_as: str) -> Edit:
    """Leave an entry out."""

    def edit(doc: Doc) -> str:
        values = entries(doc)
        del values[position(doc, kind)]
        chain_again(doc, values)
        return found_as

    return edit


def _no_voids(revision: Any) -> None:
    revision["superseded"]["voided"] = []


def _other_ballot(entry: Doc) -> None:
    entry["content"]["ballots"][0]["groups"] = ["oncall"]


EDITS: dict[str, tuple[str, Edit]] = {
    "what changed": ("superseded", _resealed("assessed", set_to("superseded.changes", ["nothing much"]), 2)),
    "whose votes are void": ("superseded", _resealed("assessed", _no_voids, 2)),
    "which rule decided": ("superseded", _resealed("assessed", set_to("superseded.rule", "chain_changed"), 2)),
    "the number of the revision": ("superseded", _resealed("assessed", set_to("revision", 3), 2)),
    "the absolute deadline of the revision": (
        "superseded",
        _resealed("assessed", set_to("absolute_deadline", "2099-01-01T00:00:00Z"), 2),
    ),
    "how often it was void": ("released", _resealed("assessed", set_to("voids", 0), 2)),
    "that it was held": ("released", _resealed("assessed", set_to("held", False), 2)),
    "the ids that it resolved to": (
        "superseded",
        _resealed("assessed", set_to("facts.resolved_ids", ["postgres/orders"]), 2),
    ),
    "which votes are kept": ("given-back", of_entry("votes_kept", set_to("content.decisions", []), how="chain")),
    "what a vote that is kept counts as": ("given-back", of_entry("votes_kept", _other_ballot, how="chain")),
    "that votes are kept": ("given-back", _without("votes_kept", "revision 2: no entry says which votes it keeps")),
    "that the gate had closed": ("given-back", _without("dispatch_refused", "no gate had closed")),
    "what was measured": ("remeasured", _resealed("remeasured", set_to("assessment.risk_score", 1))),
    "that nothing material changed": (
        "remeasured",
        of_entry("remeasured", set_to("content.drift.changes", []), how="chain"),
    ),
    "with what it was compared": (
        "remeasured",
        of_entry("remeasured", set_to("content.base.revision", 2), how="chain"),
    ),
    "that the effect is gone": (
        "vanished",
        of_entry("remeasured", set_to("content.drift.kind", "immaterial"), how="chain"),
    ),
    "the plan that the workflow was told": ("superseded", answer("advance", set_to("plan.risk_score", 1))),
    "that there is another plan": ("given-back", answer("advance", set_to("plan", None))),
}


@pytest.mark.parametrize("name", ["remeasured", "superseded", "given-back", "vanished", "released"])
async def test_a_ledger_that_is_only_written_anew_has_no_finding(name: str) -> None:
    """What is found below is what was edited."""
    doc = load(name)
    chain_again(doc, entries(doc))
    assert (await audit(json.dumps(doc).encode(), workflow_runner())).findings == ()


@pytest.mark.parametrize("what", EDITS)
async def test_an_edit_of_what_changed_is_named(what: str) -> None:
    """A verifier computes what changed, which votes are void or kept, and what is held, and sees where it differs."""
    name, edit = EDITS[what]
    doc = load(name)
    expected = edit(doc)
    texts = [str(item) for item in (await audit(json.dumps(doc).encode(), workflow_runner())).findings]
    assert any(expected in text for text in texts), (expected, texts)
