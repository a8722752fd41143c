"""One revision of an action: facts, assessment and evaluation, sealed together under one digest.

The `assessment_digest` that a decision names is the digest of this whole record, so a vote is bound to the facts, the
score, the verdict and the chain that its author was shown. An auditor computes it again from the facts and documents.
"""

from datetime import datetime
from typing import Any

from policy.approval.standing import ApprovalCase, Ballot, CaseEvent
from policy.base import Instant, RecordModel
from policy.canonical import canonical, digest
from policy.document import PolicySet
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.judging import barred, judge
from policy.people.directory import Directory
from policy.proposal import ReceivedProposal
from policy.rules.timing import Timing


class DocumentDigests(RecordModel):
    """Which governed documents were in force."""

    policy: str
    operations: str
    catalog: str
    directory: str


class Revision(RecordModel):
    """What was concluded about a proposal, from what, and when."""

    proposal_id: str
    revision: int
    action_digest: str
    effect_digest: str
    documents: DocumentDigests
    assessed_at: Instant
    absolute_deadline: Instant
    facts: Facts
    timing: Timing = Timing()
    assessment: ImpactAssessment
    evaluation: Evaluation

    def value(self) -> dict[str, Any]:
        """It as a JSON value."""
        return self.model_dump(mode="json")

    def body(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.value())

    def case(self, ballots: tuple[Ballot, ...] = (), events: tuple[CaseEvent, ...] = ()) -> ApprovalCase | None:
        """The question that is put to people, or None where none is asked."""
        if self.evaluation.chain is None:
            return None
        return ApprovalCase(
            chain=self.evaluation.chain,
            opened_at=self.assessed_at,
            absolute_deadline=self.absolute_deadline,
            requesters=barred(self.facts, self.evaluation),
            teams=self.facts.teams,
            ballots=ballots,
            events=events,
        )


def assess_revision(
    received: ReceivedProposal,
    facts: Facts,
    document: PolicySet,
    documents: DocumentDigests,
    *,
    revision: int,
    assessed_at: datetime,
    absolute_deadline: datetime,
    directory: Directory | None = None,
) -> Revision:
    """Assess and evaluate; pure. With a `directory` a chain that nobody could satisfy is denied."""
    judged = judge(document, received.proposal, facts, directory)
    return Revision(
        proposal_id=received.proposal.proposal_id,
        revision=revision,
        action_digest=received.action_digest,
        effect_digest=received.effect_digest,
        documents=documents,
        assessed_at=assessed_at,
        absolute_deadline=absolute_deadline,
        facts=facts,
        timing=judged.timing,
        assessment=judged.assessment,
        evaluation=judged.evaluation,
    )


def revision_digest(body: bytes) -> str:
    """The assessment digest of a revision's canonical bytes."""
    return digest(body)
