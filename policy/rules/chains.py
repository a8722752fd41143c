"""What a policy can answer, and whom it asks: verdicts, stages and chains of them.

- Verdicts in order of strictness: `allow`, `require_approval`, `hold`, `deny`. `require_approval` and `hold` ask
  people; a hold says that nothing runs until they release it.
- A chain has at least one stage, a stage at least one requirement, a requirement at least one group and a count of one.
- Durations are `90s`, `15m`, `4h`, `7d`.

This file knows no conditions, so that what waits for people does not load the engine that evaluates them.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from policy.base import EdgeModel, Name, Text

MAX_SEATS = 50
MAX_STAGES = 10
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError("duration must be written like 90s, 15m, 4h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def written(value: timedelta) -> str:
    """A duration in the largest unit that says it exactly, so that what could be read can be read again."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(written, return_type=str)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]


class Verdict(StrEnum):
    """What a policy says of an action, mildest first."""

    allow = "allow"
    require_approval = "require_approval"
    hold = "hold"
    deny = "deny"

    @property
    def strictness(self) -> int:
        """0 for allow to 3 for deny."""
        return list(Verdict).index(self)

    @property
    def asks(self) -> bool:
        """Whether people are asked, so that a chain belongs to it."""
        return self in (Verdict.require_approval, Verdict.hold)


class ExpiryVerb(StrEnum):
    """What a stage's deadline means when it passes."""

    deny = "deny"
    cancel = "cancel"


class Requirement(EdgeModel):
    """So many people out of these groups."""

    groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=50)] = 1


class EscalationStep(EdgeModel):
    """After so long without a resolution, these groups may answer, too. Recorded with its reason."""

    after: Duration
    add_groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    reason: Text


class Stage(EdgeModel):
    name: Name
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, max_length=20)]
    deny_threshold: Annotated[int, Field(ge=1, le=50)] = 1
    deadline: PositiveDuration
    reminders: tuple[Duration, ...] = ()
    escalations: tuple[EscalationStep, ...] = ()
    on_expiry: ExpiryVerb = ExpiryVerb.deny

    @property
    def seats(self) -> int:
        """How many distinct people it needs: nobody sits on two seats (`policy/quorum.py`)."""
        return sum(requirement.count for requirement in self.requirements)

    @model_validator(mode="after")
    def _in_time(self) -> "Stage":
        late = [at for at in (*self.reminders, *(step.after for step in self.escalations)) if at >= self.deadline]
        if late:
            raise ValueError(f"stage {self.name}: reminders and escalations must come before the deadline")
        if self.seats > MAX_SEATS:
            raise ValueError(f"stage {self.name}: all requirements together may ask for {MAX_SEATS} people at most")
        return self


class ApprovalChain(EdgeModel):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]

    @property
    def seats(self) -> int:
        """How many distinct people it needs: nobody approves in two stages (`policy/duties.py`)."""
        return sum(stage.seats for stage in self.stages)
