"""How a case stands, as a value: each stage, what is missing, what is due, and the resolution once there is one."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policy.approval.escalation import Due
from policy.approval.quorum import tally_stage
from policy.base import Instant, Reason, RecordModel
from policy.decision import Feedback, Wanted
from policy.rules.chains import ApprovalChain, Requirement, Stage
from policy.rules.stepping_up import sayings, wanted_by_vote

ResolutionKind = Literal["pending", "approved", "denied", "expired"]
StageState = Literal["waiting", "open", "held", "approved", "denied", "expired"]
_WHEN = {"waiting": ", once it opens", "held": ", held"}
_UNRESOLVED = ("open", "held", "waiting")


class Question(RecordModel):
    """A `request_info` and its answer, if there is one; long texts are cut. `asked` is None for whoever proposes."""

    decision_id: str
    stage: int
    by: str
    at: Instant
    asked: str | None = None
    text: str = ""
    answered_by: str | None = None
    answered_at: Instant | None = None
    answer: str = ""


class Remark(RecordModel):
    """What somebody said of having been asked."""

    by: str
    at: Instant
    said: tuple[Feedback, ...]


class StageStanding(RecordModel):
    """One stage: its state, who counts, who denied, what is missing, and until when. Numbers start at 1.

    Attributes:
        dropped: whose votes of this stage count no longer, and why.
        paused_until: until when at the latest its clock waits for an answer.
        asked: whom it asks by now, where an escalation looked somebody up.
        wanted: what the proof of a vote must show, by vote; a vote that is not there needs nothing in particular.
    """

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
    dropped: tuple[str, ...] = ()
    paused_until: Instant | None = None
    asked: Annotated[tuple[Requirement, ...], Field(exclude_if=lambda value: not value)] = ()
    wanted: Annotated[dict[str, Wanted], Field(exclude_if=lambda value: not value)] = {}


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
    questions: tuple[Question, ...] = ()
    feedback: tuple[Remark, ...] = ()
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
            f"stage {stage.number} ({stage.name}){_WHEN.get(stage.state, '')}: {item}"
            for stage in self.unresolved
            for item in stage.missing
        ]

    def proofs(self) -> list[str]:
        """What the proofs of votes must show, for each stage that is still needed, in words."""
        return [
            f"stage {stage.number} ({stage.name}): {said}"
            for stage in self.unresolved
            for said in sayings(stage.wanted)
        ]

    def talk(self) -> list[str]:
        """Questions with their answers, and what people said of having been asked, in words."""
        said = [
            f"{item.by} says: {' and '.join(word.replace('_', ' ') for word in item.said)}" for item in self.feedback
        ]
        return [*(_said(item) for item in self.questions), *said]

    def could_unblock(self) -> dict[str, list[str]]:
        """The groups whose people may answer, by stage."""
        return {stage.name: list(stage.groups) for stage in self.unresolved}


def _said(question: Question) -> str:
    asked = f"{question.by} asked {question.asked or 'the proposer'}: {question.text}"
    if question.answered_by is None:
        return f"{asked} (no answer yet)"
    return f"{asked} - {question.answered_by} answered: {question.answer}"


def waiting(number: int, stage: Stage) -> StageStanding:
    """A stage that has not opened: everybody that it will ask is missing."""
    return StageStanding(
        number=number,
        name=stage.name,
        state="waiting",
        missing=tally_stage(stage, stage.requirements, ()).missing,
        groups=tuple(dict.fromkeys(group for item in stage.requirements for group in item.groups)),
        wanted=wanted_by_vote(stage.proofs),
    )


def ended_by(chain: ApprovalChain, resolved: Sequence[StageStanding], unreachable: str = "") -> Reason:
    """Why a case ended, by the stages that were resolved, or because nobody was left who could approve."""
    if not resolved:
        return Reason(code="empty_chain", message="the chain has no stage, so nobody can approve it")
    last = resolved[-1]
    if last.state == "approved":
        return Reason(code="approved", message="every stage was approved")
    if last.state == "denied" and unreachable:
        return Reason(code="unreachable", message=unreachable)
    if last.state == "denied":
        return Reason(code="denied", message=f"stage {last.name} was denied by {', '.join(last.denials)}")
    verb = chain.stages[last.number - 1].on_expiry
    missing = ", ".join(last.missing)
    return Reason(code=f"expired_{verb}", message=f"stage {last.name} passed its deadline without {missing}")
