"""Where a case stands: the chain, the ballots and the events in, the state of every stage out.

- Stages open one after the other; a stage opens at the instant at which the one before it was approved.
- Ballots are read in order of arrival, and time never runs backwards among them. A ballot counts in its own stage only,
  only while that stage is open, and not after its deadline. Whatever `refuse` refuses does not count, even if it is in
  the case.
- The newest vote of a person replaces the older ones until the stage is resolved. Retracting takes it away, abstaining
  replaces it by no vote, recusing takes the person and the vote out of this stage and all that follow. What is resolved
  stays resolved, unless a vote is dropped.
- Who asks may deny and may not approve. Who is in none of the groups that a stage asks has no vote in it, but may take
  back one that was given.
- Denials reach the threshold: denied. Approvals fill every seat (`policy/approval/quorum.py`): approved. Neither by the
  deadline: the stage's verb. A chain without stages is denied.
- Held: approvals do not count until somebody releases the stage who fits `release`, or whom the stage asks; denials do.
- A dropped vote counts no longer. If a stage was approved by it, that stage opens again, for its deadline anew. Those
  after it wait; their votes count again once they are open, but for who has approved another stage or stepped out.
- Between a deadline that nobody saw and the instant at which its grace began nothing counts.
- The same reading serves the answer to a vote, the timers, `explain`, the gate at dispatch and the auditor.
"""

from datetime import datetime
from typing import Literal

from policy.approval.ballot import ApprovalCase, Ballot, CaseEvent
from policy.approval.duties import conflict
from policy.approval.escalation import Due
from policy.approval.questions import Questions
from policy.approval.quorum import Tally, by_name, tally
from policy.approval.sitting import Sitting, asks
from policy.approval.state import ResolutionKind, StageStanding, StageState, Standing, ended_by, waiting
from policy.decision import Refusal, Vote
from policy.rules.chains import ExpiryVerb, Requirement, Stage

_TAKES_BACK = (Vote.abstain, Vote.retract, Vote.recuse)


