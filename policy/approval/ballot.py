"""What a case is made of: the question, the ballots and events that came, all in order of their instants.

- A ballot is a decision that was accepted, with what the directory said of its author at that instant. Votes count by
  `policy/approval/reading.py`; the others (`answer`, `acknowledge`, `request_info`, `release`) move clocks.
- An event is what the record noted besides: somebody was escalated to, a vote dropped, nobody is left, a grace.
- No two of them have the same instant, so there is one order in which all of them are read.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from policy.base import Instant, RecordModel
from policy.decision import Feedback, Vote
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.rules.chains import ApprovalChain

_TICK = timedelta(microseconds=1)


class Ballot(PersonFacts):
    """A decision that was accepted. `person_id` is who acted; the rest of the facts are those that make it count.

    Attributes:
        asked: whom a `request_info` asks; the proposer where it names nobody.
        answers: the decision id of the `request_info` that an `answer` answers.
        kept_from: the revision in which it was given, where a later one kept it.
        feedback: what its author says of having been asked.
        key_id: the key of the directory that signed it; None where none did.
    """

    decision_id: str
    stage: int
    vote: Vote
    received_at: Instant
    assurance: Assurance
    justification: str = ""
    asked: str | None = None
    answers: str | None = None
    kept_from: int | None = None
    feedback: tuple[Feedback, ...] = ()
    key_id: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None

    @property
    def signed(self) -> bool:
        """Whether its author proved who they are."""
        return self.assurance is not Assurance.claimed


class Added(RecordModel):
    """Whom an escalation adds to one requirement of a stage."""

    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


class CaseEvent(RecordModel):
    """Something that the record noted of an open case.

    `escalated`: the step `index` of `stage` found these `groups` and `people` (`replace`: instead of those before).
    `added`: for which requirement each of them was found, in the order of the stage; empty in records that did not say.
    `dropped`: the vote `decision_id` counts no longer. `unreachable`: nobody is left for what `stage` needs. `grace`:
    nobody was there at the deadline of `stage`, which now ends at `until`. `remeasured`: it was measured again, and
    nothing material changed (`reason` says what did); `effect` is the digest of what was compared.
    """

    kind: Literal["escalated", "dropped", "unreachable", "grace", "remeasured"]
    at: Instant
    stage: int
    index: int | None = None
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    replace: bool = False
    added: Annotated[tuple[Added, ...], Field(exclude_if=lambda value: not value)] = ()
    decision_id: str | None = None
    until: Instant | None = None
    reason: str = ""
    effect: str | None = None


class ApprovalCase(RecordModel):
    """Everything the question depends on. `opened_at` is when the first stage opened.

    `requesters` are the person ids of who asks and of everybody else who may not approve, `teams` the teams of those
    who ask. `held`: nobody approves before somebody of the first stage released it. `recheck_seconds`: how often it is
    measured again.
    """

    chain: ApprovalChain
    opened_at: Instant
    absolute_deadline: Instant
    requesters: tuple[str, ...]
    ballots: tuple[Ballot, ...] = ()
    events: tuple[CaseEvent, ...] = ()
    teams: tuple[str, ...] = ()
    held: bool = False
    recheck_seconds: int | None = None

    def after(self, now: datetime) -> datetime:
        """The instant of what happens next: later than everything that happened, whatever instant its request named."""
        instants = (*(item.at for item in self.events), *(item.received_at for item in self.ballots))
        last = max(instants, default=None)
        return now if last is None or now > last else last + _TICK
