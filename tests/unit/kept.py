"""A record of a case as the activities keep it, without a database: what is noted first, then a vote or time itself."""

from dataclasses import dataclass, field
from datetime import datetime

from policy.approval.changes import changes
from policy.approval.standing import ApprovalCase, Ballot, CaseEvent, Standing, refuse, stand
from policy.approval.today import Today
from policy.decision import Refusal
from policy.people.directory import Directory
from tests.unit.builders import a_directory


@dataclass
class Kept:
    """The case, and how it ended once somebody saw that it had."""

    case: ApprovalCase
    directory: Directory = field(default_factory=a_directory)
    agent: str = "tuner"
    ended: Standing | None = None
    noted: list[CaseEvent] = field(default_factory=list)

    @property
    def today(self) -> Today:
        """The people by its directory; who owns the agent asks."""
        return Today(self.directory, tuple(filter(None, (self.directory.owner_of(self.agent),))))

    def look(self, now: datetime) -> None:
        """Note what time and the directory brought."""
        if self.ended is not None:
            return
        found = [change.event for change in changes(self.case, self.today, now)]
        self.noted += found
        self.case = self.case.model_copy(update={"events": (*self.case.events, *found)})

    def vote(self, ballot: Ballot, now: datetime) -> Refusal | None:
        """Take a vote that is seen at an instant; why it does not count."""
        self.look(now)
        if self.ended is not None:
            return Refusal.not_pending
        seen = ballot.model_copy(update={"received_at": self.case.after(now)})
        why = refuse(self.case, seen)
        if why is None:
            self.case = self.case.model_copy(update={"ballots": (*self.case.ballots, seen)})
        self._settle(now, time_itself=False)
        return why[0] if why else None

    def advance(self, now: datetime) -> None:
        """Let time itself be evaluated."""
        self.look(now)
        self._settle(now, time_itself=True)

    def _settle(self, now: datetime, *, time_itself: bool) -> None:
        found = stand(self.case, now, deadline_counts_as_passed=time_itself)
        if self.ended is None and found.resolution != "pending":
            self.ended = found