class Reading:
    """One reading of a case, ballot by ballot; it lives as long as one evaluation. `happened` is what time brought."""

    def __init__(self, case: ApprovalCase) -> None:
        self.case = case
        self.now = case.opened_at
        self.resolved: list[StageStanding] = []
        self.recused: dict[str, None] = {}
        self.happened: list[Due] = []
        self.questions = Questions()
        self.sittings: dict[int, Sitting] = {}
        self.resolution: ResolutionKind = "pending" if case.chain.stages else "denied"
        if case.chain.stages:
            self._open()

    def _open(self) -> None:
        """Open the next stage, or open it again with the votes that it has."""
        known = self.sittings.get(self.number)
        if known is None:
            self.sittings[self.number] = Sitting(self.stage, self.number, self.now, self.case.absolute_deadline)
            return
        known.reopen(self.now)
        for ballot in tuple(known.votes.values()):
            if ballot.person_id in self.recused or self._conflict(ballot):
                del known.votes[ballot.person_id]
        self._settle()

    @property
    def sitting(self) -> Sitting:
        """What the open stage has heard so far."""
        return self.sittings[self.number]

    @property
    def votes(self) -> dict[str, Ballot]:
        return self.sitting.votes

    @property
    def number(self) -> int:
        return len(self.resolved) + 1

    @property
    def stage(self) -> Stage:
        return self.case.chain.stages[len(self.resolved)]

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What it asks for now."""
        return self.sitting.asking.now

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
        """Let time pass; what is due in it comes, and the stage's verb where that takes it past its deadline."""
        until = max(self.now, until)
        while self.resolution == "pending":
            due = self.sitting.clock.due()[0]
            at_deadline = due.kind == "deadline" and not deadline_counts_as_passed
            if due.at > until or (due.at == until and at_deadline):
                break
            self.now = max(self.now, due.at)
            self._come(due)
        self.now = max(self.now, until) if self.resolution == "pending" else self.now

    def _come(self, due: Due) -> None:
        clock = self.sitting.clock
        if due.kind == "deadline":
            self._expire(due)
            return
        clock.happened(due)
        self.happened.append(due)
        step = self.stage.escalations[due.index] if due.kind == "escalation" else None
        if step is not None and not step.to:
            self.sitting.asking.escalate(step.add_groups, (), replace=step.replace)

    def _expire(self, due: Due) -> None:
        """The deadline passed: the stage's verb, unless it has a grace."""
        sitting, stage = self.sitting, self.stage
        if not sitting.clock.ends_case(due.at):
            self.happened.append(due)
            step = stage.expiry_escalation
            if stage.on_expiry is ExpiryVerb.hold:
                sitting.hold(due.at)
                return
            sitting.clock.another_round(due.at)
            if step is not None and not step.to:
                sitting.asking.escalate(step.add_groups, (), replace=step.replace)
            return
        grace = self._grace(due.at) if sitting.lapsed_until is None else None
        if grace is None or grace.until is None:
            self._resolve("expired")
        else:
            sitting.lapsed_until = grace.at
            sitting.clock.extend(max(grace.until, grace.at))

    def _grace(self, deadline: datetime) -> CaseEvent | None:
        """The grace of the open stage that began after its deadline."""
        events = (item for item in self.case.events if item.kind == "grace" and item.stage == self.number)
        return next((item for item in events if item.at > deadline), None)

    def take(self, ballot: Ballot) -> None:
        """Let time pass to a ballot and count it, unless it is refused."""
        self.let_pass(ballot.received_at, deadline_counts_as_passed=False)
        if self.refusal(ballot) is None:
            self._count(ballot)

    def note(self, event: CaseEvent) -> None:
        """Let time pass to an event and let it happen."""
        self.let_pass(event.at, deadline_counts_as_passed=False)
        if self.resolution != "pending":
            return
        if event.kind == "dropped":
            self._drop(event)
        elif event.kind == "escalated" and event.stage == self.number:
            self.sitting.escalated(event)

    def _drop(self, event: CaseEvent) -> None:
        found = [number for number, sitting in self.sittings.items() if sitting.drop(event)]
        if not found or found[0] >= self.number:
            return
        number, last = found[0], self.sitting
        later = self.resolved[number - 1 :]
        del self.resolved[number - 1 :]
        if self._tally().met:
            approvals = self._found("approved").approvals
            self.resolved += [later[0].model_copy(update={"approvals": approvals}), *later[1:]]
            return
        last.clock.stop(self.now)
        self._open()

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
        if ballot.stage > self.number or ballot.received_at < self.sitting.opened_at:
            return Refusal.stage_not_open, f"stage {ballot.stage} is not open yet, stage {self.number} is"
        if self.sitting.lapsed_until is not None and ballot.received_at <= self.sitting.lapsed_until:
            return Refusal.past_deadline, f"the deadline of stage {self.stage.name} has passed"
        return None

    def _forbidden_to(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        person = ballot.person_id
        if person in self.recused:
            return Refusal.recused, f"{person} stepped out of this case"
        if ballot.vote is Vote.deny and not ballot.justification.strip():
            return Refusal.justification_missing, "a denial needs a justification"
        if ballot.vote is Vote.answer:
            return self.questions.refusal(ballot, self.case.requesters)
        if found := self.sitting.refusal(ballot, self.case.requesters) or self._conflict(ballot):
            return found
        may_always = (ballot.vote is Vote.deny and person in self.case.requesters) or (
            ballot.vote in _TAKES_BACK and person in self.votes
        )
        if not may_always and not self._fits(ballot):
            asked = ", ".join(self.groups)
            return Refusal.not_eligible, f"{person} is in none of the groups that stage {self.number} asks: {asked}"
        return None

    def _conflict(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        person, elsewhere = ballot.person_id, self.approved_elsewhere
        return conflict(person, ballot.vote, requesters=self.case.requesters, approved_elsewhere=elsewhere)

    def _fits(self, ballot: Ballot) -> bool:
        """Whether the open stage asks its author, for a vote or for what it is released by."""
        release = self.stage.release if ballot.vote is Vote.release else None
        return any(asks(item, ballot) for item in ((release,) if release is not None else self.requirements))

    def _count(self, ballot: Ballot) -> None:
        sitting, at = self.sitting, ballot.received_at
        self.questions.remark(ballot)
        if ballot.vote is Vote.acknowledge:
            sitting.acknowledge(ballot)
        if ballot.vote is Vote.request_info:
            self.questions.ask(ballot, pausing=self.stage.on_request_info == "pause")
            sitting.ask(at)
        if ballot.vote is Vote.answer and self.questions.answer(ballot):
            sitting.clock.go_on(at)
        if ballot.vote is Vote.release:
            sitting.release(at)
        if ballot.vote in (Vote.approve, Vote.deny, *_TAKES_BACK):
            sitting.votes.pop(ballot.person_id, None)
        if ballot.vote in (Vote.approve, Vote.deny):
            sitting.votes[ballot.person_id] = ballot
        if ballot.vote is Vote.recuse:
            self.recused[ballot.person_id] = None
        self._settle()

    def _settle(self) -> None:
        """Resolve the open stage where its votes do."""
        if len(self.denials) >= self.stage.deny_threshold:
            self._resolve("denied")
        elif not self.sitting.held and self._tally().met:
            self._resolve("approved")

    def _tally(self) -> Tally:
        approvals = [
            (ballot.person_id, frozenset((*ballot.groups, by_name(ballot.person_id))))
            for ballot in self.votes.values()
            if ballot.vote is Vote.approve
        ]
        return tally(self.sitting.asking.ever, approvals)

    def _resolve(self, state: Literal["approved", "denied", "expired"]) -> None:
        more = state == "approved" and self.number < len(self.case.chain.stages)
        found, clock = self._found(state), self.sitting.clock
        clock.stop(self.now)
        self.questions.forget_pauses()
        self.resolved.append(found)
        self.resolution = "pending" if more else state
        if more:
            self._open()

    def _found(self, state: StageState) -> StageStanding:
        seats, sitting = self._tally(), self.sitting
        return StageStanding(
            number=self.number,
            name=self.stage.name,
            state="held" if state == "open" and sitting.held else state,
            opened_at=sitting.opened_at,
            resolved_at=None if state == "open" else self.now,
            deadline=sitting.clock.deadline,
            approvals=tuple(dict.fromkeys(seats.seated.values())),
            denials=self.denials,
            missing=seats.missing,
            groups=self.groups,
            acknowledged=tuple(sitting.acknowledged),
            dropped=tuple(sitting.dropped),
            paused_until=sitting.clock.paused_until(self.now) if state == "open" else None,
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
            due=self.sitting.clock.due() if pending else (),
            recused=tuple(self.recused),
            resolved_at=None if pending else known[-1].resolved_at if known else self.case.opened_at,
            reasons=() if pending else (ended_by(self.case.chain, self.resolved),),
            questions=self.questions.all,
            feedback=self.questions.remarks,
        )
