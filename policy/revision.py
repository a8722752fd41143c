"""One revision of an action: facts, assessment and evaluation, sealed together under one digest.

The `assessment_digest` that a decision names is the digest of this whole record, so a vote is bound to the facts, the
score, the verdict and the chain that its author was shown. An auditor computes it again from the facts and documents.
"""

from datetime import datetime, timedelta
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


class VoidedVote(RecordModel):
    """A decision about a revision that does not count in the next one."""

    decision_id: str
    person_id: str


class Superseded(RecordModel):
    """The revision before this one, and why it was superseded.

    Attributes:
        revision: its number, and `digest` its assessment digest.
        digest: see there.
        rule: the code of what decided so (`policy/approval/drift.py`).
        changes: what changed, each as a sentence.
        voided: the decisions that do not count any more.
        kept: ids of the decisions that go on counting.
    """

    revision: int
    digest: str
    rule: str
    changes: tuple[str, ...] = ()
    voided: tuple[VoidedVote, ...] = ()
    kept: tuple[str, ...] = ()


class Revision(RecordModel):
    """What was concluded about a proposal, from what, and when.

    Attributes:
        recheck_seconds: how often it is measured again while people are asked; None for never.
        min_interval_seconds: how long a slot is in which one measurement counts; 0 where none is asked for.
        superseded: the revision before it; None of the first one.
        voids: how many revisions before it were void because of a material change.
        held: whether people have to release it before anybody can approve it.
    """

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
    recheck_seconds: int | None = None
    min_interval_seconds: int = 0
    superseded: Superseded | None = None
    voids: int = 0
    held: bool = False

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
            held=self.held,
            recheck_seconds=self.recheck_seconds,
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
    asks, drift = judged.evaluation.chain is not None, document.drift
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
        recheck_seconds=_seconds(drift.recheck_every) if drift and drift.recheck_every and asks else None,
        min_interval_seconds=_seconds(drift.min_interval) if drift and asks else 0,
    )


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def revision_digest(body: bytes) -> str:
    """The assessment digest of a revision's canonical bytes."""
    return digest(body)
