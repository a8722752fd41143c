"""Where a case stands: the chain and the ballots in, the state of every stage out.

- Stages open one after the other; a stage opens at the instant at which the one before it was approved.
- Ballots are read in order of arrival, and time never runs backwards among them. A ballot counts in its own stage only,
  only while that stage is open, and not after its deadline. Whatever `refuse` refuses does not count, even if it is in
  the case.
- The newest vote of a person replaces the older ones until the stage is resolved. Retracting takes it away, abstaining
  replaces it by no vote, recusing takes the person and the vote out of this stage and all that follow. What is resolved
  stays resolved.
- Who asks may deny and may not approve. Who is in none of the groups that a stage asks has no vote in it, but may take
  back one that was given.
- Denials reach the threshold: denied. Approvals fill every seat (`policy/approval/quorum.py`): approved. Neither by the
  deadline: the stage's verb. A chain without stages is denied.
- A case that is held takes no approval before somebody of its first stage, who does not ask, has released it. Its clock
  goes on meanwhile, and it is not measured again.
- A vote that a revision kept of an earlier one waits for its stage, and counts once that opens.
- The same reading serves the answer to a vote, the timers, `explain`, the gate at dispatch and the auditor.
"""

from datetime import datetime
from typing import Literal

from policy.approval.ballot import ApprovalCase, Ballot
from policy.approval.cadence import recheck_due
from policy.approval.duties import conflict
from policy.approval.escalation import Due, deadline_of, requirements_at, schedule
from policy.approval.quorum import Tally, tally
from policy.approval.state import ResolutionKind, StageStanding, StageState, Standing, waiting
from policy.base import Reason
from policy.decision import Refusal, Vote
from policy.rules.chains import Requirement, Stage

_TAKES_BACK = (Vote.abstain, Vote.retract, Vote.recuse)


