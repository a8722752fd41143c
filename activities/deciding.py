"""Reading a decision against the record: who made it, what it names, and whether it counts.

The order of the questions is fixed, so that equal decisions get equal refusals: is it about this
action as it stands, is it valid at this instant, who is it (`signing/proving.py`), may that person decide here
(`policy/approval/reading.py`), and is the proof as strong as the policy asks (`policy/rules/stepping_up.py`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from activities.cases import CaseFile
from policy.approval.revoking import Phase
from policy.approval.standing import ApprovalCase, Ballot, refuse
from policy.approval.today import Today, today_of
from policy.decision import DecisionSubmission, Refusal, Vote, Wanted, valid_at
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Principal, lowest
from policy.rules.stepping_up import too_weak, wanted_in

Why: TypeAlias = tuple[Refusal, str]
# Whoever made a statement, or why its proof does not show it.
SaidBy: TypeAlias = Principal | Why


@dataclass(frozen=True)
class Reading:
    """What became of a decision: a ballot that counts, a revocation that does (in which phase), an acceptance of what
    nobody could measure, or a refusal.

    `principal` is whoever made it, where its proof shows that; `wanted` is what the proof should have shown.
    """

    person: PersonFacts | None = None
    ballot: Ballot | None = None
    refusal: Why | None = None
    revokes: Phase | None = None
    principal: Principal | None = None
    wanted: Wanted | None = None
    accepts: bool = False

    @property
    def counts(self) -> bool:
        """Whether it changes anything."""
        return self.ballot is not None or self.revokes is not None or self.accepts


def read_decision(
    file: CaseFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory, now: datetime
) -> Reading:
    """Read one well-formed vote at the instant at which it was first seen.

    Args:
        file: the case.
        submission: the decision.
        said_by: whoever made it, or why its proof does not show it.
        directory: who is who at that instant.
        now: the instant (UTC).
    """
    reading = _read(file, submission, said_by, directory, now)
    return replace(reading, principal=said_by if isinstance(said_by, Principal) else None)


def _read(
    file: CaseFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory, now: datetime
) -> Reading:
    person, why = who_decides(file, submission, said_by, directory, now)
    if why is not None or person is None or not isinstance(said_by, Principal):
        return Reading(person=person, refusal=why)
    today = _today(file, directory)
    if submission.on_behalf_of is not None:
        signed = said_by.kind != "claimed"
        acts = today.person(said_by.identity, now, submission.on_behalf_of, signed=signed)
        if not isinstance(acts, PersonFacts):
            return Reading(person=person, refusal=(Refusal.not_delegated, str(acts)))
        person = acts
        if person.delegated is not None:
            weakest = lowest((said_by.assurance, person.delegated))
            said_by = said_by.model_copy(update={"assurance": weakest})
    asked = directory.resolve(submission.asked) if submission.asked is not None else None
    if submission.asked is not None and asked is None:
        return Reading(person=person, refusal=_nobody(submission.asked))
    case = file.case
    if case is None or file.stop is not None or file.resolution is not None:
        state = file.stop or file.resolution or "not waiting for anybody"
        return Reading(person=person, refusal=(Refusal.not_pending, f"this proposal is {state}"))
    ballot = _ballot(submission, person, said_by, case.after(now), asked)
    if why := refuse(case, ballot, asking_now=today.requesters, because=_because(file)):
        return Reading(person=person, refusal=why)
    wanted = wanted_in(case.chain, submission.stage, submission.vote)
    if why := too_weak(said_by, wanted, now):
        return Reading(person=person, refusal=why, wanted=wanted)
    return Reading(person=person, ballot=ballot)


def who_decides(
    file: CaseFile, submission: DecisionSubmission, said_by: SaidBy, directory: Directory, now: datetime
) -> tuple[PersonFacts | None, Why | None]:
    """Who makes a decision, and why nobody does: it is about something else, not valid now, not proved, or by nobody
    known.
    """
    identity = said_by.identity if isinstance(said_by, Principal) else None
    person = _who(file, submission, identity, _today(file, directory), now) if identity is not None else None
    if why := _about(file, submission) or valid_at(submission, now):
        return person, why
    if not isinstance(said_by, Principal):
        return None, said_by
    return (person, None) if person is not None else (None, _nobody(said_by.identity))


def _today(file: CaseFile, directory: Directory) -> Today:
    return today_of(file.proposal, file.revision, directory) if file.revision is not None else Today(directory)


def _who(
    file: CaseFile, submission: DecisionSubmission, identity: str, today: Today, now: datetime
) -> PersonFacts | None:
    """Who says it: a person, or the proposing agent, which is nobody, votes on nothing, and answers for its owner."""
    agent = file.proposal.agent.id
    if submission.vote is Vote.answer and identity == agent and today.directory.resolve(identity) is None:
        return PersonFacts(person_id=agent, groups=(), delegator=today.directory.owner_of(agent))
    return today.directory.facts(identity, now, today.conditions)


def proved(reading: Reading) -> dict[str, Any]:
    """Who made a statement, as its entry keeps it; left out where it was only claimed."""
    if reading.principal is None or reading.principal.kind == "claimed":
        return {}
    return {"principal": reading.principal.model_dump(mode="json")}


def with_ballot(case: ApprovalCase, ballot: Ballot) -> ApprovalCase:
    """The case after one more vote."""
    return case.model_copy(update={"ballots": (*case.ballots, ballot)})


def _because(file: CaseFile) -> dict[str, str]:
    """Why those may not approve who do not ask."""
    assert file.revision is not None
    asking = file.revision.facts.requesters
    excluded = file.revision.evaluation.excluded
    return {name: item.reason for item in reversed(excluded) for name in item.people if name not in asking}


def _ballot(
    submission: DecisionSubmission, person: PersonFacts, said_by: Principal, now: datetime, asked: str | None
) -> Ballot:
    more = {
        "asked": asked if submission.vote is Vote.request_info else None,
        "answers": submission.answers,
        "feedback": submission.feedback,
    }
    return ballot_of(submission, person, said_by, now, submission.vote).model_copy(update=more)


def ballot_of(
    submission: DecisionSubmission, person: PersonFacts, said_by: Principal, at: datetime, vote: Vote
) -> Ballot:
    """What a statement counts as: who makes it, how that is shown, and the vote that it is, at an instant (UTC)."""
    return Ballot(
        **dict(person),
        decision_id=submission.decision_id,
        stage=submission.stage,
        vote=vote,
        received_at=at,
        assurance=said_by.assurance,
        key_id=said_by.key_id if said_by.kind in ("key", "ssh") else None,
        justification=submission.justification,
    )


def _nobody(identity: str) -> Why:
    return Refusal.unknown_person, f"identity {identity} is nobody in the directory"


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
        # Nobody is shown an action that nobody is asked about; it can be revoked, or accepted, all the same.
        if submission.vote in (Vote.revoke, Vote.accept) and field == "presented_digest" and shown is None:
            continue
        if given != real:
            return code, f"{field} is {given}, this action's is {real}"
    return None
