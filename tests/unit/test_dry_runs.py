"""What a dry run is to the pure part: a mark on permits, an end without an effect, and a proof of one thing."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from cli import render, timeline
from policy.audit_entries import check_report
from policy.outcome import EffectReport, Outcome, Rehearsal, StepRecord, conclude
from policy.permit import Direction, Permit, order_digest, permit_id
from policy.proofs import Assurance
from policy.proposal import effect_digest, receive
from policy.result import next_action
from tests.unit.builders import T0, proposal_json

_DIGEST = "sha256:" + "0" * 64
_PASSED = Rehearsal(direction="do", operation="pg.set", passed=True, message="would set it")
_UNDO = Rehearsal(direction="undo", operation="pg.reset", passed=True, message="would reset it")


def _report(**changes: Any) -> EffectReport:
    said: dict[str, Any] = {"permit_id": "x", "status": "succeeded", "effect": "none", "message": "would set it"}
    said |= {"started_at": T0, "finished_at": T0, "dry_run": True, "rehearsals": (_PASSED, _UNDO)}
    return EffectReport(**said | changes)


def _record(
    step: int, report: EffectReport | None = None, direction: Literal["do", "undo"] = "do", use: Any = "claimed"
) -> StepRecord:
    return StepRecord(step=step, direction=direction, use=use, report=report)


_WELL = _record(1, _report())
_VOID = _record(1, direction="undo", use="void")
_ENDS: dict[str, tuple[tuple[StepRecord, ...], Outcome, list[str]]] = {
    "nothing was claimed": ((_record(1, use="void"),), Outcome.not_executed, ["not_executed"]),
    "both steps went well": ((_WELL, _VOID, _record(2, _report())), Outcome.not_executed, ["rehearsed", "rehearsed"]),
    "the second one failed": (
        (_WELL, _record(2, _report(status="failed"))),
        Outcome.not_executed,
        ["rehearsal_failed"],
    ),
    "the second one left no report": ((_WELL, _record(2)), Outcome.not_executed, ["rehearsal_failed"]),
    "it was stopped after the first one": ((_WELL, _record(2, use="void")), Outcome.not_executed, ["rehearsal_failed"]),
    "a report of something that is none": (
        (_WELL, _record(2, _report(dry_run=False))),
        Outcome.not_executed,
        ["rehearsal_failed"],
    ),
    "something was done": ((_WELL, _record(2, _report(effect="done"))), Outcome.outcome_unknown, ["effect_unknown"]),
    "nobody knows": (
        (_WELL, _record(2, _report(status="unknown", effect="unknown"))),
        Outcome.outcome_unknown,
        ["effect_unknown"],
    ),
    "something was undone": ((_WELL, _record(1, None, "undo")), Outcome.outcome_unknown, ["effect_unknown"]),
}


@pytest.mark.parametrize(("records", "outcome", "codes"), _ENDS.values(), ids=_ENDS.keys())
@pytest.mark.parametrize("stopped", [True, False])
def test_how_a_dry_run_ends(records: tuple[StepRecord, ...], outcome: Outcome, codes: list[str], stopped: bool) -> None:
    """It is never a success, a compensation or a question to people, however it went."""
    found, reasons = conclude(records, 2, stopped_to_ask=stopped, dry_run=True)
    assert (found, [reason.code for reason in reasons]) == (outcome, codes)


def test_a_rehearsal_is_no_success_of_the_real_action() -> None:
    """The report of a dry run under a real permit leaves the step undone, and the action is not executed."""
    found, reasons = conclude((_WELL,), 1, stopped_to_ask=False)
    assert (found, reasons[0].code) == (Outcome.not_executed, "executor_refused")


def test_what_a_platform_can_do_after_a_dry_run() -> None:
    """Nothing where it went well; where it did not, it may be proposed anew."""
    ends = [conclude(records, 1, stopped_to_ask=False, dry_run=True) for records in ((_WELL,), (_record(1),))]
    assert [next_action("approved", *end) for end in ends] == ["none", "propose_anew"]


def test_a_dry_run_is_the_same_effect() -> None:
    """Denying a rehearsal is denying the effect: both have one digest, and two different action digests."""
    real, dry = receive(proposal_json()), receive(proposal_json(dry_run=True))
    assert effect_digest(real.proposal) == effect_digest(dry.proposal)
    assert real.action_digest != dry.action_digest


def _permit(**changes: Any) -> Permit:
    said: dict[str, Any] = {
        "permit_id": permit_id("p-1", 1, 1, Direction.do),
        "proposal_id": "p-1",
        "revision": 1,
        "step": 1,
        "direction": Direction.do,
        "executor": "postgres",
        "operation": "pg.set",
        "parameters": {"name": "work_mem", "value": "64MB"},
        "environment": "production",
        "resolved": ("pg-orders",),
        "timeout_seconds": 30,
        "action_digest": _DIGEST,
        "assessment_digest": _DIGEST,
        "policy_digest": _DIGEST,
        "resolved_digest": _DIGEST,
        "assurance": Assurance.claimed,
        "issued_at": T0,
        "expires_at": T0 + timedelta(minutes=1),
        "dry_run": True,
    }
    return Permit(**said | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "pg.reset"},
        {"parameters": {"name": "work_mem", "value": "65MB"}},
        {"parameters": {"name": "work_mem"}},
        {"environment": "staging"},
        {"resolved": ("pg-orders", "pg-other")},
    ],
)
def test_an_order_is_what_is_done_to_which_ids(changes: dict[str, Any]) -> None:
    """Another operation, parameter, environment or id is another order; who proposed it when is not."""
    same = _permit(proposal_id="p-2", step=3, dry_run=False, issued_at=T0 + timedelta(days=3))
    assert same.order_digest == _permit().order_digest
    assert _permit(**changes).order_digest != _permit().order_digest
    turned = order_digest("production", ("pg-orders",), "pg.set", {"value": "64MB", "name": "work_mem"})
    assert turned == _permit().order_digest


_SAID: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "as it was": ({}, {}, None),
    "it failed": ({}, {"status": "failed", "rehearsals": ()}, None),
    "a real permit": ({"dry_run": False}, {}, "dry_run is True, its permit's is False"),
    "a real report": ({}, {"dry_run": False}, "dry_run is False, its permit's is True"),
    "an effect": ({}, {"effect": "done"}, "with an effect or a measurement"),
    "nothing was rehearsed": ({}, {"rehearsals": (_UNDO,)}, "without a rehearsal of the step"),
    "its undo failed": (
        {},
        {"rehearsals": (_PASSED, _UNDO.model_copy(update={"passed": False}))},
        "with a rehearsal that failed",
    ),
}


@pytest.mark.parametrize(("permit", "report", "wrong"), _SAID.values(), ids=_SAID.keys())
def test_an_auditor_holds_a_report_to_its_permit(
    permit: dict[str, Any], report: dict[str, Any], wrong: str | None
) -> None:
    """A dry run is reported only where it was permitted, without an effect, and as having gone well only if it did."""
    issued = _permit(**permit)
    said = _report(permit_id=issued.permit_id, **report)
    content = {"revision": 1, "step": 1, "direction": "do", "action_digest": _DIGEST}
    found = check_report(issued, said, content)
    assert any(wrong in item for item in found) if wrong else found == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_shown_of_it_is_marked(dry_run: bool) -> None:
    """The head line, the result and the entries about what is permitted and how it ended say it first."""
    status = {"proposal_id": "p-1", "revision": 1, "state": "pending", "resolution": None, "risk_tier": None}
    result: dict[str, Any] = {"resolution": "approved", "outcome": "not_executed", "next_action": "none", "reasons": []}
    result |= {"decided_by": [], "assurance": "claimed", "dry_run": dry_run}
    result |= {"timings": {"proposed_at": "2030-01-31T09:00:00Z", "finished_at": "2030-01-31T09:00:01Z"}}
    permits = [_permit(dry_run=dry_run).model_dump(mode="json")]
    contents = {"dispatched": {"permits": permits}, "recorded": {"result": result}}
    entries = [{"at": "2030-01-31T09:00:00Z", "kind": kind, "content": said} for kind, said in contents.items()]

    shown = [render.headline(status | {"dry_run": dry_run}), render.result(result)]
    shown += [said for _, _, said in timeline.lines(entries)]

    assert [text.startswith("dry run") for text in shown] == [dry_run] * 4
    assert ["nothing is changed" in text for text in shown] == [dry_run] * 4
