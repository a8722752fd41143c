"""What time and noted events do to a case: each verb of a deadline, holds, pauses, graces, and stages that open again.

A line is `minute person vote [groups] [@stage]`, `minute noted KIND …`, as `_happened` reads it. Who asks is rita.
"""

from datetime import timedelta
from typing import Any

import pytest

from policy.approval.standing import ApprovalCase, Ballot, CaseEvent, due_until, refuse, stand
from policy.decision import Feedback, Refusal
from policy.document import EscalationStep, Requirement, Stage
from policy.rules.chains import ExpiryVerb
from tests.unit.builders import a_ballot, a_case, at, stage

BOSS = EscalationStep(after=timedelta(0), add_groups=("boss",), reason="nobody in ops answered")
LOOKED_UP = EscalationStep(after=timedelta(minutes=30), to=("manager",), replace=True, reason="nobody answered")
DENY = (stage("ops"),)
CANCEL = (stage("ops", on_expiry=ExpiryVerb.cancel),)
OFFER = (stage("ops", on_expiry=ExpiryVerb.offer_alternative),)
ESCALATE = (stage("ops", on_expiry=ExpiryVerb.escalate, expiry_escalation=BOSS),)
REMIND = (stage("ops", on_expiry=ExpiryVerb.remind),)
HOLD = (stage("ops", on_expiry=ExpiryVerb.hold),)
RELEASED_BY = (stage("ops", on_expiry=ExpiryVerb.hold, release=Requirement(groups=("boss",))),)
GRACE = (stage("ops", grace=timedelta(minutes=20)),)
PAUSE = (stage("ops", on_request_info="pause"),)
REPLACE = (
    stage(
        requirements=(Requirement(groups=("ops",), count=2),),
        escalations=(EscalationStep(after=timedelta(minutes=30), add_groups=("boss",), replace=True, reason="r"),),
    ),
)
TURN = (stage("ops", escalations=(LOOKED_UP,)),)
STAGES = (stage("ops", name="first"), stage("dba", name="second"), stage("boss", name="third"))
TWO = (stage(requirements=(Requirement(groups=("ops",), count=2),), name="first"), stage("dba", name="second"))


def _happened(text: str) -> tuple[tuple[Ballot, ...], tuple[CaseEvent, ...]]:
    ballots, events = [], []
    for line in filter(None, (part.strip() for part in text.split(";"))):
        words, _, number = line.partition("@")
        minute, who, what, *more = words.split()
        if who == "noted":
            events.append(_event(what, float(minute), int(number or 1), more))
            continue
        vote, _, about = what.partition(":")
        ballot = a_ballot(who, vote, float(minute), " ".join(more) or "ops", number=int(number or 1), why="words")
        ballots.append(ballot.model_copy(update={"answers": about} if vote == "answer" else {"asked": about or None}))
    return tuple(ballots), tuple(events)


def _event(kind: str, minute: float, number: int, more: list[str]) -> CaseEvent:
    said: dict[str, Any] = {"reason": "gone"}
    if kind == "dropped":
        said["decision_id"] = more[0]
    elif kind == "grace":
        said["until"] = at(float(more[0]))
    else:
        said |= {"index": 0, "people": tuple(more), "replace": True}
    return CaseEvent.model_validate({"kind": kind, "at": at(minute), "stage": number, **said})


def _case(chain: tuple[Stage, ...], text: str, absolute: float = 1000) -> ApprovalCase:
    ballots, events = _happened(text)
    return a_case(*chain, ballots=ballots, events=events, absolute=absolute)


