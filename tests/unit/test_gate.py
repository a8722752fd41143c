"""The gate: it holds for one set of inputs, and each single change closes it for its own reason."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from policy.base import Reason
from policy.document import Verdict
from policy.gate import DispatchInputs, curable, may_dispatch, may_undo
from policy.observed import HoldFact
from policy.operations import RiskTier
from policy.outcome import EffectReport, Measurement, StepRecord
from policy.people.facts import PersonFacts
from policy.rules.chains import ApprovalChain
from tests.unit.builders import T0, a_ballot, a_case, at, stage

_STAGES = (stage("ops", name="first"), stage("dba", name="second"))
_CASE = a_case(*_STAGES, ballots=(a_ballot("ann", "approve", 5), a_ballot("cleo", "approve", 6, "dba", number=2)))
_HOLD = HoldFact(hold_id="h", target="t", proposal_id="p-0", reason="unknown outcome")


def _report(status: Any = "succeeded", effect: Any = "done", met: bool | None = True) -> EffectReport:
    measured = (Measurement(probe="pg.setting", met=met),)
    return EffectReport(
        permit_id="x", status=status, effect=effect, measurements=measured, started_at=T0, finished_at=T0
    )


def _step(
    step: int, direction: Literal["do", "undo"] = "do", use: Any = "claimed", report: EffectReport | None = None
) -> StepRecord:
    return StepRecord(step=step, direction=direction, use=use, report=report)


_REHEARSED = _report(effect="none", met=None).model_copy(update={"dry_run": True, "measurements": ()})
_FAILED = _REHEARSED.model_copy(update={"status": "failed"})
_DONE = _step(1, report=_report())


def _undo(step: int, report: EffectReport | None) -> StepRecord:
    return _step(step, "undo", "claimed" if report else "unused", report)


def _today(**people: str) -> dict[str, PersonFacts]:
    """What the directory says today: the groups of each person, separated by spaces."""
    return {name: PersonFacts(person_id=name, groups=tuple(groups.split())) for name, groups in people.items()}


def _acted_for(delegator: str) -> Any:
    """The case in which cleo acted for somebody."""
    ann, cleo = _CASE.ballots
    return _CASE.model_copy(update={"ballots": (ann, cleo.model_copy(update={"delegator": delegator}))})


def _inputs(**changes: Any) -> DispatchInputs:
    """Step 2 of 2 of an approved action, everything as it was when it was approved."""
    values: dict[str, Any] = {
        "proposal_id": "p-1",
        "revision": 1,
        "step": 2,
        "steps": 2,
        "now": at(10),
        "absolute_deadline": at(1000),
        "resolution": "approved",
        "assessed_verdict": Verdict.require_approval,
        "verdict_now": Verdict.require_approval,
        "assessed_tier": RiskTier.medium,
        "tier_now": RiskTier.medium,
        "chain_now": _CASE.chain,
        "assessed_resolved": ("pg-orders",),
        "resolved_now": ("pg-orders",),
        "case": _CASE,
        "people_now": _today(ann="ops", cleo="dba new"),
        "records": (_DONE,),
        **changes,
    }
    return DispatchInputs(**values)


HOLDS: dict[str, dict[str, Any]] = {
    "as approved": {},
    "at the absolute deadline": {"now": at(1000)},
    "days after the votes": {"now": at(999)},
    "an action that was allowed": {
        "assessed_verdict": Verdict.allow,
        "verdict_now": Verdict.allow,
        "case": None,
        "chain_now": None,
    },
    "a policy that is milder now": {"verdict_now": Verdict.allow, "chain_now": None},
    "a hold that its people released": {"assessed_verdict": Verdict.hold, "verdict_now": Verdict.hold},
    "a hold that only needs approval now": {"assessed_verdict": Verdict.hold},
    "a hold of the policy that remedies a hold of the target": {
        "assessed_verdict": Verdict.hold,
        "verdict_now": Verdict.hold,
        "remedies": "p-0",
        "holds": (_HOLD,),
    },
    "a tier that is lower now": {"tier_now": RiskTier.low},
    "a hold that this action remedies": {"remedies": "p-0", "holds": (_HOLD,)},
    "somebody who may still act for another": {
        "case": _acted_for("dan"),
        "people_now": {**_today(ann="ops", cleo=""), "cleo for dan": PersonFacts(person_id="cleo", groups=("dba",))},
    },
    "a record that kept groups only": {"people_now": None, "groups_now": {"ann": ("ops",), "cleo": ("dba", "new")}},
    "a directory at the age that the policy takes": {"directory_at": at(9), "directory_seconds": 60},
    "a directory of any age": {"directory_at": None, "directory_seconds": None},
    "the first step": {"step": 1, "records": ()},
    "somebody else stands behind it now": {"requesters_now": ("dan",)},
}

CLOSES: dict[str, tuple[dict[str, Any], str]] = {
    "step zero": ({"step": 0}, "unknown_step"),
    "a step too many": ({"step": 3, "records": (_DONE, _step(2, report=_report()))}, "unknown_step"),
    "it has its result": ({"closed": True}, "already_closed"),
    "it is not resolved": ({"resolution": None}, "not_approved"),
    "it was denied": ({"resolution": "denied"}, "not_approved"),
    "it was stopped": ({"stop": "withdrawn"}, "withdrawn"),
    "the absolute deadline has passed": ({"now": at(1000) + timedelta(microseconds=1)}, "past_deadline"),
    "the policy denies it now": (
        {"verdict_now": Verdict.deny, "reasons_now": (Reason(code="limit", message="closed"),)},
        "policy_stricter",
    ),
    "the policy asks people now": (
        {"assessed_verdict": Verdict.allow, "case": None},
        "policy_stricter",
    ),
    "the policy holds it now": ({"verdict_now": Verdict.hold}, "policy_stricter"),
    "the policy holds it for other people now": (
        {
            "assessed_verdict": Verdict.hold,
            "verdict_now": Verdict.hold,
            "chain_now": a_case(stage("sre")).chain,
        },
        "chain_changed",
    ),
    "a hold that nobody released": (
        {"assessed_verdict": Verdict.hold, "verdict_now": Verdict.allow, "case": None},
        "no_case",
    ),
    "the policy asks other people now": ({"chain_now": a_case(stage("sre")).chain}, "chain_changed"),
    "who is asked now was left out": ({"chain_now": None}, "chain_changed"),
    "something that the policy lists changed": ({"material_now": ("the score is higher",)}, "material_change"),
    "another revision has a permit": ({"permitted_revisions": (2,)}, "permitted_before"),
    "it is riskier now": ({"tier_now": RiskTier.high}, "risk_higher"),
    "how risky it is now was left out": ({"tier_now": None}, "risk_higher"),
    "how risky it was is not known": ({"assessed_tier": None}, "risk_higher"),
    "it was assessed as denied": ({"assessed_verdict": Verdict.deny, "verdict_now": Verdict.deny}, "denied"),
    "an approver has left": ({"people_now": _today(ann="ops")}, "approval_lapsed"),
    "an approver has left the group": ({"people_now": _today(ann="dba", cleo="dba")}, "approval_lapsed"),
    "an approver joined the group only now": (
        {
            "people_now": _today(ann="ops", cleo="dba"),
            "case": a_case(
                *_STAGES, ballots=(a_ballot("ann", "approve", 5), a_ballot("cleo", "approve", 6, "x", number=2))
            ),
        },
        "approval_lapsed",
    ),
    "an approver may not act for another any more": (
        {"case": _acted_for("dan"), "people_now": _today(ann="ops", cleo="dba", dan="dba")},
        "approval_lapsed",
    ),
    "an approver has left, in a record that kept groups only": (
        {"people_now": None, "groups_now": {"ann": ("ops",)}},
        "approval_lapsed",
    ),
    "the directory is older than the policy takes": (
        {"directory_at": at(9) - timedelta(microseconds=1), "directory_seconds": 60},
        "directory_stale",
    ),
    "nobody knows how old the directory is": ({"directory_seconds": 60}, "directory_stale"),
    "an approver stands behind it now": ({"requesters_now": ("cleo",)}, "approval_lapsed"),
    "nobody has voted": ({"case": a_case(*_STAGES)}, "approval_lapsed"),
    "somebody denied": (
        {"case": a_case(*_STAGES, ballots=(a_ballot("bob", "deny", 4), *_CASE.ballots))},
        "approval_lapsed",
    ),
    "who denied has left": (
        {"case": a_case(*_STAGES, ballots=(a_ballot("gone", "deny", 4), *_CASE.ballots))},
        "approval_lapsed",
    ),
    "the target resolves to nothing": ({"resolved_now": ()}, "unresolved_target"),
    "it resolved to nothing before": ({"resolved_now": (), "assessed_resolved": ()}, "unresolved_target"),
    "the target resolves to something else": ({"resolved_now": ("pg-shop",)}, "target_changed"),
    "the target resolves to more": ({"resolved_now": ("pg-orders", "pg-shop")}, "target_changed"),
    "a hold": ({"holds": (_HOLD,)}, "on_hold"),
    "a hold of another action": ({"remedies": "p-9", "holds": (_HOLD,)}, "on_hold"),
    "a hold that no action left": (
        {"remedies": "p-0", "holds": (_HOLD.model_copy(update={"proposal_id": None}),)},
        "on_hold",
    ),
    "an earlier step was not begun": ({"records": ()}, "step_order"),
    "an earlier step has not reported": ({"records": (_step(1),)}, "step_order"),
    "an earlier step failed": ({"records": (_step(1, report=_report("failed")),)}, "step_order"),
    "an earlier step did nothing": ({"records": (_step(1, report=_report(effect="none")),)}, "step_order"),
    "an earlier step was measured to have failed": ({"records": (_step(1, report=_report(met=False)),)}, "step_order"),
    "compensation has begun": ({"records": (_DONE, _step(1, "undo"))}, "compensating"),
}


@pytest.mark.parametrize("changes", HOLDS.values(), ids=HOLDS)
def test_gate_holds(changes: dict[str, Any]) -> None:
    """Where everything is as it was approved, there is no reason against."""
    assert may_dispatch(_inputs(**changes)) == ()


@pytest.mark.parametrize(("changes", "code"), CLOSES.values(), ids=CLOSES)
def test_gate_closes(changes: dict[str, Any], code: str) -> None:
    """One thing that is not as it was closes the gate, for exactly that reason."""
    assert {reason.code for reason in may_dispatch(_inputs(**changes))} == {code}


CURABLE: dict[str, tuple[dict[str, Any], bool]] = {
    "the policy holds it now": ({"verdict_now": Verdict.hold}, True),
    "other people are asked now": ({"chain_now": a_case(stage("sre")).chain}, True),
    "it is riskier now": ({"tier_now": RiskTier.high}, True),
    "something that the policy lists changed": ({"material_now": ("the score is higher",)}, True),
    "it resolves to something else": ({"resolved_now": ("pg-shop",)}, True),
    "an approver has left": ({"people_now": _today(ann="ops")}, True),
    "the policy asks people now": ({"assessed_verdict": Verdict.allow, "case": None}, True),
    "several of these at once": ({"tier_now": RiskTier.high, "resolved_now": ("pg-shop",)}, True),
    "the policy denies it now": ({"verdict_now": Verdict.deny, "chain_now": None}, False),
    "it is riskier now, and a hold lies on it": ({"tier_now": RiskTier.high, "holds": (_HOLD,)}, False),
    "it resolves to nothing": ({"resolved_now": ()}, False),
    "it was stopped": ({"stop": "withdrawn", "tier_now": RiskTier.high}, False),
    "the absolute deadline has passed": ({"now": at(1001), "tier_now": RiskTier.high}, False),
    "nothing closes it": ({}, False),
    "a permit of it was issued": ({"tier_now": RiskTier.high, "records": (_step(1, use="unused"),)}, False),
    "a permit of another revision was issued": ({"permitted_revisions": (2,)}, False),
    "it is about a later step": ({"step": 2, "tier_now": RiskTier.high}, False),
}


@pytest.mark.parametrize(("changes", "wanted"), CURABLE.values(), ids=CURABLE)
def test_what_people_can_cure(changes: dict[str, Any], wanted: bool) -> None:
    """People are asked again about what is another question now, while no permit was issued; about nothing else."""
    inputs = _inputs(**{"step": 1, "records": (), **changes})
    assert curable(inputs, may_dispatch(inputs)) is wanted


def test_approval_without_a_case() -> None:
    """Where approval was required, a record without a case approves nothing."""
    reasons = may_dispatch(_inputs(case=None))
    assert {reason.code for reason in reasons} == {"no_case", "chain_changed"}


def test_an_allowed_action_does_not_touch_what_is_held() -> None:
    """Repairing what is held needs people, also where the hold came after the assessment."""
    allowed = {"assessed_verdict": Verdict.allow, "verdict_now": Verdict.allow, "case": None, "chain_now": None}
    reasons = may_dispatch(_inputs(**allowed, remedies="p-0", holds=(_HOLD,)))
    assert [reason.code for reason in reasons] == ["on_hold"]


@pytest.mark.parametrize(
    ("dry_run", "report", "holds"),
    [(True, _REHEARSED, True), (True, _report(), False), (False, _REHEARSED, False), (True, _FAILED, False)],
    ids=["rehearsed", "done in a dry run", "rehearsed in a real action", "not rehearsed"],
)
def test_a_dry_run_goes_on_by_rehearsals_and_nothing_else_does(
    dry_run: bool, report: EffectReport, holds: bool
) -> None:
    """The next step of a dry run needs a rehearsal of the one before it, that of a real action its effect."""
    found = may_dispatch(_inputs(dry_run=dry_run, records=(_step(1, report=report),)))
    assert [reason.code for reason in found] == ([] if holds else ["step_order"])


def test_every_reason_is_named() -> None:
    """Whatever is wrong at once is all said at once, in words."""
    found = may_dispatch(_inputs(closed=True, resolution=None, stop="withdrawn", resolved_now=(), holds=(_HOLD,)))
    assert [reason.code for reason in found] == [
        "already_closed",
        "not_approved",
        "withdrawn",
        "unresolved_target",
        "on_hold",
    ]
    assert all(len(reason.message) > 10 for reason in found)


UNDO: dict[str, tuple[tuple[StepRecord, ...], dict[str, bool], str | None]] = {
    "the step failed": ((_step(1, report=_report("failed")),), {}, None),
    "a criterion was not met": ((_step(1, report=_report(met=False)),), {}, None),
    "a later step failed": ((_DONE, _step(2, report=_report("failed"))), {}, None),
    "a later step was refused by its executor": ((_DONE, _step(2, report=_report("unknown", "none", None))), {}, None),
    "a later permit is void": ((_DONE, _step(2, use="void")), {}, None),
    "a later permit expired": ((_DONE, _step(2, use="unused")), {"expired": True}, None),
    "somebody stopped it": ((_DONE,), {"stopped": True}, None),
    "the gate closed": ((_DONE,), {"dispatch_refused": True}, None),
    "nothing has gone wrong": ((_DONE,), {}, "no_cause_to_undo"),
    "the next step runs": ((_DONE, _step(2)), {}, "no_cause_to_undo"),
    "the next step runs and somebody stopped it": ((_DONE, _step(2)), {"stopped": True}, "later_step_open"),
    "the next step was done and is not undone": (
        (_DONE, _step(2, report=_report("failed")), _undo(2, None)),
        {},
        "later_step_open",
    ),
    "the next step was done and is undone": (
        (_DONE, _step(2, report=_report("failed")), _undo(2, _report("succeeded"))),
        {},
        None,
    ),
    "nobody knows what the next step did": (
        (_DONE, _step(2, report=_report("unknown", "unknown", None)), _undo(2, None)),
        {"stopped": True},
        "later_step_open",
    ),
    "the undo of the next step failed": (
        (_DONE, _step(2, report=_report("failed")), _undo(2, _report("failed"))),
        {},
        None,
    ),
    "nothing was begun": ((), {"stopped": True}, "nothing_to_undo"),
    "the step has not reported": ((_step(1),), {"stopped": True}, "nothing_to_undo"),
    "the step did nothing": ((_step(1, report=_report("failed", "none")),), {}, "nothing_to_undo"),
    "nobody knows what the step did": ((_step(1, report=_report("unknown", "unknown")),), {}, "nothing_to_undo"),
}


@pytest.mark.parametrize(("records", "causes", "code"), UNDO.values(), ids=UNDO)
def test_undo(records: tuple[StepRecord, ...], causes: dict[str, bool], code: str | None) -> None:
    """An undo permit may be claimed where something was done and the record shows a cause."""
    found = may_undo(1, records, **{"stopped": False, "dispatch_refused": False, **causes})
    assert [reason.code for reason in found] == ([code] if code else [])


# What the stage keeps apart, ann then, and whether the gate closes: today she is in red and below cleo.
MOVED: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "into the team of who asks": ({"outside_team": 1}, {"teams": ("blue",)}, True),
    "where no team is kept out": ({}, {"teams": ("blue",)}, False),
    "below who approved beside her": ({"separate_lines": True}, {}, True),
    "where no lines are kept apart": ({}, {}, False),
}


@pytest.mark.parametrize(("rules", "then", "closes"), MOVED.values(), ids=MOVED)
def test_who_moved_meanwhile(rules: dict[str, Any], then: dict[str, Any], closes: bool) -> None:
    """Teams and lines that are kept apart have to be so when a vote is given, and when a permit is asked for."""
    ballots = (a_ballot("ann", "approve", 5).model_copy(update=then), a_ballot("cleo", "approve", 6, "dba"))
    case = a_case(stage("ops", "dba", **rules), ballots=ballots, teams=("red",))
    ann = PersonFacts(person_id="ann", groups=("ops",), teams=("red",), managers=("cleo",))
    people = {"ann": ann, "cleo": PersonFacts(person_id="cleo", groups=("dba",))}
    found = may_dispatch(_inputs(case=case, chain_now=case.chain, people_now=people))
    assert [reason.code for reason in found] == (["approval_lapsed"] if closes else [])


def test_a_vote_does_not_say_since_when_its_author_is_there() -> None:
    """A compromised control worker makes a newcomer an old hand; the directory says since when."""
    chain = ApprovalChain(stages=(stage("ops", newcomer_wait=timedelta(days=7)),))
    old, new = {"person": at(-100000), "group ops": at(-100000)}, {"person": at(-100000), "group ops": at(-60)}
    ballot = a_ballot("ann", "approve", 1).model_copy(update={"since": old})
    case = a_case(*chain.stages, ballots=(ballot,))
    today = {"ann": PersonFacts(person_id="ann", groups=("ops",), since=new)}
    kept = {"ann": PersonFacts(person_id="ann", groups=("ops",), since=old)}
    assert may_dispatch(_inputs(case=case, chain_now=chain, people_now=kept)) == ()
    (found,) = may_dispatch(_inputs(case=case, chain_now=chain, people_now=today))
    assert found.code == "approval_lapsed"
