"""A case as the record has it: one proposal, its revision, the votes that were counted, and the final facts.

Everything that decides is read through here, inside the caller's transaction and under the proposal's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, and_, bindparam, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ledger import Ledger, head_of
from activities.tables import (
    AssessmentRow,
    DecisionRow,
    HoldReleaseRow,
    HoldRow,
    ProposalRow,
    ResolutionRow,
    ResultRow,
    StopRow,
)
from activities.telemetry import about
from policy.base import Reason
from policy.canonical import parse_canonical
from policy.criteria import effective
from policy.observed import HoldFact
from policy.proposal import ActionProposal, Criterion, ReceivedProposal, effect_digest
from policy.result import ActionResult
from policy.revision import Revision
from policy.sealing import Sealed, seal
from policy.standing import ApprovalCase, Ballot

FIRST_REVISION = 1

_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_RESOLUTION = ResolutionRow.__table__.c  # type: ignore[attr-defined]
_STOP = StopRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_HOLD = HoldRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HoldReleaseRow.__table__.c  # type: ignore[attr-defined]

_WANTED = select(bindparam("proposal_id", type_=Text).label("proposal_id")).subquery("wanted")
_HEAD = head_of(bindparam("proposal_id", type_=Text))
# One row always: a ledger can have entries before its proposal is registered.
_CASE = (
    select(
        _PROPOSAL.body,
        _PROPOSAL.action_digest,
        _PROPOSAL.registered_at,
        _PROPOSAL.absolute_deadline,
        _ASSESSMENT.revision,
        _ASSESSMENT.body.label("revision_body"),
        _ASSESSMENT.digest.label("assessment_digest"),
        _ASSESSMENT.screen,
        _ASSESSMENT.presented_digest,
        _RESOLUTION.kind.label("resolution"),
        _RESOLUTION.resolved_at,
        _RESOLUTION.body.label("resolution_body"),
        _STOP.kind.label("stop"),
        _RESULT.body.label("result_body"),
        _HEAD.c.position,
        _HEAD.c.digest.label("head"),
    )
    .select_from(_WANTED)
    .outerjoin(ProposalRow, _PROPOSAL.proposal_id == _WANTED.c.proposal_id)
    .outerjoin(AssessmentRow, _ASSESSMENT.proposal_id == _PROPOSAL.proposal_id)
    .outerjoin(
        ResolutionRow,
        and_(_RESOLUTION.proposal_id == _PROPOSAL.proposal_id, _RESOLUTION.revision == _ASSESSMENT.revision),
    )
    .outerjoin(StopRow, _STOP.proposal_id == _PROPOSAL.proposal_id)
    .outerjoin(ResultRow, _RESULT.proposal_id == _PROPOSAL.proposal_id)
    .outerjoin(_HEAD, true())
    .order_by(_ASSESSMENT.revision.desc())
    .limit(1)
)
_BALLOTS = (
    select(_DECISION.receipt)
    .where(
        _DECISION.proposal_id == bindparam("proposal_id"),
        _DECISION.revision == bindparam("revision"),
        _DECISION.counted,
    )
    .order_by(_DECISION.received_at, _DECISION.arrival)
)
_HOLDS = (
    select(_HOLD.hold_id, _HOLD.target, _HOLD.proposal_id, _HOLD.reason)
    .outerjoin(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .where(
        or_(
            _HOLD.target == func.any(bindparam("targets", type_=ARRAY(Text))),
            func.jsonb_exists_any(
                func.convert_from(_HOLD.body, "UTF8").cast(JSONB)["resolved"], bindparam("resolved", type_=ARRAY(Text))
            ),
        ),
        _RELEASE.hold_id.is_(None),
    )
    .order_by(_HOLD.placed_at)
)


@dataclass(frozen=True)
class CaseFile:
    """What the record holds of a proposal. `revision` is its newest, and None where nothing was assessed yet.

    `reasons` are those of the resolution. `kept` is what people were shown, where a release kept that.
    """

    received: ReceivedProposal
    registered_at: datetime
    absolute_deadline: datetime
    revision: Revision | None
    assessment_digest: str | None
    resolution: str | None
    resolved_at: datetime | None
    stop: str | None
    result: ActionResult | None
    reasons: tuple[Reason, ...] = ()
    ballots: tuple[Ballot, ...] = ()
    kept: Sealed | None = None

    @property
    def proposal(self) -> ActionProposal:
        return self.received.proposal

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the action is measured by: the minimum of its operations, and what the proposal adds."""
        return effective(self.proposal, self.revision.facts.operations if self.revision else {})

    @property
    def sealed(self) -> Sealed | None:
        """What people are shown and decide by; None where nobody is asked."""
        if self.kept is not None or self.revision is None or self.assessment_digest is None:
            return self.kept
        return seal(self.proposal, self.revision, self.assessment_digest)

    @property
    def case(self) -> ApprovalCase | None:
        """The question to people with the votes so far; None where nobody is asked."""
        return self.revision.case(self.ballots) if self.revision else None