# chain, what happened, minute, resolution, stage, its state, and who approved or denied in it
CASES: dict[str, tuple[tuple[Stage, ...], str, float, str, int, str, str]] = {
    "deny ends it": (DENY, "", 61, "expired", 1, "expired", ""),
    "cancel ends it": (CANCEL, "", 61, "expired", 1, "expired", ""),
    "an offer of the alternative ends it": (OFFER, "", 61, "expired", 1, "expired", ""),
    "escalate gives one more deadline": (ESCALATE, "", 119, "pending", 1, "open", ""),
    "whom the deadline escalated to may answer": (
        ESCALATE,
        "61 bea approve boss",
        62,
        "approved",
        1,
        "approved",
        "bea",
    ),
    "not before it": (ESCALATE, "59 bea approve boss", 59.5, "pending", 1, "open", ""),
    "those before may still": (ESCALATE, "61 ann approve", 62, "approved", 1, "approved", "ann"),
    "escalate once": (ESCALATE, "", 121, "expired", 1, "expired", ""),
    "remind goes on": (REMIND, "", 500, "pending", 1, "open", ""),
    "and takes votes": (REMIND, "500 ann approve", 501, "approved", 1, "approved", "ann"),
    "until the absolute deadline": (REMIND, "", 1001, "expired", 1, "expired", ""),
    "hold holds": (HOLD, "", 500, "pending", 1, "held", ""),
    "until the absolute deadline at most": (HOLD, "", 1001, "expired", 1, "expired", ""),
    "nobody approves what is held": (HOLD, "70 ann approve", 71, "pending", 1, "held", ""),
    "whoever is asked denies it": (HOLD, "70 ann deny", 71, "denied", 1, "denied", "ann"),
    "whoever is asked releases it": (HOLD, "70 ann release", 71, "pending", 1, "open", ""),
    "released, it is approved": (HOLD, "70 ann release; 80 bob approve", 81, "approved", 1, "approved", "bob"),
    "released, it has its deadline anew": (HOLD, "70 ann release", 129, "pending", 1, "open", ""),
    "and is held again": (HOLD, "70 ann release", 131, "pending", 1, "held", ""),
    "the stage says who releases": (RELEASED_BY, "70 ann release", 71, "pending", 1, "held", ""),
    "and only they do": (RELEASED_BY, "70 bea release boss", 71, "pending", 1, "open", ""),
    "who asks releases nothing": (HOLD, "70 rita release", 71, "pending", 1, "held", ""),
    "an unseen deadline begins the grace": (GRACE, "90 noted grace 110", 91, "pending", 1, "open", ""),
    "in which people decide": (GRACE, "90 noted grace 110; 100 ann approve", 101, "approved", 1, "approved", "ann"),
    "a grace ends": (GRACE, "90 noted grace 110", 111, "expired", 1, "expired", ""),
    "what came in between does not count": (GRACE, "70 ann approve; 90 noted grace 110", 91, "pending", 1, "open", ""),
    "one grace a stage": (GRACE, "90 noted grace 110; 120 noted grace 140", 121, "expired", 1, "expired", ""),
    "a grace before the deadline is none": (GRACE, "30 noted grace 90", 61, "expired", 1, "expired", ""),
    "a grace does not pass the absolute deadline": (GRACE, "90 noted grace 2000", 1001, "expired", 1, "expired", ""),
    "a question does not stop every clock": (DENY, "30 ann request_info", 61, "expired", 1, "expired", ""),
    "it does where the stage says so": (PAUSE, "30 ann request_info", 119, "pending", 1, "open", ""),
    "for a deadline's time": (PAUSE, "30 ann request_info", 121, "expired", 1, "expired", ""),
    "until the answer": (
        PAUSE,
        "30 ann request_info; 40 rita answer:ann-request_info-30.0",
        71,
        "expired",
        1,
        "expired",
        "",
    ),
    "until all answers": (
        PAUSE,
        "30 ann request_info; 31 bob request_info; 40 rita answer:ann-request_info-30.0",
        119,
        "pending",
        1,
        "open",
        "",
    ),
    "an answer by somebody else is none": (
        PAUSE,
        "30 ann request_info; 40 bob answer:ann-request_info-30.0",
        119,
        "pending",
        1,
        "open",
        "",
    ),
    "votes count while it waits": (
        PAUSE,
        "30 ann request_info; 110 bob approve",
        111,
        "approved",
        1,
        "approved",
        "bob",
    ),
    "a pause does not pass the absolute deadline": (PAUSE, "30 ann request_info", 1001, "expired", 1, "expired", ""),
    "replaced people are not asked": (REPLACE, "40 ann approve", 41, "pending", 1, "open", ""),
    "their votes stay": (
        REPLACE,
        "20 ann approve; 40 bea approve boss",
        41,
        "approved",
        1,
        "approved",
        "ann bea",
    ),
    "who was looked up is asked": (
        TURN,
        "31 noted escalated max; 40 max approve none",
        41,
        "approved",
        1,
        "approved",
        "max",
    ),
    "and instead of the others": (TURN, "31 noted escalated max; 40 ann approve", 41, "pending", 1, "open", ""),
    "nobody was looked up": (TURN, "31 noted escalated; 40 ann approve", 41, "approved", 1, "approved", "ann"),
    "nothing noted, nothing changed": (TURN, "40 ann approve", 41, "approved", 1, "approved", "ann"),
    "a dropped vote is gone": (TWO, "5 ann approve; 9 noted dropped ann-approve-5.0", 10, "pending", 1, "open", ""),
    "its author may vote again": (
        TWO,
        "5 ann approve; 9 noted dropped ann-approve-5.0; 10 ann approve",
        11,
        "pending",
        1,
        "open",
        "ann",
    ),
    "an earlier stage opens again": (
        STAGES,
        "5 ann approve; 9 noted dropped ann-approve-5.0",
        10,
        "pending",
        1,
        "open",
        "",
    ),
    "with its deadline anew": (
        STAGES,
        "5 ann approve; 50 noted dropped ann-approve-5.0",
        109,
        "pending",
        1,
        "open",
        "",
    ),
    "and expires by it": (STAGES, "5 ann approve; 50 noted dropped ann-approve-5.0", 111, "expired", 1, "expired", ""),
    "votes after it wait and count again": (
        (*STAGES[:1], TWO[0].model_copy(update={"name": "two"})),
        "5 bob approve; 6 cleo approve @2; 9 noted dropped bob-approve-5.0; 20 bob approve; 21 dan approve @2",
        22,
        "approved",
        2,
        "approved",
        "cleo dan",
    ),
    "but not of who approved another stage meanwhile": (
        (*STAGES[:1], TWO[0].model_copy(update={"name": "two"})),
        "5 bob approve; 6 cleo approve @2; 9 noted dropped bob-approve-5.0; 20 cleo approve; 21 dan approve @2",
        22,
        "pending",
        2,
        "open",
        "dan",
    ),
    "a stage whose votes waited is approved at once": (
        (*STAGES[:1], STAGES[0].model_copy(update={"name": "again"}), *STAGES[1:2]),
        "5 bob approve; 6 cleo approve @2; 9 noted dropped bob-approve-5.0; 20 dan approve",
        22,
        "pending",
        3,
        "open",
        "",
    ),
    "a vote that was not needed reopens nothing": (
        (TWO[0].model_copy(update={"requirements": (Requirement(groups=("ops",), count=1),)}), *STAGES[1:2]),
        "5 ann approve; 9 noted dropped nobody",
        10,
        "pending",
        2,
        "open",
        "",
    ),
    "what ended stays ended": (
        DENY,
        "5 ann approve; 9 noted dropped ann-approve-5.0",
        10,
        "approved",
        1,
        "approved",
        "ann",
    ),
}


