"""Admission limits: how much may wait for people at once, and be asked of them in an hour, from one place.

- A limit speaks of an action that asks people, where its `match` covers any of the action's operations; of every such
  action where it has no `match`. An action that asks nobody is bounded by the policy's other limits.
- It counts apart for each agent, each target, or each group that owns a target. A target that nobody owns is its own
  group's: nobody's. A dry run counts with dry runs.
- `max_pending` of them may wait or be under way at once, and `max_per_hour` be admitted within an hour. One that comes
  when so many are there is refused: nobody is asked, told or reminded of it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from policy.base import EdgeModel, Name, Reason, RecordModel, Text
from policy.rules.match import Where

Per = Literal["agent", "target", "owner_group"]
LIMIT = "admission_limit"
_Most = Annotated[int, Field(ge=1, le=10_000)]


class AdmissionLimit(EdgeModel):
    """How much may be asked from one place; it counts per `per`."""

    id: Name
    per: Per
    match: Where | None = None
    max_pending: _Most | None = None
    max_per_hour: _Most | None = None
    reason: Text = ""

    @model_validator(mode="after")
    def _something(self) -> "AdmissionLimit":
        if self.max_pending is None and self.max_per_hour is None:
            raise ValueError(f"admission {self.id}: give it max_pending, max_per_hour or both: it would limit nothing")
        return self


class Counted(RecordModel):
    """What the record counted for a limit: how many of its scope wait, and were admitted in the last hour."""

    id: str
    scope: str
    pending: int
    last_hour: int


def exceeded(limit: AdmissionLimit, counted: Counted) -> tuple[Reason, ...]:
    """Why one more is not admitted; nothing where it is. Pure."""
    found = []
    if limit.max_pending is not None and counted.pending >= limit.max_pending:
        found.append(f"{counted.pending} of {counted.scope} wait or are under way, {limit.max_pending} are the most")
    if limit.max_per_hour is not None and counted.last_hour >= limit.max_per_hour:
        found.append(f"{counted.last_hour} of {counted.scope} were asked in an hour, {limit.max_per_hour} are the most")
    why = f"; {limit.reason}" if limit.reason else ""
    return tuple(Reason(code=LIMIT, message=f"{limit.id}: {text}{why}") for text in found)
