"""A decision: one person's statement about one revision of one action at one stage.

- It names exactly what it is about, by digests. Leaving a digest out is not possible.
- Its `proof` says who made it. `claimed` proves nothing: it is whatever the client wrote, and everything that rests on
  it says `assurance: claimed`.
- A submission that is not a decision at all is refused at the edge. A decision that does not count is recorded, with a
  code, and answered.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from policy.base import Digest, EdgeModel, Instant, Name, ProposalId, RecordModel, Text
from policy.canonical import canonical, check_value
from policy.errors import CanonicalError, DecisionError, explain

# Far above what a case can have, far below what the record can hold.
MAX_NUMBER = 1_000_000


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


class Feedback(StrEnum):
    """What an approver says of having been asked; it changes no vote."""

    misdirected = "misdirected"
    lacked_evidence = "lacked_evidence"


class Assurance(StrEnum):
    """How strongly an identity is shown. Only `claimed` exists until decisions are signed."""

    claimed = "claimed"


class ClaimedProof(EdgeModel):
    """An identity that a client wrote down. It proves nothing."""

    kind: Literal["claimed"]
    identity: Name


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
    proof: ClaimedProof
    on_behalf_of: Name | None = None
    asked: Name | None = None
    answers: ProposalId | None = None
    feedback: Annotated[tuple[Feedback, ...], Field(max_length=2)] = ()


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
    unknown_person = "unknown_person"
    not_eligible = "not_eligible"
    self_approval = "self_approval"
    sod_conflict = "sod_conflict"
    not_delegated = "not_delegated"
    newcomer = "newcomer"
    on_hold = "on_hold"
    not_held = "not_held"
    unknown_question = "unknown_question"
    not_authorized = "not_authorized"
    recused = "recused"
    justification_missing = "justification_missing"
    malformed = "malformed"
    busy = "busy"


class DecisionReceipt(RecordModel):
    """The answer to a decision: counted or refused, and what is still missing."""

    decision_id: str
    counted: bool
    code: str | None = None
    message: str = ""
    missing: tuple[str, ...] = ()
    resolution: str = "pending"
    assurance: Assurance = Assurance.claimed
    entry_digest: str | None = None


def receive_decision(value: Any) -> DecisionSubmission:
    """Read a JSON value as a decision.

    Raises:
        DecisionError: names the field, the value and what was expected.
    """
    try:
        check_value(value)
        return DecisionSubmission.model_validate_json(canonical(value), strict=True)
    except CanonicalError as error:
        raise DecisionError(f"malformed decision: {error}") from None
    except ValidationError as error:
        raise DecisionError(f"malformed decision: {explain(error)}") from None
