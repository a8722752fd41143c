"""Signed proposals: what a statement shows of who proposes, and every way to propose in another agent's name."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from activities.proving import NoIssuerKeys, Prover
from activities.signatures import refused_again, signature_again, signed_by
from policy.builtin import AGENT
from policy.envelope import not_of_the_proposer, proposed, receive_start, statement_of
from policy.errors import ProposalError
from policy.people.directory import Directory, read_directory
from policy.proofs import Assurance, Domain, Principal, nonce_of, signed_bytes
from policy.proposal import ReceivedProposal, receive
from policy.signature import Signature
from signing.keys import generate
from signing.workloads import bound_audience
from tests.unit.builders import proposal_json
from tests.unit.signed import (
    ANN,
    AUDIENCE,
    BEN,
    CAROL,
    ISSUER,
    NOW,
    PLATFORM,
    STRANGER,
    by_key,
    by_token,
    directory,
    envelope,
    published,
    token,
)

OTHER = generate("other-1")
OLD = generate("tuner-old")
LATE = generate("tuner-late")
ENDED = generate("tuner-ended")
FORGED = generate("platform-1")
BODY = proposal_json(on_behalf_of="ann")
FROM_CLI = proposal_json(agent={"id": AGENT}, on_behalf_of="ann")


def _agents(**of_tuner: Any) -> Directory:
    """Two agents with keys; one of the tuner's was revoked, one is not its time yet, one's time is over."""
    more = [
        {"id": OLD.id, "jwk": OLD.public, "revoked_at": "2029-12-01T00:00:00Z"},
        {"id": LATE.id, "jwk": LATE.public, "since": "2031-01-01T00:00:00Z"},
        {"id": ENDED.id, "jwk": ENDED.public, "until": "2029-12-01T00:00:00Z"},
    ]
    agents = [
        {"id": "tuner", "owner": "ben", "keys": [{"id": "platform-1", "jwk": PLATFORM.public, **of_tuner}, *more]},
        {"id": "mover", "owner": "ben", "keys": [{"id": OTHER.id, "jwk": OTHER.public}]},
        {"id": "keyless", "owner": "ben"},
    ]
    value = json.loads(directory().model_dump_json(by_alias=True, exclude_none=True))
    return read_directory(json.dumps({**value, "agents": agents}).encode())


AGENTS = _agents()


async def _came(value: Any, known: Directory = AGENTS) -> ReceivedProposal | str:
    return await signed_by(Prover(accepts_claimed=True), receive_start(value), known, NOW)


def _swapped() -> Any:
    """The statement of one proposal with another proposal of the same id."""
    return {**envelope(BODY), "proposal": {**BODY, "rationale": "something else"}}


def _edited() -> Any:
    """The same with the digest in the statement made to fit."""
    other = {**BODY, "rationale": "something else"}
    found = {**envelope(BODY), "proposal": other}
    return {**found, "statement": {**found["statement"], "action_digest": receive(other).action_digest}}


def _elsewhere(**changes: Any) -> Any:
    """The statement of one proposal with another one."""
    return {**envelope(BODY), "proposal": {**BODY, **changes}}


def _as_a_decision() -> Any:
    """The statement, signed as if it was a decision."""
    found = envelope(BODY)
    return {**found, "statement": by_key(found["statement"], PLATFORM, Domain.decision)}


def _by_a_login() -> Any:
    """A person's identity token about the statement."""
    found = envelope(BODY)
    said = {name: item for name, item in found["statement"].items() if name != "proof"}
    return {**found, "statement": by_token(said)}


ATTACKS: dict[str, tuple[Callable[[], Any], str]] = {
    "forged signature": (lambda: envelope(BODY, FORGED), "bad_proof"),
    "a key that nobody knows": (lambda: envelope(BODY, generate("nobody-1")), "unknown_key"),
    "another agent's key": (lambda: envelope(BODY, OTHER), "the platform of agent mover signed"),
    "a person's key": (lambda: envelope(BODY, ANN), "ann signed, the platform of agent tuner signs"),
    "the owner's key": (lambda: envelope(BODY, BEN), "ben signed, the platform of agent tuner signs"),
    "a person's login": (_by_a_login, "unknown_key"),
    "another agent named in the statement": (lambda: envelope(BODY, OTHER, agent="mover"), "agent of the statement"),
    "another agent named in the proposal": (lambda: _elsewhere(agent={"id": "mover"}), "agent of the statement"),
    "replayed on another proposal": (lambda: _elsewhere(proposal_id="p-2"), "proposal_id of the statement is p-1"),
    "swapped payload under a valid signature": (_swapped, "action_digest of the statement"),
    "swapped payload, digest edited": (_edited, "bad_proof"),
    "another installation": (lambda: envelope(BODY, audience="countersign/test"), "wrong_audience"),
    "expired": (lambda: envelope(BODY, at=NOW - timedelta(hours=2)), "the statement expired at 2030-01-01T11:00:00Z"),
    "from the future": (lambda: envelope(BODY, at=NOW + timedelta(minutes=2)), "in the future"),
    "revoked key": (lambda: envelope(BODY, OLD), "revoked_key"),
    "a key before its time": (lambda: envelope(BODY, LATE), "unknown_key"),
    "a key after its time": (lambda: envelope(BODY, ENDED), "unknown_key"),
    "signed as a decision": (_as_a_decision, "bad_proof"),
    "another person proposes from the command line": (lambda: envelope(FROM_CLI, BEN), "who it is for signs"),
    "a platform proposes as the command line": (lambda: envelope(FROM_CLI), "who it is for signs"),
    "revoked key of a person": (
        lambda: envelope({**FROM_CLI, "on_behalf_of": "carol"}, CAROL),
        "revoked_key",
    ),
    "forged key of a person": (lambda: envelope(FROM_CLI, STRANGER), "bad_proof"),
}


