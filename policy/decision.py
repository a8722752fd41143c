"""A decision: one person's statement about one revision of one action at one stage.

- It names exactly what it is about, by digests. Leaving a digest out is not possible.
- Its `proof` says who made it (`policy/proofs.py`), over everything else in it; `decision_id` is its nonce. Who signs
  names the installation that it is for, the `audience`.
- A submission that is not a decision at all is refused at the edge. A decision that does not count is recorded, with a
  code, and answered.
"""

import operator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from policy.base import Digest, EdgeModel, Instant, Name, ProposalId, RecordModel, Text
from policy.canonical import digest
from policy.errors import DecisionError
from policy.findings import Amended, Found
from policy.proofs import Assurance, ClaimedProof, KeyProof, OidcProof, Proof, SshProof
from policy.receiving import receive_as

# Far above what a case can have, far below what the record can hold.
MAX_NUMBER = 1_000_000
# How far the clocks of who signs and of who takes it may be apart.
CLOCK_SKEW = timedelta(minutes=1)


class Vote(StrEnum):
    approve = "approve"
    deny = "deny"
    abstain = "abstain"
    recuse = "recuse"
    retract = "retract"
    request_info = "request_info"
    acknowledge = "acknowledge"
    answer = "answer"
    release = "release"
    revoke = "revoke"
    resolve = "resolve"
    amend = "amend"
    accept = "accept"


class Feedback(StrEnum):
    """What an approver says of having been asked; it changes no vote."""

    misdirected = "misdirected"
    lacked_evidence = "lacked_evidence"


class DecisionSubmission(EdgeModel):
    """What an approver sends, by update or by signal. `docs/spec/contract.md` describes each field."""

    decision_id: ProposalId
    proposal_id: ProposalId
    revision: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    stage: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    action_digest: Digest
    assessment_digest: Digest
    policy_digest: Digest
    presented_digest: Digest
    vote: Vote
    justification: Text = ""
    issued_at: Instant
    expires_at: Instant
    proof: Proof
    audience: Name | None = None
    on_behalf_of: Name | None = None
    asked: Name | None = None
    answers: ProposalId | None = None
    feedback: Annotated[tuple[Feedback, ...], Field(max_length=2)] = ()
    found: Found | None = None
    repaired_by: ProposalId | None = None
    outcome: Amended | None = None
    incident: Name | None = None

    @property
    def sender(self) -> str:
        """Whoever sent it, as far as it can be told apart before anything is verified."""
        match self.proof:
            case ClaimedProof():
                return self.proof.identity
            case KeyProof():
                return f"key {self.proof.jws.partition('.')[0]}"
            case SshProof():
                return f"ssh {digest(self.proof.signature.encode())}"
            case OidcProof():
                return f"oidc {digest(self.proof.id_token.encode())}"


class Refusal(StrEnum):
    """Why a well-formed decision does not count."""

    unknown_request = "unknown_request"
    not_pending = "not_pending"
    revision_mismatch = "revision_mismatch"
    stage_not_open = "stage_not_open"
    stage_closed = "stage_closed"
    action_digest_mismatch = "action_digest_mismatch"
    assessment_digest_mismatch = "assessment_digest_mismatch"
    policy_digest_mismatch = "policy_digest_mismatch"
    presented_digest_mismatch = "presented_digest_mismatch"
    decision_id_reused = "decision_id_reused"
    expired = "expired"
    not_yet_valid = "not_yet_valid"
    past_deadline = "past_deadline"
    claimed_not_accepted = "claimed_not_accepted"
    wrong_audience = "wrong_audience"
    bad_proof = "bad_proof"
    unknown_key = "unknown_key"
    revoked_key = "revoked_key"
    unverifiable = "unverifiable"
    unknown_person = "unknown_person"
    not_eligible = "not_eligible"
    self_approval = "self_approval"
    sod_conflict = "sod_conflict"
    not_delegated = "not_delegated"
    newcomer = "newcomer"
    assurance_too_low = "assurance_too_low"
    authentication_too_old = "authentication_too_old"
    on_hold = "on_hold"
    not_held = "not_held"
    unknown_question = "unknown_question"
    not_authorized = "not_authorized"
    recused = "recused"
    justification_missing = "justification_missing"
    not_repaired = "not_repaired"
    malformed = "malformed"
    busy = "busy"


class Wanted(RecordModel):
    """What a decision lacks to count: a stronger proof, or somebody who authenticated not so long ago."""

    assurance: Assurance
    max_age_seconds: int | None = None


class DecisionReceipt(RecordModel):
    """The answer to a decision: counted or refused, and what is still missing. `wanted` is given where a proof was too
    weak, `in_the_clear` where payloads are encrypted and the decision was not.
    """

    decision_id: str
    counted: bool
    code: str | None = None
    message: str = ""
    missing: tuple[str, ...] = ()
    resolution: str = "pending"
    assurance: Assurance = Assurance.claimed
    entry_digest: str | None = None
    wanted: Annotated[Wanted | None, Field(exclude_if=lambda value: value is None)] = None
    in_the_clear: Annotated[bool, Field(exclude_if=operator.not_)] = False


def receive_decision(value: Any) -> DecisionSubmission:
    """Read a JSON value as a decision.

    Raises:
        DecisionError: names the field, the value and what was expected.
    """
    return receive_as(DecisionSubmission, value, "decision", DecisionError)


def valid_at(submission: DecisionSubmission, now: datetime) -> tuple[Refusal, str] | None:
    """Why a decision is not valid at an instant (UTC) by its own dates, or None."""
    if now > submission.expires_at:
        return Refusal.expired, f"the decision expired at {submission.expires_at.isoformat()}"
    if submission.issued_at > now + CLOCK_SKEW:
        return Refusal.not_yet_valid, f"the decision is issued at {submission.issued_at.isoformat()}, in the future"
    return None
