"""The review of what ran by a broken glass: what it is about, who answers, and what it comes to.

- It is a case of its own: the stages of the glass's review chain, asked from the first permit on. `approve` finds it in
  order, `deny` at fault, with a reason; both end it. Whoever stands behind the action does not answer, not even with a
  denial of their own: a review closed by its debtor is none.
- It has no deadline that ends it. What passes is `due_at`: from then on it is overdue, which is paged once, and it
  stays open until people answer. Reminders and escalations of the chain are not its: overdue, it is paged instead.
- A statement names the review in place of the proposal, and its digest in place of the screen's, so that no vote on an
  action serves as an answer to its review, or the other way round.
"""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from policy.approval.standing import ApprovalCase, Ballot, Standing
from policy.base import Instant, RecordModel
from policy.permit import entry_id
from policy.proposal import ActionProposal
from policy.revision import Revision
from policy.rules.chains import ApprovalChain, ExpiryVerb

Found = Literal["in_order", "at_fault"]
_ENDLESS = timedelta(days=3650)


class Review(RecordModel):
    """A debt: what broke which glass, who stands behind it, whom it is for, and until when."""

    review_id: str
    proposal_id: str
    revision: int
    break_glass: str
    people: tuple[str, ...]
    chain: ApprovalChain
    action_digest: str
    assessment_digest: str
    policy_digest: str
    opened_at: Instant
    due_at: Instant

    def case(self, ballots: tuple[Ballot, ...] = ()) -> ApprovalCase:
        """The question that is put to people."""
        return ApprovalCase(
            chain=without_time(self.chain),
            opened_at=self.opened_at,
            absolute_deadline=self.opened_at + _ENDLESS,
            requesters=self.people,
            ballots=ballots,
        )

    def overdue(self, at: datetime) -> bool:
        """Whether it should have been answered by an instant."""
        return at > self.due_at


def review_of(proposal: ActionProposal, revision: Revision, assessment_digest: str, at: datetime) -> Review | None:
    """The review that is owed once an action is permitted; None where it breaks no glass, or changes nothing. Pure.

    Args:
        proposal: what was approved.
        revision: its newest assessment.
        assessment_digest: of that revision.
        at: the instant (UTC) of the first permit.
    """
    evaluation = revision.evaluation
    if evaluation.break_glass is None or evaluation.review is None or proposal.dry_run:
        return None
    return Review(
        review_id=review_id(proposal.proposal_id),
        proposal_id=proposal.proposal_id,
        revision=revision.revision,
        break_glass=evaluation.break_glass,
        people=revision.facts.requesters,
        chain=evaluation.review,
        action_digest=revision.action_digest,
        assessment_digest=assessment_digest,
        policy_digest=revision.documents.policy,
        opened_at=at,
        due_at=at + timedelta(seconds=evaluation.review_seconds or 0),
    )


def review_id(proposal_id: str) -> str:
    """The one id that the review of an action can have."""
    return str(UUID(entry_id(proposal_id, "review")))


def found_by(standing: Standing) -> Found | None:
    """What a review came to; None while it is open."""
    return {"approved": "in_order", "denied": "at_fault"}.get(standing.resolution)  # type: ignore[return-value]


def without_time(chain: ApprovalChain) -> ApprovalChain:
    """The same people, and no stage that time ends."""
    endless = {
        "deadline": _ENDLESS,
        "hours": None,
        "reminders": (),
        "remind_every": None,
        "escalations": (),
        "on_expiry": ExpiryVerb.deny,
        "expiry_escalation": None,
        "release": None,
        "grace": None,
    }
    return chain.model_copy(update={"stages": tuple(item.model_copy(update=endless) for item in chain.stages)})
