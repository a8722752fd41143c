"""What actions reserve and wait for, as rows. The rules are those of `activities/tables.py`."""

from datetime import datetime

from sqlalchemy import Double, Index
from sqlmodel import Field

from activities.tables import _Instant, _Key, _Proposal, _ProposalKey, _Record, _Timestamptz


class ReservationRow(_Record, table=True):
    """What an action has of one scope, from `since` to its result or `lease_until`, whichever comes first.

    `step` is the one whose permit took it. `renewed`: it was had before, and is counted as begun only once.
    """

    __tablename__ = "reservation"
    __table_args__ = (
        Index("reservation_by_lease", "scope", "lease_until"),
        Index("reservation_by_time", "scope", "since"),
        Index("reservation_by_end", "lease_until"),
    )
    proposal_id: _ProposalKey
    scope: _Key
    step: int = Field(primary_key=True)
    amount: float = Field(sa_type=Double)
    shared: bool
    since: _Instant
    renewed: bool
    lease_until: _Instant


class ReservationWaitRow(_Record, table=True):
    """That an action waits for a scope, since when, and until when it has its place."""

    __tablename__ = "reservation_wait"
    __table_args__ = (Index("reservation_wait_by_end", "scope", "until"),)
    proposal_id: _ProposalKey
    scope: _Key
    asked_at: datetime = Field(primary_key=True, sa_type=_Timestamptz)
    since: _Instant
    priority: int
    registered_at: _Instant
    until: _Instant


class TakeoverRow(_Record, table=True):
    """That an action takes over the reservation of another, which is stopped by it."""

    __tablename__ = "takeover"
    taken: _ProposalKey
    proposal_id: _Proposal
    at: _Instant
