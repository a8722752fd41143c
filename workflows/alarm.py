"""One timer, started again only when its instant changes: a vote that moves no deadline costs no event."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

# A server may limit what a timer shows; a policy's reason can be longer.
_SUMMARY = 200
_LONGEST = timedelta(days=3650)


class Alarm:
    """Rings at an instant. `rang` stays true until another instant is set."""

    def __init__(self) -> None:
        self.rang = False
        self._at: datetime | None = None
        self._timer: asyncio.Task[None] | None = None

    def set(self, at: datetime, summary: str) -> None:
        """Ring at `at` (UTC); at once if that has passed. Does nothing if it is already set to that instant."""
        if at == self._at:
            return
        self.cancel()
        self._at = at
        delay = at - workflow.now()
        if delay <= timedelta(0):
            self.rang = True
        else:
            self._timer = asyncio.create_task(self._wait(min(delay, _LONGEST), summary))

    def cancel(self) -> None:
        """Forget the instant."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at, self.rang = None, None, False

    async def _wait(self, delay: timedelta, summary: str) -> None:
        await workflow.sleep(delay, summary=summary[:_SUMMARY])
        self.rang = True
