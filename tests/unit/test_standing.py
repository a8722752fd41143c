"""Votes and instants: where a case stands, and why a ballot does not count.

A vote is written `person vote minute [groups] [@stage]`, `ops` being the default group and `deny!` a denial without a
word. Who asks is rita.
"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.standing import ApprovalCase, Ballot, due_until, refuse, stand
from policy.decision import Refusal, Vote
from policy.document import ApprovalChain, Requirement, Stage
from tests.unit.builders import T0, a_ballot, a_case, at, escalation, stage

ONE = (stage("ops"),)
PAIR = (stage("ops", "dba"),)
TWO = (stage(requirements=(Requirement(groups=("ops",), count=2),)),)
STAGES = (stage("ops", name="first"), stage("dba", name="second"))
TWO_DENY = (stage("ops", deny_threshold=2),)
ESCALATED = (stage("ops", escalations=(escalation(30, "boss"),), reminders=(timedelta(minutes=10),)),)


def _votes(text: str) -> tuple[Ballot, ...]:
    ballots = []
    for line in filter(None, (part.strip() for part in text.split(";"))):
        words, _, number = line.partition("@")
        person, vote, minutes, *groups = words.split()
        why = "" if vote == "deny!" else "no"
        ballots.append(
            a_ballot(
                person, vote.rstrip("!"), float(minutes), " ".join(groups) or "ops", number=int(number or 1), why=why
            )
        )
    return tuple(ballots)


# chain, votes, minute, expected resolution, stage and who approved or denied in it
STANDINGS: dict[str, tuple[tuple[Stage, ...], str, float, str, int, str]] = {
    "nobody has voted": (ONE, "", 5, "pending", 1, ""),
    "one approval of one": (ONE, "ann approve 5", 5, "approved", 1, "ann"),
    "one approval of two": (TWO, "ann approve 5", 9, "pending", 1, "ann"),
    "one person twice is one": (TWO, "ann approve 5; ann approve 6", 9, "pending", 1, "ann"),
    "two people": (TWO, "ann approve 5; bob approve 6", 9, "approved", 1, "ann bob"),
    "one of each group, whatever the order": (
        PAIR,
        "bob approve 5 ops dba; ann approve 6 ops",
        9,
        "approved",
        1,
        "ann bob",
    ),
    "one person of both groups is one": (PAIR, "bob approve 5 ops dba", 9, "pending", 1, "bob"),
    "a denial": (ONE, "ann deny 5", 9, "denied", 1, "ann"),
    "a denial, then an approval": (ONE, "ann deny 5; bob approve 6", 9, "denied", 1, "ann"),
    "an approval, then a denial": (TWO, "ann approve 5; bob deny 6", 9, "denied", 1, "ann bob"),
    "one denial of two": (TWO_DENY, "ann deny 5", 9, "pending", 1, "ann"),
    "two denials of two": (TWO_DENY, "ann deny 5; bob deny 6", 9, "denied", 1, "ann bob"),
    "one person denies twice": (TWO_DENY, "ann deny 5; ann deny 6", 9, "pending", 1, "ann"),
    "approved although one of two denies": (TWO_DENY, "ann deny 5; bob approve 6", 9, "approved", 1, "ann bob"),
    "the newest vote replaces the older": (TWO_DENY, "ann deny 5; ann approve 6", 9, "approved", 1, "ann"),
    "an approval is replaced by a denial": (TWO, "ann approve 5; ann deny 6", 9, "denied", 1, "ann"),
    "an approval is taken back": (TWO, "ann approve 5; ann retract 6; bob approve 7", 9, "pending", 1, "bob"),
    "an approval is replaced by no vote": (TWO, "ann approve 5; ann abstain 6; bob approve 7", 9, "pending", 1, "bob"),
    "a denial is taken back": (TWO_DENY, "ann deny 5; ann retract 6; bob deny 7", 9, "pending", 1, "bob"),
    "too late to take back": (ONE, "ann approve 5; ann retract 6", 9, "approved", 1, "ann"),
    "who steps out has no vote": (TWO, "ann approve 5; ann recuse 6; bob approve 7", 9, "pending", 1, "bob"),
    "who steps out takes the denial along": (TWO_DENY, "ann deny 5; ann recuse 6; bob deny 7", 9, "pending", 1, "bob"),
    "who stepped out does not come back": (ONE, "ann recuse 5; ann approve 6", 9, "pending", 1, ""),
    "who stepped out of one stage is out of the next": (
        STAGES,
        "cleo recuse 4 ops dba; ann approve 5; cleo approve 6 dba @2",
        9,
        "pending",
        2,
        "",
    ),
    "stepping out of a later stage leaves an earlier one approved": (
        STAGES,
        "ann approve 5; ann recuse 6 dba @2; cleo approve 7 dba @2",
        9,
        "approved",
        2,
        "cleo",
    ),
    "a question and a look are no votes": (ONE, "ann request_info 5; ann acknowledge 6", 9, "pending", 1, ""),
    "who asks cannot approve": (ONE, "rita approve 5", 9, "pending", 1, ""),
    "who asks can deny": (ONE, "rita deny 5 nobody", 9, "denied", 1, "rita"),
    "who asks can take the denial back": (
        TWO_DENY,
        "rita deny 5 x; rita retract 6 x; ann deny 7",
        9,
        "pending",
        1,
        "ann",
    ),
    "the wrong group": (ONE, "cleo approve 5 dba", 9, "pending", 1, ""),
    "a denial of the wrong group": (ONE, "cleo deny 5 dba", 9, "pending", 1, ""),
    "a denial without a word": (ONE, "ann deny! 5", 9, "pending", 1, ""),
    "one stage of two": (STAGES, "ann approve 5", 9, "pending", 2, ""),
    "two stages": (STAGES, "ann approve 5; cleo approve 6 dba @2", 9, "approved", 2, "cleo"),
    "two stages at one instant": (STAGES, "ann approve 5; cleo approve 5 dba @2", 5, "approved", 2, "cleo"),
    "the second stage denies": (STAGES, "ann approve 5; cleo deny 6 dba @2", 9, "denied", 2, "cleo"),
    "one person approves one stage only": (
        STAGES,
        "bob approve 5 ops dba; bob approve 6 ops dba @2",
        9,
        "pending",
        2,
        "",
    ),
    "but may deny the next": (STAGES, "bob approve 5 ops dba; bob deny 6 ops dba @2", 9, "denied", 2, "bob"),
    "too early for the second stage": (STAGES, "cleo approve 4 dba @2; ann approve 5", 9, "pending", 2, ""),
    "too late for the first stage": (STAGES, "ann approve 5; bob deny 6", 9, "pending", 2, ""),
    "a stage that there is not": (ONE, "ann approve 5 @2", 9, "pending", 1, ""),
    "before the case opened": (ONE, "ann approve -1", 9, "pending", 1, ""),
    "dated before the second stage opened": (STAGES, "ann approve 5; cleo approve 4 dba @2", 9, "pending", 2, ""),
    "at the deadline": (ONE, "ann approve 60", 60, "approved", 1, "ann"),
    "after the deadline": (ONE, "ann approve 60.001", 61, "expired", 1, ""),
    "a moment before the deadline": (ONE, "", 59.999, "pending", 1, ""),
    "after the deadline of the first stage": (STAGES, "ann approve 61; cleo approve 62 dba @2", 63, "expired", 1, ""),
    "the second stage has its own time": (
        STAGES,
        "ann approve 59; cleo approve 119 dba @2",
        119,
        "approved",
        2,
        "cleo",
    ),
    "an outage across the deadline": (TWO, "ann approve 5", 900, "expired", 1, "ann"),
    "a vote before the escalation": (ESCALATED, "boss approve 29.9 boss", 31, "pending", 1, ""),
    "a vote at the escalation": (ESCALATED, "boss approve 30 boss", 31, "approved", 1, "boss"),
    "escalation takes nobody's place": (ESCALATED, "ann approve 31", 31, "approved", 1, "ann"),
    "time does not run backwards among votes": (ONE, "bob deny! 61; ann approve 59", 59, "expired", 1, ""),
}


@pytest.mark.parametrize(
    ("chain", "votes", "minute", "resolution", "number", "people"), STANDINGS.values(), ids=STANDINGS
)
def test_standing(
    chain: tuple[Stage, ...], votes: str, minute: float, resolution: str, number: int, people: str
) -> None:
    """A case stands as its ballots and the instant say, and nothing else."""
    found = stand(a_case(*chain, ballots=_votes(votes)), at(minute), deadline_counts_as_passed=False)
    assert (found.resolution, found.stage) == (resolution, number)
    assert sorted({*found.current.approvals, *found.current.denials}) == people.split()
    assert (found.resolved_at is None) == (resolution == "pending")
    assert bool(found.reasons) == (resolution != "pending")
    assert bool(found.due) == (resolution == "pending")


REFUSALS: dict[str, tuple[tuple[Stage, ...], str, str, Refusal | None]] = {
    "an approval": (ONE, "", "ann approve 5", None),
    "after the end": (ONE, "ann approve 5", "bob approve 6", Refusal.not_pending),
    "after a denial": (ONE, "ann deny 5", "bob approve 6", Refusal.not_pending),
    "an earlier stage": (STAGES, "ann approve 5", "bob deny 6", Refusal.stage_closed),
    "a later stage": (STAGES, "", "cleo approve 5 dba @2", Refusal.stage_not_open),
    "no such stage": (ONE, "", "ann approve 5 @7", Refusal.stage_not_open),
    "before it opened": (ONE, "", "ann approve -5", Refusal.stage_not_open),
    "at the deadline": (ONE, "", "ann approve 60", None),
    "after the deadline": (ONE, "", "ann approve 60.001", Refusal.past_deadline),
    "not eligible": (ONE, "", "cleo approve 5 dba", Refusal.not_eligible),
    "not eligible to ask": (ONE, "", "cleo request_info 5 dba", Refusal.not_eligible),
    "nothing to take back": (ONE, "", "cleo retract 5 dba", Refusal.not_eligible),
    "taken back by who is in the group no more": (TWO, "ann approve 5", "ann retract 6 gone", None),
    "before the escalation": (ESCALATED, "", "boss approve 29 boss", Refusal.not_eligible),
    "after the escalation": (ESCALATED, "", "boss approve 30 boss", None),
    "one's own action": (ONE, "", "rita approve 5", Refusal.self_approval),
    "denying one's own action": (ONE, "", "rita deny 5 nobody", None),
    "denying one's own action without a word": (ONE, "", "rita deny! 5 nobody", Refusal.justification_missing),
    "denying without a word": (ONE, "", "ann deny! 5", Refusal.justification_missing),
    "a second stage": (STAGES, "bob approve 5", "bob approve 6 dba @2", Refusal.sod_conflict),
    "after stepping out": (ONE, "ann recuse 5", "ann deny 6", Refusal.recused),
}


@pytest.mark.parametrize(("chain", "before", "vote", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(chain: tuple[Stage, ...], before: str, vote: str, code: Refusal | None) -> None:
    """A ballot that does not count is refused with its code and a sentence."""
    found = refuse(a_case(*chain, ballots=_votes(before)), _votes(vote)[0])
    assert (found[0] if found else None) is code
    assert found is None or len(found[1]) > 10


def test_every_refusal_of_a_ballot_is_reached() -> None:
    """The table above has every code that a ballot can be refused with."""
    assert {code for _, _, _, code in REFUSALS.values() if code} == {
        Refusal.past_deadline,
        Refusal.not_pending,
        Refusal.stage_closed,
        Refusal.stage_not_open,
        Refusal.recused,
        Refusal.justification_missing,
        Refusal.self_approval,
        Refusal.sod_conflict,
        Refusal.not_eligible,
    }


def test_exactly_at_the_deadline() -> None:
    """At the deadline a decision still counts; where time itself is what is asked about, it has passed."""
    assert stand(a_case(*ONE), at(60), deadline_counts_as_passed=False).resolution == "pending"
    passed = stand(a_case(*ONE), at(60), deadline_counts_as_passed=True)
    assert (passed.resolution, passed.resolved_at) == ("expired", at(60))
    assert [reason.code for reason in passed.reasons] == ["expired_deny"]
    assert passed.reasons[0].message == "stage review passed its deadline without 1 of ops"


def test_the_absolute_deadline_is_not_moved_by_stages() -> None:
    """A second stage that opens late ends at the absolute deadline all the same."""
    case = a_case(*STAGES, ballots=_votes("ann approve 50; cleo approve 71 dba @2"), absolute=70)
    found = stand(case, at(71), deadline_counts_as_passed=False)
    assert (found.resolution, found.stage, found.resolved_at) == ("expired", 2, at(70))


def test_nobody_can_approve_an_empty_chain() -> None:
    """A chain without stages, which no document can have, is denied and never approved."""
    case = a_case(*ONE, ballots=()).model_copy(update={"chain": ApprovalChain.model_construct(stages=())})
    found = stand(case, at(5), deadline_counts_as_passed=False)
    assert (found.resolution, found.current.state, found.resolved_at) == ("denied", "denied", T0)
    assert [reason.code for reason in found.reasons] == ["empty_chain"]
    refusal = refuse(case, a_ballot("ann", "approve", 5))
    assert refusal is not None
    assert refusal[0] is Refusal.not_pending


def test_what_is_shown_of_a_stage() -> None:
    """An open stage says who is asked, what is missing, who is looking and what comes next."""
    case = a_case(*ESCALATED, *STAGES, ballots=_votes("ann acknowledge 5"))
    found = stand(case, at(31), deadline_counts_as_passed=False)
    current = found.current
    assert (current.groups, current.missing, current.acknowledged) == (("ops", "boss"), ("1 of ops or boss",), ("ann",))
    assert [item.kind for item in found.due] == ["deadline"]
    assert [item.state for item in found.stages] == ["open", "waiting", "waiting"]


def test_what_has_become_due() -> None:
    """Reminders and escalations are due in stages that were open at theirs, and not after these were resolved."""
    case = a_case(*ESCALATED, *STAGES)
    assert due_until(case, at(9)) == ()
    assert [item.kind for item in due_until(case, at(10))] == ["reminder"]
    assert [item.kind for item in due_until(case, at(500))] == ["reminder", "escalation"]
    resolved = a_case(*ESCALATED, *STAGES, ballots=_votes("ann approve 20"))
    assert [item.kind for item in due_until(resolved, at(500))] == ["reminder"]


_PEOPLE = ("rita", "ann", "bob", "cleo")
_BALLOTS = st.lists(
    st.builds(
        a_ballot,
        st.sampled_from(_PEOPLE),
        st.sampled_from([str(vote) for vote in Vote]),
        st.integers(-5, 130),
        st.sampled_from(["ops", "dba", "ops dba", "boss", ""]),
        number=st.integers(1, 3),
        why=st.sampled_from(["no", ""]),
    ),
    max_size=12,
).map(tuple)
_CHAINS = st.sampled_from([ONE, PAIR, TWO, STAGES, TWO_DENY, ESCALATED, (*ESCALATED, *TWO), (*STAGES, *ONE)])


@given(_CHAINS, _BALLOTS, st.integers(0, 300))
def test_hostile_ballots_never_satisfy_twice(
    chain: tuple[Stage, ...], ballots: tuple[Ballot, ...], minute: int
) -> None:
    """Whatever is in a case: no requester approves, nobody approves twice, and approval takes enough people."""
    found = stand(a_case(*chain, ballots=ballots), at(minute), deadline_counts_as_passed=True)
    approvals = [person for item in found.stages for person in item.approvals]
    assert "rita" not in approvals
    assert len(set(approvals)) == len(approvals)
    if found.resolution == "approved":
        for item, asked in zip(found.stages, chain, strict=True):
            assert len(item.approvals) == sum(requirement.count for requirement in asked.requirements)
            assert item.resolved_at is not None
            assert item.deadline is not None
            assert item.resolved_at <= item.deadline


@given(_CHAINS, _BALLOTS, st.integers(0, 300))
def test_what_is_refused_does_not_count(chain: tuple[Stage, ...], ballots: tuple[Ballot, ...], minute: int) -> None:
    """A case stands the same with the refused ballots in it and without them, whatever their order."""
    now, accepted = T0, a_case(*chain)
    for ballot in ballots:
        now = max(now, ballot.received_at)
        if refuse(accepted, ballot.model_copy(update={"received_at": max(now, ballot.received_at)})) is None:
            kept = ballot.model_copy(update={"received_at": now})
            accepted = accepted.model_copy(update={"ballots": (*accepted.ballots, kept)})
    in_order = tuple(
        ballot.model_copy(update={"received_at": max(T0, *(item.received_at for item in ballots[: index + 1]))})
        for index, ballot in enumerate(ballots)
    )
    everything = accepted.model_copy(update={"ballots": in_order})
    end = max(now, at(minute))
    assert stand(everything, end, deadline_counts_as_passed=False) == stand(
        accepted, end, deadline_counts_as_passed=False
    )


@given(_CHAINS, _BALLOTS, st.integers(0, 200), st.integers(0, 200))
def test_what_is_resolved_stays_resolved(
    chain: tuple[Stage, ...], ballots: tuple[Ballot, ...], minute: int, later: int
) -> None:
    """Time that passes resolves a pending case at most, and never changes a resolution."""
    case: ApprovalCase = a_case(*chain, ballots=ballots)
    before = stand(case, at(minute), deadline_counts_as_passed=True)
    after = stand(case, at(minute + later), deadline_counts_as_passed=True)
    if before.resolution != "pending":
        assert after == before
    assert after.resolution in (before.resolution, "expired")
