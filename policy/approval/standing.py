"""Where a case stands at an instant: asked by whoever takes a vote, lets time pass, explains, issues or audits.

The rules are in `policy/approval/reading.py`. These are the questions that are asked of a reading.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from policy.approval.ballot import ApprovalCase, Ballot, CaseEvent
from policy.approval.escalation import Due
from policy.approval.reading import read
from policy.approval.state import ResolutionKind, StageStanding, StageState, Standing
from policy.decision import Refusal

__all__ = [
    "ApprovalCase",
    "Ballot",
    "CaseEvent",
    "ResolutionKind",
    "StageStanding",
    "StageState",
    "Standing",
    "due_until",
    "read",
    "refuse",
    "stand",
]


def stand(case: ApprovalCase, now: datetime, *, deadline_counts_as_passed: bool) -> Standing:
    """Evaluate a case at an instant.

    Args:
        case: chain, ballots in order of arrival, and who asks.
        now: the instant (UTC); the newest ballot's, where that is later.
        deadline_counts_as_passed: at exactly the deadline, True when time itself is evaluated, False for a decision.
    """
    reading = read(case)
    reading.let_pass(now, deadline_counts_as_passed=deadline_counts_as_passed)
    return reading.standing()


def refuse(
    case: ApprovalCase,
    ballot: Ballot,
    *,
    asking_now: Collection[str] = (),
    because: Mapping[str, str] | None = None,
) -> tuple[Refusal, str] | None:
    """Why a ballot does not count when it arrives, or None; asked before it joins the case.

    The instant of the decision is `ballot.received_at`: when the worker first saw it, never what the sender wrote.

    Args:
        case: as it is before.
        ballot: what arrived.
        asking_now: who stands behind the proposal by the directory of now, besides those of the case.
        because: of those who may not approve although they do not ask, why.
    """
    reading = read(case)
    reading.asking_now, reading.because = asking_now, because or {}
    reading.let_pass(ballot.received_at, deadline_counts_as_passed=False)
    return reading.refusal(ballot)


def due_until(case: ApprovalCase, now: datetime, *, deadline_counts_as_passed: bool = True) -> tuple[Due, ...]:
    """Everything that time brought by an instant and that ended nothing: reminders, escalations, deadlines."""
    reading = read(case)
    reading.let_pass(now, deadline_counts_as_passed=deadline_counts_as_passed)
    return tuple(reading.happened)
