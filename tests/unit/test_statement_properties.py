"""Properties of signed statements: one text of bytes for one statement, and nothing in it can be changed."""

import base64
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from policy.canonical import canonical
from policy.decision import receive_decision
from policy.errors import CanonicalError, DecisionError
from policy.proofs import Domain, nonce_of, signed_bytes
from signing.jws import sign_detached
from signing.proving import KeysWantedError, Trust, UnprovenError, prove
from tests.unit.signed import (
    ANN,
    BEN,
    ISSUER,
    NOW,
    TRUST,
    b64,
    by_key,
    by_token,
    directory,
    proved,
    published,
    statement,
)

EC = ECKey.generate_key("P-256")
WITH_EC = Trust(directory(), {ISSUER: (published(EC),)})
REFUSED = (UnprovenError, DecisionError)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT | st.floats(-1e15, 1e15)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
STATEMENTS = st.dictionaries(TEXT.filter(lambda name: name not in ("proof", "countersign")), VALUES, max_size=5)
DOMAINS = st.sampled_from(Domain)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one JSON value: 1 and 1.0 are one number, 1 and true are two values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _sayable(*values: Any) -> None:
    """Noncharacters are refused elsewhere."""
    for value in values:
        try:
            canonical(value)
        except CanonicalError:
            assume(False)


@given(STATEMENTS, STATEMENTS, DOMAINS, DOMAINS)
def test_two_statements_have_two_texts_of_bytes(
    one: dict[str, Any], other: dict[str, Any], domain: Domain, other_domain: Domain
) -> None:
    """What is signed is the same for the same statement in the same domain, and for nothing else."""
    _sayable(one, other)
    equal = signed_bytes(domain, one) == signed_bytes(other_domain, other)
    assert equal is (_same(one, other) and domain is other_domain)


@given(STATEMENTS, DOMAINS, st.randoms(use_true_random=False))
def test_the_order_of_members_says_nothing(value: dict[str, Any], domain: Domain, chance: Any) -> None:
    """Nor does the proof, which is about the rest."""
    _sayable(value)
    names = list(value)
    chance.shuffle(names)
    assert signed_bytes(domain, {"proof": 1, **{name: value[name] for name in names}}) == signed_bytes(domain, value)


@given(STATEMENTS, VALUES)
def test_a_statement_that_names_a_domain_is_never_signed(value: dict[str, Any], said: Any) -> None:
    """The domain that is put in could be taken for its own."""
    with pytest.raises(CanonicalError, match="leave it out"):
        signed_bytes(Domain.decision, {**value, "countersign": said})


FIELDS = (*statement(), "feedback", "on_behalf_of", "asked", "answers", "countersign", "x")


@given(st.sampled_from(FIELDS), VALUES | st.just(...), st.sampled_from([ANN, BEN]))
def test_no_field_of_a_signed_decision_can_be_changed(field: str, value: Any, key: Any) -> None:
    """Another value, a field more, a field less: it is no decision, or its proof does not hold."""
    signed = by_key(statement(), key)
    _sayable(None if value is ... else value)
    changed = {k: v for k, v in signed.items() if k != field} | ({} if value is ... else {field: value})
    assume(not _same(changed, signed))
    with pytest.raises(REFUSED):
        proved(changed)


@given(st.sampled_from(FIELDS), VALUES | st.just(...))
def test_no_field_of_a_decision_under_a_token_can_be_changed(field: str, value: Any) -> None:
    """The token is about the hash of all of it."""
    signed = by_token(statement(), key=EC)
    _sayable(None if value is ... else value)
    changed = {k: v for k, v in signed.items() if k != field} | ({} if value is ... else {field: value})
    assume(not _same(changed, signed))
    with pytest.raises(REFUSED):
        proved(changed, WITH_EC)


def _flipped(text: str, part: int, bit: int) -> str:
    """A compact JWS with one bit of one part's bytes changed."""
    parts = text.split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    parts[part] = b64(bytes(raw))
    return ".".join(parts)


BITS = st.integers(0, 10_000)


@given(st.sampled_from([0, 2]), BITS, st.sampled_from([ANN, BEN]))
def test_no_bit_of_a_signature_or_its_header_can_be_changed(part: int, bit: int, key: Any) -> None:
    """Whatever it then says: another algorithm, another key, another kind, or nothing that can be read."""
    value = by_key(statement(), key)
    value["proof"]["jws"] = _flipped(value["proof"]["jws"], part, bit)
    with pytest.raises(REFUSED):
        proved(value)


@given(st.sampled_from([0, 1, 2]), BITS)
def test_no_bit_of_a_token_can_be_changed(part: int, bit: int) -> None:
    """Where the kid is another, its issuer is asked for that key first."""
    value = by_token(statement(), key=EC)
    value["proof"]["id_token"] = _flipped(value["proof"]["id_token"], part, bit)
    with pytest.raises((*REFUSED, KeysWantedError)):
        proved(value, WITH_EC)


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_no_character_of_a_proof_can_be_changed(place: int, character: str) -> None:
    """Nor left out, nor put in: base64url has one form here."""
    value = by_key(statement())
    text = value["proof"]["jws"]
    place %= len(text)
    for changed in (
        text[:place] + character + text[place + 1 :],
        text[:place] + text[place + 1 :],
        text[:place] + character + text[place:],
    ):
        if changed != text:
            with pytest.raises(REFUSED):
                proved({**value, "proof": {"kind": "key", "jws": changed}})


@given(DOMAINS, DOMAINS, DOMAINS, st.sampled_from([ANN, BEN]))
def test_a_statement_of_one_domain_is_none_of_another(signed: Domain, labelled: Domain, read: Domain, key: Any) -> None:
    """Neither the bytes nor the `typ` of another domain verify; all three must be the same."""
    value = statement()
    made = {"kind": "key", "jws": sign_detached(signed_bytes(signed, value), key, labelled.media_type)}
    proof = receive_decision({**value, "proof": made}).proof
    if signed is labelled is read:
        assert prove({**value, "proof": made}, proof, read, TRUST, NOW).key_id == key.id
    else:
        with pytest.raises(UnprovenError):
            prove({**value, "proof": made}, proof, read, TRUST, NOW)


@given(DOMAINS, DOMAINS)
def test_a_token_about_a_statement_of_one_domain_is_about_none_of_another(asked: Domain, read: Domain) -> None:
    """The nonce is the hash of the domain, too."""
    value = statement()
    proof = receive_decision(by_token(value, key=EC, nonce=_nonce(asked, value))).proof
    if asked is read:
        assert prove(value, proof, read, WITH_EC, NOW).identity == "sso:ann"
    else:
        with pytest.raises(UnprovenError, match="nonce"):
            prove(value, proof, read, WITH_EC, NOW)


def _nonce(domain: Domain, value: dict[str, Any]) -> str:
    return nonce_of(signed_bytes(domain, value))
