"""What an earlier release put on record about items is what it was: it is audited, and not held against anybody."""

from types import SimpleNamespace
from typing import Any, cast

from activities.item_answers import _no_repair
from activities.recomputing_items import Items, _repair
from policy.audit import ReadEntry
from policy.document import read_policy
from policy.items import unresolved_item
from policy.judging import barred
from policy.ledger import EntryKind
from policy.outcome import Outcome
from tests.unit.builders import POLICY, T0, a_proposal
from tests.unit.test_items import DIGEST, _revision


def test_an_item_that_kept_only_those_out_who_may_not_approve_is_audited_as_it_was_opened() -> None:
    rules = read_policy(POLICY)
    revision = _revision(rules)
    run_by = revision.model_copy(update={"facts": revision.facts.model_copy(update={"operators": ("olga",)})})
    today = unresolved_item(a_proposal(), run_by, DIGEST, rules, outcome=Outcome.outcome_unknown, at=T0)
    assert today is not None
    before = today.model_copy(update={"people": barred(run_by.facts, run_by.evaluation)})
    assert before.people != today.people
    case = SimpleNamespace(
        result=SimpleNamespace(outcome=Outcome.outcome_unknown),
        revision=run_by,
        proposal=a_proposal(),
        assessment_digest=DIGEST,
    )
    documents = cast("Any", SimpleNamespace(policy=lambda _: rules))
    for recorded, wrong in ((today, False), (before, False), (before.model_copy(update={"people": ()}), True)):
        content = {"item": recorded.model_dump(mode="json")}
        entry = ReadEntry("e-1", 1, EntryKind.unresolved_opened, T0, late=False, content=content, digest=DIGEST)
        assert bool(Items(documents).opened(entry, cast("Any", case))) is wrong, recorded.people


def test_a_repair_of_which_nobody_asked_when_it_began_is_read_as_it_was_then() -> None:
    rules = read_policy(POLICY)
    item = unresolved_item(a_proposal(), _revision(rules), DIGEST, rules, outcome=Outcome.outcome_unknown, at=T0)
    assert item is not None
    named = {"proposal_id": "p-2", "outcome": "succeeded", "target": item.target, "remedies": item.proposal_id}
    assert [
        _no_repair(item, "p-2", _repair(value, item)) is None
        for value in (named, {**named, "began": None}, {**named, "target": "another", "remedies": None})
    ] == [True, False, False]
