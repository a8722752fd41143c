"""What makes a proposal the rollback of another, and what the policy asks of it then."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.document import PolicySet
from policy.evaluation import evaluate
from policy.impact import assess
from policy.judging import judge
from policy.observed import HoldFact, RecordedOrder, RecordedStep, UndoneFact
from policy.operations import RiskTier
from policy.rollback import mismatch, rollback_of
from policy.rules.chains import Verdict
from tests.unit.builders import POLICY, T0, a_policy, a_proposal, facts_of, proposal_json, step_json

HOUR = timedelta(hours=1)
AFTER = (
    POLICY
    + b"""  quick: {stages: [{name: quick, requirements: [{groups: [sre]}], deadline: 10m}]}
revocation: {after: {window: 1h, chain: quick}}
"""
)
FREEZE = b"""calendars:
  - {id: frozen, kind: freeze, zone: UTC, start: 2029-12-20T00:00, duration: 30d, rrule: FREQ=YEARLY}
"""
DENIED = AFTER.replace(
    b"rules:\n", b"rules:\n  - {id: never, match: {operations: [pg.reset]}, verdict: deny, reason: never}\n"
)


def done(*names: str, **changes: Any) -> UndoneFact:
    """An action that set these parameters half an hour ago and succeeded."""
    steps = tuple(
        RecordedStep(
            operation="pg.set",
            parameters={"name": name, "value": "8MB"},
            undo=RecordedOrder(operation="pg.reset", parameters={"name": name}),
        )
        for name in names or ("work_mem",)
    )
    known = {
        "proposal_id": "p-0",
        "outcome": "succeeded",
        "ended_at": T0 - HOUR / 2,
        "target": "component:default/orders",
        "environment": "production",
        "resolved": ("pg-orders",),
        "steps": steps,
        "asked_at": T0,
    }
    return UndoneFact.model_validate({**known, **changes})


def undoing(*names: str, **changes: Any) -> dict[str, Any]:
    """The proposal that resets these parameters, in this order."""
    steps = [
        {"name": f"undo-{number}", "operation": "pg.reset", "parameters": {"name": name}}
        for number, name in enumerate(names or ("work_mem",))
    ]
    return {"operation": "pg.reset", "steps": steps, "undoes": "p-0", **changes}


@dataclass(frozen=True)
class Case:
    """A proposal beside what the record has, and a part of why it is no rollback; empty where it is one."""

    why: str = ""
    record: UndoneFact | None = field(default_factory=done)
    proposal: dict[str, Any] = field(default_factory=undoing)


MORE = [step_json("pg.reset", name="more", undo=None)]
SET_AGAIN = {"operation": "pg.set", "parameters": {"name": "work_mem", "value": "8MB"}}
CASES = {
    "the recorded undo": Case(),
    "two undos in reverse order": Case(record=done("work_mem", "jit"), proposal=undoing("jit", "work_mem")),
    "an undo that the step itself undoes": Case(proposal=undoing(steps=[{**undoing()["steps"][0], "undo": SET_AGAIN}])),
    "nobody knows the action": Case("the record has no action p-0", record=None),
    "it has not ended": Case("ended as nothing yet", record=done(outcome=None, ended_at=None)),
    "it was undone when it failed": Case("ended as compensated", record=done(outcome="compensated")),
    "another target": Case("acted on component:default/shop", record=done(target="component:default/shop")),
    "another environment": Case("in staging, not on", record=done(environment="staging")),
    "it resolves to something else": Case("resolves to pg-orders now", record=done(resolved=("pg-old",))),
    "a step without an undo": Case(
        "step 1 of p-0 has no undo", record=done(steps=[{"operation": "pg.set", "parameters": {}}])
    ),
    "two undos in the order of the steps": Case(
        "reverse order", record=done("work_mem", "jit"), proposal=undoing("work_mem", "jit")
    ),
    "another parameter": Case("not the undos of p-0", proposal=undoing("jit")),
    "one step more": Case("not the undos of p-0", proposal=undoing(steps=[*undoing()["steps"], *MORE])),
    "an undo of somebody's own": Case(
        "would be undone by something else",
        proposal=undoing(steps=[{**undoing()["steps"][0], "undo": {**SET_AGAIN, "parameters": {"name": "jit"}}}]),
    ),
    "somebody undid it": Case("is undone by p-9 already", record=done(undone_by=("p-9",))),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_a_rollback(name: str) -> None:
    """Exactly the recorded undos, in reverse order, on the same target, of what succeeded and nobody undid."""
    case = CASES[name]
    found = mismatch(a_proposal(**case.proposal), case.record, ("pg-orders",))
    assert case.why in (found or "")
    assert bool(found) == bool(case.why)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].why])
def test_what_is_none_is_asked_about_as_usual(name: str) -> None:
    """The usual chain, a reason, and a violation: the label lowers nothing."""
    case = CASES[name]
    proposal = a_proposal(**case.proposal)
    found = judge(a_policy(AFTER), proposal, facts_of(proposal, undone=case.record)).evaluation
    assert found.chain_name in ("pair", None)
    assert found.rollback is not None
    assert (found.rollback.verified, found.rollback.violation) == (False, True)
    assert found.reasons[-1].code == "rollback_not_verified"


def asked(policy: bytes, undone: UndoneFact, **changes: Any) -> Any:
    """What a policy answers to a rollback."""
    proposal = a_proposal(**undoing(**changes))
    return judge(a_policy(policy), proposal, facts_of(proposal, undone=undone)).evaluation


def test_a_verified_rollback_asks_the_faster_chain() -> None:
    """In place of the rule's chain, with no reason against it."""
    found = asked(AFTER, done())
    assert (found.verdict, found.chain_name, found.rollback.verified) == (Verdict.require_approval, "quick", True)


