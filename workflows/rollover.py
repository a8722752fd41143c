"""When a run has taken enough, and what it hands to the next one.

- The server refuses updates and signals beyond a number, and ends a run whose history is too long. Long before, a run
  continues as a new one under the same workflow id (`Pace` in `workflows/messages.py`), or when the server suggests it.
- The record is the authority: the next run asks `assess` first, as every start does, and picks the case up where the
  record is. What is carried only goes on numbering and showing.
- It is read only where Temporal says that a run continued another one. A client that starts with a second argument is
  told that one is taken. Whoever can write workflows of their own can still carry lies to a run: they number and show.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, ValidationError
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from policy.base import Instant, RecordModel
    from policy.canonical import MAX_TEXT_BYTES
    from policy.decision import DecisionReceipt
    from policy.ledger import EntryRef
    from workflows.converter import one_object
    from workflows.messages import Pace, Unlisted

RECEIPTS_CARRIED = 50
_MAX_NUMBER = 2**53 - 1


class Carried(RecordModel):
    """What a run hands to the next one.

    Attributes:
        arrived: the number of the newest message.
        revision: which was open; shown until the record has answered.
        receipts: of the decisions that were answered last, oldest first.
        refused: how many messages were refused.
        unlisted: how many refusals were not listed, by code.
        next_due: when something is due next; shown until the record has answered.
        entry: the newest ledger entry that the run was told of, so that no run's end hides a tail that was cut off.
        stop: a stop that is not on record yet.
        recheck: somebody asked that the action is measured again, and it was not yet.
    """

    arrived: Annotated[int, Field(ge=0, le=_MAX_NUMBER // 2)] = 0
    revision: int = 1
    receipts: Annotated[tuple[DecisionReceipt, ...], Field(max_length=RECEIPTS_CARRIED)] = ()
    refused: NonNegativeInt = 0
    unlisted: Unlisted = {}
    next_due: Instant | None = None
    entry: EntryRef | None = None
    stop: bool = False
    recheck: bool = False


class Odometer:
    """How much this run has taken."""

    def __init__(self) -> None:
        self.updates = 0
        self.signals = 0

    def is_due(self, pace: Pace) -> bool:
        """Whether the run should continue as a new one."""
        info = workflow.info()
        return pace.ends and (
            0 < pace.updates <= self.updates
            or 0 < pace.signals <= self.signals
            or 0 < pace.events <= info.get_current_history_length()
            or info.is_continue_as_new_suggested()
        )


def handed_over(args: Sequence[Any]) -> tuple[Sequence[Any], Carried]:
    """The arguments of a start, and what an earlier run carried; nothing where this run continues none."""
    if workflow.info().continued_run_id is None or len(args) != 2:  # noqa: PLR2004
        return args, Carried()
    value, _ = one_object(args[1:], MAX_TEXT_BYTES)
    try:
        return args[:1], Carried.model_validate(value or {})
    except ValidationError:
        # Not handed over by a run of ours: the case goes on all the same.
        return args[:1], Carried()
