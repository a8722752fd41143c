"""A case as the record has it: one proposal, its revision, the votes that were counted, and the final facts.

Everything that decides is read through here, inside the caller's transaction and under the proposal's lock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, and_, bindparam, func, literal, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.halts import HALTS, halts_in, shown_on, taken_over_by
from activities.ledger import Ledger, head_of
from activities.tables import (
    AssessmentRow,
    CaseEventRow,
    DecisionRow,
    HoldReleaseRow,
    HoldRow,
    ProposalRow,
    ResolutionRow,
    ResultRow,
    StopRow,
)
from activities.telemetry import about
from policy.approval.standing import ApprovalCase, Ballot, CaseEvent
from policy.base import Reason
from policy.canonical import parse_canonical
from policy.criteria import effective
from policy.decision import Vote
from policy.halting import HaltFact
from policy.observed import HoldFact
from policy.outcome import StepRecord
from policy.proposal import ActionProposal, Criterion, ReceivedProposal, StopVerb, effect_digest
from policy.result import ActionResult
from policy.revision import Revision
from policy.screens.telling import deniers
from policy.sealing import Sealed, seal
from policy.signature import Signed
from policy.undecided import Judging, undecided

FIRST_REVISION = 1
# The kind of a stop that somebody verified made: what was done is undone at once.
REVOKED = "revoked"
_SAID = 500
# The kind of the row that holds the ballots which a revision kept of the one before.
KEPT = "kept"

_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_RESOLUTION = ResolutionRow.__table__.c  # type: ignore[attr-defined]
_STOP = StopRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_EVENT = CaseEventRow.__table__.c  # type: ignore[attr-defined]
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
        _PROPOSAL.signed,
        _ASSESSMENT.revision,
        _ASSESSMENT.body.label("revision_body"),
        _ASSESSMENT.digest.label("assessment_digest"),
        _ASSESSMENT.screen,
        _ASSESSMENT.presented_digest,
        _RESOLUTION.kind.label("resolution"),
        _RESOLUTION.resolved_at,
        _RESOLUTION.body.label("resolution_body"),
        _STOP.kind.label("stop"),
        _STOP.body.label("stop_body"),
        _RESULT.body.label("result_body"),
        _HEAD.c.position,
        _HEAD.c.digest.label("head"),
        HALTS.label("halts"),
        taken_over_by(_PROPOSAL.proposal_id).label("taken_over"),
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
# Decisions that counted, and what the record noted besides, in the order in which they happened.
_HAPPENED = union_all(
    select(
        literal("ballot").label("kind"), _DECISION.receipt.label("body"), _DECISION.received_at, _DECISION.arrival
    ).where(
        _DECISION.proposal_id == bindparam("proposal_id"),
        _DECISION.revision == bindparam("revision"),
        _DECISION.counted,
        # A revocation and an acceptance are no ballots: they are about the action whatever the stage.
        _DECISION.vote.not_in([str(Vote.revoke), str(Vote.accept)]),
    ),
    select(_EVENT.kind, _EVENT.body, _EVENT.happened_at, literal(0)).where(
        _EVENT.proposal_id == bindparam("proposal_id"), _EVENT.revision == bindparam("revision")
    ),
).order_by("received_at", "arrival")
_LEFT_BY = func.convert_from(_PROPOSAL.body, "UTF8").cast(JSONB)
_HOLDS = (
    select(_HOLD.hold_id, _HOLD.target, _HOLD.proposal_id, _HOLD.reason, _LEFT_BY["remedies"].astext.label("remedies"))
    .outerjoin(ProposalRow, _PROPOSAL.proposal_id == _HOLD.proposal_id)
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

    `reasons` are those of the resolution. `kept` is what people were shown, where a release kept that. `revoked` says
    who revoked it and why, where somebody did. `halts` are all that there ever were, whatever they are about and
    whether they ended or not, and `taken_over` is the action that takes over its reservation. `accepted` says who
    accepted what nobody could measure; only who asks for it reads it (`activities/accepting.py`).
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
    events: tuple[CaseEvent, ...] = ()
    revoked: Reason | None = None
    halts: tuple[HaltFact, ...] = ()
    taken_over: str | None = None
    accepted: Reason | None = None

    @property
    def denied_by(self) -> tuple[str, ...]:
        """Whom to tell that an effect which they denied is proposed again."""
        return deniers(self.revision.facts) if self.revision is not None else ()

    @property
    def halted(self) -> str:
        """By whom it is halted, for people who look; empty where it is not."""
        return shown_on(self.halts, self.revision.facts.target_environment if self.revision else None)

    @property
    def stopped_to_ask(self) -> bool:
        """Whether it was stopped by nobody knows whom, and the approved verb for that is to ask people."""
        return self.stop == "withdrawn" and self.proposal.on_stop is StopVerb.ask

    @property
    def judging(self) -> Judging | None:
        """How people judge what measuring cannot; None where the policy did not speak of it, or nothing is done."""
        return self.revision.evaluation.judging if self.revision is not None and not self.proposal.dry_run else None

    def judged_until(self, records: Iterable[StepRecord]) -> datetime | None:
        """Until when people may say what becomes of an inconclusive step (UTC); None where nobody is asked."""
        report = undecided(records)
        if self.judging is None or report is None or self.stop is not None or self.accepted is not None:
            return None
        return self.judging.until(report)

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
        return self.revision.case(self.ballots, self.events) if self.revision else None


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
    happened = await read_happened(connection, proposal_id, row.revision) if asked else ((), ())
    return CaseFile(
        received=stored_proposal(row.body, row.action_digest, row.signed),
        registered_at=row.registered_at,
        absolute_deadline=row.absolute_deadline,
        revision=revision,
        assessment_digest=row.assessment_digest,
        resolution=row.resolution,
        resolved_at=row.resolved_at,
        stop=row.stop,
        result=ActionResult.model_validate_json(row.result_body) if row.result_body is not None else None,
        reasons=_reasons(row.resolution_body),
        ballots=happened[0],
        kept=Sealed(body=row.screen, presented_digest=row.presented_digest) if row.screen is not None else None,
        events=happened[1],
        revoked=_revoked(row.stop_body) if row.stop == REVOKED else None,
        halts=halts_in(row.halts),
        taken_over=row.taken_over,
    )


def revoked_reason(actor: str, why: str) -> Reason:
    """Why an action ended that somebody revoked."""
    return Reason(code=REVOKED, message=f"revoked by {actor}: {why}"[:_SAID])


def _revoked(stop_body: bytes) -> Reason:
    value = parse_canonical(stop_body)
    return revoked_reason(value["actor"], value.get("why", ""))


def _reasons(resolution_body: bytes | None) -> tuple[Reason, ...]:
    if resolution_body is None:
        return ()
    return tuple(Reason.model_validate(reason) for reason in parse_canonical(resolution_body)["reasons"])


def stored_proposal(body: bytes, action_digest: str, signed: bytes | None = None) -> ReceivedProposal:
    """A registered proposal as the type it was received as; its stored bytes are its canonical form."""
    proposal = ActionProposal.model_validate(parse_canonical(body))
    return ReceivedProposal(
        proposal=proposal,
        body=body,
        action_digest=action_digest,
        effect_digest=effect_digest(proposal),
        signed=Signed.model_validate_json(signed) if signed is not None else None,
    )


async def read_happened(
    connection: AsyncConnection, proposal_id: str, revision: int
) -> tuple[tuple[Ballot, ...], tuple[CaseEvent, ...]]:
    """The decisions that were counted on arrival, and what was noted besides, each in the order of their instants.

    What a later revision kept of an earlier one comes first: it was given before this one opened.
    """
    ballots: list[Ballot] = []
    events: list[CaseEvent] = []
    for row in await connection.execute(_HAPPENED, {"proposal_id": proposal_id, "revision": revision}):
        value = parse_canonical(row.body)
        if row.kind == "ballot":
            ballots.append(Ballot.model_validate(value["ballot"]))
        elif row.kind == KEPT:
            ballots += [Ballot.model_validate(item) for item in value["ballots"]]
        else:
            events.append(CaseEvent.model_validate(value))
    return tuple(sorted(ballots, key=lambda item: item.received_at)), tuple(events)


async def read_holds(
    connection: AsyncConnection, targets: Sequence[str], resolved: Sequence[str] = ()
) -> tuple[HoldFact, ...]:
    """The holds on targets that nobody has released.

    Args:
        connection: in the transaction that decides by them.
        targets: the names that a hold may have been placed on.
        resolved: the ids that they resolve to, and the objects there: another name in the catalog lifts no hold.
    """
    wanted = {"targets": list(targets), "resolved": list(resolved)}
    return tuple(
        HoldFact(
            hold_id=str(row.hold_id),
            target=row.target,
            proposal_id=row.proposal_id,
            reason=row.reason,
            remedies=row.remedies,
        )
        for row in await connection.execute(_HOLDS, wanted)
    )
