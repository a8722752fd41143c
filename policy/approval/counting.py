"""The votes that carried a case, and the lowest assurance among them: what an action rests on.

- Of each person in each stage the vote that stood when the stage was resolved counts, in order of arrival.
- What people approved rests on the weakest proof of those approvals. What nobody was asked about rests on whoever
  proposed it.
"""

from datetime import datetime

from policy.approval.ballot import ApprovalCase, Ballot
from policy.approval.standing import stand
from policy.decision import Vote
from policy.gate import DispatchInputs, case_of_today
from policy.proofs import Assurance, lowest


def counting(case: ApprovalCase, at: datetime) -> tuple[Ballot, ...]:
    """The votes that stood when a case was resolved, in order of arrival: one of a person in a stage, at most; pure."""
    standing = stand(case, at, deadline_counts_as_passed=True)
    found: dict[tuple[int, str], Ballot] = {}
    for ballot in case.ballots:
        if not 0 < ballot.stage <= len(standing.stages):
            continue
        stage = standing.stages[ballot.stage - 1]
        closed = stage.resolved_at is not None and ballot.received_at > stage.resolved_at
        stood = {Vote.approve: stage.approvals, Vote.deny: stage.denials}.get(ballot.vote, ())
        if ballot.person_id in stood and not closed:
            found.pop((ballot.stage, ballot.person_id), None)
            found[ballot.stage, ballot.person_id] = ballot
    return tuple(found.values())


def assurance_of(case: ApprovalCase | None, at: datetime, proposed: Assurance = Assurance.claimed) -> Assurance:
    """The lowest assurance that the answer to a case rests on; without a case that of whoever proposed."""
    return proposed if case is None else lowest(ballot.assurance for ballot in counting(case, at))


def assurance_at_dispatch(inputs: DispatchInputs, proposed: Assurance = Assurance.claimed) -> Assurance:
    """The same of the votes that the gate counted."""
    return proposed if inputs.case is None else assurance_of(case_of_today(inputs), _last(inputs.case))


def approvals_at_dispatch(inputs: DispatchInputs) -> tuple[Ballot, ...]:
    """The approvals that the gate counted; none without a case."""
    if inputs.case is None:
        return ()
    return tuple(item for item in counting(case_of_today(inputs), _last(inputs.case)) if item.vote is Vote.approve)


def _last(case: ApprovalCase) -> datetime:
    return max((ballot.received_at for ballot in case.ballots), default=case.opened_at)
