"""Separation of duties: every case by name, one line of prose each."""

from datetime import timedelta
from typing import Any

import pytest

from policy.approval.duties import conflict
from policy.approval.standing import ApprovalCase, Ballot, refuse, stand
from policy.decision import Refusal, Vote
from policy.people.facts import PersonFacts
from policy.rules.chains import Requirement
from tests.unit.builders import a_ballot, a_case, at, stage
from tests.unit.crowds import a_person, approval


@pytest.mark.parametrize("vote", Vote)
@pytest.mark.parametrize(
    ("person", "delegator", "refusal"),
    [
        ("ann", None, Refusal.self_approval),
        ("bob", None, Refusal.sod_conflict),
        ("cleo", None, None),
        ("cleo", "ann", Refusal.self_approval),
        ("ann", "cleo", Refusal.self_approval),
        ("cleo", "bob", Refusal.sod_conflict),
        ("bob", "cleo", Refusal.sod_conflict),
    ],
    ids=[
        "who asks",
        "who approved another stage",
        "somebody else",
        "a delegate of who asks",
        "who asks, as a delegate",
        "a delegate of who approved another stage",
        "who approved another stage, as a delegate",
    ],
)
def test_conflict(vote: Vote, person: str, delegator: str | None, refusal: Refusal | None) -> None:
    """Only approving can conflict; stopping needs no second person."""
    voter = PersonFacts(person_id=person, groups=(), delegator=delegator)
    found = conflict(voter, vote, requesters=("ann",), approved_elsewhere=("bob",))
    assert (found[0] if found else None) == (refusal if vote is Vote.approve else None)
    assert found is None or {"ann", "bob"} & set(found[1].replace(",", "").split())


def _vote(person: str, vote: Vote = Vote.approve, *, of: str | None = None, number: int = 1) -> Ballot:
    """A vote by somebody of every group at minute 9, for somebody where `of` says so."""
    ballot = approval(a_person(person, "ops dba"), delegator=of, minutes=9, number=number)
    return ballot.model_copy(update={"vote": vote, "justification": "no"})


def _stages(*ballots: Ballot, **more: Any) -> ApprovalCase:
    """Two stages; rita asks, eve wrote the policy, greg granted an exception."""
    case = a_case(stage("ops"), stage("dba"), requesters=("eve", "greg", "rita"), ballots=ballots)
    return case.model_copy(update=more)


FIRST = a_ballot("ann", "approve", 5)
FOR_ANN = approval(a_person("bob", "ops"), delegator="ann")
BECAUSE = {"eve": "wrote the policy house", "greg": "approved the exception e-1"}
# What happened before, the vote, the code of its refusal, and a part of what is said.
CASES: dict[str, tuple[ApprovalCase, Ballot, Refusal | None, str]] = {
    "the owner of the agent approves": (_stages(), _vote("rita"), Refusal.self_approval, "stands behind this proposal"),
    "the author of the policy approves": (_stages(), _vote("eve"), Refusal.self_approval, "wrote the policy house"),
    "who granted the exception approves": (
        _stages(),
        _vote("greg"),
        Refusal.self_approval,
        "approved the exception e-1",
    ),
    "a delegate approves for who asks": (
        _stages(),
        _vote("bob", of="rita"),
        Refusal.self_approval,
        "bob acts for rita, and rita stands behind",
    ),
    "who asks approves for somebody else": (_stages(), _vote("rita", of="bob"), Refusal.self_approval, "rita stands"),
    "a delegate approves for the author of the policy": (
        _stages(),
        _vote("bob", of="eve"),
        Refusal.self_approval,
        "eve wrote the policy house",
    ),
    "one person approves two stages": (
        _stages(FIRST),
        _vote("ann", number=2),
        Refusal.sod_conflict,
        "ann already approved another stage",
    ),
    "a delegate approves for who approved another stage": (
        _stages(FIRST),
        _vote("bob", of="ann", number=2),
        Refusal.sod_conflict,
        "bob acts for ann, and ann already approved",
    ),
    "who approved another stage approves for somebody": (
        _stages(FIRST),
        _vote("ann", of="bob", number=2),
        Refusal.sod_conflict,
        "ann already approved",
    ),
    "a delegate who approved another stage approves again": (
        _stages(FOR_ANN),
        _vote("bob", number=2),
        Refusal.sod_conflict,
        "bob already approved",
    ),
    "a delegator whose delegate approved another stage": (
        _stages(FOR_ANN),
        _vote("ann", number=2),
        Refusal.sod_conflict,
        "ann already approved",
    ),
    "somebody else approves the second stage": (_stages(FIRST), _vote("bob", number=2), None, ""),
    "who asks denies": (_stages(), _vote("rita", Vote.deny), None, ""),
    "the author of the policy denies": (_stages(), _vote("eve", Vote.deny), None, ""),
    "who approved another stage denies": (_stages(FIRST), _vote("ann", Vote.deny, number=2), None, ""),
    "a delegate denies for who asks": (_stages(), _vote("bob", Vote.deny, of="rita"), None, ""),
    "who asks has no group and denies": (
        _stages(),
        a_ballot("rita", "deny", 9, "nobody"),
        None,
        "",
    ),
    "a delegate of who stepped out": (
        _stages(a_ballot("ann", "recuse", 5)),
        _vote("bob", of="ann"),
        Refusal.recused,
        "ann stepped out",
    ),
}


