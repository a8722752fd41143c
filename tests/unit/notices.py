"""Notices for the tests: one of each kind, as the rules make them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from policy.approval.ballot import Ballot
from policy.approval.standing import Standing, due_until, stand
from policy.base import Reason
from policy.decision import Vote
from policy.findings import Amended, Finding
from policy.halting import HaltFact
from policy.items import Item
from policy.notices.notice import Asked, Notice, NoticeKind, Subject
from policy.notices.occasions import About, due, judging, judging_ends, notices_of, outcome, resolved
from policy.notices.occasions_told import (
    amended,
    break_glass,
    denied_again,
    halt_released,
    halted,
    held,
    lease_lapsed,
    review_overdue,
    said,
    superseded,
    undelivered,
    unresolved_overdue,
    violation,
    vote_dropped,
)
from policy.outcome import Outcome
from policy.proofs import Assurance
from policy.rules.chains import ApprovalChain
from policy.undecided import Judging
from tests.unit.builders import a_ballot, a_case, at, escalation, stage

SUBJECT = Subject(
    proposal_id="high-impact-1",
    revision=1,
    operation="postgres.parameter.set",
    target="orders-db",
    environment="production",
    risk_tier="high",
    risk_score=61,
)
CHAIN = ApprovalChain(
    stages=(
        stage("sre", name="first", reminders=(timedelta(minutes=10),), escalations=(escalation(20, "leads"),)),
        stage("dba", name="second"),
    )
)
CASE = About(SUBJECT, CHAIN, ("ann",), ("ann", "pia"), "group:default/orders-team")


def standing(minutes: float, *ballots: Ballot) -> Standing:
    """How the case of the tests stands so many minutes after it opened."""
    case = a_case(*CHAIN.stages, ballots=ballots)
    return stand(case, at(minutes), deadline_counts_as_passed=True)


def passed(minutes: float, kind: str, *ballots: Ballot) -> tuple[Notice, ...]:
    """What reminders or escalations told by then."""
    due_by_then = due_until(a_case(*CHAIN.stages, ballots=ballots), at(minutes))
    return due(CASE, standing(minutes, *ballots), [item for item in due_by_then if item.kind == kind], at(minutes))


def a_question(vote: Vote, person: str, decision_id: str, **more: Any) -> Ballot:
    """A decision that asks or answers."""
    return Ballot(
        person_id=person,
        groups=("sre",),
        decision_id=decision_id,
        stage=1,
        vote=vote,
        received_at=at(3),
        assurance=Assurance.claimed,
        **more,
    )


def an_item() -> Item:
    """An action of the tests that ended without a definite state."""
    digest = "sha256:" + 64 * "0"
    return Item(
        item_id="an-item",
        kind="unresolved",
        proposal_id=SUBJECT.proposal_id,
        revision=1,
        outcome=Outcome.outcome_unknown,
        target=SUBJECT.target,
        people=("ann",),
        owner="group:default/orders-team",
        chain=CHAIN,
        action_digest=digest,
        assessment_digest=digest,
        policy_digest=digest,
        opened_at=at(60),
        due_at=at(500),
        remind_seconds=3600,
    )


A_HALT = HaltFact(halt_id="halt-of-the-tests", environment="production", placed_by="ann", placed_at=at(503))

A_HOLD = HaltFact(halt_id="hold-of-the-tests", target="resource:default/orders", placed_by="ann", placed_at=at(503))


def one_of_each(text: str = "the replica lags; see https://evil.example/x @here") -> dict[NoticeKind, Notice]:
    """A notice of every kind but digests, with an untrusted text wherever there is room for one."""
    yes = a_ballot("sam", "approve", 5, "sre")
    first, approved = standing(1), standing(30, yes)
    asked = a_question(Vote.request_info, "sam", "d-1", justification=text)
    answered = a_question(Vote.answer, "ann", "d-2", justification=text, answers="d-1")
    again = standing(1).model_copy(
        update={"stages": (first.current.model_copy(update={"opened_at": at(40)}), *first.stages[1:])}
    )
    reasons = (Reason(code="denied", message=text),)
    alarm = undelivered("mail", resolved(CASE, approved, "denied", reasons, at(50))[0], text, at(50))
    changed = {"sign": "no_permit", "resource": "postgres/orders", "actor": text}
    wrong = violation("postgres/orders", ({"what": "", "trail": changed},), at(50))
    assert alarm is not None
    assert wrong is not None
    found = (
        *notices_of(CASE, None, first, at(1)),
        *notices_of(CASE, first, again, at(40)),
        *passed(15, "reminder"),
        *(one.model_copy(update={"text": text}) for one in passed(25, "escalation")),
        held(CASE, Asked(groups=("leads",)), first.current, text, at(60)),
        *said(CASE, asked, (), first.current),
        *said(CASE, answered, (asked,), first.current),
        vote_dropped(CASE, "sam", "d-1", text, at(50)),
        superseded(replace(CASE, subject=SUBJECT.model_copy(update={"revision": 2})), ("sam",), text, at(50)),
        *resolved(CASE, approved, "denied", reasons, at(50)),
        judging(CASE, Judging(within_seconds=1800, on_expiry="compensate"), at(80), at(50)),
        judging_ends(CASE, Judging(within_seconds=1800, on_expiry="compensate"), at(80), at(73)),
        *outcome(CASE, Outcome.outcome_unknown, (Reason(code="unknown", message=text),), at(50)),
        denied_again(CASE, ("sam",), ("high-impact-0",), at(1)),
        break_glass(CASE, CHAIN, text, at(2)),
        review_overdue(CASE, CHAIN, at(500), at(501)),
        unresolved_overdue(CASE, an_item(), 1, at(501)),
        amended(CASE, an_item(), Finding(outcome=Amended.caused_incident, incident="INC-1"), ("sam",), at(502)),
        halted(A_HALT.model_copy(update={"reason": text}), "ann", at(503)),
        halt_released(A_HALT.model_copy(update={"reason": text}), ("sam", "ann"), at(504)),
        halted(A_HOLD.model_copy(update={"reason": text}), "ann", at(503)),
        halt_released(A_HOLD.model_copy(update={"reason": text}), ("sam", "ann"), at(504)),
        lease_lapsed(CASE, at(505), at(506)),
        wrong,
        alarm,
    )
    return {notice.kind: notice for notice in found}
