"""Whether votes are what people signed: asked by whoever issues permits, who believes none of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy.approval.ballot import Ballot
from policy.approval.lapsing import lapsed
from policy.approval.proved import Asked, Statement, unproven
from policy.approval.reading import read
from policy.approval.today import Today
from policy.decision import Refusal, Vote, receive_decision
from policy.people.directory import Delegation, Directory
from policy.proofs import Assurance
from policy.rules.chains import ApprovalChain
from policy.rules.stepping_up import ProofDemand
from signing.proving import Trust, UnprovenError
from tests.unit.builders import a_case, at, stage
from tests.unit.signed import ANN, BEN, CAROL, DIGEST, NOW, TRUST, by_key, directory, proved, statement

ASKED = Asked(DIGEST, DIGEST, DIGEST, DIGEST)
BALLOT = Ballot(
    person_id="ann",
    groups=("ops",),
    decision_id="d-1",
    stage=1,
    vote=Vote.approve,
    received_at=NOW,
    assurance=Assurance.aal1,
    key_id="ann-1",
)


def _statement(value: dict[str, Any], trust: Trust = TRUST) -> Statement:
    submission = receive_decision(value)
    try:
        return Statement(submission, proved(value, trust), NOW)
    except UnprovenError as error:
        return Statement(submission, error.why, NOW)


def _why(ballot: Ballot = BALLOT, value: dict[str, Any] | None = None, **other: Any) -> str | None:
    said = {} if value is None else {"d-1": _statement(value, other.pop("trust", TRUST))}
    more = {"proposal_id": "p-1", "revision": 1, "chain": None, **other}
    found = unproven((ballot,), said, {1: ASKED, 2: ASKED._replace(assessment="sha256:2")}, directory(), **more)
    return found.get("d-1")


SIGNED = by_key(statement())


def test_a_vote_that_its_author_signed_is_proved() -> None:
    """The statement is of this vote, names what was asked, and shows the person."""
    assert _why(value=SIGNED) is None


# The vote as it stands in the record, the statement that is there, and a word of the reason.
PLANTED: dict[str, tuple[Ballot, dict[str, Any] | None, str]] = {
    "a vote without a statement": (BALLOT, None, "no statement"),
    "a statement with a forged signature": (BALLOT, {**SIGNED, "justification": "other"}, "does not verify"),
    "a statement of somebody else": (BALLOT, by_key(statement(), BEN), "is by ben"),
    "a statement by a key that was revoked": (BALLOT, by_key(statement(), CAROL), "was revoked"),
    "a denial that was turned into an approval": (BALLOT, by_key(statement(vote="deny")), "something else"),
    "an approval of another stage": (BALLOT, by_key(statement(stage=2)), "something else"),
    "an approval of another action": (BALLOT, by_key(statement(proposal_id="p-2")), "something else"),
    "an approval of another revision": (BALLOT, by_key(statement(revision=2)), "something else"),
    "an approval of another digest": (BALLOT, by_key(statement(action_digest="sha256:" + "1" * 64)), "other digests"),
    "a name that was only claimed": (BALLOT, statement(proof={"kind": "claimed", "identity": "ann"}), "only claimed"),
    "an assurance that the proof does not show": (
        BALLOT.model_copy(update={"assurance": Assurance.aal3}),
        SIGNED,
        "shows aal1",
    ),
    "a delegator whom the statement does not name": (
        BALLOT.model_copy(update={"delegator": "ben"}),
        SIGNED,
        "for another person",
    ),
    "a release without a statement": (BALLOT.model_copy(update={"vote": Vote.release}), None, "no statement"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_vote_is_not_proved(case: str) -> None:
    """Whatever whoever writes votes puts into the record, only what somebody signed carries an action."""
    ballot, value, reason = PLANTED[case]
    why = _why(ballot, value)
    assert why is not None
    assert reason in why


# what the stage asks of a proof, the statement that is there, and a word of the reason or None
STEPPED_UP: dict[str, tuple[ProofDemand, dict[str, Any], str | None]] = {
    "enough": (ProofDemand(assurance=Assurance.aal1), SIGNED, None),
    "one factor where two are asked for": (ProofDemand(assurance=Assurance.aal2), SIGNED, "needs aal2"),
    "a key where a login of now is asked for": (
        ProofDemand(assurance=Assurance.aal1, max_age=timedelta(minutes=5)),
        SIGNED,
        "at most",
    ),
    "a demand on other votes": (ProofDemand(assurance=Assurance.aal2, votes=("release",)), SIGNED, None),
}


@pytest.mark.parametrize(("demand", "value", "reason"), STEPPED_UP.values(), ids=STEPPED_UP)
def test_a_compromised_control_worker_waives_no_step_up(
    demand: ProofDemand, value: dict[str, Any], reason: str | None
) -> None:
    """What the chain asks of a proof is asked again by whoever issues permits, of the proof itself."""
    chain = ApprovalChain(stages=(stage("ops", proofs=(demand,)),))
    why = _why(BALLOT, value, chain=chain)
    assert why is None if reason is None else reason in str(why)


@pytest.mark.parametrize("dates", [{"expires_at": "2030-01-01T11:59:30Z"}, {"issued_at": "2030-01-01T12:30:00Z"}])
def test_a_decision_outside_of_its_own_dates_is_not_proved(dates: dict[str, str]) -> None:
    """A statement that nobody took in time is not kept for later."""
    assert _why(BALLOT, by_key(statement(**dates))) is not None


def test_a_denial_needs_no_statement() -> None:
    """Whoever can write votes can stop an action, and could anyway."""
    assert _why(BALLOT.model_copy(update={"vote": Vote.deny})) is None


def test_a_vote_on_a_screen_that_lies_is_not_proved() -> None:
    """What people were shown was another action: they did not approve this one."""
    lies: dict[int, Asked | str] = {1: "the screen's target is not what was assessed"}
    more: dict[str, Any] = {"proposal_id": "p-1", "revision": 1, "chain": None}
    assert unproven((BALLOT,), {"d-1": _statement(SIGNED)}, lies, directory(), **more) == {"d-1": lies[1]}


def test_a_kept_vote_names_what_its_own_revision_asked() -> None:
    """It was given on revision 1, and counts in revision 2 by a recorded equivalence."""
    kept = BALLOT.model_copy(update={"kept_from": 1})
    assert _why(kept, SIGNED, revision=2) is None
    assert _why(BALLOT, SIGNED, revision=2) is not None


BEHALF = by_key(statement(on_behalf_of="ben"))
DELEGATED = BALLOT.model_copy(update={"delegator": "ben", "delegated": Assurance.aal1})
# how the delegation is shown, the vote as it stands in the record, and a word of the reason or None
FOR_BEN: dict[str, tuple[Assurance | str, Ballot, str | None]] = {
    "that he signed": (Assurance.aal1, DELEGATED, None),
    "that nobody signed": ("it has no proof", DELEGATED, "no delegation of ben"),
    "stronger than it is shown": (
        Assurance.aal1,
        DELEGATED.model_copy(update={"delegated": Assurance.aal2}),
        "no delegation of ben",
    ),
    "that the vote keeps quiet about": (
        Assurance.aal1,
        DELEGATED.model_copy(update={"delegated": None}),
        "no delegation of ben",
    ),
    "that the vote says was claimed": (
        "it has no proof",
        DELEGATED.model_copy(update={"delegated": None, "assurance": Assurance.claimed}),
        "do not agree",
    ),
}


@pytest.mark.parametrize(("shown", "ballot", "reason"), FOR_BEN.values(), ids=FOR_BEN)
def test_a_vote_for_somebody_else_rests_on_a_delegation(
    shown: Assurance | str, ballot: Ballot, reason: str | None
) -> None:
    """Whoever writes votes makes a delegation neither stronger than it is shown nor claimed."""
    terms = {"id": "d", "delegator": "ben", "delegate": "ann", "since": NOW, "until": at(60), "reason": "away"}
    people = directory().model_copy(update={"delegations": (Delegation.model_validate(terms),)})
    said = {"d-1": _statement(BEHALF)}
    more: dict[str, Any] = {"proposal_id": "p-1", "revision": 1, "chain": None}
    found = unproven((ballot,), said, {1: ASKED}, people.with_shown({"d": shown}), **more)
    why = found.get("d-1")
    assert why is None if reason is None else reason in str(why)


def _with_keys(*keys: dict[str, Any]) -> Directory:
    people = directory().model_dump(mode="json", by_alias=True)["people"]
    ann = {**next(item for item in people if item["id"] == "ann"), "keys": list(keys)}
    others = [item for item in people if item["id"] != "ann"]
    whole = {**directory().model_dump(mode="json", by_alias=True), "people": [ann, *others]}
    return Directory.model_validate(whole)


LOST = {
    "was revoked": [{"id": "ann-1", "jwk": ANN.public, "revoked_at": "2030-01-01T12:30:00Z"}],
    "is not ann's any more": [{"id": "another", "jwk": ANN.public}],
}


@pytest.mark.parametrize("reason", LOST)
def test_a_vote_lapses_with_the_key_that_signed_it(reason: str) -> None:
    """A key that was revoked or taken away has no pending vote, and neither the gate nor the case counts it."""
    now = _with_keys(*LOST[reason])
    assert reason in (Today(now).key_lost(BALLOT) or "")
    case = a_case(stage("ops"), ballots=(BALLOT.model_copy(update={"received_at": at(1)}),))
    (found,) = lapsed(read(case.model_copy(update={"chain": _two(case)})), {"d-1": BALLOT}, (), {"d-1": reason})
    assert found.reason == reason
    why = _why(value=SIGNED, trust=replace(TRUST, directory=now))
    assert why is not None


def _two(case: Any) -> Any:
    return case.chain.model_copy(update={"stages": (*case.chain.stages, stage("dba", name="dba"))})


def test_a_key_whose_time_is_over_has_its_votes() -> None:
    """It signed in time; another key takes over."""
    now = _with_keys({"id": "ann-1", "jwk": ANN.public, "until": "2030-01-01T12:00:01Z"})
    assert Today(now).key_lost(BALLOT) is None
    assert _why(value=SIGNED, trust=replace(TRUST, directory=now)) is None


def test_every_code_that_can_be_said_is_a_refusal() -> None:
    """What keeps a vote from being proved is said in the words of the refusal."""
    said = _statement(by_key(statement(), CAROL)).said_by
    assert isinstance(said, tuple)
    assert said[0] is Refusal.revoked_key
