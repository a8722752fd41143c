"""Random people, votes, instants, directories and outages, played against the rules; whatever comes, these things hold.

The record is `tests/unit/kept.py`: what is noted first, then a vote or time itself, as the activities do.
"""

from datetime import datetime, timedelta
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy.approval.reading import Reading
from policy.approval.standing import ApprovalCase, Ballot, CaseEvent, Standing, stand
from policy.decision import Vote
from policy.document import EscalationStep, Requirement, Stage
from policy.people.directory import Directory
from policy.rules.chains import ExpiryVerb
from policy.rules.hours import Hours
from tests.unit.builders import T0, a_ballot, a_case, at, stage
from tests.unit.kept import Kept

PEOPLE = ("ann", "bob", "cleo", "dan", "max", "rita")
GROUPS = ("ops", "dba", "heads")
ABSOLUTE = 600.0
_OPEN = Hours.model_validate({"zone": "UTC", "days": {"tue": ["09:00-12:00", "13:00-18:00"]}})
_TURN = EscalationStep(after=timedelta(minutes=20), to=("parent_group",), replace=True, reason="r")
_ADD = EscalationStep(after=timedelta(minutes=30), add_groups=("heads",), reason="r")
_LAST = EscalationStep(after=timedelta(0), add_groups=("heads",), to=("parent_group",), reason="r")
_MORE = st.fixed_dictionaries(
    {
        "escalations": st.sampled_from([(), (_ADD,), (_TURN, _ADD)]),
        "hours": st.sampled_from([None, _OPEN]),
        "reminders": st.sampled_from([(), (timedelta(minutes=15),)]),
        "remind_every": st.sampled_from([None, timedelta(minutes=25)]),
        "on_request_info": st.sampled_from(["continue", "pause"]),
        "deny_threshold": st.sampled_from([1, 2]),
    }
)
_VERBS = st.sampled_from(
    [
        {"on_expiry": ExpiryVerb.deny, "grace": timedelta(minutes=40)},
        {"on_expiry": ExpiryVerb.cancel},
        {"on_expiry": ExpiryVerb.escalate, "expiry_escalation": _LAST, "grace": timedelta(minutes=40)},
        {"on_expiry": ExpiryVerb.hold},
        {"on_expiry": ExpiryVerb.remind},
    ]
)
_ASKED = st.sampled_from(
    [
        (Requirement(groups=("ops", "dba")),),
        (Requirement(groups=("ops",)),),
        (Requirement(groups=("ops",), count=2),),
        (Requirement(groups=("ops",)), Requirement(groups=("dba",))),
    ]
)
_STAGES = st.lists(
    st.builds(lambda asked, verb, more: stage(requirements=asked, **verb, **more), _ASKED, _VERBS, _MORE),
    min_size=1,
    max_size=2,
).map(lambda found: tuple(item.model_copy(update={"name": f"s{number}"}) for number, item in enumerate(found)))


