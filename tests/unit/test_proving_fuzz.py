"""Whatever arrives as a statement, a proof, a token or an issuer's key: a principal or a refusal, never a crash."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from policy.decision import receive_decision
from policy.errors import DecisionError
from policy.proofs import Domain, KeyProof, OidcProof, SshProof
from signing.proving import KeysWantedError, Trust, UnprovenError, prove
from tests.unit.signed import (
    ISSUER,
    NOW,
    RSA,
    TRUST,
    b64,
    by_key,
    by_token,
    claims,
    directory,
    published,
    statement,
    token,
)

EC, OKP = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
WITH_EC = Trust(directory(), {ISSUER: (published(EC),)})
SAID = (UnprovenError, KeysWantedError, DecisionError)

# Everything that Python's reader makes of a text, and some that it never does: NaN, lone surrogates, huge numbers.
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
DEEP: Any = []
for _ in range(3000):
    DEEP = [DEEP]
HUGE = 10**4000
NESTED = "[" * 3000 + "]" * 3000


def proves(value: Any, trust: Trust = TRUST) -> None:
    """A principal, or a refusal that was meant; anything else fails the test."""
    with contextlib.suppress(*SAID):
        prove(value, receive_decision(value).proof, Domain.decision, trust, NOW)


@given(JUNK)
@example({"revision": HUGE})
def test_any_value_as_a_decision(value: Any) -> None:
    """No decision at all, mostly."""
    proves(value)


@given(st.sampled_from([*statement(), "proof", "audience", "x"]), JUNK)
@example("revision", HUGE)
@example("audience", "a\ud800")
def test_any_value_as_a_field(field: str, value: Any) -> None:
    """Of a decision that is signed."""
    proves({**by_key(statement()), field: value})


@given(st.sampled_from([*statement(), "proof", "countersign", "x"]), JUNK)
@example("x", float("nan"))
@example("x", "\ud800")
@example("audience", {"a": 1})
def test_a_value_that_nobody_read_before(field: str, value: Any) -> None:
    """Proving does not rest on what was checked before it."""
    signed = by_key(statement())
    proof = receive_decision(signed).proof
    with contextlib.suppress(UnprovenError):
        prove({**signed, field: value}, proof, Domain.decision, TRUST, NOW)


@pytest.mark.parametrize("field", ["audience", "justification", "revision", "proof", "x"])
def test_a_value_that_is_nested_deeply(field: str) -> None:
    """It is refused where it is read; and where it is signed or verified, whoever read it."""
    signed = by_key(statement())
    with pytest.raises(DecisionError):
        receive_decision({**signed, field: DEEP})
    if field != "proof":
        with pytest.raises(UnprovenError) as refused:
            prove({**signed, field: DEEP}, receive_decision(signed).proof, Domain.decision, TRUST, NOW)
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize("part", [0, 1])
def test_a_token_that_is_nested_deeply(part: int) -> None:
    """In its header or its claims."""
    parts = by_token(statement(), key=EC)["proof"]["id_token"].split(".")
    parts[part] = b64(f'{{"x":{NESTED}}}')
    with pytest.raises(UnprovenError, match="token is malformed"):
        prove(statement(), OidcProof(kind="oidc", id_token=".".join(parts)), Domain.decision, WITH_EC, NOW)


COMPACT = st.from_regex(r"\A[A-Za-z0-9_-]{1,80}\.[A-Za-z0-9_-]{1,80}\.[A-Za-z0-9_-]{1,80}\Z")
PIECES = st.binary(max_size=80).map(b64) | JUNK.map(lambda value: b64(json.dumps(value)))


@given(st.lists(PIECES, min_size=3, max_size=3).map(".".join) | COMPACT | st.text())
def test_any_text_as_a_token(text: str) -> None:
    """Also one that the edge would not let through."""
    _tried(OidcProof.model_construct(kind="oidc", id_token=text))


@given(st.lists(PIECES, min_size=2, max_size=2).map("..".join) | st.text())
def test_any_text_as_a_detached_jws(text: str) -> None:
    """As above; a text of other parts than two cannot be attached to anything."""
    if text.count(".") == 2:
        _tried(KeyProof.model_construct(kind="key", jws=text))
    proves(statement(proof={"kind": "key", "jws": text}))


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: b"SSHSIG\0\0\0\1" + tail))
def test_any_bytes_as_an_ssh_signature(blob: bytes) -> None:
    """Armored as they should be."""
    text = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"
    proves(statement(proof={"kind": "ssh", "signature": text}))


@given(st.text())
def test_any_text_as_an_ssh_signature(text: str) -> None:
    """Armored or not."""
    _tried(SshProof.model_construct(kind="ssh", signature=text))
    _tried(SshProof.model_construct(kind="ssh", signature=f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END"))


def _tried(proof: Any) -> None:
    with pytest.raises((UnprovenError, KeysWantedError)):
        prove(statement(), proof, Domain.decision, TRUST, NOW)


CLAIMS = (*claims(statement()), "azp", "nbf", "acr", "email", "email_verified", "preferred_username", "x")
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.sampled_from(CLAIMS), JUNK | NUMBERS)
@example("exp", 253402300799)
@example("exp", 253402300799.999999)
@example("exp", -62135596800)
@example("auth_time", -62135596800)
@example("auth_time", 253402300799)
@example("nbf", 253402300799)
@example("iat", -62135596800)
@example("amr", [[], {}, None, "mfa"])
@example("amr", {"mfa": 1})
@example("acr", ["phr"])
@example("aud", [{}, [], 7, "countersign-cli"])
@example("iss", [ISSUER])
@example("sub", "\x7f")
def test_any_value_as_a_claim_of_a_token_that_its_issuer_signed(claim: str, value: Any) -> None:
    """An issuer may err, too."""
    said = token(claims(statement(), **{claim: value}), EC)
    proves({**statement(), "proof": {"kind": "oidc", "id_token": said}}, WITH_EC)


@given(st.sampled_from(["alg", "kid", "typ", "cty", "x5t", "x"]), JUNK)
def test_any_value_in_the_header_of_a_token(member: str, value: Any) -> None:
    """It is signed by nobody, or by whoever can."""
    _, payload, signature = by_token(statement(), key=EC)["proof"]["id_token"].split(".")
    head = b64(json.dumps({"alg": "ES256", "kid": "issuer-1", member: value}))
    proves({**statement(), "proof": {"kind": "oidc", "id_token": f"{head}.{payload}.{signature}"}}, WITH_EC)


@given(st.sampled_from(["alg", "kid", "typ"]), JUNK)
def test_any_value_in_the_header_of_a_signature(member: str, value: Any) -> None:
    """The same for a person's key."""
    header = {"alg": "Ed25519", "kid": "ann-1", "typ": Domain.decision.media_type, member: value}
    signature = by_key(statement())["proof"]["jws"].partition("..")[2]
    proves(statement(proof={"kind": "key", "jws": f"{b64(json.dumps(header))}..{signature}"}))


MEMBERS = ("kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y", "d", "oth", "x5c", "z")


@given(st.sampled_from([RSA, EC, OKP]), st.sampled_from(MEMBERS), JUNK | st.binary(max_size=300).map(b64))
@example(RSA, "e", "AQ")
@example(RSA, "kty", [])
@example(EC, "crv", "P-999")
@example(EC, "x", "")
@example(OKP, "x", "AA")
@example(OKP, "crv", "X25519")
def test_any_value_in_a_published_key(key: Any, member: str, value: Any) -> None:
    """Beside a key that is whole, and instead of it."""
    spoiled = {**published(key), member: value}
    said = by_token(statement(), key=key)
    proves(said, Trust(directory(), {ISSUER: (spoiled,)}))
    proves(said, Trust(directory(), {ISSUER: (spoiled, published(key, kid="issuer-2"))}))


@given(st.lists(JUNK, max_size=4))
def test_any_values_as_published_keys(keys: list[Any]) -> None:
    """What is no key is passed over."""
    with pytest.raises((UnprovenError, KeysWantedError)):
        prove(statement(), _proof(), Domain.decision, Trust(directory(), {ISSUER: keys}), NOW)


def _proof() -> Any:
    return receive_decision(by_token(statement(), key=EC)).proof
