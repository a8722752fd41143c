"""What the workflow of a halt asks, and what it is answered. The rules are those of `workflows/messages.py`."""

from typing import Any

from policy.base import Instant
from workflows.messages import RecordAnswer, Request

# How many actions a release wakes; those beyond ask again within `HALTED_PAUSE`.
WOKEN = 200


class HaltRequest(Request):
    """A halt by its id, and what somebody signed of it, as received (any JSON value), where somebody did."""

    halt_id: str
    statement: Any = None
    problem: str | None = None
    now: Instant


class HaltResult(RecordAnswer):
    """How a halt stands. `code` and `message` say why a statement does not count; `missing` what a release lacks.

    `wakes` are actions that a release lets go on, some at most: the others ask again by themselves.
    """

    placed: bool = False
    released: bool = False
    code: str | None = None
    message: str = ""
    missing: str | None = None
    wakes: tuple[str, ...] = ()
