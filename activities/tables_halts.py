"""Halts as rows. The rules are those of `activities/tables.py`."""

from typing import Annotated

from sqlalchemy import Index, Text
from sqlmodel import Field

from activities.tables import SCHEMA, _Instant, _Key, _OptionalString, _Record, _String

_HaltKey = Annotated[str, Field(sa_type=Text, foreign_key=f"{SCHEMA}.halt.halt_id", primary_key=True)]


class HaltRow(_Record, table=True):
    """That nothing begins, in an environment or anywhere, from when it is there. `body` is the statement as it came.

    Where it is of one `target`, a hold (`HoldRow`) goes with it, and a release of that with its own.

    `placed_by` and `reason` are what whoever wrote the row says; who it was, the statement's proof shows.
    """

    __tablename__ = "halt"
    __table_args__ = (
        Index("halt_of_all", "placed_at", postgresql_where="target IS NULL"),
        Index("halt_of_target", "placed_at", postgresql_where="target IS NOT NULL"),
    )
    halt_id: _Key
    environment: _OptionalString = None
    target: _OptionalString = None
    placed_by: _String
    placed_at: _Instant
    reason: _String
    body: bytes
    digest: _String


class HaltStatementRow(_Record, table=True):
    """That a person who may signed the release of a halt, as it came."""

    __tablename__ = "halt_statement"
    halt_id: _HaltKey
    digest: _Key
    person_id: _String
    received_at: _Instant
    body: bytes


class HaltReleaseRow(_Record, table=True):
    """The end of a halt. The database refuses it without the statements of two people."""

    __tablename__ = "halt_release"
    halt_id: _Key
    released_at: _Instant
    body: bytes
    digest: _String
