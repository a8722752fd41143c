"""What time and noted events do to a case that is read: stages open, expire, are held, and open again.

- Everything that is due comes in order of time, escalations and reminders before a ballot of the same instant, a
  deadline after it. Time never runs backwards.
- An event counts while the case is open; an escalation only in the stage that is open then. Where nobody is left for
  what is open (`unreachable`), the case is denied.
- A dropped vote whose seat somebody else of the stage can take reopens nothing, unless who takes it voted in a later
  stage, too: then all of these stages are counted again, as nobody approves in two.
- A deadline whose grace began later is one that nobody saw: between the two nothing counts, and the stage goes on.
"""

from datetime import datetime
from typing import Literal

from policy.approval.ballot import ApprovalCase, CaseEvent
from policy.approval.eligibility import identities
from policy.approval.escalation import Due
from policy.approval.quorum import Tally
from policy.approval.seating import in_line
from policy.approval.sitting import Sitting
from policy.approval.state import ResolutionKind, StageStanding
from policy.rules.chains import ExpiryVerb, Stage


class Passing:
    """A case as far as it was read. `happened` is what time brought and what ended nothing."""

    def __init__(self, case: ApprovalCase) -> None:
        self.case = case
        self.now = case.opened_at
        self.resolved: list[StageStanding] = []
        self.happened: list[Due] = []
        self.sittings: dict[int, Sitting] = {}
        self.unreachable = ""
        self.resolution: ResolutionKind = "pending" if case.chain.stages else "denied"
        if case.chain.stages:
            self._open()

    @property
    def number(self) -> int:
        return len(self.resolved) + 1

    @property
    def stage(self) -> Stage:
        return self.case.chain.stages[len(self.resolved)]

    @property
    def sitting(self) -> Sitting:
        """What the open stage has heard so far."""
        return self.sittings[self.number]

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
            self.sitting.asking.escalate(step.add_groups, replace=step.replace)

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
                sitting.asking.escalate(step.add_groups, replace=step.replace)
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

    def note(self, event: CaseEvent) -> None:
        """Let time pass to an event and let it happen."""
        self.let_pass(event.at, deadline_counts_as_passed=False)
        if self.resolution != "pending":
            return
        if event.kind == "dropped":
            self._drop(event)
        elif event.kind == "escalated" and event.stage == self.number:
            self.sitting.escalated(event)
        elif event.kind == "unreachable":
            self.unreachable = event.reason
            self._resolve("denied")

    def _drop(self, event: CaseEvent) -> None:
        found = [number for number, sitting in self.sittings.items() if sitting.drop(event)]
        if not found or found[0] >= self.number:
            return
        number, last = found[0], self.sitting
        later = self.resolved[number - 1 :]
        del self.resolved[number - 1 :]
        if self._tally().met and not self._meets_later(number, later[0].approvals):
            self.resolved += [later[0].model_copy(update={"approvals": self._seated()}), *later[1:]]
            return
        last.clock.stop(self.now)
        self._open()

    def _meets_later(self, number: int, seated: tuple[str, ...]) -> bool:
        """Whether somebody who takes the seat of a dropped vote voted in a later stage, or is in line with who did."""
        votes = self.sittings[number].votes
        new = [votes[name] for name in self._seated() if name not in seated]
        later = [vote for at, sitting in self.sittings.items() if at > number for vote in sitting.votes.values()]
        return any(bool(identities(one) & identities(two)) or in_line(one, two) for one in new for two in later)

    def _open(self) -> None:
        """Open the next stage, or open it again with the votes that it has."""
        known = self.sittings.get(self.number)
        if known is None:
            self.sittings[self.number] = Sitting(self.stage, self.number, self.now, self.case.absolute_deadline)
            return
        known.reopen(self.now)
        self._count_again()

    # -- what a reading of votes adds --------------------------------------------------------------------------------

    def _count_again(self) -> None:
        """The open stage has votes from when it was open before."""
        raise NotImplementedError

    def _tally(self) -> Tally:
        """The seats of the open stage."""
        raise NotImplementedError

    def _resolve(self, state: Literal["approved", "denied", "expired"]) -> None:
        """The open stage is resolved."""
        raise NotImplementedError

    def _seated(self) -> tuple[str, ...]:
        """Who approves the open stage."""
        return tuple(dict.fromkeys(self._tally().seated.values()))
