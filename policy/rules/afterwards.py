"""What a policy says of what people do afterwards: about an action that ended without a definite state, about the
outcome of one that had ended, about an undo that fails, and about what nobody can judge by measuring.

The rules are in `policy/items.py` and `workflows/effect.py`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from policy.base import EdgeModel, Name
from policy.rules.durations import PositiveDuration

DUE = timedelta(days=1)
REMIND_EVERY = timedelta(days=1)


class Unresolved(EdgeModel):
    """Who says what became of an action that nobody knows the end of, and until when. Overdue, it is paged, and again
    every `remind_every`. Without a chain: whoever could approve it, or owns its target.
    """

    chain: Name | None = None
    due: PositiveDuration = DUE
    remind_every: PositiveDuration = REMIND_EVERY


class Amendments(EdgeModel):
    """Who amends the outcome of an action that has ended."""

    chain: Name


class FailedUndo(StrEnum):
    """What an undo that failed means for those that are left: of several documents, to stop counts."""

    proceed = "continue"
    stop = "stop"


class Inconclusive(EdgeModel):
    """How long people have to say what becomes of a step of which nobody can tell whether it is good, and what happens
    when they say nothing; the rules are in `policy/undecided.py`.
    """

    within: PositiveDuration
    on_expiry: Literal["compensate", "hold"]


class Compensation(EdgeModel):
    """How what was done is undone."""

    on_failed_undo: FailedUndo = FailedUndo.proceed
