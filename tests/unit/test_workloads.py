"""A workload's token as the proof of its proposal: bound to it by its issuer, of one agent, for nothing else."""

from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from policy.decision import Refusal
from policy.errors import DocumentError
from policy.people.directory import Directory
from policy.proofs import Assurance, Domain, OidcProof, Principal, nonce_of, signed_bytes
from signing.proving import KeysWantedError, Trust, UnprovenError, prove
from signing.workloads import bound_audience
from tests.unit.signed import AUDIENCE, CLIENT, ISSUER, NOW, RSA, directory, proved, published, statement, token

CLUSTER = "https://cluster.example"
ACCOUNT = "system:serviceaccount:ops:tuner"
SAID = {"audience": AUDIENCE, "proposal_id": "p-1", "agent": "tuner", "action_digest": "sha256:" + "1" * 64}
OTHER = {**SAID, "proposal_id": "p-2"}


def _directory(**changes: Any) -> Directory:
    value = directory().model_dump(mode="json", by_alias=True, exclude_unset=True)
    value["issuers"] = [*value["issuers"], {"issuer": CLUSTER}]
    value["agents"] = [{"id": "tuner", "owner": "ben", "workload": {"issuer": CLUSTER, "subject": ACCOUNT}}]
    return Directory.model_validate({**value, **changes})


TRUST = Trust(_directory(), {CLUSTER: (published(),), ISSUER: (published(),)})


def _nonce(said: dict[str, Any]) -> str:
    return nonce_of(signed_bytes(Domain.proposal, said))


def _proof(said: dict[str, Any] = SAID, **changes: Any) -> OidcProof:
    """A token of the workload about a statement."""
    at = int(NOW.timestamp())
    bound = bound_audience(AUDIENCE, _nonce(said))
    given = {"iss": CLUSTER, "sub": ACCOUNT, "aud": [bound], "iat": at - 10, "exp": at + 600, **changes}
    return OidcProof(kind="oidc", id_token=token({name: item for name, item in given.items() if item is not None}, RSA))


def _shown(proof: OidcProof, domain: Domain = Domain.proposal, trust: Trust = TRUST) -> Principal:
    return prove(SAID, proof, domain, trust, NOW)


@pytest.mark.parametrize("bound", [{}, {"aud": AUDIENCE, "nonce": _nonce(SAID)}], ids=["audience", "nonce"])
def test_a_token_that_is_about_the_proposal_shows_the_agent(bound: dict[str, Any]) -> None:
    """By the audience that the workload asked for, or by a nonce; nobody authenticated for it."""
    shown = _shown(_proof(**bound))
    assert (shown.identity, shown.subject, shown.issuer) == ("tuner", ACCOUNT, CLUSTER)
    assert (shown.assurance, shown.authenticated_at, shown.key) == (Assurance.aal1, None, published())


ATTACKS: dict[str, tuple[OidcProof, Domain, Refusal]] = {
    "a bare token of the workload": (_proof(aud=AUDIENCE), Domain.proposal, Refusal.bad_proof),
    "a token about another proposal": (_proof(OTHER), Domain.proposal, Refusal.bad_proof),
    "a nonce about another proposal": (
        _proof(aud=AUDIENCE, nonce=_nonce(OTHER)),
        Domain.proposal,
        Refusal.bad_proof,
    ),
    "the audience of another installation": (
        _proof(aud=bound_audience("countersign/test", _nonce(SAID))),
        Domain.proposal,
        Refusal.bad_proof,
    ),
    "the right nonce for somebody else": (
        _proof(aud="other", nonce=_nonce(SAID)),
        Domain.proposal,
        Refusal.bad_proof,
    ),
    "another account of the cluster": (_proof(sub="system:serviceaccount:ops:x"), Domain.proposal, Refusal.bad_proof),
    "the account of the same name elsewhere": (_proof(iss=ISSUER), Domain.proposal, Refusal.bad_proof),
    "an issuer that nobody believes": (_proof(iss="https://evil.example"), Domain.proposal, Refusal.unknown_key),
    "a token that has expired": (_proof(exp=int(NOW.timestamp()) - 61), Domain.proposal, Refusal.bad_proof),
    "a workload that decides": (
        _proof(aud=bound_audience(AUDIENCE, nonce_of(signed_bytes(Domain.decision, SAID)))),
        Domain.decision,
        Refusal.bad_proof,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_token_that_does_not_show_it_is_refused(name: str) -> None:
    """Named attacks."""
    proof, domain, code = ATTACKS[name]
    with pytest.raises(UnprovenError) as refused:
        _shown(proof, domain)
    assert refused.value.code is code


def test_a_workload_that_acts_as_a_person_is_nobody() -> None:
    """Its issuer has no clients, so nobody signs in there, whatever `aud` says."""
    at = int(NOW.timestamp())
    nonce = nonce_of(signed_bytes(Domain.decision, statement()))
    said = {"iss": CLUSTER, "sub": ACCOUNT, "aud": CLIENT, "nonce": nonce, "iat": at, "exp": at + 60}
    value = {**statement(), "proof": {"kind": "oidc", "id_token": token(said, RSA)}}
    with pytest.raises(UnprovenError, match="issuer takes nobody's login"):
        proved(value, TRUST)


def test_keys_of_the_cluster_are_asked_for() -> None:
    """As those of any issuer."""
    with pytest.raises(KeysWantedError) as wanted:
        _shown(_proof(), trust=replace(TRUST, issuer_keys={}))
    assert wanted.value.issuer == CLUSTER


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ([("tuner", CLUSTER), ("other", CLUSTER)], "runs as the same workload as tuner"),
        ([("tuner", "https://unknown.example")], "of its workload is not one of issuers"),
    ],
)
def test_a_workload_is_one_agents(agents: list[tuple[str, str]], message: str) -> None:
    """A token cannot say which of two agents proposes; and an issuer that is not believed shows nothing."""
    listed = [
        {"id": name, "owner": "ben", "workload": {"issuer": issuer, "subject": ACCOUNT}} for name, issuer in agents
    ]
    with pytest.raises((ValueError, DocumentError), match=message):
        _directory(agents=listed)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example/",
        "http://127.0.0.1:80@evil.example",
        "https://evil.example?https://login.example",
        "https://login.example#",
        "https://login.example\\@evil.example",
    ],
)
def test_an_address_that_is_not_what_it_looks_like_is_no_issuer(issuer: str) -> None:
    """Without TLS only this machine is asked, and an address has nothing in it that hides another."""
    with pytest.raises(ValueError, match="issuer"):
        _directory(issuers=[{"issuer": issuer}], agents=[])


def test_a_token_outlives_a_key_id_that_was_used_again() -> None:
    """Where an issuer published two keys under one id, over time, the one that signed verifies."""
    other = published(RSAKey.generate_key(2048))
    for keys in ((other, published()), (published(), other)):
        assert _shown(_proof(), trust=replace(TRUST, issuer_keys={CLUSTER: keys})).key == published()
