"""What a policy can answer, and whom it asks: verdicts, stages and chains of them.

- Verdicts in order of strictness: `allow`, `require_approval`, `hold`, `deny`. `require_approval` and `hold` ask
  people; a hold says that nothing runs until they release it.
- A chain has at least one stage, a stage at least one requirement, and a requirement names somebody and a count of one.
- A stage asks for all of its requirements (`all_of`), or for any one of them (`any_of`).
- A condition of a requirement is a text here; `policy/document.py` checks it.

This file knows no conditions, so that what waits for people does not load the engine that evaluates them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policy.base import EdgeModel, Name, Text, is_name
from policy.rules.durations import Duration, PositiveDuration
from policy.rules.hours import Hours
from policy.rules.stepping_up import ProofDemand

MAX_SEATS = 50
MAX_STAGES = 10


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
    escalate = "escalate"
    hold = "hold"
    remind = "remind"
    offer_alternative = "offer_alternative"


class Mode(StrEnum):
    """Whether a stage needs all of its requirements, or any one."""

    all_of = "all_of"
    any_of = "any_of"


class Turn(StrEnum):
    """Whom an escalation finds in the directory when it comes: by whom the stage asks at that instant."""

    manager = "manager"
    next_on_call = "next_on_call"
    parent_group = "parent_group"


class Requirement(EdgeModel):
    """So many people out of these groups, roles and people, who have all of these qualifications and fit `when`."""

    groups: tuple[Name, ...] = ()
    people: tuple[Name, ...] = ()
    roles: tuple[Name, ...] = ()
    qualifications: tuple[Name, ...] = ()
    when: Annotated[str, Field(max_length=1000)] | None = None
    count: Annotated[int, Field(ge=1, le=50)] = 1

    @model_validator(mode="after")
    def _somebody(self) -> "Requirement":
        if not (self.groups or self.people or self.roles or self.qualifications or self.when):
            raise ValueError("requirement names nobody: give it groups, people, roles, qualifications or when")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The groups, roles and people, as people read them."""
        return (*self.groups, *(f"role {role}" for role in self.roles), *self.people)

    @property
    def wanted(self) -> str:
        """Whom it asks, in words."""
        who = " or ".join(self.named) or "anybody"
        with_all = f" with {' and '.join(self.qualifications)}" if self.qualifications else ""
        fitting = f" where {self.when}" if self.when else ""
        return f"{who}{with_all}{fitting}"


def owning(owner: str | None) -> tuple[Requirement, ...]:
    """The group or person that owns something, as the catalog names it: one of them, or nobody.

    An owner is free text in a catalog: what can be no group or person of a directory names nobody.
    """
    name = (owner or "").rpartition("/")[2]
    if not is_name(name):
        return ()
    return (Requirement(people=(name,)) if (owner or "").startswith("user:") else Requirement(groups=(name,)),)


class EscalationStep(EdgeModel):
    """After so long without a resolution these may answer, too, or instead. Recorded with its reason.

    `add_groups` are known beforehand; `to` is looked up in the directory when the time comes. With `replace` those who
    were asked until then are not asked any more; votes that they gave stay.
    """

    after: Duration
    add_groups: tuple[Name, ...] = ()
    to: tuple[Turn, ...] = ()
    replace: bool = False
    reason: Text

    @model_validator(mode="after")
    def _somebody(self) -> "EscalationStep":
        if not (self.add_groups or self.to):
            raise ValueError("an escalation names add_groups or to: it asks nobody")
        return self


class Stage(EdgeModel):
    """One stage of a chain; `docs/spec/policy-document.md` describes each field."""

    name: Name
    mode: Mode = Mode.all_of
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, max_length=20)]
    deny_threshold: Annotated[int, Field(ge=1, le=50)] = 1
    deadline: PositiveDuration
    hours: Name | Hours | None = None
    reminders: tuple[Duration, ...] = ()
    remind_every: PositiveDuration | None = None
    remind_hours: Name | Hours | None = None
    escalations: tuple[EscalationStep, ...] = ()
    on_expiry: ExpiryVerb = ExpiryVerb.deny
    expiry_escalation: EscalationStep | None = None
    release: Requirement | None = None
    grace: PositiveDuration | None = None
    on_request_info: Literal["continue", "pause"] = "continue"
    on_infeasible: Literal["deny", "escalate"] = "deny"
    newcomer_wait: PositiveDuration | None = None
    proofs: Annotated[tuple[ProofDemand, ...], Field(max_length=20, exclude_if=lambda value: not value)] = ()
    outside_team: Annotated[int, Field(ge=0, le=50)] = 0
    separate_lines: bool = False

    @property
    def seats(self) -> int:
        """How many distinct people it needs at least: nobody sits on two seats (`policy/approval/quorum.py`)."""
        counts = [requirement.count for requirement in self.requirements]
        return sum(counts) if self.mode is Mode.all_of else min(counts)

    def with_hours(self, hours: Mapping[str, Hours]) -> "Stage":
        """The stage with its hours put in where it names them."""
        named = {"hours": self.hours, "remind_hours": self.remind_hours}
        found = {field: hours[name] for field, name in named.items() if isinstance(name, str)}
        return self.model_copy(update=found) if found else self

    @model_validator(mode="after")
    def _in_time(self) -> "Stage":
        late = [at for at in (*self.reminders, *(step.after for step in self.escalations)) if at >= self.deadline]
        if late:
            raise ValueError(f"stage {self.name}: reminders and escalations must come before the deadline")
        if sum(requirement.count for requirement in self.requirements) > MAX_SEATS:
            raise ValueError(f"stage {self.name}: all requirements together may ask for {MAX_SEATS} people at most")
        if (self.on_expiry is ExpiryVerb.escalate) != (self.expiry_escalation is not None):
            raise ValueError(f"stage {self.name}: expiry_escalation belongs to on_expiry: escalate, and only to it")
        if self.expiry_escalation is not None and self.expiry_escalation.after:
            raise ValueError(f"stage {self.name}: expiry_escalation comes at the deadline: write after: 0s")
        if self.grace is not None and self.on_expiry in (ExpiryVerb.hold, ExpiryVerb.remind):
            raise ValueError(f"stage {self.name}: a grace belongs to a deadline that ends, {self.on_expiry} does not")
        if self.release is not None and self.on_expiry is not ExpiryVerb.hold:
            raise ValueError(f"stage {self.name}: release belongs to on_expiry: hold")
        return self


class ApprovalChain(EdgeModel):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]

    @property
    def seats(self) -> int:
        """How many distinct people it needs: nobody approves in two stages (`policy/duties.py`)."""
        return sum(stage.seats for stage in self.stages)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The texts of all its conditions on people, each once."""
        asked = [item for stage in self.stages for item in (*stage.requirements, stage.release) if item is not None]
        return tuple(dict.fromkeys(item.when for item in asked if item.when is not None))

    def with_hours(self, hours: Mapping[str, Hours]) -> "ApprovalChain":
        """The chain with its hours put in, so that it says all of what it means."""
        stages = tuple(stage.with_hours(hours) for stage in self.stages)
        same = all(one is other for one, other in zip(stages, self.stages, strict=True))
        return self if same else self.model_copy(update={"stages": stages})
