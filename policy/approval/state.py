"""How a case stands, as a value: each stage, what is missing, what is due, and the resolution once there is one."""

from typing import Literal

from policy.approval.escalation import Due
from policy.approval.quorum import tally
from policy.base import Instant, Reason, RecordModel
from policy.rules.chains import Stage

ResolutionKind = Literal["pending", "approved", "denied", "expired"]
StageState = Literal["waiting", "open", "approved", "denied", "expired"]
_UNRESOLVED = ("open", "waiting")


class StageStanding(RecordModel):
    """One stage: its state, who counts, who denied, what is missing, and until when. Numbers start at 1."""

    number: int
    name: str
    state: StageState
    opened_at: Instant | None = None
    resolved_at: Instant | None = None
    deadline: Instant | None = None
    approvals: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()


class Standing(RecordModel):
    """The whole case at one instant. `stage` is the open stage, or the one in which it was resolved; 0 without any.

    `held`: nobody approves before it is released.
    """

    resolution: ResolutionKind
    stage: int
    stages: tuple[StageStanding, ...]
    due: tuple[Due, ...] = ()
    recused: tuple[str, ...] = ()
    resolved_at: Instant | None = None
    reasons: tuple[Reason, ...] = ()
    held: bool = False

    @property
    def current(self) -> StageStanding:
        """The open stage, or the one in which the case was resolved."""
        if not 0 < self.stage <= len(self.stages):
            return StageStanding(number=0, name="none", state="denied")
        return self.stages[self.stage - 1]

    @property
    def unresolved(self) -> tuple[StageStanding, ...]:
        """The stages that the action still needs, the open one first; none once the case is resolved."""
        return tuple(stage for stage in self.stages if self.resolution == "pending" and stage.state in _UNRESOLVED)

    def waiting_for(self) -> list[str]:
        """What each stage still needs, in words."""
        return [
            f"stage {stage.number} ({stage.name}){'' if stage.state == 'open' else ', once it opens'}: {item}"
            for stage in self.unresolved
            for item in stage.missing
        ]

    def could_unblock(self) -> dict[str, list[str]]:
        """The groups whose people may answer, by stage."""
        return {stage.name: list(stage.groups) for stage in self.unresolved}


def waiting(number: int, stage: Stage) -> StageStanding:
    """A stage that has not opened: everybody that it will ask is missing."""
    return StageStanding(
        number=number,
        name=stage.name,
        state="waiting",
        missing=tally(stage.requirements, ()).missing,
        groups=tuple(dict.fromkeys(group for item in stage.requirements for group in item.groups)),
    )
