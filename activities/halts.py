"""Halts and take-overs as the record has them, in columns of the statements that read a case or a permit anyway.

The table has a row for each halt that there ever was, which are few; nobody reads it in a statement of its own before
something begins.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.halt_proofs import Releases
from activities.tables_halts import HaltReleaseRow, HaltRow
from activities.tables_reservations import TakeoverRow
from policy.halting import HaltFact, halts_on, said_of

# How many characters are shown of the halts of a case.
SHOWN = 500

_HALT = HaltRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HaltReleaseRow.__table__.c  # type: ignore[attr-defined]
_TAKEOVER = TakeoverRow.__table__.c  # type: ignore[attr-defined]
_RELEASED = select(_RELEASE.halt_id).where(_RELEASE.halt_id == _HALT.halt_id).scalar_subquery().is_not(None)
_FIELDS = ("halt_id", "environment", "placed_by", "placed_at", "reason")
_FACT = func.json_build_object(
    *(part for name in _FIELDS for part in (func.text(name), _HALT[name])), func.text("released"), _RELEASED
)
# One value: all halts that there ever were but those of one target, whose hold binds. JSON, None where there are none.
# Whether one of them ended, whoever acts finds out by the statements of its release (`activities/halt_proofs.py`).
HALTS = (
    select(func.json_agg(aggregate_order_by(_FACT, _HALT.placed_at))).where(_HALT.target.is_(None)).scalar_subquery()
)


def taken_over_by(proposal_id: ColumnElement[str]) -> ScalarSelect[str]:
    """The action that takes over the reservation of one, as a column; None where none does."""
    return select(_TAKEOVER.proposal_id).where(_TAKEOVER.taken == proposal_id).scalar_subquery()


def halts_in(value: Any) -> tuple[HaltFact, ...]:
    """The halts in that column, those with a release too."""
    if value is None:
        return ()
    found = json.loads(value) if isinstance(value, str) else value
    return tuple(HaltFact.model_validate(item) for item in found)


def shown_on(halts: Iterable[HaltFact], environment: str | None) -> str:
    """By whom an environment is halted, for people who look, in words; empty where it is not.

    A release counts here as it is written: nobody begins anything by this.
    """
    return (said_of(halts_on((item for item in halts if not item.released), environment)) or "")[:SHOWN]


async def open_halts(connection: AsyncConnection, releases: Releases) -> tuple[HaltFact, ...]:
    """The halts that are in force, oldest first."""
    return await releases.in_force(connection, await every_halt(connection))


async def every_halt(connection: AsyncConnection) -> tuple[HaltFact, ...]:
    """The halts that there ever were, oldest first."""
    return halts_in(await connection.scalar(select(HALTS)))
