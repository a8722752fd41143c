"""The clock of the activities: read in one place, compared with the workflow's, replaceable by a test server's.

An instant that a workflow passes is used only where it differs from the clock here by at most a minute. Beyond that,
one of the two is wrong or the request waited too long, and the activity answers `stale` instead of deciding.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

TOLERANCE = timedelta(minutes=1)


class Clock(Protocol):
    """Tells the instant, UTC."""

    async def now(self) -> datetime: ...


class SystemClock:
    """The clock of this machine."""

    async def now(self) -> datetime:
        return datetime.now(UTC)


async def differs(clock: Clock, passed: datetime) -> bool:
    """Whether an instant that was passed in is more than a minute away from the clock."""
    return abs(await clock.now() - passed) > TOLERANCE