async def read_case(connection: AsyncConnection, proposal_id: str, ledger: Ledger | None = None) -> CaseFile | None:
    """The newest state of a proposal, or None if it was never registered; `ledger` then knows its head."""
    row = (await connection.execute(_CASE, {"proposal_id": proposal_id})).one()
    if ledger is not None:
        ledger.knows(row.position, row.head)
    if row.body is None:
        return None
    about(row.action_digest)
    revision = Revision.model_validate_json(row.revision_body) if row.revision_body is not None else None
    asked = revision is not None and revision.evaluation.chain is not None
    return CaseFile(
        received=stored_proposal(row.body, row.action_digest),
        registered_at=row.registered_at,
        absolute_deadline=row.absolute_deadline,
        revision=revision,
        assessment_digest=row.assessment_digest,
        resolution=row.resolution,
        resolved_at=row.resolved_at,
        stop=row.stop,
        result=ActionResult.model_validate_json(row.result_body) if row.result_body is not None else None,
        reasons=_reasons(row.resolution_body),
        ballots=await read_ballots(connection, proposal_id, row.revision) if asked else (),
        kept=Sealed(body=row.screen, presented_digest=row.presented_digest) if row.screen is not None else None,
    )


def _reasons(resolution_body: bytes | None) -> tuple[Reason, ...]:
    if resolution_body is None:
        return ()
    return tuple(Reason.model_validate(reason) for reason in parse_canonical(resolution_body)["reasons"])


def stored_proposal(body: bytes, action_digest: str) -> ReceivedProposal:
    """A registered proposal as the type it was received as; its stored bytes are its canonical form."""
    proposal = ActionProposal.model_validate(parse_canonical(body))
    return ReceivedProposal(
        proposal=proposal, body=body, action_digest=action_digest, effect_digest=effect_digest(proposal)
    )


async def read_ballots(connection: AsyncConnection, proposal_id: str, revision: int) -> tuple[Ballot, ...]:
    """The decisions that were counted on arrival, in order of arrival."""
    rows = await connection.execute(_BALLOTS, {"proposal_id": proposal_id, "revision": revision})
    return tuple(Ballot.model_validate(parse_canonical(row.receipt)["ballot"]) for row in rows)


async def read_holds(
    connection: AsyncConnection, targets: Sequence[str], resolved: Sequence[str] = ()
) -> tuple[HoldFact, ...]:
    """The holds on targets that nobody has released.

    Args:
        connection: in the transaction that decides by them.
        targets: the names that a hold may have been placed on.
        resolved: the ids that they resolve to: another name in the catalog lifts no hold.
    """
    wanted = {"targets": list(targets), "resolved": list(resolved)}
    return tuple(
        HoldFact(hold_id=str(row.hold_id), target=row.target, proposal_id=row.proposal_id, reason=row.reason)
        for row in await connection.execute(_HOLDS, wanted)
    )
