"""The holds that nobody has released, for people to read: on which target, why, and what is unresolved by them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import HoldReleaseRow, HoldRow
from activities.tables_items import UnresolvedRow
from policy.items import Item

_HOLD = HoldRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HoldReleaseRow.__table__.c  # type: ignore[attr-defined]
_ITEM = UnresolvedRow.__table__.c  # type: ignore[attr-defined]
# The halt that goes with a hold which a person placed.
_HALT_ID = func.convert_from(_HOLD.body, "UTF8").cast(JSONB)["halt_id"].astext.label("halt_id")
_OPEN = (
    select(_HOLD.target, _HOLD.proposal_id, _HOLD.reason, _HOLD.owner, _HOLD.placed_at, _ITEM.body, _HALT_ID)
    .outerjoin(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .outerjoin(UnresolvedRow, _ITEM.proposal_id == _HOLD.proposal_id)
    .where(_RELEASE.hold_id.is_(None))
    .order_by(_HOLD.placed_at)
    .limit(bindparam("most"))
)


@dataclass(frozen=True)
class OpenHold:
    """A hold. `item` is what people are asked about it; None where it is of no action, or of an older release.

    `halt_id` is by what two people release it, where a person placed it.
    """

    target: str
    proposal_id: str | None
    reason: str
    owner: str
    placed_at: datetime
    item: Item | None
    halt_id: str | None = None


async def read_open_holds(connection: AsyncConnection, most: int) -> tuple[OpenHold, ...]:
    """The holds that nobody has released, the oldest first."""
    rows = await connection.execute(_OPEN, {"most": most})
    return tuple(
        OpenHold(
            target=row.target,
            proposal_id=row.proposal_id,
            reason=row.reason,
            owner=row.owner,
            placed_at=row.placed_at,
            item=Item.model_validate_json(row.body) if row.body is not None else None,
            halt_id=row.halt_id,
        )
        for row in rows
    )
