"""Escalations are looked up again by whoever issues permits, who believes no event that somebody noted."""

from datetime import timedelta

import pytest

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.changes import changes
from policy.approval.following import follows
from policy.approval.founded import unfounded
from policy.approval.today import Today
from policy.rules.chains import EscalationStep, Turn
from tests.unit.builders import a_ballot, a_case, a_directory, at, escalation, stage

TODAY = Today(a_directory())
HASTENED = a_case(
    stage("sre", escalations=(escalation(30, "dba"),), on_infeasible="escalate"),
    ballots=(a_ballot("dan", "recuse", 5, "sre"),),
)
STEP = EscalationStep(
    after=timedelta(minutes=10), add_groups=("dba",), to=(Turn.next_on_call,), reason="nobody answered"
)
LOOKED_UP = a_case(stage("sre", escalations=(STEP,)), stage("ops", name="second"))


def _with(case: ApprovalCase, event: CaseEvent) -> ApprovalCase:
    return case.model_copy(update={"events": (*case.events, event)})


def _why(case: ApprovalCase) -> tuple[str, ...]:
    return unfounded(case, dict.fromkeys(range(len(case.events)), (TODAY.directory,)))


def test_what_a_step_found_is_founded() -> None:
    """By time, or at once because nobody was left."""
    (hastened,) = follows(HASTENED, TODAY, at(6))
    (due,) = changes(LOOKED_UP, TODAY, at(11))
    assert due.event.groups == ("dba",)
    assert _why(_with(HASTENED, hastened)) == ()
    assert _why(_with(LOOKED_UP, due.event)) == ()
    assert _why(HASTENED) == ()


NOTED = changes(LOOKED_UP, TODAY, at(11))[0].event
# what a compromised control worker notes, so that somebody whom the chain never asks can approve
PLANTED: dict[str, tuple[ApprovalCase, CaseEvent, str]] = {
    "of a chain that has no escalation": (a_case(stage("sre")), NOTED, "has no such step"),
    "of a step that is not there": (LOOKED_UP, NOTED.model_copy(update={"index": 4}), "has no such step"),
    "to somebody else": (LOOKED_UP, NOTED.model_copy(update={"people": ("mallory",)}), "did not find"),
    "to a group besides": (LOOKED_UP, NOTED.model_copy(update={"groups": ("dba", "all")}), "did not find"),
    "in place of those who are asked": (LOOKED_UP, NOTED.model_copy(update={"replace": True}), "says otherwise"),
    "of a stage that is not open": (LOOKED_UP, NOTED.model_copy(update={"stage": 2}), "no such step"),
}


@pytest.mark.parametrize(("case", "event", "why"), PLANTED.values(), ids=PLANTED)
def test_a_planted_escalation_is_not_founded(case: ApprovalCase, event: CaseEvent, why: str) -> None:
    """Nobody is made an approver by whoever notes events."""
    (found,) = _why(_with(case, event))
    assert why in found


def test_events_out_of_order_are_not_read() -> None:
    """What is noted for later cannot be read earlier."""
    early = NOTED.model_copy(update={"kind": "remeasured", "at": at(1)})
    assert _why(_with(_with(LOOKED_UP, NOTED), early)) == ("its events are not in the order of their instants",)
