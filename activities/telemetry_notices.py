"""The gauges of what waits to be told, read from the record: how many notices are due, and for how long the oldest.

What waits for somebody's hours or for the next digest is due, too: whoever sets an alert sets it above those.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from activities.database import Database
from activities.delivery_rows import KEPT, OPEN
from activities.tables_notices import NoticeRow

_NOTICE = NoticeRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Untold:
    """What nobody was told yet at one instant."""

    count: int
    oldest_seconds: float


async def read_untold(database: Database, now: datetime) -> Untold:
    """What is due and open now.

    Raises:
        DatabaseUnavailableError: the record could not be read.

    """
    wanted = select(func.count(), func.min(_NOTICE.not_before)).where(
        _NOTICE.created_at >= now - KEPT, _NOTICE.not_before <= now, OPEN
    )
    async with database.snapshot() as connection:
        count, oldest = (await connection.execute(wanted)).one()
    return Untold(count, (now - oldest).total_seconds() if oldest else 0.0)
