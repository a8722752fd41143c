"""Time in a stage: what is due when, and who may answer at an instant.

- All instants follow from the instant at which the stage opened; nothing moves them.
- A stage ends at its own deadline or at the absolute deadline of the request, whichever is first.
- An escalation step adds groups from its instant on. It takes nobody's place and extends nothing.
- A decision at the deadline still counts; the deadline has passed when the instant is later, or when time itself
  (no decision) is what is evaluated at that instant.
"""

from datetime import datetime
from typing import Literal

from policy.base import Instant, RecordModel
from policy.rules.chains import Requirement, Stage

DueKind = Literal["reminder", "escalation", "recheck", "deadline"]


class Due(RecordModel):
    """Something that happens at an instant unless the stage is resolved before."""

    at: Instant
    kind: DueKind
    index: int
    stage: int
    text: str


def deadline_of(stage: Stage, opened_at: datetime, absolute_deadline: datetime) -> datetime:
    """The instant after which no decision counts in this stage."""
    return min(opened_at + stage.deadline, absolute_deadline)


def schedule(stage: Stage, number: int, opened_at: datetime, absolute_deadline: datetime) -> tuple[Due, ...]:
    """Everything that is due in a stage, in order of time; the deadline is always last."""
    end = deadline_of(stage, opened_at, absolute_deadline)
    due = [
        Due(at=opened_at + after, kind="reminder", index=index, stage=number, text=f"remind stage {stage.name}")
        for index, after in enumerate(stage.reminders)
    ]
    due += [
        Due(
            at=opened_at + step.after,
            kind="escalation",
            index=index,
            stage=number,
            text=f"escalate stage {stage.name} to {', '.join(step.add_groups)}: {step.reason}",
        )
        for index, step in enumerate(stage.escalations)
    ]
    due = sorted((item for item in due if item.at < end), key=lambda item: (item.at, item.kind, item.index))
    verb = f"deadline of stage {stage.name}: {stage.on_expiry}"
    return (*due, Due(at=end, kind="deadline", index=0, stage=number, text=verb))


def requirements_at(stage: Stage, opened_at: datetime, now: datetime) -> tuple[Requirement, ...]:
    """The requirements of a stage with the groups that escalation has added by `now`."""
    added = tuple(group for step in stage.escalations if now >= opened_at + step.after for group in step.add_groups)
    return tuple(
        requirement.model_copy(update={"groups": tuple(dict.fromkeys((*requirement.groups, *added)))})
        for requirement in stage.requirements
    )
