"""A lane: one channel's way out. What hangs in it keeps no other lane, no action and no process from going on.

- Each message is sent by a thread of its own, for as long as the channel's timeout; then it has failed, whatever the
  thread does. So many threads at most: a lane in which all of them hang begins nothing.
- The threads end with the process.
- Whatever a sender raises is a failure of the channel. Its text may hold a secret, so only its type is told.
"""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from policy.errors import CountersignError

WIDTH = 4


class ChannelError(CountersignError):
    """A channel did not take a message; the next attempt may succeed."""


@dataclass(frozen=True)
class Message:
    """One notice for one address.

    Attributes:
        key: the deduplication key that goes along: whoever gets it twice was told once.
        title: one line of plain text.
        text: plain text.
        markdown: the same as markdown.
        urgent: whether it should be loud.
        address: where to within the channel; empty for an endpoint.
        event: the data of the CloudEvent.
        kind: of the notice.
        subject: the proposal id, where it speaks of one.
        at: the instant (UTC) at which it is sent.
        happened_at: the instant (UTC) that it speaks of.

    """

    key: str
    title: str
    text: str
    markdown: str
    urgent: bool
    address: str
    event: dict[str, Any]
    kind: str
    subject: str | None
    at: datetime
    happened_at: datetime


class Sender(Protocol):
    """Sends one message, and blocks while it does."""

    def send(self, message: Message) -> None:
        """Send it.

        Raises:
            ChannelError: says why it was not taken, without any secret.
        """


class Lane:
    """One channel.

    Args:
        name: of the channel.
        sender: how it sends.
        timeout: for how many seconds one message is waited for.

    """

    def __init__(self, name: str, sender: Sender, timeout: float) -> None:
        self.name = name
        self.draining = False
        self._sender = sender
        self._timeout = timeout
        self._threads = 0

    @property
    def full(self) -> bool:
        """Whether every thread that it may have is at work, or hangs."""
        return self._threads >= WIDTH

    async def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            ChannelError: it was not taken in time, or not at all.
        """
        sent: Future[None] = Future()
        sent.set_running_or_notify_cancel()
        self._threads += 1
        loop = asyncio.get_running_loop()
        ended = asyncio.wrap_future(sent, loop=loop)
        threading.Thread(target=self._work, args=(message, sent, loop), name=f"notice-{self.name}", daemon=True).start()
        done, _ = await asyncio.wait({ended}, timeout=self._timeout)
        if not done:
            ended.add_done_callback(_forget)
            raise ChannelError(f"{self.name} did not answer within {self._timeout:g} s")
        ended.result()

    def _work(self, message: Message, sent: "Future[None]", loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._sender.send(message)
        except ChannelError as error:
            sent.set_exception(error)
        except Exception as error:  # noqa: BLE001 - named below: a plugin's fault is a failure of its channel
            sent.set_exception(ChannelError(f"{self.name} failed: {type(error).__name__}"))
        else:
            sent.set_result(None)
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._threads -= 1


def _forget(ended: "asyncio.Future[None]") -> None:
    """Take note of how it ended, so that nobody warns of an error that was not looked at."""
    if not ended.cancelled():
        ended.exception()
