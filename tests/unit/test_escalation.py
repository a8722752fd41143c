"""What a stage has planned, and whom it asks once escalations came."""

from datetime import timedelta

import pytest

from policy.approval.ballot import Added
from policy.approval.escalation import MAX_REMINDERS, Asking, plan, whom
from policy.document import EscalationStep, Requirement, Stage
from policy.rules.chains import Turn
from tests.unit.builders import escalation, stage

_BUSY = stage(
    "ops",
    reminders=(timedelta(minutes=20), timedelta(minutes=10)),
    escalations=(escalation(20, "sre"), escalation(40, "ops", "boss")),
)


def _planned(item: Stage) -> list[tuple[float, str, int]]:
    return [(planned.after.total_seconds() / 60, planned.kind, planned.number) for planned in plan(item)]


def test_a_plan_is_in_order_of_time() -> None:
    """Everything comes in order of time, escalations before reminders of one instant."""
    assert _planned(_BUSY) == [(10, "reminder", 1), (20, "escalation", 0), (20, "reminder", 0), (40, "escalation", 1)]


def test_reminders_by_cadence_are_bounded() -> None:
    """A cadence adds reminders to those that are named, none twice, and so many in all at most."""
    often = stage("ops", reminders=(timedelta(minutes=2),), remind_every=timedelta(minutes=1))
    planned = _planned(often)
    assert planned[:4] == [(1, "reminder", 1), (2, "reminder", 0), (3, "reminder", 3), (4, "reminder", 4)]
    assert len(planned) == MAX_REMINDERS - 1


def test_escalation_adds_and_takes_nobodys_place() -> None:
    """Groups and people are added, never taken away, and no seat less is asked for."""
    asking = Asking(_BUSY)
    asking.escalate(("sre",), replace=False)
    asking.look_up([Added(groups=("ops", "boss"), people=("eve",))], replace=False)
    assert asking.now == asking.ever == (Requirement(groups=("ops", "sre", "boss"), people=("eve",)),)


def test_replacing_asks_only_those_from_then_on() -> None:
    """With replace only the new ones may answer; what others gave keeps its seat; qualifications stay needed."""
    asking = Asking(stage(requirements=(Requirement(groups=("ops",), roles=("lead",), qualifications=("dba",)),)))
    asking.escalate(("boss",), replace=True)
    assert asking.now == (Requirement(groups=("boss",), qualifications=("dba",)),)
    assert asking.ever == (Requirement(groups=("ops", "boss"), roles=("lead",), qualifications=("dba",)),)


def test_finding_nobody_changes_nothing() -> None:
    """An escalation that found nobody takes nobody's place, though it would replace."""
    asking = Asking(_BUSY)
    asking.look_up([Added()], replace=True)
    assert asking.now == asking.ever == _BUSY.requirements


@pytest.mark.parametrize("replace", [False, True])
def test_whom_one_requirement_found_stands_for_no_other(replace: bool) -> None:
    """Each requirement asks whom it found itself, and one that found nobody asks whom it asked before."""
    both = (Requirement(groups=("sec",)), Requirement(groups=("dba",)))
    asking = Asking(stage(requirements=both))
    asking.look_up([Added(), Added(people=("bob",))], replace=replace)
    second = Requirement(groups=() if replace else ("dba",), people=("bob",))
    assert asking.now == (both[0], second)
    assert asking.ever == (both[0], Requirement(groups=("dba",), people=("bob",)))


def test_who_asks_everybody_is_not_narrowed() -> None:
    """A requirement by qualification alone asks everybody who has it: adding a group would ask fewer."""
    asking = Asking(stage(requirements=(Requirement(qualifications=("dba",)),)))
    asking.escalate(("boss",), replace=False)
    assert asking.now == (Requirement(qualifications=("dba",)),)


def test_texts_say_whom() -> None:
    """A plan says whom it escalates to, and turns are said in words."""
    assert plan(_BUSY)[1].text == "escalate stage review to sre: nobody answered"
    turns = EscalationStep(after=timedelta(0), add_groups=("sre",), to=(Turn.next_on_call,), reason="r")
    assert whom(turns) == "sre, next on call"