@pytest.mark.parametrize(
    ("chain", "text", "minute", "resolution", "number", "state", "people"), CASES.values(), ids=CASES
)
def test_time_and_events(
    chain: tuple[Stage, ...], text: str, minute: float, resolution: str, number: int, state: str, people: str
) -> None:
    """A case stands as its ballots, its events and the instant say."""
    found = stand(_case(chain, text), at(minute), deadline_counts_as_passed=False)
    assert (found.resolution, found.stage, found.current.state) == (resolution, number, state)
    assert sorted({*found.current.approvals, *found.current.denials}) == people.split()


REFUSALS: dict[str, tuple[tuple[Stage, ...], str, str, Refusal | None]] = {
    "approving what is held": (HOLD, "", "70 ann approve", Refusal.on_hold),
    "releasing what is not": (HOLD, "", "50 ann release", Refusal.not_held),
    "releasing without being asked": (HOLD, "", "70 bea release boss", Refusal.not_eligible),
    "releasing what one asks for": (HOLD, "", "70 rita release", Refusal.self_approval),
    "taking back while it is held": (HOLD, "5 ann abstain", "70 ann abstain", None),
    "asking while it is held": (HOLD, "", "70 ann request_info", None),
    "answering no question": (PAUSE, "", "30 rita answer:nothing", Refusal.unknown_question),
    "answering for somebody else": (
        PAUSE,
        "20 ann request_info:max",
        "30 bob answer:ann-request_info-20.0",
        Refusal.not_authorized,
    ),
    "answering as whoever was asked": (PAUSE, "20 ann request_info:max", "30 max answer:ann-request_info-20.0 x", None),
    "answering as whoever asks": (PAUSE, "20 ann request_info:max", "30 rita answer:ann-request_info-20.0 x", None),
    "between a deadline and its grace": (GRACE, "90 noted grace 110", "90 ann approve", Refusal.past_deadline),
}


