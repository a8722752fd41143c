"""Reading a decision against the record: who made it, what it names, and whether it counts.

The order of the questions is fixed, so that equal decisions get equal refusals: is it about this
action as it stands, is it valid at this instant, who is it, and may that person decide here
(`policy/approval/reading.py`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activities.cases import CaseFile
from policy.approval.standing import ApprovalCase, Ballot, refuse
from policy.decision import Assurance, DecisionSubmission, Refusal, Vote
from policy.people.directory import Directory
from policy.people.facts import PersonFacts

CLOCK_SKEW = timedelta(minutes=1)

Why = tuple[Refusal, str]


@dataclass(frozen=True)
class Reading:
    """What became of a decision: a ballot that counts, or a refusal."""

    person: PersonFacts | None = None
    ballot: Ballot | None = None
    refusal: Why | None = None


def read_decision(file: CaseFile, submission: DecisionSubmission, directory: Directory, now: datetime) -> Reading:
    """Read one well-formed decision at the instant at which it was first seen."""
    person = directory.person(submission.proof.identity)
    behind = None
    if person is None and submission.vote is Vote.answer and submission.proof.identity == file.proposal.agent.id:
        person, behind = _agent(file.proposal.agent.id), directory.owner_of(file.proposal.agent.id)
    if why := _about(file, submission) or _valid_at(submission, now):
        return Reading(person=person, refusal=why)
    if person is None:
        return Reading(refusal=_nobody(submission.proof.identity))
    if why := _delegated(submission):
        return Reading(person=person, refusal=why)
    asked = directory.person(submission.asked) if submission.asked is not None else None
    if submission.asked is not None and asked is None:
        return Reading(person=person, refusal=_nobody(submission.asked))
    case = file.case
    if case is None or file.stop is not None or file.resolution is not None:
        state = file.stop or file.resolution or "not waiting for anybody"
        return Reading(person=person, refusal=(Refusal.not_pending, f"this proposal is {state}"))
    ballot = _ballot(submission, person, case.after(now), behind, asked)
    if why := refuse(case, ballot):
        return Reading(person=person, refusal=why)
    return Reading(person=person, ballot=ballot)


def with_ballot(case: ApprovalCase, ballot: Ballot) -> ApprovalCase:
    """The case after one more vote."""
    return case.model_copy(update={"ballots": (*case.ballots, ballot)})


def _ballot(
    submission: DecisionSubmission, person: PersonFacts, now: datetime, delegator: str | None, asked: PersonFacts | None
) -> Ballot:
    return Ballot(
        decision_id=submission.decision_id,
        person_id=person.person_id,
        groups=person.groups,
        stage=submission.stage,
        vote=submission.vote,
        received_at=now,
        assurance=Assurance.claimed,
        justification=submission.justification,
        delegator=delegator,
        asked=asked.person_id if asked is not None and submission.vote is Vote.request_info else None,
        answers=submission.answers,
        feedback=submission.feedback,
    )


def _agent(agent_id: str) -> PersonFacts:
    """The proposing agent: it is nobody and votes on nothing, but it may answer for who owns it."""
    return PersonFacts(person_id=agent_id, groups=())


def _nobody(identity: str) -> Why:
    return Refusal.unknown_person, f"identity {identity} is nobody in the directory"


def _delegated(submission: DecisionSubmission) -> Why | None:
    """Whether the person may act for whom the decision names."""
    if submission.on_behalf_of is None:
        return None
    message = f"no delegation lets {submission.proof.identity} decide for {submission.on_behalf_of}"
    return Refusal.not_delegated, message


def _about(file: CaseFile, submission: DecisionSubmission) -> Why | None:
    """Whether the decision names this action, this revision, these digests."""
    revision = file.revision
    if revision is None or submission.proposal_id != file.proposal.proposal_id:
        return Refusal.unknown_request, f"this is proposal {file.proposal.proposal_id}, not {submission.proposal_id}"
    if submission.revision != revision.revision:
        return Refusal.revision_mismatch, f"revision {revision.revision} is open, not {submission.revision}"
    shown = file.sealed.presented_digest if file.sealed else None
    pairs: tuple[tuple[Refusal, str, Any, Any], ...] = (
        (Refusal.action_digest_mismatch, "action_digest", submission.action_digest, file.received.action_digest),
        (Refusal.assessment_digest_mismatch, "assessment_digest", submission.assessment_digest, file.assessment_digest),
        (Refusal.policy_digest_mismatch, "policy_digest", submission.policy_digest, revision.documents.policy),
        (Refusal.presented_digest_mismatch, "presented_digest", submission.presented_digest, shown),
    )
    for code, field, given, real in pairs:
        if given != real:
            return code, f"{field} is {given}, this action's is {real}"
    return None


def _valid_at(submission: DecisionSubmission, now: datetime) -> Why | None:
    if now > submission.expires_at:
        return Refusal.expired, f"the decision expired at {submission.expires_at.isoformat()}"
    if submission.issued_at > now + CLOCK_SKEW:
        return Refusal.not_yet_valid, f"the decision is issued at {submission.issued_at.isoformat()}, in the future"
    return None