class CaseMachine(RuleBasedStateMachine):
    """One case from its opening to its end, and beyond."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.groups = {name: {"ops", "dba"} for name in PEOPLE} | {"max": {"heads"}}
        self.kept = Kept(a_case(stage("ops")))
        self.ended: tuple[Standing, ApprovalCase] | None = None
        self.numbers = iter(range(10_000))

    @initialize(stages=_STAGES)
    def open(self, stages: tuple[Stage, ...]) -> None:
        """A case opens."""
        self.kept = Kept(a_case(*stages, absolute=ABSOLUTE), self._directory())

    def _directory(self) -> Directory:
        people = [{"id": name, "groups": tuple(sorted(groups))} for name, groups in self.groups.items() if groups]
        parents = ({"name": "ops", "parent": "heads"}, {"name": "dba", "parent": "nobodys"})
        agents = ({"id": "tuner", "owner": "rita"},) if self.groups["rita"] else ()
        metadata = {"name": "people", "version": "1"}
        return Directory.model_validate(
            {
                "apiVersion": "countersign/v1",
                "kind": "Directory",
                "metadata": metadata,
                "people": tuple(people),
                "groups": parents,
                "agents": agents,
            }
        )

    # -- what may come ----------------------------------------------------------------------------------------------

    @rule(
        person=st.sampled_from(PEOPLE),
        vote=st.sampled_from([*Vote]),
        minutes=st.sampled_from([0, 0, 1, 5, 17]),
        number=st.sampled_from([0, 0, 0, -1, 1]),
        about=st.integers(0, 5),
    )
    def decide(self, person: str, vote: Vote, minutes: int, number: int, about: int) -> None:
        """Somebody says something, in the open stage or in another one."""
        self.now += timedelta(minutes=minutes)
        asked = [item.decision_id for item in self.kept.case.ballots if item.vote is Vote.request_info]
        open_stage = stand(self.kept.case, self.now, deadline_counts_as_passed=False).stage
        ballot = a_ballot(person, str(vote), 0, " ".join(self.groups[person]), number=max(1, open_stage + number))
        more = {"decision_id": str(next(self.numbers)), "answers": asked[about % len(asked)] if asked else None}
        self.kept.vote(ballot.model_copy(update=more), self.now)

    @rule(people=st.permutations(PEOPLE), minutes=st.sampled_from([0, 1, 5]))
    def approve(self, people: list[str], minutes: int) -> None:
        """Some approve what is open, one after the other."""
        for person in people[:2]:
            self.decide(person, Vote.approve, minutes, 0, 0)

    @rule(person=st.sampled_from(PEOPLE), vote=st.sampled_from([Vote.request_info, Vote.release]))
    def interrupt(self, person: str, vote: Vote) -> None:
        """Somebody asks, or lets a held stage go on."""
        self.decide(person, vote, 1, 0, 0)

    @rule(about=st.integers(0, 5))
    def answer(self, about: int) -> None:
        """Whoever asks for the action answers a question."""
        self.decide("rita", Vote.answer, 1, 0, about)

    @rule(minutes=st.sampled_from([1, 10, 30, 60]))
    def wait(self, minutes: int) -> None:
        """Time passes, and the worker is there when something is due."""
        until = self.now + timedelta(minutes=minutes)
        for _ in range(300):
            due = stand(self.kept.case, self.now, deadline_counts_as_passed=True).due
            if not due or due[0].at > until or due[0].at <= self.now:
                break
            self.now = due[0].at
            self.kept.advance(self.now)
        self.now = until
        self.kept.advance(self.now)

    @rule(minutes=st.sampled_from([2, 65]))
    def outage(self, minutes: int) -> None:
        """Time passes and nobody is there."""
        self.now += timedelta(minutes=minutes)

    @rule(person=st.sampled_from(PEOPLE[:-1]), group=st.sampled_from(GROUPS))
    def change(self, person: str, group: str) -> None:
        """Somebody joins a group or leaves it; who is in none is nobody any more."""
        self.groups[person] ^= {group}
        self.kept.directory = self._directory()

    @precondition(lambda self: any(item.vote is Vote.approve for item in self.kept.case.ballots))
    @rule(group=st.sampled_from(GROUPS))
    def lose(self, group: str) -> None:
        """Whoever approved first leaves a group, or joins it again."""
        person = next(item.person_id for item in self.kept.case.ballots if item.vote is Vote.approve)
        self.change(person, group)
        self.kept.advance(self.now)

    # -- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def reading_again_says_the_same(self) -> None:
        """The same ballots and events amount to the same, wherever time is stopped to look in between."""
        whole = stand(self.kept.case, self.now, deadline_counts_as_passed=False)
        assert whole == stand(self.kept.case, self.now, deadline_counts_as_passed=False)
        assert whole == _in_pieces(self.kept.case, self.now)

    @invariant()
    def nobody_approves_twice_or_their_own(self) -> None:
        """One person has one vote, and who asks has none."""
        found = stand(self.kept.case, self.now, deadline_counts_as_passed=False)
        approvals = [person for item in found.stages for person in item.approvals]
        assert len(set(approvals)) == len(approvals)
        assert "rita" not in approvals

    @invariant()
    def nothing_moves_the_absolute_deadline(self) -> None:
        """Nothing is due, open or decided after it."""
        found = stand(self.kept.case, self.now, deadline_counts_as_passed=True)
        assert all(due.at <= at(ABSOLUTE) for due in found.due)
        assert all(item.deadline is None or item.deadline <= at(ABSOLUTE) for item in found.stages)
        assert found.resolution != "pending" or self.now < at(ABSOLUTE)

    @precondition(lambda self: self.kept.ended is not None)
    @invariant()
    def what_ended_stays_as_it_ended(self) -> None:
        """Nothing that comes later changes an end."""
        assert self.kept.ended is not None
        self.ended = self.ended or (self.kept.ended, self.kept.case)
        assert (self.kept.ended, self.kept.case) == self.ended
        assert stand(self.kept.case, self.now, deadline_counts_as_passed=True) == self.kept.ended

    @precondition(lambda self: self.kept.ended is not None and self.kept.ended.resolution == "approved")
    @invariant()
    def approved_means_enough_people(self) -> None:
        """Every stage has people on all of its seats who approved in it and were not dropped afterwards."""
        assert self.kept.ended is not None
        for found, asked in zip(self.kept.ended.stages, self.kept.case.chain.stages, strict=True):
            given = [_approval(self.kept.case, found.number, person) for person in found.approvals]
            assert _satisfied(self.kept.case, asked, found.number, given)


def _approval(case: ApprovalCase, number: int, person: str) -> Ballot:
    """The approval by which somebody sits, dropped by nothing that came after it."""
    mine = [item for item in case.ballots if (item.stage, item.person_id) == (number, person)]
    last = [item for item in mine if item.vote in (Vote.approve, Vote.deny, Vote.abstain, Vote.retract)][-1]
    assert last.vote is Vote.approve
    assert not any(event.decision_id == last.decision_id for event in case.events)
    return last


def _satisfied(case: ApprovalCase, asked: Stage, number: int, given: list[Ballot]) -> bool:
    """Whether the ballots can be laid on the seats in any way, by whom the stage asked at first or came to ask."""
    noted = [event for event in case.events if event.kind == "escalated" and event.stage == number]
    added = {
        *(name for event in noted for name in event.groups),
        *(name for step in asked.escalations for name in step.add_groups),
    }
    seats = [{*item.groups, *added} for item in asked.requirements for _ in range(item.count)]
    return any(
        all(seat.intersection(ballot.groups) for seat, ballot in zip(seats, order, strict=True))
        for order in permutations(given, len(seats))
    )


def _in_pieces(case: ApprovalCase, now: datetime) -> Standing:
    """The same reading, with time stopped half-way before everything that happened."""
    reading = Reading(case)
    everything: list[Ballot | CaseEvent] = [*case.ballots, *case.events]
    for item in sorted(everything, key=_instant):
        reading.let_pass(reading.now + (_instant(item) - reading.now) / 2, deadline_counts_as_passed=False)
        reading.take(item) if isinstance(item, Ballot) else reading.note(item)
    reading.let_pass(reading.now + (now - reading.now) / 2, deadline_counts_as_passed=False)
    reading.let_pass(now, deadline_counts_as_passed=False)
    return reading.standing()


def _instant(item: Ballot | CaseEvent) -> datetime:
    return item.received_at if isinstance(item, Ballot) else item.at


TestCaseMachine = CaseMachine.TestCase
TestCaseMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
