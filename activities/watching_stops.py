"""Whether somebody ends a step while it runs: the executor reads it in the record itself, and waits for no workflow.

- Every few seconds, and no more often, the record is read as it is before a claim: a halt, a hold that the action does
  not remedy, a take-over, a stop, a revocation. The first that is found ends the step like a cancellation: it is told
  to the effect, which ends where its executor says that it can, and no further target is begun.
- A record that is away ends nothing: what was claimed under it goes on to its end, and is reported.
- What was found is in the report. It tells the workflow only that the verb for a stop applies; what may be undone the
  record says when the undo is claimed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from activities.claims import Refused
from activities.database import DatabaseUnavailableError


@dataclass
class Watched:
    """What ended a step while it was watched; None where nothing did."""

    by: Refused | None = None

    @property
    def says(self) -> str:
        """In words for the report; empty where nothing did."""
        return f"{self.by.code}: {self.by.message}" if self.by is not None else ""


@asynccontextmanager
async def watched(ended_by: Callable[[], Awaitable[Refused | None]], seconds: float) -> AsyncIterator[Watched]:
    """Cancel whoever is inside, once, where the record says that what it does is ended.

    Args:
        ended_by: reads the record.
        seconds: between two reads.
    """
    inside, found = asyncio.current_task(), Watched()
    assert inside is not None

    async def look() -> None:
        while found.by is None:
            await asyncio.sleep(seconds)
            try:
                found.by = await ended_by()
            except DatabaseUnavailableError:
                continue
        # Whoever was told by Temporal already is not told twice: a second cancellation could cut its report off.
        if not inside.cancelling():
            inside.cancel(found.says)

    looking = asyncio.create_task(look())
    try:
        yield found
    finally:
        # Nothing is waited for here: what was done has to be reported whatever comes.
        looking.cancel()
