"""What one stage has heard, from its opening on: the votes in it, whom it asks, its clock, and whether it is held.

- A stage that opens again keeps its votes, whom it asks, and what its clock brought before.
- While it is held nobody approves. Whoever fits may release it; who asks for the action may not.
- `lapsed_until` is the instant at which somebody saw that nobody had been there at the deadline.
"""

from collections.abc import Collection
from datetime import datetime

from policy.approval.ballot import Ballot, CaseEvent
from policy.approval.clock import Clock
from policy.approval.escalation import Asking
from policy.decision import Refusal, Vote
from policy.rules.chains import Stage


class Sitting:
    """The memory of one stage. `dropped` are sentences, `acknowledged` people."""

    def __init__(self, stage: Stage, number: int, opened_at: datetime, absolute: datetime) -> None:
        self._stage = stage
        self.opened_at = opened_at
        self.clock = Clock(stage, number, opened_at, absolute)
        self.asking = Asking(stage)
        self.votes: dict[str, Ballot] = {}
        self.acknowledged: dict[str, None] = {}
        self.dropped: list[str] = []
        self.held = False
        self.lapsed_until: datetime | None = None

    def reopen(self, at: datetime) -> None:
        """Open again, with the deadline anew."""
        self.opened_at = at
        self.lapsed_until = None
        self.clock.anew(at)

    def refusal(self, ballot: Ballot, requesters: Collection[str]) -> tuple[Refusal, str] | None:
        """Why being held, or not being held, keeps a ballot from counting."""
        name, person = self._stage.name, ballot.person_id
        if ballot.vote is Vote.approve and self.held:
            return Refusal.on_hold, f"stage {name} is held: it is approved once somebody has released it"
        if ballot.vote is Vote.release and not self.held:
            return Refusal.not_held, f"stage {name} is not held"
        if ballot.vote is Vote.release and person in requesters:
            return Refusal.self_approval, f"{person} stands behind this proposal and cannot release it"
        return None

    def escalated(self, event: CaseEvent) -> None:
        """The record found whom to escalate to."""
        self.asking.escalate(event.groups, event.people, replace=event.replace)
        self.clock.escalated(event.index)

    def drop(self, event: CaseEvent) -> bool:
        """A vote counts no longer; whether it was one of this stage."""
        found = next((item for item in self.votes.values() if item.decision_id == event.decision_id), None)
        if found is None:
            return False
        del self.votes[found.person_id]
        self.dropped.append(f"{found.person_id}: {event.reason}")
        return True

    def acknowledge(self, ballot: Ballot) -> None:
        """Somebody looks."""
        self.acknowledged[ballot.person_id] = None
        self.clock.quiet()

    def ask(self, at: datetime) -> None:
        """Somebody wants to know more."""
        if self._stage.on_request_info == "pause":
            self.clock.pause(at)

    def hold(self, at: datetime) -> None:
        """The deadline passed and its verb is to hold."""
        self.held = True
        self.clock.hold(at)

    def release(self, at: datetime) -> None:
        """Go on, with the deadline anew."""
        self.held = False
        self.clock.anew(at)
