"""Where a case stands: the chain and the ballots in, the state of every stage out.

- Stages open one after the other; a stage opens at the instant at which the one before it was approved.
- Ballots are read in order of arrival, and time never runs backwards among them. A ballot counts in its own stage only,
  only while that stage is open, and not after its deadline. Whatever `refuse` refuses does not count, even if it is in
  the case.
- The newest vote of a person replaces the older ones until the stage is resolved. Retracting takes it away, abstaining
  replaces it by no vote, recusing takes the person and the vote out of this stage and all that follow. What is resolved
  stays resolved.
- Who asks may deny and may not approve (`policy/approval/duties.py`). Whom a stage does not ask has no vote in it, but
  may take back one that was given (`policy/approval/eligibility.py`).
- Where the record noted that nobody is left for what is open, the case is denied as `unreachable`.
- Denials reach the threshold: denied. Approvals fill every seat (`policy/approval/quorum.py`): approved. Neither by the
  deadline: the stage's verb. A chain without stages is denied.
- The same reading serves the answer to a vote, the timers, `explain`, the gate at dispatch and the auditor.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from policy.approval.ballot import ApprovalCase, Ballot, CaseEvent
from policy.approval.duties import conflict
from policy.approval.eligibility import fit, identities, stands_for, too_new
from policy.approval.escalation import Due, deadline_of, requirements_at, schedule
from policy.approval.quorum import Tally, tally_stage
from policy.approval.state import ResolutionKind, StageStanding, StageState, Standing, waiting
from policy.base import Reason
from policy.decision import Refusal, Vote
from policy.rules.chains import Requirement, Stage

_TAKES_BACK = (Vote.abstain, Vote.retract, Vote.recuse)


class Reading:
    """One reading of a case, ballot by ballot; it lives as long as one evaluation."""

    def __init__(self, case: ApprovalCase) -> None:
        self.case = case
        self.asking_now: Collection[str] = ()
        self.because: Mapping[str, str] = {}
        self.now = case.opened_at
        self.resolved: list[StageStanding] = []
        self.recused: dict[str, None] = {}
        self.unreachable = ""
        self.resolution: ResolutionKind = "pending" if case.chain.stages else "denied"
        self._open()

    def _open(self) -> None:
        self.opened_at = self.now
        self.votes: dict[str, Ballot] = {}
        self.acknowledged: dict[str, None] = {}

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
        noted = [item for item in self.case.events if (item.kind, item.stage) == ("escalated", self.number)]
        return requirements_at(self.stage, self.opened_at, self.now, [item for item in noted if item.at <= self.now])

    @property
    def ever_asked(self) -> tuple[Requirement, ...]:
        """What it has asked for so far: the votes that were given keep their seats."""
        return self.requirements

    def end_of(self, number: int) -> datetime:
        """When an unresolved stage ends at the latest, as far as anybody knows."""
        return self.deadline if number == self.number else self.case.absolute_deadline

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group for item in self.requirements for group in item.groups))

    @property
    def elsewhere(self) -> tuple[Ballot, ...]:
        """The approvals that count in other stages."""
        given = {(item.stage, item.person_id): item for item in self.case.ballots if item.vote is Vote.approve}
        counted = ((stage.number, person) for stage in self.resolved for person in stage.approvals)
        return tuple(given[key] for key in counted if key in given)

    def _stands(self, ballot: Ballot) -> bool:
        """Whether a vote counts beside what its delegator does: the delegator's own vote replaces it."""
        name = stands_for(ballot)
        return name == ballot.person_id or (name not in self.votes and name not in self.recused)

    @property
    def denials(self) -> tuple[str, ...]:
        """Who denies; of several delegates of one delegator the first."""
        given = [item for item in self.votes.values() if item.vote is Vote.deny and self._stands(item)]
        return tuple({stands_for(item): item.person_id for item in reversed(given)}.values())[::-1]

    def let_pass(self, until: datetime, *, deadline_counts_as_passed: bool) -> None:
        """Let time pass; the stage expires where that takes it past its deadline."""
        self.now = max(self.now, until)
        if self.resolution != "pending":
            return
        deadline = self.deadline
        if self.now > deadline or (deadline_counts_as_passed and self.now == deadline):
            self.now = deadline
            self._resolve("expired")

    def take(self, ballot: Ballot) -> None:
        """Let time pass to a ballot and count it, unless it is refused."""
        self.let_pass(ballot.received_at, deadline_counts_as_passed=False)
        if self.refusal(ballot) is None:
            self._count(ballot)

    def note(self, event: CaseEvent) -> None:
        """Let time pass to an event and let it happen."""
        self.let_pass(event.at, deadline_counts_as_passed=False)
        if self.resolution == "pending" and event.kind == "unreachable":
            self.unreachable = event.reason
            self._resolve("denied")

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
        if out := [name for name in (person, stands_for(ballot)) if name in self.recused]:
            return Refusal.recused, f"{out[0]} stepped out of this case"
        if ballot.vote is Vote.deny and not ballot.justification.strip():
            return Refusal.justification_missing, "a denial needs a justification"
        if found := self._conflict(ballot):
            return found
        may_always = (ballot.vote is Vote.deny and not identities(ballot).isdisjoint(self.case.requesters)) or (
            ballot.vote in _TAKES_BACK and person in self.votes
        )
        return None if may_always else self._unfit(ballot)

    def _conflict(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        elsewhere = {name for item in self.elsewhere for name in identities(item)}
        return conflict(
            ballot,
            ballot.vote,
            requesters=(*self.case.requesters, *self.asking_now),
            approved_elsewhere=elsewhere,
            because=self.because,
        )

    def _unfit(self, ballot: Ballot) -> tuple[Refusal, str] | None:
        """Why the open stage does not ask the author of a ballot, or not yet."""
        person, wait = ballot.person_id, self.stage.newcomer_wait
        found = [fit(item, ballot) for item in self.requirements]
        fitting = [item for item in found if item.fits]
        if not fitting and all(item.wanted == " or ".join(item.groups) for item in self.requirements):
            asked = ", ".join(self.groups)
            return Refusal.not_eligible, f"{person} is in none of the groups that stage {self.number} asks: {asked}"
        if not fitting:
            asked = "; ".join(item.wanted for item in self.requirements)
            lacking = " and ".join(min(found, key=lambda item: len(item.lacking)).lacking)
            return Refusal.not_eligible, f"stage {self.number} asks {asked}: {person} lacks {lacking}"
        new = [too_new(item, ballot, wait, ballot.received_at) for item in fitting]
        if ballot.vote is Vote.approve and new[0] is not None and all(new):
            return Refusal.newcomer, new[0]
        return None

    def _count(self, ballot: Ballot) -> None:
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
        elif self._satisfied():
            self._resolve("approved")

    def _satisfied(self) -> bool:
        """Whether the open stage is approved. Fewer people than seats need no matching."""
        return len(self.approvals) >= self.stage.seats and self._tally().met

    @property
    def approvals(self) -> tuple[Ballot, ...]:
        """The votes that approve the open stage."""
        return tuple(item for item in self.votes.values() if item.vote is Vote.approve and self._stands(item))

    def _tally(self) -> Tally:
        voters, teams = self.approvals, self.case.teams
        return tally_stage(self.stage, self.ever_asked, voters, teams=teams, elsewhere=self.elsewhere)

    def _resolve(self, state: Literal["approved", "denied", "expired"]) -> None:
        more = state == "approved" and self.number < len(self.case.chain.stages)
        self.resolved.append(self._found(state))
        self.resolution = "pending" if more else state
        if more:
            self._open()

    def _found(self, state: StageState) -> StageStanding:
        seats = self._tally()
        return StageStanding(
            number=self.number,
            name=self.stage.name,
            state=state,
            opened_at=self.opened_at,
            resolved_at=None if state == "open" else self.now,
            deadline=self.deadline,
            approvals=tuple(dict.fromkeys(seats.seated.values())),
            denials=self.denials,
            missing=seats.missing,
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
        )

    def _due(self) -> tuple[Due, ...]:
        due = schedule(self.stage, self.number, self.opened_at, self.case.absolute_deadline)
        return tuple(item for item in due if item.at > self.now or item.kind == "deadline")

    def _reason(self) -> Reason:
        if not self.resolved:
            return Reason(code="empty_chain", message="the chain has no stage, so nobody can approve it")
        last = self.resolved[-1]
        if last.state == "approved":
            return Reason(code="approved", message="every stage was approved")
        if last.state == "denied" and self.unreachable:
            return Reason(code="unreachable", message=self.unreachable)
        if last.state == "denied":
            return Reason(code="denied", message=f"stage {last.name} was denied by {', '.join(last.denials)}")
        verb = self.case.chain.stages[last.number - 1].on_expiry
        missing = ", ".join(last.missing)
        return Reason(code=f"expired_{verb}", message=f"stage {last.name} passed its deadline without {missing}")


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