@pytest.mark.parametrize(("attack", "said"), ATTACKS.values(), ids=ATTACKS)
async def test_nobody_proposes_in_another_agents_name(attack: Callable[[], Any], said: str) -> None:
    """Whatever does not show that this agent's platform signed this proposal is refused; an auditor says the same."""
    value = attack()
    found = await _came(value)
    assert isinstance(found, str)
    assert said in found
    about = proposed(receive_start(value).received)
    assert refused_again(value["statement"], about, AGENTS, NOW, found) == found


async def test_what_a_statement_shows() -> None:
    """A platform's key shows the agent, and that it was that key; no more than one factor in software."""
    found = await _came(envelope(BODY))
    assert isinstance(found, ReceivedProposal)
    assert found.action_digest == receive(BODY).action_digest
    assert signature_again(found, AGENTS) == Signature(
        kind="key",
        assurance=Assurance.aal1,
        signer="tuner",
        expected=True,
        key_id="platform-1",
        signed_at=NOW,
        seen_at=NOW,
    )


async def test_a_person_signs_what_the_command_line_proposes() -> None:
    """Where the agent is Countersign's own, it is the word of the person that it acts for, by any name of theirs."""
    found = await _came(envelope({**FROM_CLI, "on_behalf_of": "ann@example.com"}, ANN))
    assert isinstance(found, ReceivedProposal)
    assert (signature_again(found, AGENTS).signer, signature_again(found, AGENTS).kind) == ("ann", "key")


async def test_signed_again_it_is_the_same_proposal() -> None:
    """The digest is that of the proposal's own JSON: another statement, or none, changes nothing of it."""
    later = receive_start(envelope(BODY, at=NOW + timedelta(hours=3))).received
    assert later.action_digest == receive_start(BODY).received.action_digest
    assert later.body == receive_start(envelope(BODY)).received.body


UNSIGNED = {
    "an agent with a key": (BODY, True),
    "an agent without one": ({**BODY, "agent": {"id": "keyless"}}, False),
    "an agent that nobody knows": ({**BODY, "agent": {"id": "stranger"}}, False),
    "a person with a key": (FROM_CLI, True),
    "a person that nobody knows": ({**FROM_CLI, "on_behalf_of": "stranger"}, False),
}


@pytest.mark.parametrize(("body", "expected"), UNSIGNED.values(), ids=UNSIGNED)
async def test_unsigned_says_whether_a_signature_is_expected(body: Any, expected: bool) -> None:
    """Nobody signed, and it is on record whether somebody should have."""
    found = await _came(body)
    assert isinstance(found, ReceivedProposal)
    assert signature_again(found, AGENTS) == Signature(kind="unsigned", expected=expected)


LAPSES = {
    "its key is revoked": (_agents(revoked_at="2030-01-02T00:00:00Z"), "revoked_key"),
    "its key is another agent's": (
        read_directory(
            json.dumps(
                {
                    **json.loads(directory().model_dump_json(by_alias=True, exclude_none=True)),
                    "agents": [{"id": "mover", "owner": "ben", "keys": [{"id": "platform-1", "jwk": PLATFORM.public}]}],
                }
            ).encode()
        ),
        "the platform of agent mover signed",
    ),
    "the key of that id is another one": (_agents(jwk=FORGED.public), "bad_proof"),
    "its time is over": (_agents(until="2030-01-02T00:00:00Z"), ""),
}


@pytest.mark.parametrize(("today", "said"), LAPSES.values(), ids=LAPSES)
async def test_a_signature_lapses_with_its_key(today: Directory, said: str) -> None:
    """Verified again by the directory of today; what a key signed before its end goes on counting."""
    found = await _came(envelope(BODY))
    assert isinstance(found, ReceivedProposal)
    shown = signature_again(found, today)
    assert said in shown.lapsed
    assert bool(shown.lapsed) == bool(said)
    assert shown.assurance == (Assurance.claimed if said else Assurance.aal1)


