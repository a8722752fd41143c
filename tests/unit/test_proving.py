"""Who made a statement: what each kind of proof shows, and every way to get one wrong."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from policy.canonical import parse_json
from policy.decision import Refusal, receive_decision
from policy.errors import CanonicalError, DecisionError, DocumentError
from policy.people.directory import read_directory
from policy.proofs import Assurance, Domain, Principal, signed_bytes
from signing.jws import sign_detached
from signing.keys import generate
from signing.proving import Trust, UnprovenError
from tests.unit.signed import (
    ANN,
    BEN,
    CAROL,
    NOW,
    PLATFORM,
    STRANGER,
    TRUST,
    b64,
    by_key,
    by_ssh,
    directory,
    proved,
    statement,
)


def test_a_key_of_the_directory_shows_its_person_and_one_factor() -> None:
    """Ed25519 and P-256; the agent's platform is the agent, which is no person."""
    shown = [proved(by_key(statement(), key)) for key in (ANN, BEN, PLATFORM)]
    assert [(item.identity, item.key_id) for item in shown] == [
        ("ann", "ann-1"),
        ("ben", "ben-1"),
        ("tuner", "platform-1"),
    ]
    assert {(item.assurance, item.gesture, item.authenticated_at) for item in shown} == {(Assurance.aal1, False, None)}


def test_an_ssh_key_of_the_directory_is_verified_by_openssh() -> None:
    """A key in a file shows one factor and no gesture."""
    shown = proved(by_ssh(statement()))
    assert shown == Principal(identity="ann", kind="ssh", assurance=Assurance.aal1, key_id="ann-ssh")


def test_claimed_is_nobody_unless_that_was_asked_for() -> None:
    """The unsafe option takes the name as it stands, and says so."""
    claimed = statement(proof={"kind": "claimed", "identity": "ann"})
    with pytest.raises(UnprovenError) as refused:
        proved(claimed)
    assert refused.value.code is Refusal.claimed_not_accepted
    assert proved(claimed, replace(TRUST, accepts_claimed=True)).assurance is Assurance.claimed


