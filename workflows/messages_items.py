"""What is asked of the things that people have to look at, and what is answered; as `workflows/messages.py`."""

from typing import Any, Literal

from policy.approval.standing import Standing
from policy.base import Instant
from policy.decision import DecisionReceipt
from workflows.messages import RecordAnswer, Request


class ItemRequest(Request):
    """Something that people have to look at, by its id."""

    item_id: str
    now: Instant


class ItemAnswerRequest(ItemRequest):
    """What somebody says of an item, as received (any JSON value)."""

    submission: Any
    problem: str | None = None
    channel: Literal["update", "signal"]
    arrival: int


class ItemResult(RecordAnswer):
    """How an item stands. `due_at` is when to look again; None where nothing more becomes due. `closed` says how.
    `unasked`: it is a statement that nobody was asked for, of which nothing stands.
    """

    unknown: bool = False
    receipt: DecisionReceipt | None = None
    standing: Standing | None = None
    due_at: Instant | None = None
    closed: str | None = None
    unasked: bool = False

    @property
    def whole(self) -> bool:
        return self.unknown or self.unasked or self.standing is not None