@pytest.mark.parametrize(("minutes", "verified"), [(0, True), (59, True), (60, True), (61, False)])
def test_the_window_counts_to_when_it_was_asked_for(minutes: int, verified: bool) -> None:
    """At the end of the window it still counts; a minute later it is a normal proposal, and a violation."""
    found = asked(AFTER, done(ended_at=T0 - timedelta(minutes=minutes)))
    assert (found.rollback.verified, found.rollback.violation) == (verified, not verified)
    assert found.chain_name == ("quick" if verified else "pair")


def test_what_nobody_dated_is_not_within() -> None:
    """Nobody knows when it was first proposed: it is not in time."""
    assert not asked(AFTER, done(asked_at=None)).rollback.verified


def test_a_policy_without_a_window_makes_nobody_a_violator() -> None:
    """The usual chain is asked, and it is said why; an honest label is no violation."""
    found = asked(POLICY, done())
    assert (found.chain_name, found.rollback.verified, found.rollback.violation) == ("pair", False, False)
    assert found.reasons[-1].code == "rollback_not_verified"


def test_a_freeze_does_not_stop_a_rollback_and_stops_what_only_says_so() -> None:
    """A freeze keeps the world as it is known, and so does an undo."""
    frozen = AFTER.replace(b"rules:\n", FREEZE + b"rules:\n")
    assert asked(frozen, done()).chain_name == "quick"
    assert asked(frozen, done(undone_by=("p-9",))).reasons[0].code == "freeze"


def test_nothing_that_denies_is_lifted() -> None:
    """A rule that denies, a limit and a hold stand against a rollback as against anything."""
    assert asked(DENIED, done()).verdict is Verdict.deny
    limited = AFTER.replace(b"limits:\n", b"limits:\n  - {id: few, match: {operations: [pg.reset]}, reason: no}\n")
    assert asked(limited, done()).reasons[0].code == "limit"
    proposal = a_proposal(**undoing())
    held = HoldFact(hold_id="h", target="component:default/orders", proposal_id="p-5", reason="unknown")
    facts = facts_of(proposal, undone=done(), holds=(held,))
    assert judge(a_policy(AFTER), proposal, facts).evaluation.reasons[0].code == "on_hold"


@given(st.integers(0, 180), st.booleans(), st.sampled_from(["succeeded", "compensated", None]))
def test_the_label_changes_no_indicator(minutes: int, undone: bool, outcome: str | None) -> None:
    """Whatever the record says of it, tier, score and floor are those of the same proposal without the label."""
    record = done(ended_at=T0 - timedelta(minutes=minutes), outcome=outcome, undone_by=("p-9",) if undone else ())
    labelled, bare = a_proposal(**undoing()), a_proposal(**undoing(undoes=None))
    policy: PolicySet = a_policy(AFTER)
    one = judge(policy, labelled, facts_of(labelled, undone=record))
    other = judge(policy, bare, facts_of(bare))
    assert one.assessment == other.assessment
    assert (one.evaluation.chain is None) == (other.evaluation.chain is None)
    assert one.evaluation.verdict.strictness >= other.evaluation.verdict.strictness


def test_from_the_command_line_only_a_recorded_undo_has_an_owner() -> None:
    """Who proposes from the command line answers for a recorded undo; for anything else nobody does: denied."""
    cli = {"agent": {"id": "agent:countersign"}, "on_behalf_of": "dan"}
    proposal = a_proposal(**undoing(**cli))
    assert facts_of(proposal, undone=done()).agent_owner == "dan"
    assert facts_of(proposal, undone=done(outcome="compensated")).agent_owner is None
    plain = a_proposal(**cli)
    assert evaluate(a_policy(AFTER), plain, facts_of(plain), assess(plain, facts_of(plain))).verdict is Verdict.deny


def test_what_is_built_from_the_record_is_a_rollback() -> None:
    """Undos in reverse order, themselves undone by the steps where the registry knows that; the record agrees."""
    steps = [step_json(name="one"), step_json(name="two")]
    steps[1]["parameters"] = {"name": "jit", "value": "off"}
    steps[1]["undo"]["parameters"] = {"name": "jit"}
    original = a_proposal(steps=steps)
    value = rollback_of(
        original,
        proposal_id="p-2",
        agent="tuner",
        on_behalf_of="ann",
        because="slower",
        criterion=proposal_json()["success_criteria"][0],
        redo=[True, False],
    )
    record = done(steps=[step.model_dump(mode="json") for step in original.steps])
    proposal = a_proposal(**{**value, "undoes": "p-0"})
    assert [step.parameters["name"] for step in proposal.steps] == ["jit", "work_mem"]
    assert [step.undo is not None for step in proposal.steps] == [False, True]
    assert mismatch(proposal, record, ("pg-orders",)) is None
    assert judge(a_policy(AFTER), proposal, facts_of(proposal, undone=record)).assessment.risk_tier >= RiskTier.low
