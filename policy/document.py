"""The policy document: versioned YAML, identified by the digest of its bytes (`docs/spec/policy-document.md`).

- Each operation of an action, its undos included, is asked about as if it were proposed alone. Every rule that matches
  answers; the strictest verdict decides (deny, then require_approval, then allow). Among equals the first in the
  document decides.
- No rule matches: deny. A rule never allows by being absent.
- A limit denies, and no approval lifts it.
- A chain has at least one stage, a stage at least one requirement, a requirement at least one group and a count of one.
- Targets are catalog references (`[kind:][namespace/]name`, kind component and namespace default unless given).
- Durations are `90s`, `15m`, `4h`, `7d`. A permit is good for an hour at most: what was checked must still be so.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from policy.base import EdgeModel, Name, Operation, Text
from policy.governed import Metadata, read_document
from policy.operations import RiskTier

MAX_SEATS = 50
MAX_STAGES = 10
MAX_PERMIT_TTL = timedelta(hours=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError("duration must be written like 90s, 15m, 4h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _written(value: timedelta) -> str:
    """In the largest unit that says it exactly, so that what could be read can be read again."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(_written, return_type=str)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]


class Verdict(StrEnum):
    allow = "allow"
    require_approval = "require_approval"
    deny = "deny"

    @property
    def strictness(self) -> int:
        return list(Verdict).index(self)


class ExpiryVerb(StrEnum):
    """What a stage's deadline means when it passes."""

    deny = "deny"
    cancel = "cancel"


class Match(EdgeModel):
    """Which actions a rule speaks of: every list that is given must contain the action's value."""

    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] | None = None
    environments: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    targets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)] | None = None
    destructive: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "Match":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"match is empty and would match everything: name at least one of {names}")
        return self


class Limit(EdgeModel):
    """A line that no approval crosses."""

    id: Name
    match: Match
    reason: Text


class Rule(EdgeModel):
    id: Name
    match: Match
    verdict: Verdict
    chain: Name | None = None
    reason: Text = ""

    @model_validator(mode="after")
    def _chain_where_asked(self) -> "Rule":
        if (self.verdict is Verdict.require_approval) != (self.chain is not None):
            raise ValueError(f"rule {self.id}: a chain belongs to require_approval, and only to it")
        return self


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

    @model_validator(mode="after")
    def _in_time(self) -> "Stage":
        late = [at for at in (*self.reminders, *(step.after for step in self.escalations)) if at >= self.deadline]
        if late:
            raise ValueError(f"stage {self.name}: reminders and escalations must come before the deadline")
        if sum(requirement.count for requirement in self.requirements) > MAX_SEATS:
            raise ValueError(f"stage {self.name}: all requirements together may ask for {MAX_SEATS} people at most")
        return self


class ApprovalChain(EdgeModel):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]


class PolicyDocument(EdgeModel):
    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["PolicyDocument"]
    metadata: Metadata
    absolute_deadline: PositiveDuration = timedelta(days=7)
    permit_ttl: PositiveDuration = timedelta(minutes=5)
    limits: tuple[Limit, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    chains: dict[Name, ApprovalChain] = {}

    @field_validator("permit_ttl")
    @classmethod
    def _brief(cls, value: timedelta) -> timedelta:
        if value > MAX_PERMIT_TTL:
            raise ValueError(f"is {_written(value)}, a permit may wait 1h at most: the gate is asked again after it")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "PolicyDocument":
        missing = sorted({rule.chain for rule in self.rules if rule.chain is not None} - set(self.chains))
        if missing:
            raise ValueError(f"chain {missing[0]} is named by a rule and not defined")
        ids = [limit.id for limit in self.limits] + [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"id {twice[0]} is used twice among limits and rules")
        return self


def read_policy(body: bytes) -> PolicyDocument:
    """Read a policy document.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, PolicyDocument)
