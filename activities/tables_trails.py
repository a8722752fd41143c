"""How far the detector came in the trail of a target, as rows. The rules are those of `activities/tables.py`."""

from datetime import datetime

from sqlmodel import Field

from activities.tables import _Instant, _Key, _Record, _Timestamptz


class TrailLookRow(_Record, table=True):
    """A look at the trail of a resource: when, and up to when that trail went."""

    __tablename__ = "trail_look"
    resource: _Key
    at: datetime = Field(primary_key=True, sa_type=_Timestamptz)
    until: _Instant
