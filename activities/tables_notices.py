"""The outbox as rows: what people are told, and what became of it. The rules are those of `activities/tables.py`."""

from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field

from activities.tables import SCHEMA, _Instant, _Key, _OptionalString, _Record, _String, _UuidKey


class NoticeRow(_Record, table=True):
    """A notice: for an `audience` as it was written, then for each `person`, `group` or `platform` of it."""

    __tablename__ = "notice"
    __table_args__ = (
        Index("notice_by_creation", "created_at"),
        Index("notice_by_proposal", "proposal_id", "created_at"),
    )
    notice_id: _UuidKey
    proposal_id: _OptionalString = None
    kind: _String
    recipient_kind: _String
    recipient: _String
    urgency: _String
    body: bytes
    digest: _String
    created_at: _Instant
    not_before: _Instant


class NoticeDeliveryRow(_Record, table=True):
    """A step of an attempt in a channel; the row of channel `*` closes the notice."""

    __tablename__ = "notice_delivery"
    __table_args__ = (
        Index("notice_delivery_by_time", "at"),
        Index("notice_delivery_closed_once", "notice_id", unique=True, postgresql_where=text("channel = '*'")),
    )
    notice_id: UUID = Field(primary_key=True, foreign_key=f"{SCHEMA}.notice.notice_id")
    channel: _Key
    attempt: int = Field(primary_key=True)
    status: _Key
    detail: _String
    at: _Instant
