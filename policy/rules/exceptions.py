"""Exceptions from a policy, and breaking its glass: both named, bounded, and seen by whoever is asked.

- An exception lifts rules and freezes of its own document by their ids; a limit it cannot lift. It has somebody who
  approved it, a reason, and an end within 90 days, none of which can be left out.
- It never makes an answer stricter: where it would lift every rule that speaks of an operation, they all stand.
- Whoever approved it does not approve an action that it applies to.
- An exception whose condition fails does not apply, and neither does one without an instant to compare its end with.
- Break-glass is for what the proposer calls an emergency. It asks another chain instead of the usual one, never nobody,
  and lifts the freezes that it names; a rule or limit that denies still denies. What ran by it is reviewed afterwards.
- Who may break it, how often, and what a review that is overdue means: `policy/breaking.py`.
"""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from policy.base import EdgeModel, Instant, Name, Text
from policy.rules.chains import Requirement
from policy.rules.durations import PositiveDuration, written
from policy.rules.match import Match, Scoped

MAX_EXCEPTION = timedelta(days=90)


class PolicyException(Scoped):
    """What is let through for a while, by whom and why."""

    id: Name
    lifts: Annotated[tuple[Name, ...], Field(min_length=1)]
    approved_by: Annotated[tuple[Name, ...], Field(min_length=1)]
    reason: Annotated[Text, Field(min_length=1)]
    granted_at: Instant
    expires_at: Instant

    @model_validator(mode="after")
    def _bounded(self) -> "PolicyException":
        if self.match is None and self.when is None:
            raise ValueError(f"exception {self.id}: give it match or when: it would let everything through")
        if self.expires_at <= self.granted_at:
            raise ValueError(f"exception {self.id}: it expires before it is granted")
        if self.expires_at - self.granted_at > MAX_EXCEPTION:
            raise ValueError(f"exception {self.id}: it lasts more than {written(MAX_EXCEPTION)}, let it end sooner")
        return self

    def current(self, at: datetime | None) -> bool:
        """Whether it is granted and not over at an instant."""
        return at is not None and self.granted_at <= at < self.expires_at


class Budget(EdgeModel):
    """How often a person may break a glass in so many days."""

    count: Annotated[int, Field(ge=1, le=1000)]
    days: Annotated[int, Field(ge=1, le=366)]


class BreakGlass(EdgeModel):
    """Whom to ask instead in an emergency, who may, how often, and who reviews it within how long."""

    id: Name
    match: Match
    chain: Name
    review_within: PositiveDuration
    reason_required: bool = True
    lifts_freezes: tuple[Name, ...] = ()
    who: Requirement | None = None
    budget: Budget | None = None
    review: Name | None = None
    dual_control: Name | None = None

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains that it names."""
        return tuple(name for name in (self.chain, self.review, self.dual_control) if name is not None)

    @model_validator(mode="after")
    def _one_of_them(self) -> "BreakGlass":
        if self.who is not None and self.who.count != 1:
            raise ValueError(f"break_glass {self.id}: who has count {self.who.count}, one person asks: leave it out")
        if self.who is not None and self.who.when is not None:
            raise ValueError(f"break_glass {self.id}: when is not asked in who: name groups, roles or people")
        return self
