"""The messages of a run, numbered at arrival and answered in that order by one consumer.

"Newest" always means the highest number: what the sender wrote about time never reorders votes.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policy.decision import DecisionReceipt
from workflows.converter import DECISION_BYTES, one_object


@dataclass
class Message:
    """A message as it arrived, not read yet. `problem` says why it is none."""

    number: int
    channel: str
    args: Sequence[Any]
    problem: str = ""
    receipt: DecisionReceipt | None = None

    def read(self) -> tuple[dict[str, Any] | None, str]:
        """The JSON object in it, or None and why there is none."""
        return (None, self.problem) if self.problem else one_object(self.args, DECISION_BYTES)


class Inbox:
    """First in, first out."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._arrived = 0

    def arrive(self, args: Sequence[Any], channel: str) -> Message:
        """Number a message of any shape and keep it for the consumer."""
        return self._keep(Message(number=self._next(), channel=channel, args=args))

    def arrive_unknown(self, name: str, channel: str) -> Message:
        """Keep a note of a message whose name nobody knows."""
        problem = f"unknown {channel} {name[:60]!r}, send decide"
        return self._keep(Message(number=self._next(), channel=channel, args=(), problem=problem))

    def take(self) -> Message:
        """The oldest message that waits."""
        return self._waiting.popleft()

    @property
    def holds_update(self) -> bool:
        """Whether somebody who waits for an answer waits."""
        return any(message.channel == "update" for message in self._waiting)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def _next(self) -> int:
        self._arrived += 1
        return self._arrived

    def _keep(self, message: Message) -> Message:
        self._waiting.append(message)
        return message
