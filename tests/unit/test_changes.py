"""What the record must note of an open case: graces, whom escalations found, and votes that lost their ground."""

from datetime import timedelta
from typing import Any

import pytest

from policy.approval.changes import changes
from policy.approval.standing import ApprovalCase, stand
from policy.approval.today import Today
from policy.document import EscalationStep, Requirement, Stage
from policy.people.directory import Directory, read_directory
from policy.rules.chains import ExpiryVerb, Turn
from tests.unit.builders import DIRECTORY, a_ballot, a_case, a_directory, at, stage

PEOPLE = DIRECTORY.replace(
    b"agents:",
    b"""  - {id: max, groups: [heads]}
groups:
  - {name: ops, parent: heads}
  - {name: dba, parent: nobodys}
rotations:
  - {group: ops, order: [ann, bob], start: 2030-01-01T00:00:00Z, every: 1d}
agents:""",
)
STAGES = (stage("ops", name="first"), stage("dba", name="second"))


def _directory(body: bytes = PEOPLE) -> Directory:
    return read_directory(body)


def _escalating(*turns: Turn, groups: tuple[str, ...] = (), replace: bool = False, **more: Any) -> Stage:
    step = EscalationStep(
        after=timedelta(minutes=30), to=turns, add_groups=groups, replace=replace, reason="nobody answered"
    )
    return stage("ops", escalations=(step,), **more)


def _today(directory: Directory) -> Today:
    return Today(directory, tuple(filter(None, (directory.owner_of("tuner"),))))


def _changes(case: ApprovalCase, minute: float, directory: Directory | None = None) -> list[str]:
    found = changes(case, _today(directory or a_directory()), at(minute))
    return [f"{item.key}: {' '.join((*item.event.groups, *item.event.people))} ({item.event.reason})" for item in found]


def test_nothing_changes_by_itself() -> None:
    """Nothing is noted of a case in which nothing is due and everybody is who they were."""
    case = a_case(*STAGES, ballots=(a_ballot("bob", "approve", 5, "ops dba"),))
    assert _changes(case, 9) == []


@pytest.mark.parametrize(
    ("turns", "groups", "said"),
    [
        ((Turn.parent_group,), (), "escalated 1 0: heads (nobody answered)"),
        ((Turn.next_on_call,), (), "escalated 1 0: bob (nobody answered)"),
        ((Turn.parent_group, Turn.next_on_call), ("sre",), "escalated 1 0: sre heads bob (nobody answered)"),
        ((Turn.manager,), (), "escalated 1 0:  (nobody answered; no manager who is there is above ops)"),
    ],
)
def test_whom_an_escalation_finds(turns: tuple[Turn, ...], groups: tuple[str, ...], said: str) -> None:
    """Whom the directory names at that instant is asked; where it names nobody, that is said with the reason."""
    case = a_case(_escalating(*turns, groups=groups))
    assert _changes(case, 29, _directory()) == []
    assert _changes(case, 30, _directory()) == [said]


def test_what_is_noted_is_not_noted_again() -> None:
    """An escalation is looked up once, whatever the directory says later."""
    case = a_case(_escalating(Turn.parent_group))
    noted = changes(case, _today(_directory()), at(31))
    again = case.model_copy(update={"events": tuple(item.event for item in noted)})
    assert [item.event.at for item in noted] == [at(31)]
    assert changes(again, _today(_directory()), at(50)) == ()


def test_an_escalation_of_a_stage_that_is_resolved_asks_nobody() -> None:
    """What came due in a stage and was seen after its end is not looked up."""
    case = a_case(_escalating(Turn.parent_group), *STAGES[1:], ballots=(a_ballot("bob", "approve", 40),))
    assert _changes(case, 50, _directory()) == []


def test_a_deadline_looks_up_too() -> None:
    """The escalation at the deadline is looked up when it passed, and is the last of its stage."""
    step = EscalationStep(after=timedelta(0), to=(Turn.parent_group,), reason="nobody in ops answered")
    case = a_case(stage("ops", on_expiry=ExpiryVerb.escalate, expiry_escalation=step))
    assert _changes(case, 61, _directory()) == ["escalated 1 0: heads (nobody in ops answered)"]


