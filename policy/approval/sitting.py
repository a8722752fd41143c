"""What one stage has heard, from its opening on: the votes in it, whom it asks, its clock, and whether it is held.

- A stage that opens again keeps its votes, whom it asks, and what its clock brought before.
- While it is held nobody approves. Whoever fits may release it; who asks for the action may not, nor may anybody for
  them. So it is with `acknowledge`, which ends the reminders of everybody.
- `lapsed_until` is the instant at which somebody saw that nobody had been there at the deadline.
"""

from collections.abc import Collection
from datetime import datetime

from policy.approval.ballot import Ballot, CaseEvent
from policy.approval.clock import Clock
from policy.approval.eligibility import identities, stands_for
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
        """Why being held, not being held, or who it is keeps a ballot from counting."""
        name, behind = self._stage.name, sorted(identities(ballot).intersection(requesters))
        if ballot.vote is Vote.approve and self.held:
            return Refusal.on_hold, f"stage {name} is held: it is approved once somebody has released it"
        if ballot.vote is Vote.release and not self.held:
            return Refusal.not_held, f"stage {name} is not held"
        if ballot.vote in (Vote.release, Vote.acknowledge) and behind:
            what = "release it" if ballot.vote is Vote.release else "end its reminders"
            return Refusal.self_approval, f"{behind[0]} stands behind this proposal and cannot {what}"
        return None

    def escalated(self, event: CaseEvent) -> None:
        """The record found whom to escalate to."""
        self.asking.look_up(event.added or [event] * len(self._stage.requirements), replace=event.replace)
        self.clock.escalated(event.index)

    def drop(self, event: CaseEvent) -> bool:
        """A vote counts no longer; whether it was one of this stage."""
        found = next((item for item in self.votes.values() if item.decision_id == event.decision_id), None)
        if found is None:
            return False
        del self.votes[found.person_id]
        self.dropped.append(f"{found.person_id}: {event.reason}")
        return True

    def vote(self, ballot: Ballot) -> None:
        """A vote replaces that person's earlier one; who abstains takes back what delegates voted for them, too."""
        self.votes.pop(ballot.person_id, None)
        if ballot.vote in (Vote.approve, Vote.deny):
            self.votes[ballot.person_id] = ballot
        if ballot.vote is Vote.abstain:
            self.votes = {name: item for name, item in self.votes.items() if stands_for(item) != ballot.person_id}

    def acknowledge(self, ballot: Ballot) -> None:
        """Somebody looks."""
        self.acknowledged[ballot.person_id] = None
        self.clock.quiet()

    def hold(self, at: datetime) -> None:
        """The deadline passed and its verb is to hold."""
        self.held = True
        self.clock.hold(at)

    def release(self, at: datetime) -> None:
        """Go on, with the deadline anew."""
        self.held = False
        self.clock.anew(at)
