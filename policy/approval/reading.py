"""Where a case stands: the chain, the ballots and the events in, the state of every stage out.

- Stages open one after the other; a stage opens at the instant at which the one before it was approved.
- Ballots are read in order of arrival, and time never runs backwards among them. A ballot counts in its own stage only,
  only while that stage is open, and not after its deadline. Whatever `refuse` refuses does not count, even if it is in
  the case.
- The newest vote of a person replaces the older ones until the stage is resolved. Retracting takes it away, abstaining
  replaces it by no vote, recusing takes the person and the vote out of this stage and all that follow. What is resolved
  stays resolved, unless a vote is dropped.
- Who asks may deny and may not approve (`policy/approval/duties.py`), and a question of theirs stops no clock. Whom a
  stage does not ask has no vote in it, but may take back one that was given (`policy/approval/eligibility.py`).
- Where the record noted that nobody is left for what is open, the case is denied as `unreachable`.
- Denials reach the threshold: denied. Approvals fill every seat (`policy/approval/quorum.py`): approved. Neither by the
  deadline: the stage's verb. A chain without stages is denied.
- Held: approvals do not count until somebody releases the stage who fits `release`, or whom the stage asks; denials do.
  So it is with the first stage of a revision that opened held; its clock goes on, and it is not measured again.
- A dropped vote counts no longer. If a stage was approved by it, that stage opens again, for its deadline anew. Those
  after it wait; their votes count again once they are open, but for who has approved another stage or stepped out.
- Between a deadline that nobody saw and the instant at which its grace began nothing counts.
- A vote that a revision kept of an earlier one waits for its stage, and counts once that opens.
- The same reading serves the answer to a vote, the timers, `explain`, the gate at dispatch and the auditor.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from policy.approval.ballot import ApprovalCase, Ballot
from policy.approval.cadence import recheck_due
from policy.approval.duties import conflict
from policy.approval.eligibility import identities, stands_for, unfit
from policy.approval.escalation import Due
from policy.approval.passing import Passing
from policy.approval.questions import Questions
from policy.approval.quorum import Tally, tally_stage
from policy.approval.state import StageStanding, StageState, Standing, ended_by, waiting
from policy.decision import Refusal, Vote
from policy.rules.chains import Requirement
from policy.rules.stepping_up import wanted_by_vote

_TAKES_BACK = (Vote.abstain, Vote.retract, Vote.recuse)


class Reading(Passing):
    """One reading of a case, ballot by ballot; it lives as long as one evaluation."""

    def __init__(self, case: ApprovalCase) -> None:
        self.asking_now: Collection[str] = ()
        self.because: Mapping[str, str] = {}
        self.recused: dict[str, None] = {}
        self.kept: list[Ballot] = []
        self.questions = Questions()
        super().__init__(case)
        if case.held and case.chain.stages:
            self.sitting.held = True

    def _open(self) -> None:
        super()._open()
        waited = [ballot for ballot in self.kept if ballot.stage == self.number]
        self.kept = [ballot for ballot in self.kept if ballot.stage > self.number]
        for ballot in waited:
            self.take(ballot.model_copy(update={"received_at": self.now}))

    @property
    def votes(self) -> dict[str, Ballot]:
        return self.sitting.votes

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What it asks for now."""
        return self.sitting.asking.now

    @property
    def ever_asked(self) -> tuple[Requirement, ...]:
        """What it has asked for so far: the votes that were given keep their seats."""
        return self.sitting.asking.ever

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group for item in self.requirements for group in item.groups))

    def end_of(self, number: int) -> datetime:
        """When an unresolved stage ends at the latest, as far as anybody knows."""
        return self.sitting.clock.deadline if number == self.number else self.case.absolute_deadline

    @property
    def approvals(self) -> tuple[Ballot, ...]:
        """The votes that approve the open stage."""
        return tuple(item for item in self.votes.values() if item.vote is Vote.approve and self._stands(item))

    @property
    def elsewhere(self) -> tuple[Ballot, ...]:
        """The approvals that count in other stages."""
        return tuple(
            self.sittings[stage.number].votes[person]
            for stage in self.resolved
            for person in stage.approvals
            if person in self.sittings[stage.number].votes
        )

    @property
    def denials(self) -> tuple[str, ...]:
        """Who denies; of several delegates of one delegator the first."""
        given = [item for item in self.votes.values() if item.vote is Vote.deny and self._stands(item)]
        return tuple({stands_for(item): item.person_id for item in reversed(given)}.values())[::-1]

    def _stands(self, ballot: Ballot) -> bool:
        """Whether nobody in a vote stepped out, and no vote of the delegator's own replaces it."""
        name = stands_for(ballot)
        return identities(ballot).isdisjoint(self.recused) and (name == ballot.person_id or name not in self.votes)

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
        if ballot.stage > self.number or ballot.received_at < self.sitting.opened_at:
            return Refusal.stage_not_open, f"stage {ballot.stage} is not open yet, stage {self.number} is"
        if self.sitting.lapsed_until is not None and ballot.received_at <= self.sitting.lapsed_until:
            return Refusal.past_deadline, f"the deadline of stage {self.stage.name} has passed"
        return None

    def _forbidden_to(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        if ballot.vote is Vote.answer:
            return self.questions.refusal(ballot, self.case.requesters)
        if out := [name for name in (ballot.person_id, stands_for(ballot)) if name in self.recused]:
            return Refusal.recused, f"{out[0]} stepped out of this case"
        if ballot.vote is Vote.deny and not ballot.justification.strip():
            return Refusal.justification_missing, "a denial needs a justification"
        if found := self.sitting.refusal(ballot, self.behind) or self._conflict(ballot):
            return found
        may_always = (ballot.vote is Vote.deny and not identities(ballot).isdisjoint(self.case.requesters)) or (
            ballot.vote in _TAKES_BACK and ballot.person_id in self.votes
        )
        return None if may_always else unfit(ballot, self._asked_of(ballot), self.number, self.stage.newcomer_wait)

    def _conflict(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        elsewhere = {name for item in self.elsewhere for name in identities(item)}
        return conflict(
            ballot,
            ballot.vote,
            requesters=self.behind,
            approved_elsewhere=elsewhere,
            because=self.because,
        )

    @property
    def behind(self) -> tuple[str, ...]:
        """Who asks, by the case and by the directory of now."""
        return (*self.case.requesters, *self.asking_now)

    def _asked_of(self, ballot: Ballot) -> tuple[Requirement, ...]:
        """Whom the open stage asks for such a vote: for its own, or for what it is released by."""
        release = self.stage.release if ballot.vote is Vote.release else None
        return (release,) if release is not None else self.requirements

    def _count(self, ballot: Ballot) -> None:
        sitting, at = self.sitting, ballot.received_at
        self.questions.remark(ballot)
        if ballot.vote is Vote.acknowledge:
            sitting.acknowledge(ballot)
        if ballot.vote is Vote.request_info:
            pausing = self.stage.on_request_info == "pause" and identities(ballot).isdisjoint(self.case.requesters)
            self.questions.ask(ballot, pausing=pausing)
            if pausing:
                sitting.clock.pause(at)
        if ballot.vote is Vote.answer and self.questions.answer(ballot):
            sitting.clock.go_on(at)
        if ballot.vote is Vote.release:
            sitting.release(at)
        if ballot.vote in (Vote.approve, Vote.deny, *_TAKES_BACK):
            sitting.vote(ballot)
        if ballot.vote is Vote.recuse:
            self.recused[ballot.person_id] = None
        self._settle()

    def _count_again(self) -> None:
        for ballot in tuple(self.votes.values()):
            if ballot.person_id in self.recused or self._conflict(ballot):
                del self.votes[ballot.person_id]
        self._settle()

    def _settle(self) -> None:
        """Resolve the open stage where its votes do."""
        if len(self.denials) >= self.stage.deny_threshold:
            self._resolve("denied")
        elif not self.sitting.held and self._satisfied():
            self._resolve("approved")

    def _satisfied(self) -> bool:
        """Whether the open stage is approved. Fewer people than seats need no matching."""
        return len(self.approvals) >= self.stage.seats and self._tally().met

    def _tally(self) -> Tally:
        voters, teams = self.approvals, self.case.teams
        return tally_stage(self.stage, self.ever_asked, voters, teams=teams, elsewhere=self.elsewhere)

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
        released = (f"the release by {self._released_by()}",) if sitting.held else ()
        return StageStanding(
            number=self.number,
            name=self.stage.name,
            state="held" if state == "open" and sitting.held else state,
            opened_at=sitting.opened_at,
            resolved_at=None if state == "open" else self.now,
            deadline=sitting.clock.deadline,
            approvals=self._seated(),
            denials=self.denials,
            missing=(*released, *seats.missing),
            groups=self._waited_for(),
            acknowledged=tuple(sitting.acknowledged),
            dropped=tuple(sitting.dropped),
            paused_until=sitting.clock.paused_until(self.now) if state == "open" else None,
            asked=self.requirements if sitting.asking.found and state == "open" else (),
            wanted=wanted_by_vote(self.stage.proofs),
        )

    def _released_by(self) -> str:
        """Whom the release of the open stage takes, in words."""
        release = self.stage.release
        return " or ".join(item.wanted for item in ((release,) if release is not None else self.requirements))

    def _waited_for(self) -> tuple[str, ...]:
        """The groups whose people could do what the stage waits for: answer, or release it first."""
        release = self.stage.release
        return release.groups if self.sitting.held and release is not None else self.groups

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
            reasons=() if pending else (ended_by(self.case.chain, self.resolved, self.unreachable),),
            questions=self.questions.all,
            feedback=self.questions.remarks,
            held=pending and self.sitting.held,
        )

    def _due(self) -> tuple[Due, ...]:
        clock = self.sitting.clock
        again = () if self.sitting.held else recheck_due(self.case, self.number, self.now, clock.deadline)
        return tuple(sorted((*clock.due(), *again), key=lambda item: item.at))


def read(case: ApprovalCase) -> Reading:
    """A reading of everything that happened in a case, in the order in which it did; pure."""
    reading = Reading(case)
    events = list(case.events)
    for ballot in case.ballots:
        while events and events[0].at <= ballot.received_at:
            reading.note(events.pop(0))
        reading.take(ballot)
    for event in events:
        reading.note(event)
    return reading
