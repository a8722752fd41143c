"""Aggregate limits: how much may be done at once, and in an hour, by all actions together.

- A limit of one action (`policy/rules/limits.py`) says nothing of ten that come together. These count every action that
  holds a reservation (`policy/reserving.py`): an action that several of these limits speak of needs room in each.
- A limit speaks of an action where its `match` and its condition hold for any operation of it, the undos too; of every
  action where it has neither. An action that only rehearses takes part in none.
- It counts apart for each scope, which is what `per` says: each id that the target resolves to, each failure domain,
  the system or the environment of the target, or everything together.
- It counts actions, ids (of the catalog, or of what executors found, if those are more), units of capacity, or the
  share of the target's capacity. Shares of different targets do not add up, so a limit that counts them is per target.
  What an action takes counts whole in each of its scopes.
- `at_once` is the most that may be reserved, `per_hour` the most that may have been reserved within an hour.
- What would exceed it waits for its turn (`queue`), goes back to the people who approved it (`hold`), or is refused
  (`deny`). What alone is more than the limit, or takes
  nobody knows how much, is denied when it is assessed: waiting would not help.
- It counts what was dispatched under its id. A limit of a new id begins with nothing.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policy.base import Name, Text
from policy.facts import Facts
from policy.rules.match import Scoped

Per = Literal["target", "failure_domain", "system", "environment", "everything"]
Counts = Literal["actions", "ids", "units", "share"]
Exceeded = Literal["queue", "hold", "deny"]
# Sums of shares are sums of fractions: five times 10 % are 50 %.
EPSILON = 1e-9
_Most = Annotated[float, Field(gt=0, le=1_000_000)]


class AggregateLimit(Scoped):
    """How much all actions together may take. `at_once` and `per_hour` are in what is counted; a share is 0..1."""

    id: Name
    per: Per
    count: Counts = "actions"
    at_once: _Most | None = None
    per_hour: _Most | None = None
    exceeded: Exceeded = "queue"
    reason: Text = ""

    @model_validator(mode="after")
    def _something(self) -> "AggregateLimit":
        if self.at_once is None and self.per_hour is None:
            raise ValueError(f"aggregate {self.id}: give it at_once, per_hour or both: it would limit nothing")
        if self.count == "share":
            if self.per != "target":
                raise ValueError(f"aggregate {self.id}: shares of different targets do not add up: write per: target")
            if (self.at_once or 0) > 1:
                raise ValueError(f"aggregate {self.id}: at_once is {self.at_once}, a share is 1 at most")
        elif self.count != "units" and any(most is not None and most != int(most) for most in self._mosts):
            raise ValueError(f"aggregate {self.id}: {self.count} are counted in whole numbers")
        return self

    @property
    def _mosts(self) -> tuple[float | None, float | None]:
        return self.at_once, self.per_hour

    @property
    def shares_targets(self) -> bool:
        """Whether it says how many actions may be at one target, in place of one at a time."""
        return self.per == "target" and self.count == "actions" and self.at_once is not None


def scopes(limit: AggregateLimit, facts: Facts) -> tuple[str, ...]:
    """What it counts apart for, of the target of these facts; nothing where nobody knows."""
    match limit.per:
        case "target":
            return tuple(f"id {one}" for one in facts.resolved)
        case "failure_domain":
            return tuple(f"domain {one}" for one in facts.failure_domains)
        case "system":
            return (f"system {facts.target_system}",) if facts.target_system else ()
        case "environment":
            return (f"environment {facts.target_environment}",) if facts.target_environment else ()
        case "everything":
            return ("everything",)


def amount(limit: AggregateLimit, facts: Facts) -> float | None:
    """How much an action on the target of these facts takes; None where nobody knows."""
    match limit.count:
        case "actions":
            return 1.0
        case "ids":
            return float(facts.touched)
        case "units":
            return facts.units_touched
        case "share":
            return facts.share


def alone(limit: AggregateLimit, facts: Facts) -> Iterator[str]:
    """Why an action alone is too much for a limit, or nobody knows whether it is, as sentences; pure."""
    if not scopes(limit, facts):
        yield f"nobody knows the {limit.per.replace('_', ' ')} of the target"
    taken = amount(limit, facts)
    if taken is None:
        yield f"nobody knows how much it takes, counted in {limit.count}"
        return
    most = min(item for item in (limit.at_once, limit.per_hour) if item is not None)
    if taken > most + EPSILON:
        yield f"alone it takes {said(taken, limit.count)}, {said(most, limit.count)} are the most of all together"


def aggregate_text(limit: AggregateLimit) -> str:
    """A limit in words: `5 actions at once per environment, else queue`."""
    most = ((limit.at_once, "at once"), (limit.per_hour, "an hour"))
    told = ", ".join(f"{said(value, limit.count)} {what}" for value, what in most if value is not None)
    return f"{told} per {limit.per.replace('_', ' ')}, else {limit.exceeded}"


def said(value: float, count: Counts) -> str:
    """An amount in words: `3 actions`, `30 % of the capacity`."""
    return f"{value:.0%} of the capacity" if count == "share" else f"{value:g} {count}"
