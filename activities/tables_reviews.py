"""What is owed of a broken glass, as rows. The rules are those of `activities/tables.py`."""

from sqlalchemy import Index

from activities.tables import _Instant, _Key, _Long, _OptionalString, _Proposal, _Record, _String, _UuidKey


class ReviewRow(_Record, table=True):
    """A review that is owed of what broke a glass: a row for each person who stands behind it, with the same body."""

    __tablename__ = "review"
    __table_args__ = (Index("review_by_person", "person", "opened_at"), Index("review_by_due", "due_at"))
    review_id: _UuidKey
    person: _Key
    proposal_id: _Proposal
    break_glass: _String
    opened_at: _Instant
    due_at: _Instant
    body: bytes
    digest: _String


class ReviewDecisionRow(_Record, table=True):
    """What somebody said of a review, counted or refused; the columns are those of a decision."""

    __tablename__ = "review_decision"
    review_id: _UuidKey
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


class ReviewClosedRow(_Record, table=True):
    """The end of a review: found in order, or at fault."""

    __tablename__ = "review_closed"
    review_id: _UuidKey
    found: _String
    closed_at: _Instant
    body: bytes
    digest: _String