class Reading:
    """One reading of a case, ballot by ballot; it lives as long as one evaluation."""

    def __init__(self, case: ApprovalCase) -> None:
        self.case = case
        self.now = case.opened_at
        self.resolved: list[StageStanding] = []
        self.recused: dict[str, None] = {}
        self.kept: list[Ballot] = []
        self.held = case.held
        self.resolution: ResolutionKind = "pending" if case.chain.stages else "denied"
        self._open()

    def _open(self) -> None:
        self.opened_at = self.now
        self.votes: dict[str, Ballot] = {}
        self.acknowledged: dict[str, None] = {}
        waited = [ballot for ballot in self.kept if ballot.stage == self.number]
        self.kept = [ballot for ballot in self.kept if ballot.stage > self.number]
        for ballot in waited:
            self.take(ballot.model_copy(update={"received_at": self.now}))

    @property
    def number(self) -> int:
        return len(self.resolved) + 1

    @property
    def stage(self) -> Stage:
        return self.case.chain.stages[len(self.resolved)]

    @property
    def deadline(self) -> datetime:
        return deadline_of(self.stage, self.opened_at, self.case.absolute_deadline)

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        return requirements_at(self.stage, self.opened_at, self.now)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group for item in self.requirements for group in item.groups))

    @property
    def approved_elsewhere(self) -> set[str]:
        return {person for stage in self.resolved for person in stage.approvals}

    @property
    def denials(self) -> tuple[str, ...]:
        return tuple(person for person, ballot in self.votes.items() if ballot.vote is Vote.deny)

    def let_pass(self, until: datetime, *, deadline_counts_as_passed: bool) -> None:
        """Let time pass; the stage expires where that takes it past its deadline."""
        self.now = max(self.now, until)
        if self.resolution != "pending":
            return
        deadline = self.deadline
        if self.now > deadline or (deadline_counts_as_passed and self.now == deadline):
            self.now = deadline
            self._resolve("expired")

    def take(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        """Let time pass to a ballot and count it, unless it is refused; why it is, or None."""
        self.let_pass(ballot.received_at, deadline_counts_as_passed=False)
        if self.resolution == "pending" and ballot.kept_from is not None and ballot.stage > self.number:
            self.kept.append(ballot)
            return None
        why = self.refusal(ballot)
        if why is None:
            self._count(ballot)
        return why

    def refusal(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        """Why a ballot does not count now, or None."""
        return self._closed_to(ballot) or self._forbidden_to(ballot)

    def _closed_to(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        if self.resolution == "expired":
            return Refusal.past_deadline, f"the deadline of stage {self.resolved[-1].name} has passed"
        if self.resolution != "pending":
            return Refusal.not_pending, f"this proposal is already {self.resolution}"
        if ballot.stage < self.number:
            return Refusal.stage_closed, f"stage {ballot.stage} is closed, stage {self.number} is open"
        if ballot.stage > self.number or ballot.received_at < self.opened_at:
            return Refusal.stage_not_open, f"stage {ballot.stage} is not open yet, stage {self.number} is"
        return None

    def _forbidden_to(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        person = ballot.person_id
        if person in self.recused:
            return Refusal.recused, f"{person} stepped out of this case"
        if ballot.vote is Vote.deny and not ballot.justification.strip():
            return Refusal.justification_missing, "a denial needs a justification"
        if why := self._held_against(ballot):
            return why
        if found := conflict(
            person, ballot.vote, requesters=self.case.requesters, approved_elsewhere=self.approved_elsewhere
        ):
            return found
        may_always = (ballot.vote is Vote.deny and person in self.case.requesters) or (
            ballot.vote in _TAKES_BACK and person in self.votes
        )
        if not may_always and set(ballot.groups).isdisjoint(self.groups):
            asked = ", ".join(self.groups)
            return Refusal.not_eligible, f"{person} is in none of the groups that stage {self.number} asks: {asked}"
        return None

    def _held_against(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        """Why a case that is held takes no approval, and which release it takes."""
        if ballot.vote is Vote.approve and self.held:
            return Refusal.on_hold, "too much changed while it waited: somebody of the first stage has to release it"
        if ballot.vote is Vote.release and not self.held:
            return Refusal.not_held, "nothing is held"
        if ballot.vote is Vote.release and ballot.person_id in self.case.requesters:
            return Refusal.self_approval, f"{ballot.person_id} stands behind this proposal and cannot release it"
        return None

    def _count(self, ballot: Ballot) -> None:
        if ballot.vote is Vote.release:
            self.held = False
        if ballot.vote is Vote.acknowledge:
            self.acknowledged[ballot.person_id] = None
        if ballot.vote in (Vote.approve, Vote.deny, *_TAKES_BACK):
            self.votes.pop(ballot.person_id, None)
        if ballot.vote in (Vote.approve, Vote.deny):
            self.votes[ballot.person_id] = ballot
        if ballot.vote is Vote.recuse:
            self.recused[ballot.person_id] = None
        if len(self.denials) >= self.stage.deny_threshold:
            self._resolve("denied")
        elif self._tally().met:
            self._resolve("approved")

    def _tally(self) -> Tally:
        approvals = [
            (ballot.person_id, frozenset(ballot.groups))
            for ballot in self.votes.values()
            if ballot.vote is Vote.approve
        ]
        return tally(self.requirements, approvals)

    def _resolve(self, state: Literal["approved", "denied", "expired"]) -> None:
        more = state == "approved" and self.number < len(self.case.chain.stages)
        self.resolved.append(self._found(state))
        self.resolution = "pending" if more else state
        if more:
            self._open()

    def _found(self, state: StageState) -> StageStanding:
        seats = self._tally()
        released = (f"the release by {' or '.join(self.groups)}",) if self.held else ()
        return StageStanding(
            number=self.number,
            name=self.stage.name,
            state=state,
            opened_at=self.opened_at,
            resolved_at=None if state == "open" else self.now,
            deadline=self.deadline,
            approvals=tuple(dict.fromkeys(seats.seated.values())),
            denials=self.denials,
            missing=(*released, *seats.missing),
            groups=self.groups,
            acknowledged=tuple(self.acknowledged),
        )

    def standing(self) -> Standing:
        """What was read, up to now."""
        pending = self.resolution == "pending"
        known = (*self.resolved, self._found("open")) if pending else tuple(self.resolved)
        later = enumerate(self.case.chain.stages[len(known) :], start=len(known) + 1)
        return Standing(
            resolution=self.resolution,
            stage=len(known),
            stages=(*known, *(waiting(at, item) for at, item in later)),
            due=self._due() if pending else (),
            recused=tuple(self.recused),
            resolved_at=None if pending else known[-1].resolved_at if known else self.case.opened_at,
            reasons=() if pending else (self._reason(),),
            held=pending and self.held,
        )

    def _due(self) -> tuple[Due, ...]:
        due = schedule(self.stage, self.number, self.opened_at, self.case.absolute_deadline)
        due = tuple(item for item in due if item.at > self.now or item.kind == "deadline")
        again = () if self.held else recheck_due(self.case, self.number, self.now, self.deadline)
        return tuple(sorted((*due, *again), key=lambda item: item.at))

    def _reason(self) -> Reason:
        if not self.resolved:
            return Reason(code="empty_chain", message="the chain has no stage, so nobody can approve it")
        last = self.resolved[-1]
        if last.state == "approved":
            return Reason(code="approved", message="every stage was approved")
        if last.state == "denied":
            return Reason(code="denied", message=f"stage {last.name} was denied by {', '.join(last.denials)}")
        verb = self.case.chain.stages[last.number - 1].on_expiry
        missing = ", ".join(last.missing)
        return Reason(code=f"expired_{verb}", message=f"stage {last.name} passed its deadline without {missing}")