def _header(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A statement whose signature has another header, signed with it."""
    head = {"alg": "Ed25519", "kid": "ann-1", "typ": Domain.decision.media_type, **changes}
    head = {name: item for name, item in head.items() if item is not None}
    signed = f"{b64(json.dumps(head))}.{b64(signed_bytes(Domain.decision, value))}"
    signature = ANN.key.private_key.sign(signed.encode())  # type: ignore[union-attr, call-arg]
    return {**value, "proof": {"kind": "key", "jws": f"{b64(json.dumps(head))}..{b64(signature)}"}}


def _jws(value: dict[str, Any], text: str) -> dict[str, Any]:
    return {**value, "proof": {"kind": "key", "jws": text}}


def _parts(value: dict[str, Any]) -> tuple[str, str]:
    head, _, signature = by_key(value)["proof"]["jws"].split(".")
    return head, signature


def _symmetric(value: dict[str, Any]) -> dict[str, Any]:
    """The public key's bytes taken for a secret."""
    head = {"alg": "HS256", "kid": "ann-1", "typ": Domain.decision.media_type}
    secret = OctKey.import_key(json.dumps(ANN.public))
    made = jws.serialize_compact(head, signed_bytes(Domain.decision, value), secret, algorithms=["HS256"])
    first, _, last = made.split(".")
    return _jws(value, f"{first}..{last}")


def _twice(value: dict[str, Any]) -> dict[str, Any]:
    head = f'{{"alg":"Ed25519","kid":"stranger","kid":"ann-1","typ":"{Domain.decision.media_type}"}}'
    signed = f"{b64(head)}.{b64(signed_bytes(Domain.decision, value))}"
    signature = ANN.key.private_key.sign(signed.encode())  # type: ignore[union-attr, call-arg]
    return _jws(value, f"{b64(head)}..{b64(signature)}")


V = statement()
WITH_KEYS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "a forged signature": (_jws(V, f"{_parts(V)[0]}..{b64(b'0' * 64)}"), Refusal.bad_proof),
    "another key under the same id": (by_key(V, STRANGER), Refusal.bad_proof),
    "a key that nobody has": (by_key(V, generate("nobody")), Refusal.unknown_key),
    "another payload under a valid signature": ({**by_key(V), "vote": "deny"}, Refusal.bad_proof),
    "another stage": ({**by_key(V), "stage": 2}, Refusal.bad_proof),
    "another revision": ({**by_key(V), "revision": 2}, Refusal.bad_proof),
    "another action": ({**by_key(V), "proposal_id": "p-2"}, Refusal.bad_proof),
    "another decision id": ({**by_key(V), "decision_id": "d-2"}, Refusal.bad_proof),
    "another reason": ({**by_key(V), "justification": "looked at it "}, Refusal.bad_proof),
    "another unicode form of the reason": (
        {**by_key(statement(justification="caf\u00e9")), "justification": "cafe\u0301"},
        Refusal.bad_proof,
    ),
    "a member that nobody signed": ({**by_key(V), "feedback": ["misdirected"]}, Refusal.bad_proof),
    "a member that was signed and is left out": (
        {k: v for k, v in by_key(V).items() if k != "justification"},
        Refusal.bad_proof,
    ),
    "signed for another installation": (by_key(statement(audience="countersign/test")), Refusal.wrong_audience),
    "another installation written over it": (
        {**by_key(statement(audience="countersign/test")), "audience": "countersign/prod"},
        Refusal.bad_proof,
    ),
    "signed for no installation": (
        by_key({k: v for k, v in V.items() if k != "audience"}),
        Refusal.wrong_audience,
    ),
    "signed as a proposal": (by_key(V, ANN, Domain.proposal), Refusal.bad_proof),
    "signed as a decision and labelled a proposal": (
        _jws(V, sign_detached(signed_bytes(Domain.decision, V), ANN, Domain.proposal.media_type)),
        Refusal.bad_proof,
    ),
    "signed as a proposal and labelled a decision": (
        _jws(V, sign_detached(signed_bytes(Domain.proposal, V), ANN, Domain.decision.media_type)),
        Refusal.bad_proof,
    ),
    "alg none": (_header(V, alg="none"), Refusal.bad_proof),
    "alg of another key": (_header(V, alg="ES256"), Refusal.bad_proof),
    "alg HS256 over the public key": (_symmetric(V), Refusal.bad_proof),
    "a critical header": (_header(V, crit=["exp"], exp=1), Refusal.bad_proof),
    "an unencoded payload": (_header(V, b64=False, crit=["b64"]), Refusal.bad_proof),
    "a key in the header": (_header(V, jwk=STRANGER.public), Refusal.bad_proof),
    "an address of a key in the header": (_header(V, jku="https://evil.example/keys"), Refusal.bad_proof),
    "no typ": (_header(V, typ=None), Refusal.bad_proof),
    "typ of a token": (_header(V, typ="JWT"), Refusal.bad_proof),
    "no kid": (_header(V, kid=None), Refusal.bad_proof),
    "a kid that is a number": (_header(V, kid=1), Refusal.bad_proof),
    "a kid twice": (_twice(V), Refusal.bad_proof),
    "a header that is no json": (_jws(V, f"{b64('{')}..{_parts(V)[1]}"), Refusal.bad_proof),
    "the other form of base64url": (_jws(V, f"{_parts(V)[0]}..{_parts(V)[1][:-1]}{'B'}"), Refusal.bad_proof),
    "a revoked key": (by_key(V, CAROL), Refusal.revoked_key),
    "a key of an SSH user": (_header(V, kid="ann-ssh"), Refusal.unknown_key),
}


@pytest.mark.parametrize("case", WITH_KEYS)
def test_a_signature_that_does_not_show_it_is_refused(case: str) -> None:
    """Forged, replayed, confused, of the wrong use, for another place: each is refused with a code."""
    value, code = WITH_KEYS[case]
    with pytest.raises(UnprovenError) as refused:
        proved(value)
    assert refused.value.code is code, str(refused.value)


def test_a_key_signs_in_its_time_only() -> None:
    """Two keys overlap, so that one takes over; what was signed in time counts afterwards."""
    keys = [
        {"id": "old", "jwk": ANN.public, "until": "2030-01-01T12:00:00Z"},
        {"id": "new", "jwk": BEN.public, "since": "2030-01-01T11:00:00Z"},
    ]
    people = [{"id": "ann", "keys": keys}]
    trust = Trust(directory().model_copy(update={"people": _people(people)}))
    old, new = by_key(statement(), replace(ANN, id="old")), by_key(statement(), replace(BEN, id="new"))
    just_before = NOW - timedelta(seconds=1)
    assert [proved(item, trust, just_before).key_id for item in (old, new)] == ["old", "new"]
    with pytest.raises(UnprovenError, match="not its time"):
        proved(old, trust, NOW)
    with pytest.raises(UnprovenError, match="not its time"):
        proved(new, trust, NOW - timedelta(hours=2))


def _people(people: list[dict[str, Any]]) -> Any:
    value = {"apiVersion": "countersign/v1", "kind": "Directory", "metadata": {"name": "p", "version": "1"}}
    return read_directory(json.dumps({**value, "people": people}).encode()).people


