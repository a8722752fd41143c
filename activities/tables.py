"""The record: one row class per table of the schema `countersign`.

1. Every table is append-only. Who may insert what is granted in `deploy/migrations/versions`, which is also where the
   checks, triggers and row policies live; a test compares these classes with a migrated database.
2. Where a row has `digest` and `body`, the body is the exact canonical bytes, and the database refuses a row whose
   digest is not `sha256:` and the SHA-256 of those bytes in hex.
3. Every instant is passed in (timezone-aware, UTC): no column has a default taken from the database's clock.
4. The run id is a column, never part of a key that decides.
5. Rows never leave `activities/`: they are converted to and from the types of `policy` and `workflows.interface`.
"""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Double, Identity, Index, MetaData, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel

SCHEMA = "countersign"


class _Timestamptz(TIMESTAMP):
    """`timestamp with time zone`, as a type without arguments."""

    def __init__(self) -> None:
        super().__init__(timezone=True)


_String = Annotated[str, Field(sa_type=Text)]
_OptionalString = Annotated[str | None, Field(sa_type=Text)]
_Key = Annotated[str, Field(sa_type=Text, primary_key=True)]
_Proposal = Annotated[str, Field(sa_type=Text, foreign_key=f"{SCHEMA}.proposal.proposal_id")]
_ProposalKey = Annotated[str, Field(sa_type=Text, foreign_key=f"{SCHEMA}.proposal.proposal_id", primary_key=True)]
_UuidKey = Annotated[UUID, Field(primary_key=True)]
_Instant = Annotated[datetime, Field(sa_type=_Timestamptz)]
_OptionalInstant = Annotated[datetime | None, Field(sa_type=_Timestamptz)]
_Long = Annotated[int, Field(sa_type=BigInteger)]
_OptionalNumber = Annotated[float | None, Field(sa_type=Double)]


