"""The result of an action: what a platform gets back, whatever happened.

A denied, expired or compensated action is a result, not a failed workflow. `next_action` says what a platform can do
now: nothing, propose again (something else or later), wait for a person to look, or for another action to end.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from policy.base import Instant, Reason, RecordModel
from policy.operations import RiskTier
from policy.outcome import REHEARSED, Outcome
from policy.proofs import Assurance
from policy.undecided import ACCEPTED

ResultResolution = Literal["approved", "denied", "expired", "withdrawn", "refused"]
NextAction = Literal["none", "propose_anew", "propose_offered", "ask_a_person", "await_other"]


class DecidedBy(RecordModel):
    """One counted vote, or the rule that decided without one (`person_id` is None)."""

    person_id: str | None
    stage: int | None = None
    vote: str
    at: Instant | None = None
    assurance: Assurance | None = None
    rule: str | None = None


class Timings(RecordModel):
    """Instants, UTC."""

    proposed_at: Instant
    resolved_at: Instant | None = None
    dispatched_at: Instant | None = None
    finished_at: Instant


class Offer(RecordModel):
    """A proposal that a platform can start as it stands, and what its assessment says."""

    proposal: dict[str, JsonValue]
    action_digest: str
    verdict: str
    risk_tier: RiskTier
    risk_score: int


class ActionResult(RecordModel):
    """The end of an action. `docs/spec/contract.md` describes each field."""

    proposal_id: str
    revision: int
    action_digest: str
    resolution: ResultResolution
    outcome: Outcome
    next_action: NextAction
    reasons: tuple[Reason, ...]
    verdict: str | None = None
    risk_tier: RiskTier | None = None
    risk_score: int | None = None
    assurance: Assurance = Assurance.claimed
    decided_by: tuple[DecidedBy, ...] = ()
    assessment_digest: str | None = None
    policy_digest: str | None = None
    resolved_digest: str | None = None
    timings: Timings
    dry_run: bool = False
    # Left out where there is none: a result that was given once is given again in the same bytes, whatever release
    # gives it.
    see: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    offered: Annotated[Offer | None, Field(exclude_if=lambda value: value is None)] = None


def next_action(
    resolution: ResultResolution,
    outcome: Outcome,
    reasons: tuple[Reason, ...] = (),
    see: str | None = None,
    *,
    offered: bool = False,
) -> NextAction:
    """What a platform can do after this end; after a dry run that went well, nothing. Where nobody was left to approve,
    nobody said no either. `see` is another action.
    """
    if any(reason.code == ACCEPTED for reason in reasons):
        return "none"
    if outcome.needs_hold:
        return "ask_a_person"
    if see is not None:
        return "await_other"
    if resolution == "approved" and outcome is Outcome.succeeded:
        return "none"
    unreachable = any(reason.code == "unreachable" for reason in reasons)
    if (resolution == "denied" and not unreachable) or any(reason.code == REHEARSED for reason in reasons):
        return "none"
    return "propose_offered" if offered else "propose_anew"
