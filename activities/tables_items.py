"""What people say of actions after their end, as rows. The rules are those of `activities/tables.py`."""

from sqlalchemy import Index, UniqueConstraint

from activities.tables import (
    _Instant,
    _Key,
    _Long,
    _OptionalNumber,
    _OptionalString,
    _Proposal,
    _Record,
    _String,
    _UuidKey,
)


class UnresolvedRow(_Record, table=True):
    """An action that ended without a definite state; `body` is the item that people are asked about."""

    __tablename__ = "unresolved"
    __table_args__ = (
        UniqueConstraint("proposal_id", name="unresolved_once"),
        Index("unresolved_by_due", "due_at"),
    )
    item_id: _UuidKey
    proposal_id: _Proposal
    target: _String
    outcome: _String
    opened_at: _Instant
    due_at: _Instant
    body: bytes
    digest: _String


class ItemDecisionRow(_Record, table=True):
    """What somebody said of an item, counted or refused; the columns are those of a decision."""

    __tablename__ = "item_decision"
    item_id: _UuidKey
    decision_id: _Key
    person_id: _OptionalString = None
    vote: _String
    counted: bool
    code: _OptionalString = None
    body: bytes
    digest: _String
    receipt: bytes
    arrival: _Long
    received_at: _Instant


class UnresolvedClosedRow(_Record, table=True):
    """The end of what was unresolved: what was found, by people or by an action that remedied it."""

    __tablename__ = "unresolved_closed"
    item_id: _UuidKey
    found: _String
    closed_at: _Instant
    body: bytes
    digest: _String


class AmendmentRow(_Record, table=True):
    """How an action ended as people know it since `amended_at`; the one with the highest `number` counts.

    The columns after `amended_at` are those of its result, with `recorded_at`: they are history in the result's place.
    """

    __tablename__ = "amendment"
    __table_args__ = (
        UniqueConstraint("proposal_id", "number", name="amendment_number"),
        Index("amendment_by_target", "operation", "target", "measured", "outcome", "recorded_at"),
        Index(
            "amendment_by_kind",
            *("operation", "environment", "target_kind", "criticality", "measured", "outcome", "recorded_at"),
        ),
    )
    amendment_id: _UuidKey
    proposal_id: _Proposal
    number: int
    outcome: _String
    body: bytes
    digest: _String
    amended_at: _Instant
    recorded_at: _Instant
    operation: _OptionalString = None
    target: _OptionalString = None
    target_kind: _OptionalString = None
    environment: _OptionalString = None
    criticality: int | None = None
    agent: _OptionalString = None
    confidence: _OptionalNumber = None
    measured: bool | None = None


class OutsideRow(_Record, table=True):
    """What somebody states that was done past Countersign: on which target, between when; it authorizes nothing."""

    __tablename__ = "outside"
    __table_args__ = (Index("outside_by_target", "target", "began_at"),)
    outside_id: _UuidKey
    target: _String
    began_at: _Instant
    ended_at: _Instant
    stated_by: _String
    stated_at: _Instant
    body: bytes
    digest: _String