def test_a_directory_without_an_audience_proves_nothing() -> None:
    """What was signed for another installation could not be told apart."""
    trust = Trust(directory().model_copy(update={"audience": None}))
    with pytest.raises(UnprovenError) as refused:
        proved(by_key(statement()), trust)
    assert refused.value.code is Refusal.unverifiable


WITH_SSH: dict[str, tuple[Callable[[], dict[str, Any]], Refusal]] = {
    "another statement": (lambda: {**by_ssh(V), "vote": "deny"}, Refusal.bad_proof),
    "another namespace": (lambda: by_ssh(V, namespace="git"), Refusal.bad_proof),
    "a key that nobody has": (lambda: by_ssh(V, "mallory"), Refusal.unknown_key),
    "text that is no signature": (
        lambda: {
            **V,
            "proof": {
                "kind": "ssh",
                "signature": "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
            },
        },
        Refusal.bad_proof,
    ),
}


@pytest.mark.parametrize("case", WITH_SSH)
def test_an_ssh_signature_that_does_not_show_it_is_refused(case: str) -> None:
    """OpenSSH is asked about this statement, for this namespace, with the key of the directory."""
    made, code = WITH_SSH[case]
    with pytest.raises(UnprovenError) as refused:
        proved(made())
    assert refused.value.code is code


def test_without_openssh_nothing_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused as unverifiable, never accepted."""
    value = by_ssh(V)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UnprovenError) as refused:
        proved(value)
    assert refused.value.code is Refusal.unverifiable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"decision_id": "a", "decision_id": "b"}', "occurs twice"),
        ('{"revision": 9007199254740993}', "beyond 2"),
        ('{"justification": "\\ud800"}', "surrogates"),
    ],
)
def test_what_two_readers_could_read_differently_is_no_statement(text: str, said: str) -> None:
    """Keys twice, numbers beyond 2^53-1 and lone surrogates never reach a signature."""
    with pytest.raises(CanonicalError, match=said):
        parse_json(text)


def test_one_and_one_point_nought_are_one_statement() -> None:
    """RFC 8785 writes them alike, so a signature over one is a signature over the other, which says the same."""
    value = by_key(statement(revision=1))
    assert signed_bytes(Domain.decision, {**value, "revision": 1.0}) == signed_bytes(Domain.decision, value)
    assert receive_decision({**value, "revision": 1.0}).revision == 1


def test_a_statement_cannot_name_its_own_domain() -> None:
    """The domain is put in by whoever signs or verifies, and nobody else."""
    with pytest.raises(DecisionError, match="countersign"):
        receive_decision({**by_key(V), "countersign": "countersign/decision/v1"})


@pytest.mark.parametrize(
    "jwk",
    [
        {**ANN.public, "use": "enc"},
        {**ANN.public, "key_ops": ["sign"]},
        {**ANN.public, "d": "AAAA"},
        {**ANN.public, "alg": "ES256"},
        {**BEN.public, "crv": "P-384"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": ANN.public["x"]},
    ],
)
def test_a_directory_takes_no_key_that_is_not_for_verifying(jwk: dict[str, Any]) -> None:
    """Of another use, private, symmetric, or of another curve."""
    with pytest.raises(DocumentError):
        _people([{"id": "ann", "keys": [{"id": "k", "jwk": jwk}]}])


def test_a_point_that_is_on_no_curve_verifies_nothing() -> None:
    """It passes for a key of the directory by its form, and fails where it is used."""
    off = {**BEN.public, "y": BEN.public["x"]}
    trust = Trust(
        directory().model_copy(update={"people": _people([{"id": "ben", "keys": [{"id": "ben-1", "jwk": off}]}])})
    )
    with pytest.raises(UnprovenError) as refused:
        proved(by_key(V, BEN), trust)
    assert refused.value.code is Refusal.bad_proof


def test_two_people_do_not_have_one_key() -> None:
    """Nobody could say whose it is."""
    with pytest.raises(DocumentError, match="is also one of person ann"):
        _people([{"id": name, "keys": [{"id": f"{name}-1", "jwk": ANN.public}]} for name in ("ann", "ben")])


def test_an_instant_is_signed_as_it_was_written() -> None:
    """Two texts of one instant are two statements."""
    value = by_key(statement(issued_at="2030-01-01T12:59:00+01:00"))
    assert proved(value).identity == "ann"
    assert receive_decision(value).issued_at == datetime(2030, 1, 1, 11, 59, tzinfo=UTC)
    with pytest.raises(UnprovenError):
        proved({**value, "issued_at": "2030-01-01T11:59:00Z"})