@pytest.mark.parametrize(("case", "ballot", "code", "said"), CASES.values(), ids=CASES)
def test_duties(case: ApprovalCase, ballot: Ballot, code: Refusal | None, said: str) -> None:
    """Whoever has another duty in the same action does not approve it, and is told which."""
    found = refuse(case, ballot, because=BECAUSE)
    assert (found[0] if found else None) is code
    assert said in (found[1] if found else "")


def test_who_became_the_owner_meanwhile_does_not_approve() -> None:
    """Who stands behind the proposal by the directory of now is kept from approving, whatever it was at assessment."""
    found = refuse(_stages(), _vote("ann"), asking_now=("ann",))
    assert found is not None
    assert found[0] is Refusal.self_approval
    assert refuse(_stages(), _vote("ann", Vote.deny), asking_now=("ann",)) is None


def test_votes_that_were_given_before_stay_as_they_were_read() -> None:
    """Who asks by now changes what a new vote may do, not what the case has counted."""
    assert refuse(_stages(FIRST), _vote("cleo", number=2), asking_now=("ann",)) is None


def _twice(*ballots: Ballot) -> ApprovalCase:
    two = stage(requirements=(Requirement(groups=("ops",), count=2),), deny_threshold=2)
    return a_case(two, ballots=ballots)


def _by(person: str, vote: str, minutes: float, of: str | None = None) -> Ballot:
    ballot = approval(a_person(person, "ops"), delegator=of, minutes=minutes)
    return ballot.model_copy(update={"vote": Vote(vote), "justification": "no"})


# What was voted, and how it stands: the resolution, who approves and who denies.
STANDINGS: dict[str, tuple[tuple[Ballot, ...], str, str, str]] = {
    "a delegate and another": (
        (_by("bob", "approve", 1, "ann"), _by("cleo", "approve", 2)),
        "approved",
        "bob cleo",
        "",
    ),
    "a delegate and the delegator": ((_by("bob", "approve", 1, "ann"), _by("ann", "approve", 2)), "pending", "ann", ""),
    "the delegator denies what the delegate approved": (
        (_by("bob", "approve", 1, "ann"), _by("ann", "deny", 2)),
        "pending",
        "",
        "ann",
    ),
    "the delegator takes back, and the delegate counts again": (
        (_by("bob", "approve", 1, "ann"), _by("ann", "deny", 2), _by("ann", "retract", 3)),
        "pending",
        "bob",
        "",
    ),
    "the delegator abstains, and the delegate has to vote anew": (
        (_by("bob", "approve", 1, "ann"), _by("ann", "abstain", 2)),
        "pending",
        "",
        "",
    ),
    "two delegates of one deny once": (
        (_by("bob", "deny", 1, "ann"), _by("cleo", "deny", 2, "ann")),
        "pending",
        "",
        "bob",
    ),
    "two who deny": ((_by("bob", "deny", 1, "ann"), _by("cleo", "deny", 2)), "denied", "", "bob cleo"),
    "the delegator steps out": ((_by("bob", "approve", 1, "ann"), _by("ann", "recuse", 2)), "pending", "", ""),
    "a delegate votes anew for themselves": (
        (_by("bob", "approve", 1, "ann"), _by("bob", "approve", 2), _by("ann", "approve", 3)),
        "approved",
        "ann bob",
        "",
    ),
}


@pytest.mark.parametrize(("ballots", "resolution", "approve", "deny"), STANDINGS.values(), ids=STANDINGS)
def test_one_eligibility_is_used_once(ballots: tuple[Ballot, ...], resolution: str, approve: str, deny: str) -> None:
    """A delegate and the delegator are one voice, and the delegator's own vote is the one that counts."""
    found = stand(_twice(*ballots), at(9), deadline_counts_as_passed=False)
    assert found.resolution == resolution
    assert (" ".join(sorted(found.current.approvals)), " ".join(sorted(found.current.denials))) == (approve, deny)


NEW = timedelta(days=7)
ASKED = stage("ops", newcomer_wait=NEW)
SKILLED = stage(requirements=(Requirement(roles=("lead",), qualifications=("backup",)),))
REFUSED: dict[str, tuple[Any, Ballot, Refusal | None, str]] = {
    "a newcomer approves": (ASKED, a_ballot("ann", "approve", 5), Refusal.newcomer, "since nobody knows when"),
    "a newcomer denies": (ASKED, a_ballot("ann", "deny", 5), None, ""),
    "without the qualification": (
        SKILLED,
        approval(a_person("ann", roles="lead")),
        Refusal.not_eligible,
        "stage 1 asks role lead with backup: ann lacks backup",
    ),
    "with all that is asked": (SKILLED, approval(a_person("ann", roles="lead", skills="backup")), None, ""),
}


@pytest.mark.parametrize(("asked", "ballot", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_who_does_not_fit_is_told_what_is_lacking(asked: Any, ballot: Ballot, code: Refusal | None, said: str) -> None:
    """Whom the stage does not ask, or not yet, is refused with the reason."""
    found = refuse(a_case(asked), ballot)
    assert (found[0] if found else None) is code
    assert said in (found[1] if found else "")