LOST = {
    "the group": (
        PEOPLE.replace(b"{id: bob, groups: [ops, dba]}", b"{id: bob, groups: [dba]}"),
        "bob does not fit ops",
    ),
    "the account": (PEOPLE.replace(b"{id: bob,", b"{id: bert,").replace(b"[ann, bob]", b"[ann]"), "bob is nobody"),
    "being another's alias now": (
        PEOPLE.replace(b"{id: bob, groups: [ops, dba]}", b"{id: zoe, aliases: [bob], groups: [ops]}").replace(
            b"[ann, bob]", b"[ann]"
        ),
        "bob is nobody",
    ),
    "not owning the agent": (PEOPLE.replace(b"owner: ann", b"owner: bob"), "bob stands behind the proposal"),
}


@pytest.mark.parametrize(("body", "why"), LOST.values(), ids=LOST)
def test_who_lost_what_made_a_vote_count(body: bytes, why: str) -> None:
    """An approval in an earlier stage is dropped once its author is not who they were when they gave it."""
    case = a_case(*STAGES, ballots=(a_ballot("bob", "approve", 5, "ops dba"),))
    found = _changes(case, 9, _directory(body))
    assert len(found) == 1
    assert found[0].startswith("dropped bob-approve-5:")
    assert why in found[0]


def test_what_a_vote_never_served_is_not_missed() -> None:
    """Losing a group that the stage did not ask drops nothing; a denial is never dropped."""
    without = _directory(PEOPLE.replace(b"{id: bob, groups: [ops, dba]}", b"{id: bob, groups: [ops]}"))
    assert _changes(a_case(*STAGES, ballots=(a_ballot("bob", "approve", 5, "ops dba"),)), 9, without) == []
    gone = _directory(PEOPLE.replace(b"{id: bob, groups: [ops, dba]}", b"{id: bob, groups: []}"))
    denied = a_case(stage("ops", deny_threshold=2), ballots=(a_ballot("bob", "deny", 5),))
    assert _changes(denied, 9, gone) == []


def test_a_vote_by_what_an_escalation_added_keeps_counting() -> None:
    """Who was asked by an escalation fits by what it asked them for."""
    two = (Requirement(groups=("ops",), count=2),)
    case = a_case(_escalating(Turn.parent_group, requirements=two))
    noted = changes(case, _today(_directory()), at(31))
    events = tuple(item.event for item in noted)
    case = case.model_copy(update={"events": events, "ballots": (a_ballot("max", "approve", 40, "heads"),)})
    assert _changes(case, 50, _directory()) == []
    left = _directory(PEOPLE.replace(b"  - {id: max, groups: [heads]}\n", b""))
    assert len(_changes(case, 50, left)) == 1


def test_who_is_on_call_for_one_group_does_not_answer_for_another() -> None:
    """Of two requirements each is looked up for itself, and told who is asked by now."""
    two = (Requirement(groups=("dba",)), Requirement(groups=("ops",)))
    case = a_case(_escalating(Turn.next_on_call, requirements=two))
    (noted,) = changes(case, _today(_directory()), at(31))
    assert [(item.groups, item.people) for item in noted.event.added] == [((), ()), ((), ("bob",))]
    assert noted.event.reason == "nobody answered; nobody is on call next in dba"
    standing = stand(case.model_copy(update={"events": (noted.event,)}), at(32), deadline_counts_as_passed=False)
    assert [item.people for item in standing.current.asked] == [(), ("bob",)]


def test_several_changes_have_an_order() -> None:
    """A grace begins before anybody is looked up, and lost votes come last; no two at one instant."""
    item = _escalating(
        Turn.parent_group, grace=timedelta(hours=1), requirements=(Requirement(groups=("ops",), count=2),)
    )
    case = a_case(item, ballots=(a_ballot("bob", "approve", 5),))
    gone = _directory(PEOPLE.replace(b"{id: bob, groups: [ops, dba]}", b"{id: bob, groups: []}"))
    found = changes(case, _today(gone), at(90))
    assert [item.event.kind for item in found] == ["grace", "escalated", "dropped"]
    assert len({item.event.at for item in found}) == 3
