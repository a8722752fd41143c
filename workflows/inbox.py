"""The messages of an action: numbered at arrival, sorted into what could count and what cannot, taken by one consumer.

- "Newest" always means the highest number: what the sender wrote about time never reorders votes.
- Nothing overtakes a decision that could count. What could count is taken in order of arrival, and so is the rest.
- What cannot count, whatever comes before it, goes behind: what is no decision at all, is about another proposal,
  revision or content than the one that waits, or has expired. So does what comes in the name of an identity that the
  record answered `FLOODED` times that it knows nobody, or no key, of that name. So junk holds a vote back by no more
  than the time in which it is looked at.
- What went behind is answered, too: an eighth of each batch is kept for it, and all that is left over.
- A message is read when it is sorted, not when it arrives, and at most `SIFTED` or `SIFTED_BYTES` of them at a time:
  some megabytes of JSON in one workflow task would take longer than a task may.
- While no more than `HANDFUL` wait they are taken one by one as they came.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from temporalio.exceptions import ApplicationError

from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, receive_decision
from policy.errors import DecisionError
from workflows.converter import DECISION_BYTES, Received, one_object
from workflows.marks import any_in_the_clear

HANDFUL = 3
FLOODED = 8
SIFTED = 1000
SIFTED_BYTES = 512 * 1024
# What one call may carry, far below what the server takes in one payload.
BATCH_BYTES = 256 * 1024
_SHARE = 8
_NAMES_KEPT = 1000
_UNKNOWN = (Refusal.unknown_person, Refusal.unknown_key)


def check_decision(args: Sequence[Any]) -> None:
    """Refuse an update that is no decision, before it is in the history.

    Raises:
        ApplicationError: says what is wrong with it.
    """
    value, problem = one_object(args, DECISION_BYTES)
    try:
        receive_decision(value if value is not None else problem)
    except DecisionError as error:
        raise ApplicationError(problem or str(error), type="BadDecision", non_retryable=True) from None


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
        return self._content

    @cached_property
    def submission(self) -> DecisionSubmission | None:
        """The decision in it, if it is one."""
        try:
            return receive_decision(self.read()[0])
        except DecisionError:
            return None

    def answer(self, receipt: DecisionReceipt) -> DecisionReceipt:
        """Give it its receipt, which says so where it came in the clear though payloads are encrypted."""
        if any_in_the_clear(self.args):
            receipt = receipt.model_copy(update={"in_the_clear": True})
        self.receipt = receipt
        return receipt

    @property
    def size(self) -> int:
        """The bytes of what it carries."""
        return sum(len(item.payload.data) for item in self.args if isinstance(item, Received))

    @cached_property
    def _content(self) -> tuple[dict[str, Any] | None, str]:
        return (None, self.problem) if self.problem else one_object(self.args, DECISION_BYTES)


class Inbox:
    """What waits: unread, and sorted into two lanes.

    Args:
        arrived: how many messages earlier runs of the action numbered.
    """

    def __init__(self, arrived: int = 0) -> None:
        self._unread: deque[Message] = deque()
        self._fitting: deque[Message] = deque()
        self._rest: deque[Message] = deque()
        self._updates = 0
        self._nobody: Counter[str] = Counter()
        self.arrived = arrived

    def arrive(self, args: Sequence[Any], channel: str) -> Message:
        """Number a message of any shape and keep it for the consumer."""
        return self._keep(Message(number=self._next(), channel=channel, args=args))

    def arrive_unknown(self, name: str, channel: str) -> Message:
        """Keep a note of a message whose name nobody knows."""
        problem = f"unknown {channel} {name[:60]!r}, send decide"
        return self._keep(Message(number=self._next(), channel=channel, args=(), problem=problem))

    def take(self) -> Message:
        """The oldest message that waits."""
        lanes = [lane for lane in (self._unread, self._fitting, self._rest) if lane]
        return self._give(min(lanes, key=lambda lane: lane[0].number).popleft())

    def take_batch(self, most: int, could_count: Callable[[DecisionSubmission], bool]) -> list[Message]:
        """The next messages, in order of arrival among those that could count and among the others.

        Args:
            most: how many, at most.
            could_count: whether a decision names what waits, and is valid still.
        """
        self._sift(could_count)
        fitting = _run(self._fitting, most - most // _SHARE)
        rest = _run(self._rest, most - fitting)
        batch = [self._give(self._fitting.popleft()) for _ in range(fitting)]
        return [*batch, *(self._give(self._rest.popleft()) for _ in range(rest))]

    def note_answer(self, message: Message, receipt: DecisionReceipt) -> None:
        """Remember the names that the record answered it knows nobody of."""
        if receipt.code not in _UNKNOWN or (said := message.submission) is None:
            return
        name = said.sender
        if name in self._nobody or len(self._nobody) < _NAMES_KEPT:
            self._nobody[name] += 1

    @property
    def holds_update(self) -> bool:
        """Whether somebody who waits for an answer waits."""
        return self._updates > 0

    def __len__(self) -> int:
        return len(self._unread) + len(self._fitting) + len(self._rest)

    def _sift(self, could_count: Callable[[DecisionSubmission], bool]) -> None:
        """Read the oldest that are not read, and put each into its lane."""
        size = 0
        for _ in range(min(len(self._unread), SIFTED)):
            message = self._unread.popleft()
            size += min(message.size, DECISION_BYTES)
            said = message.submission
            fits = said is not None and self._nobody[said.sender] < FLOODED and could_count(said)
            (self._fitting if fits else self._rest).append(message)
            if size > SIFTED_BYTES:
                break

    def _next(self) -> int:
        self.arrived += 1
        return self.arrived

    def _keep(self, message: Message) -> Message:
        self._updates += message.channel == "update"
        self._unread.append(message)
        return message

    def _give(self, message: Message) -> Message:
        self._updates -= message.channel == "update"
        return message


def _run(lane: deque[Message], most: int) -> int:
    """How many of a lane go into one call: one at least, and no more than the bytes that it may carry."""
    size = 0
    for number, message in enumerate(islice(lane, max(most, 0))):
        size += message.size
        if number and size > BATCH_BYTES:
            return number
    return min(len(lane), max(most, 0))
