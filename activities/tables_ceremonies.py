"""Ceremonies as rows. The rules are those of `activities/tables.py`."""

from typing import Annotated

from sqlalchemy import Text
from sqlmodel import Field

from activities.tables import _Instant, _Key, _Record, _String


class CeremonyRow(_Record, table=True):
    """By which signed statements documents were put in force beside the gate; `body` is the list of them, as signed."""

    __tablename__ = "ceremony"
    digest: _Key
    nonce: Annotated[str, Field(sa_type=Text, unique=True)]
    body: bytes
    held_by: _String
    held_at: _Instant