class _Record(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(schema=SCHEMA)


class DocumentRow(_Record, table=True):
    """A governed document by its content; `kind` is policy, operations, catalog or directory."""

    __tablename__ = "document"
    digest: _Key
    kind: _String
    name: _String
    version: _String
    body: bytes


class PublicationRow(_Record, table=True):
    """Which document is in force: of each kind the one with the highest `seq`."""

    __tablename__ = "publication"
    seq: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    kind: _String
    digest: Annotated[str, Field(sa_type=Text, foreign_key=f"{SCHEMA}.document.digest")]
    published_at: _Instant
    published_by: _String
    permit_id: Annotated[UUID | None, Field(foreign_key=f"{SCHEMA}.permit.permit_id", unique=True)] = None
    ceremony: Annotated[str | None, Field(sa_type=Text, foreign_key=f"{SCHEMA}.ceremony.digest")] = None


class DraftRow(_Record, table=True):
    """A governed document that somebody proposes to put in force. `drafted_by` is who stored it, by their own word."""

    __tablename__ = "draft"
    digest: _Key
    kind: _String
    name: _String
    version: _String
    body: bytes
    drafted_by: _String
    drafted_at: _Instant


class ProposalRow(_Record, table=True):
    """A proposal as first registered; `body` is its canonical JSON and `action_digest` the digest of it.

    `signed` is what its platform signed, as JSON, with what verifies it again; null where it came unsigned.
    """

    __tablename__ = "proposal"
    __table_args__ = (Index("proposal_by_effect", "effect_digest"),)
    proposal_id: _Key
    action_digest: _String
    effect_digest: _String
    body: bytes
    workflow_id: _String
    registered_at: _Instant
    absolute_deadline: _Instant
    signed: bytes | None = None


class AssessmentRow(_Record, table=True):
    """One assessment of a proposal; a material change makes the next revision.

    `screen` is what people are shown, sealed under `presented_digest`; both are null where nobody is asked.
    """

    __tablename__ = "assessment"
    proposal_id: _ProposalKey
    revision: int = Field(primary_key=True)
    digest: _String
    body: bytes
    verdict: _String
    risk_tier: _String
    policy_digest: _String
    assessed_at: _Instant
    screen: bytes | None = None
    presented_digest: _OptionalString = None


class DecisionRow(_Record, table=True):
    """A received decision, counted or refused; `body` is the submission, `receipt` what was answered.

    `person_id` is null where nobody could be identified, `code` is the refusal code. `arrival` is the number that the
    workflow gave it; it starts again after a reset, so it orders and does not identify.
    """

    __tablename__ = "decision"
    __table_args__ = (Index("decision_by_receipt", "proposal_id", "received_at"),)
    proposal_id: _ProposalKey
    decision_id: _Key
    revision: int
    stage: int
    person_id: _OptionalString = None
    vote: _String
    counted: bool
    code: _OptionalString = None
    body: bytes
    digest: _String
    receipt: bytes
    arrival: _Long
    received_at: _Instant


class CaseEventRow(_Record, table=True):
    """What the record noted of an open case besides decisions; `body` is the event, or the ballots kept."""

    __tablename__ = "case_event"
    proposal_id: _ProposalKey
    revision: int = Field(primary_key=True)
    key: _Key
    kind: _String
    body: bytes
    digest: _String
    happened_at: _Instant


class ResolutionRow(_Record, table=True):
    """The final fact of a revision: approved, denied, expired, withdrawn or refused; the first writer wins."""

    __tablename__ = "resolution"
    proposal_id: _ProposalKey
    revision: int = Field(primary_key=True)
    kind: _String
    body: bytes
    digest: _String
    resolved_at: _Instant


class StopRow(_Record, table=True):
    """A proposal that was withdrawn or revoked, and by whom."""

    __tablename__ = "stop"
    proposal_id: _ProposalKey
    kind: _String
    actor: _String
    body: bytes
    digest: _String
    stopped_at: _Instant


class PermitRow(_Record, table=True):
    """An execution permit; `direction` is do or undo, and an undo permit never expires (`expires_at` is null).

    `signed` is the JWS of it; null in rows of releases that signed none.
    """

    __tablename__ = "permit"
    __table_args__ = (
        UniqueConstraint("proposal_id", "revision", "step", "direction", name="permit_once_per_step_and_direction"),
        UniqueConstraint("proposal_id", "step", "direction", name="permit_once_over_all_revisions"),
        Index("permit_by_expiry", "expires_at"),
    )
    permit_id: _UuidKey
    proposal_id: _Proposal
    revision: int
    step: int
    direction: _String
    action_digest: _String
    body: bytes
    digest: _String
    issued_at: _Instant
    expires_at: _OptionalInstant = None
    signed: _OptionalString = None


class PermitUseRow(_Record, table=True):
    """What became of a permit, decided by this one row: claimed or void.

    A claimed permit names the attempt token that claimed it; a void one need not, nor a run. `effect` is the operation
    of a forward permit that was claimed, so that effects can be counted; null otherwise.
    """

    __tablename__ = "permit_use"
    __table_args__ = (Index("permit_use_by_effect", "effect", "used_at"),)
    permit_id: UUID = Field(primary_key=True, foreign_key=f"{SCHEMA}.permit.permit_id")
    use: _String
    attempt_token: _OptionalString = None
    used_by: _String
    run_id: _OptionalString = None
    used_at: _Instant
    effect: _OptionalString = None


class EffectReportRow(_Record, table=True):
    """What the executor reports of a used permit: succeeded, failed or unknown; `late` where it was back-filled.

    `undone_by`, `resolved_digest` and `seconds` are given where an undo succeeded: its operation, the digest of the ids
    that it was done to, and how long it took. `rehearsed` and `undo_rehearsed` are given in a dry run that went well:
    the digests of the orders, of the step and of its undo, that were rehearsed.
    """

    __tablename__ = "effect_report"
    __table_args__ = (
        Index("effect_report_by_undo", "resolved_digest", "undone_by", "reported_at"),
        Index("effect_report_by_rehearsal", "rehearsed", "reported_at"),
        Index("effect_report_by_undo_rehearsal", "undo_rehearsed", "reported_at"),
    )
    permit_id: UUID = Field(primary_key=True, foreign_key=f"{SCHEMA}.permit_use.permit_id")
    status: _String
    body: bytes
    digest: _String
    reported_at: _Instant
    late: bool
    undone_by: _OptionalString = None
    resolved_digest: _OptionalString = None
    seconds: _OptionalNumber = None
    rehearsed: _OptionalString = None
    undo_rehearsed: _OptionalString = None


class HoldRow(_Record, table=True):
    """A target that nothing may touch until the hold is released."""

    __tablename__ = "hold"
    __table_args__ = (Index("hold_by_target", "target"),)
    hold_id: _UuidKey
    target: _String
    proposal_id: _OptionalString = None
    reason: _String
    owner: _String
    placed_at: _Instant
    body: bytes
    digest: _String


class HoldReleaseRow(_Record, table=True):
    """The end of a hold."""

    __tablename__ = "hold_release"
    hold_id: UUID = Field(primary_key=True, foreign_key=f"{SCHEMA}.hold.hold_id")
    proposal_id: _OptionalString = None
    released_by: _String
    released_at: _Instant
    body: bytes
    digest: _String


class ResultRow(_Record, table=True):
    """The result that a finished proposal gives back, however often it is started again.

    The columns after `recorded_at` are given where something was done, not in a dry run: they are the history that
    later assessments read. `criticality` is the target's, 0 (not given) to 4; `measured` says that the operations
    registry's own criteria measured the outcome.
    """

    __tablename__ = "result"
    __table_args__ = (
        Index("result_by_target", "operation", "target", "measured", "outcome", "recorded_at"),
        Index(
            "result_by_kind",
            *("operation", "environment", "target_kind", "criticality", "measured", "outcome", "recorded_at"),
        ),
        Index("result_by_agent", "agent", "measured", "recorded_at"),
    )
    proposal_id: _ProposalKey
    body: bytes
    digest: _String
    recorded_at: _Instant
    operation: _OptionalString = None
    target: _OptionalString = None
    target_kind: _OptionalString = None
    environment: _OptionalString = None
    criticality: int | None = None
    agent: _OptionalString = None
    confidence: _OptionalNumber = None
    outcome: _OptionalString = None
    measured: bool | None = None


class ApprovedScopeRow(_Record, table=True):
    """What an approved action acts on: a row for its target, each id that it resolves to, and each failure domain. And
    what people denied: a row for each order, on all ids and on each alone.
    """

    __tablename__ = "approved_scope"
    __table_args__ = (Index("approved_scope_by_time", "scope", "resolved_at"),)
    scope: _Key
    proposal_id: _ProposalKey
    resolved_at: _Instant


class AskedScopeRow(_Record, table=True):
    """What an action asks people for: a row for its effect, its agent, its target and the group that owns it, and each
    limit that counts fewer. `admitted` is false in the rows of an action that was not: those are the scopes against it.
    """

    __tablename__ = "asked_scope"
    __table_args__ = (
        Index("asked_scope_by_time", "scope", "asked_at"),
        Index("asked_scope_by_end", "scope", "ends_at"),
    )
    scope: _Key
    proposal_id: _Key
    asked_at: datetime = Field(primary_key=True, sa_type=_Timestamptz)
    ends_at: _Instant
    admitted: bool


class SloStateRow(_Record, table=True):
    """A measured SLO; the newest row of a target and a name is what is known. `budget_left` is 1 where nothing of the
    error budget is spent, and below 0 where it is overspent.
    """

    __tablename__ = "slo_state"
    target: _Key
    name: _Key
    measured_at: datetime = Field(primary_key=True, sa_type=_Timestamptz)
    budget_left: float = Field(sa_type=Double)
    source: _String


class LedgerEntryRow(_Record, table=True):
    """One entry of the ledger; `position` numbers those of a proposal, `seq` (given by the database) all of them."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("proposal_id", "position", name="ledger_entry_position"),
        UniqueConstraint("seq", name="ledger_entry_seq"),
    )
    entry_id: _UuidKey
    seq: int | None = Field(default=None, nullable=False, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    proposal_id: _OptionalString = None
    position: int
    kind: _String
    previous_digest: _OptionalString = None
    digest: _String
    body: bytes
    recorded_at: _Instant
    late: bool


class WatchRow(_Record, table=True):
    """How far the watcher came: up to when it looked at runs, and up to which open action."""

    __tablename__ = "watch"
    at: datetime = Field(primary_key=True, sa_type=_Timestamptz)
    until: _Instant
    proposal_id: _String


class ArchiveRow(_Record, table=True):
    """Where the history of a closed run was archived, and the digest of that file."""

    __tablename__ = "archive"
    proposal_id: _Key
    run_id: _Key
    path: _String
    digest: _String
    archived_at: _Instant
