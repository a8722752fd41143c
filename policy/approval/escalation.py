"""What a stage has planned from its opening on, and whom it asks as its escalations come.

- Reminders come at `reminders`, and every `remind_every`, so many in all at most. All times are times of the stage: of
  its clock (`policy/approval/clock.py`), which may stand still.
- An escalation step without `replace` adds to whom the stage asks. It takes nobody's place and extends nothing.
- With `replace` only those whom the step names are asked from then on. Votes that were given stay, and fill the seats
  that they could fill.
- A step that looks somebody up (`to`) comes when the record noted whom it found; one that found nobody changes nothing,
  and that is on record, too. It is looked up for each requirement, and adds to that one only: who is on call next for
  one group does not stand for another. What a step adds to keeps its qualifications and its condition.
- A requirement that names no groups, roles or people asks everybody already: adding to it changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple, Protocol

from policy.base import Instant, RecordModel
from policy.rules.chains import EscalationStep, Requirement, Stage

MAX_REMINDERS = 100
DueKind = Literal["reminder", "escalation", "recheck", "deadline"]


class Due(RecordModel):
    """Something that happens at an instant unless the stage is resolved before."""

    at: Instant
    kind: DueKind
    index: int
    stage: int
    text: str


class Planned(NamedTuple):
    """Something that comes after so long on the clock of a stage."""

    after: timedelta
    kind: DueKind
    number: int
    text: str


def plan(stage: Stage) -> tuple[Planned, ...]:
    """The reminders and escalations of a stage, in order of time."""
    text = f"remind stage {stage.name}"
    found = [Planned(after, "reminder", index, text) for index, after in enumerate(stage.reminders)]
    if stage.remind_every is not None:
        times = (stage.remind_every * number for number in range(1, MAX_REMINDERS - len(stage.reminders) + 1))
        more = enumerate(times, start=len(stage.reminders))
        found += [Planned(after, "reminder", index, text) for index, after in more if after not in stage.reminders]
    found += [
        Planned(step.after, "escalation", index, f"escalate stage {stage.name} to {whom(step)}: {step.reason}")
        for index, step in enumerate(stage.escalations)
    ]
    return tuple(sorted(found, key=lambda item: (item.after, item.kind, item.number)))


def whom(step: EscalationStep) -> str:
    """Whom an escalation names, in words."""
    return ", ".join((*step.add_groups, *(turn.replace("_", " ") for turn in step.to)))


def step_of(stage: Stage, index: int) -> EscalationStep | None:
    """The step of a number; the one at the deadline comes after those before it."""
    steps = (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
    return steps[index] if 0 <= index < len(steps) else None


class Names(Protocol):
    """Groups and people."""

    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def people(self) -> tuple[str, ...]: ...


class Asking:
    """Whom a stage asks: `now` who may answer, `ever` who may have answered, so that votes given before keep a seat.

    `found`: somebody was looked up.
    """

    def __init__(self, stage: Stage) -> None:
        self.found = False
        self.now: tuple[Requirement, ...] = stage.requirements
        self.ever: tuple[Requirement, ...] = stage.requirements

    def escalate(self, groups: Sequence[str], *, replace: bool) -> None:
        """Ask these groups for every requirement, too, or instead."""
        self.now, self.ever = self._with([(tuple(groups), ())] * len(self.now), replace=replace)

    def look_up(self, found: Sequence[Names], *, replace: bool) -> None:
        """Ask whom each requirement found, in their order; one that found nobody stays as it is."""
        self.found = self.found or replace or any(item.people for item in found)
        self.now, self.ever = self._with([(item.groups, item.people) for item in found], replace=replace)

    def _with(
        self, found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], *, replace: bool
    ) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
        ever = tuple(asked_too(item, *names) for item, names in zip(self.ever, found, strict=True))
        asks = _only if replace else asked_too
        return tuple(asks(item, *names) for item, names in zip(self.now, found, strict=True)), ever


def asked_too(requirement: Requirement, groups: Collection[str], people: Collection[str] = ()) -> Requirement:
    """A requirement that asks these, too. One that names nobody asks everybody already."""
    if not requirement.named:
        return requirement
    more = {
        "groups": tuple(dict.fromkeys((*requirement.groups, *groups))),
        "people": tuple(dict.fromkeys((*requirement.people, *people))),
    }
    return requirement.model_copy(update=more)


def _only(requirement: Requirement, groups: Collection[str], people: Collection[str]) -> Requirement:
    if not groups and not people:
        return requirement
    only = {"groups": tuple(dict.fromkeys(groups)), "people": tuple(dict.fromkeys(people)), "roles": ()}
    return requirement.model_copy(update=only)
