"""Limits: what no approval, exception or break-glass lifts. Those of a policy, and the caps of the operations registry.

- A limit without caps denies what it matches. One with caps denies what exceeds any of them.
- A cap whose fact nobody knows denies: how many may run at once cannot be kept where nobody counts.
- `max_per_hour` counts the effects of the last hour, the permits that are not used yet, and the steps that are proposed
  now: of the operations that the match lists, of all where there is no match and no condition, else of those in the
  action.
- `max_plan_age` is from `produced_at` to the instant of the facts, when it is assessed and when it is dispatched.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from policy.base import Name, Text
from policy.facts import Facts
from policy.operations import RegisteredOperation
from policy.proposal import ActionProposal
from policy.rules.durations import PositiveDuration, written
from policy.rules.match import Match, Scoped

# Two clocks that disagree by more are refused elsewhere; a plan from further ahead was not made yet.
_SKEW = timedelta(seconds=60)


class Bounds(Scoped):
    """The caps, each of which may be left out. `max_share` is 0..1 of the target's capacity."""

    max_resolved: Annotated[int, Field(ge=1)] | None = None
    max_share: Annotated[float, Field(gt=0, le=1)] | None = None
    max_failure_domains: Annotated[int, Field(ge=1)] | None = None
    max_per_hour: Annotated[int, Field(ge=1)] | None = None
    max_plan_age: PositiveDuration | None = None

    @property
    def capped(self) -> bool:
        """Whether it has any cap."""
        return any(getattr(self, name) is not None for name in _CAPS)


_CAPS = ("max_resolved", "max_share", "max_failure_domains", "max_per_hour", "max_plan_age")


class Limit(Bounds):
    """A line that no approval crosses."""

    id: Name
    reason: Text
    controls: tuple[Text, ...] = ()
    incidents: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> "Limit":
        if self.match is None and self.when is None and not self.capped:
            raise ValueError(f"limit {self.id}: give it match, when or a cap: it would deny everything")
        return self


def registered_bounds(operation: RegisteredOperation) -> Bounds:
    """The caps of an operation, as a policy would write them."""
    caps = operation.caps
    return Bounds(
        match=Match(operations=(operation.name,)),
        max_resolved=caps.resolved,
        max_share=caps.share,
        max_failure_domains=caps.failure_domains,
        max_per_hour=caps.per_hour,
        max_plan_age=None if caps.max_age_seconds is None else timedelta(seconds=caps.max_age_seconds),
    )


def exceeded(bounds: Bounds, proposal: ActionProposal, facts: Facts, operations: set[str]) -> list[str]:
    """What of the caps is exceeded, or cannot be known, as sentences; pure.

    Args:
        bounds: the caps.
        proposal: what is asked for.
        facts: what is known of it.
        operations: names of the operations that the caps speak of.
    """
    return [*_sizes(bounds, facts), *_rate(bounds, proposal, facts, operations), *_age(bounds, proposal, facts.at)]


def _sizes(bounds: Bounds, facts: Facts) -> Iterator[str]:
    count, share, domains = facts.touched, facts.share, len(facts.failure_domains)
    if bounds.max_resolved is not None and count > bounds.max_resolved:
        yield f"the target resolves to {count}, {bounds.max_resolved} at once are the most"
    if bounds.max_share is not None and share is None:
        yield "nobody knows how much of the target's capacity this takes"
    elif bounds.max_share is not None and share is not None and share > bounds.max_share:
        yield f"it takes {share:.0%} of the target's capacity, {bounds.max_share:.0%} at once are the most"
    if bounds.max_failure_domains is not None and not domains:
        yield "nobody knows in which failure domains the target is"
    elif bounds.max_failure_domains is not None and domains > bounds.max_failure_domains:
        names = ", ".join(facts.failure_domains[:5])
        yield f"it is in {domains} failure domains ({names}), {bounds.max_failure_domains} at once are the most"


def _rate(bounds: Bounds, proposal: ActionProposal, facts: Facts, operations: set[str]) -> Iterator[str]:
    if bounds.max_per_hour is None:
        return
    steps = sum(step.operation in operations for step in proposal.steps)
    if facts.at is None:
        yield "nobody knows how many of these ran in the last hour"
    elif steps and (before := _before(bounds, facts, operations)) + steps > bounds.max_per_hour:
        yield f"{before} of these ran in the last hour and {steps} are asked for, {bounds.max_per_hour} are the most"


def _before(bounds: Bounds, facts: Facts, operations: set[str]) -> int:
    ran = facts.observed.last_hour
    if bounds.match is None and bounds.when is None:
        return sum(ran.values())
    listed = bounds.match.operations if bounds.match else None
    return sum(ran.get(name, 0) for name in operations.union(listed or ()))


def _age(bounds: Bounds, proposal: ActionProposal, at: datetime | None) -> Iterator[str]:
    if bounds.max_plan_age is None:
        return
    if proposal.produced_at is None or at is None:
        yield "nobody knows how old the plan is: give produced_at"
    elif proposal.produced_at > at + _SKEW:
        yield f"the plan says that it was made at {proposal.produced_at:%Y-%m-%dT%H:%M:%SZ}, which is yet to come"
    elif (age := at - proposal.produced_at) > bounds.max_plan_age:
        minutes = int(age.total_seconds() // 60)
        yield f"the plan is {minutes} minutes old, {written(bounds.max_plan_age)} is the most: make it again"