@pytest.mark.parametrize(("chain", "before", "vote", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(chain: tuple[Stage, ...], before: str, vote: str, code: Refusal | None) -> None:
    """What keeps a ballot from counting has a code and a sentence."""
    found = refuse(_case(chain, before), _happened(vote)[0][0])
    assert (found[0] if found else None) is code
    assert found is None or len(found[1]) > 10


def test_an_answer_needs_words() -> None:
    """An answer that says nothing is refused."""
    ballot = a_ballot("rita", "answer", 30, why="").model_copy(update={"answers": "ann-request_info-20.0"})
    refused = refuse(_case(PAUSE, "20 ann request_info"), ballot)
    assert refused is not None
    assert refused[0] is Refusal.justification_missing


def test_the_agent_answers_for_its_owner() -> None:
    """The proposing agent is nobody, and answers as who owns it."""
    answer = a_ballot("tuner", "answer", 30, "").model_copy(update={"answers": "ann-request_info-20.0"})
    case = _case(PAUSE, "20 ann request_info")
    assert refuse(case, answer) is not None
    assert refuse(case, answer.model_copy(update={"delegator": "rita"})) is None


def test_questions_answers_and_remarks_are_kept() -> None:
    """Who asked what, who answered, and what people said of having been asked is part of how the case stands."""
    case = _case(PAUSE, "20 ann request_info:max; 30 max answer:ann-request_info-20.0 x; 40 bob request_info")
    said = a_ballot("bob", "abstain", 50).model_copy(update={"feedback": (Feedback.misdirected,)})
    found = stand(case.model_copy(update={"ballots": (*case.ballots, said)}), at(60), deadline_counts_as_passed=False)
    assert [(item.by, item.asked, item.answered_by, item.answer) for item in found.questions] == [
        ("ann", "max", "max", "words"),
        ("bob", None, None, ""),
    ]
    assert found.current.paused_until == at(40 + 50)
    assert found.talk() == [
        "ann asked max: words - max answered: words",
        "bob asked the proposer: words (no answer yet)",
        "bob says: misdirected",
    ]


@pytest.mark.parametrize(
    ("chain", "until", "codes"),
    [
        (OFFER, 61, ["expired_offer_alternative"]),
        (ESCALATE, 121, ["expired_escalate"]),
        (REMIND, 1001, ["expired_remind"]),
        (HOLD, 1001, ["expired_hold"]),
    ],
)
def test_an_end_says_its_verb(chain: tuple[Stage, ...], until: float, codes: list[str]) -> None:
    """Whatever ends a case by time says by which verb."""
    found = stand(_case(chain, ""), at(until), deadline_counts_as_passed=False)
    assert [reason.code for reason in found.reasons] == codes


def test_what_time_brought_is_told_once() -> None:
    """Deadlines that end nothing are told like reminders and escalations, each with its own number."""
    assert [(due.kind, due.index) for due in due_until(_case(ESCALATE, ""), at(500))] == [("deadline", 0)]
    assert [(due.kind, due.index) for due in due_until(_case(REMIND, ""), at(200))] == [
        ("deadline", 0),
        ("deadline", 1),
        ("deadline", 2),
    ]
    assert [(due.kind, due.index) for due in due_until(_case(HOLD, "70 ann release"), at(200))] == [
        ("deadline", 0),
        ("deadline", 1),
    ]


def test_a_step_that_came_by_an_event_does_not_come_again() -> None:
    """An escalation that was noted before its time is not due any more."""
    case = _case(TURN, "10 noted escalated max")
    assert [due.kind for due in stand(case, at(11), deadline_counts_as_passed=False).due] == ["deadline"]
    assert due_until(case, at(40)) == ()


def test_what_is_shown_of_a_stage_that_opened_again() -> None:
    """It says whose vote it lost and why, since when it is open, and what it waits for."""
    found = stand(
        _case(STAGES, "5 ann approve; 50 noted dropped ann-approve-5.0"), at(60), deadline_counts_as_passed=False
    )
    assert found.current.dropped == ("ann: gone",)
    assert (found.current.opened_at, found.current.deadline) == (at(50), at(110))
    assert [item.state for item in found.stages] == ["open", "waiting", "waiting"]
    assert found.waiting_for()[0] == "stage 1 (first): 1 of ops"


def test_a_held_stage_says_what_it_waits_for() -> None:
    """Held, a stage waits to be released before anybody can approve it."""
    found = stand(_case(HOLD, ""), at(60.5), deadline_counts_as_passed=False)
    assert found.waiting_for() == ["stage 1 (review), held: the release by ops", "stage 1 (review), held: 1 of ops"]
    assert [(due.kind, due.at) for due in found.due] == [("deadline", at(1000))]
    assert found.could_unblock() == {"review": ["ops"]}
    released = stand(_case(RELEASED_BY, ""), at(60.5), deadline_counts_as_passed=False)
    assert released.could_unblock() == {"review": ["boss"]}