MALFORMED = {
    "no statement": ({"proposal": BODY}, "statement: field required"),
    "no proposal": ({"statement": envelope(BODY)["statement"]}, "proposal is no json object"),
    "a proposal that is no object": ({**envelope(BODY), "proposal": [BODY]}, "proposal is no json object"),
    "a member that nobody knows": ({**envelope(BODY), "more": 1}, "more"),
    "a claimed identity": (
        {**envelope(BODY), "statement": {**envelope(BODY)["statement"], "proof": {"kind": "claimed", "identity": "a"}}},
        "claimed",
    ),
    "a domain of its own": (
        {**envelope(BODY), "statement": {**envelope(BODY)["statement"], "countersign": str(Domain.decision)}},
        "countersign",
    ),
    "a proposal that is none": ({**envelope(BODY), "proposal": {"agent": 3}}, "malformed proposal: "),
    "a number that is none": ({**envelope(BODY), "statement": {"issued_at": 2**60}}, "malformed proposal: envelope"),
}


@pytest.mark.parametrize(("value", "said"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_envelope_is_a_malformed_proposal(value: Any, said: str) -> None:
    """It says what is wrong and where."""
    with pytest.raises(ProposalError, match="malformed proposal") as caught:
        receive_start(value)
    assert said in str(caught.value)


def test_audience_is_that_of_the_tests() -> None:
    """The statements above are for the installation that the directory names, so that nothing else refuses them."""
    assert envelope(BODY)["statement"]["audience"] == AUDIENCE == AGENTS.audience


class _Cluster(NoIssuerKeys):
    """The published keys of the issuer of workloads, all of them known."""

    known = {"https://cluster.example": (published(),)}


CLUSTER = {"issuer": "https://cluster.example", "subject": "system:serviceaccount:ops:tuner"}
OF_CLUSTER = Principal(identity="tuner", kind="oidc", assurance=Assurance.aal1, **CLUSTER)
WORKLOADS = {
    "the agent's workload": (OF_CLUSTER, True),
    "another account of the issuer": (OF_CLUSTER.model_copy(update={"subject": "system:serviceaccount:ops:x"}), False),
    "the same account of another issuer": (OF_CLUSTER.model_copy(update={"issuer": ISSUER}), False),
    "another agent": (OF_CLUSTER.model_copy(update={"identity": "mover"}), False),
    "a person": (OF_CLUSTER.model_copy(update={"identity": "ann"}), False),
}


def _with_workload() -> Directory:
    value = json.loads(AGENTS.model_dump_json(by_alias=True, exclude_none=True))
    value["issuers"] = [*value["issuers"], {"issuer": CLUSTER["issuer"]}]
    value["agents"][0]["workload"] = CLUSTER
    return read_directory(json.dumps(value).encode())


def _by_workload(said: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A proposal with a token of the workload that is about its statement, or about another one."""
    body = {**BODY, **changes}
    statement = statement_of(receive(body), audience=AUDIENCE, now=NOW, valid=timedelta(hours=1))
    bound = bound_audience(AUDIENCE, nonce_of(signed_bytes(Domain.proposal, said or statement)))
    at = int(NOW.timestamp())
    claims = {"iss": CLUSTER["issuer"], "sub": CLUSTER["subject"], "aud": [bound], "iat": at, "exp": at + 300}
    return {"proposal": body, "statement": {**statement, "proof": {"kind": "oidc", "id_token": token(claims)}}}


async def test_a_workload_signs_what_its_agent_proposes() -> None:
    """By a token that is bound to the statement; replayed on another proposal it shows nothing. The issuer's key is
    kept, so that an auditor verifies it again without asking anybody.
    """
    prover, known = Prover(accepts_claimed=False, issuer_keys=_Cluster()), _with_workload()
    found = await signed_by(prover, receive_start(_by_workload()), known, NOW)
    assert isinstance(found, ReceivedProposal)
    shown = signature_again(found, known)
    assert (shown.kind, shown.signer, shown.subject) == ("oidc", "tuner", CLUSTER["subject"])
    assert (shown.assurance, shown.lapsed) == (Assurance.aal1, "")
    replayed = _by_workload(_by_workload()["statement"], proposal_id="p-2")
    refused = await signed_by(prover, receive_start(replayed), known, NOW)
    assert isinstance(refused, str)
    assert "bad_proof" in refused
    other = await signed_by(prover, receive_start(_by_workload(agent={"id": "mover"})), known, NOW)
    assert other == "the platform of agent tuner signed, the proposal is agent mover's"


@pytest.mark.parametrize(("principal", "shown"), WORKLOADS.values(), ids=WORKLOADS)
def test_a_workload_is_its_agent_and_nobody_else(principal: Principal, shown: bool) -> None:
    """By issuer and subject, as the directory names them; a login whose identity looks like the agent's is none."""
    came = receive_start(_by_a_login())
    assert came.statement is not None
    why = not_of_the_proposer(principal, came.statement, proposed(came.received), _with_workload(), NOW)
    assert (why is None) is shown
