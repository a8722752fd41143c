"""Who signed in: what an identity token shows of a statement, and every way to get one wrong."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from policy.decision import Refusal
from policy.proofs import Assurance, assurance_of_token
from signing.proving import KeysWantedError, UnprovenError
from tests.unit.signed import ISSUER, NOW, RSA, TRUST, b64, by_token, proved, published, statement, token

V = statement()


def test_a_token_shows_who_when_and_how_strongly_by_its_issuer() -> None:
    """The identity has the issuer's prefix; the key that verified is kept."""
    shown = proved(by_token(statement()))
    assert (shown.identity, shown.subject, shown.issuer) == ("sso:ann", "ann", ISSUER)
    assert shown.authenticated_at == NOW - timedelta(seconds=30)
    assert (shown.assurance, shown.amr) == (Assurance.aal2, ("pwd", "otp"))
    assert shown.key == published()


def test_a_mail_address_counts_where_its_issuer_verified_it() -> None:
    """Without `email_verified` anybody could have written it."""
    mail: dict[str, Any] = {"iss": "https://mail.example", "email": "ann@example.com"}
    assert proved(by_token(statement(), **mail, email_verified=True)).identity == "ann@example.com"
    for verified in (False, None, "true"):
        with pytest.raises(UnprovenError, match="not verified by its issuer"):
            proved(by_token(statement(), **mail, email_verified=verified))


@pytest.mark.parametrize(
    ("acr", "amr", "shown"),
    [
        ("phr", (), Assurance.aal3),
        ("unknown", (), Assurance.aal1),
        (None, ("mfa",), Assurance.aal2),
        (None, ("hwk", "pin"), Assurance.aal2),
        (None, ("pwd", "pin"), Assurance.aal1),
        (None, ("otp", "sms"), Assurance.aal1),
        (None, ("fpt", "hwk"), Assurance.aal2),
        (None, (), Assurance.aal1),
    ],
)
def test_what_a_token_shows(acr: str | None, amr: tuple[str, ...], shown: Assurance) -> None:
    """A class that the directory believes, or factors of two kinds; two of one kind are one."""
    assert assurance_of_token(acr, amr, {"phr": Assurance.aal3}) is shown


def _token(text: str) -> dict[str, Any]:
    return {**V, "proof": {"kind": "oidc", "id_token": text}}


def _unsigned() -> dict[str, Any]:
    head, claims, _ = by_token(V)["proof"]["id_token"].split(".")
    del head
    return _token(f"{b64(json.dumps({'alg': 'none', 'kid': 'issuer-1'}))}.{claims}.AA")


OTHER_RSA = RSAKey.generate_key(2048)
WITH_TOKENS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "of another audience": (by_token(V, aud="another-client"), Refusal.bad_proof),
    "of several audiences, made for another": (by_token(V, aud=["countersign-cli", "x"], azp="x"), Refusal.bad_proof),
    "of no audience": (by_token(V, aud=None), Refusal.bad_proof),
    "of another issuer": (by_token(V, iss="https://evil.example"), Refusal.unknown_key),
    "of an issuer with a slash more": (by_token(V, iss=ISSUER + "/"), Refusal.unknown_key),
    "about another statement": (by_token(V, nonce="AAAA"), Refusal.bad_proof),
    "about nothing": (by_token(V, nonce=None), Refusal.bad_proof),
    "moved to another statement": ({**by_token(V), "vote": "deny"}, Refusal.bad_proof),
    "expired": (by_token(V, exp=int(NOW.timestamp()) - 61), Refusal.bad_proof),
    "of the future": (by_token(V, iat=int(NOW.timestamp()) + 120), Refusal.bad_proof),
    "not valid yet": (by_token(V, nbf=int(NOW.timestamp()) + 120), Refusal.bad_proof),
    "that never expires": (by_token(V, exp=None), Refusal.bad_proof),
    "that expires at no number": (by_token(V, exp="tomorrow"), Refusal.bad_proof),
    "of nobody": (by_token(V, sub=None), Refusal.bad_proof),
    "signed by another key": (by_token(V, key=OTHER_RSA), Refusal.bad_proof),
    "signed by an elliptic key under its id": (by_token(V, key=ECKey.generate_key("P-256")), Refusal.bad_proof),
    "unsigned": (_unsigned(), Refusal.bad_proof),
    "with a key in its header": (
        by_token(V, key=OTHER_RSA, header={"jwk": OTHER_RSA.as_dict(private=False)}),
        Refusal.bad_proof,
    ),
    "that is no token": (_token("e30.e30.AA"), Refusal.unknown_key),
    "whose claims are a list": (_token(token([], RSA)), Refusal.bad_proof),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WITH_TOKENS)
def test_a_token_that_does_not_show_it_is_refused(case: str) -> None:
    """Another audience, issuer, nonce, time or key: each is refused with a code."""
    value, code = WITH_TOKENS[case]
    with pytest.raises(UnprovenError) as refused:
        proved(value)
    assert refused.value.code is code, str(refused.value)


@pytest.mark.parametrize(
    ("key", "more"),
    [
        (RSA, {"use": "enc"}),
        (RSA, {"key_ops": ["encrypt"]}),
        (RSA, {"kid": "issuer-2"}),
    ],
)
def test_a_key_of_the_wrong_use_or_name_is_not_among_an_issuers_keys(key: RSAKey, more: dict[str, Any]) -> None:
    """So they have to be fetched again, in case that it has got one since."""
    trust = replace(TRUST, issuer_keys={ISSUER: (published(key, **more),)})
    with pytest.raises(KeysWantedError):
        proved(by_token(V), trust)


def test_a_key_of_an_issuer_takes_the_algorithm_that_it_names_only() -> None:
    """`alg` in a published key binds (RFC 7517, 4.4)."""
    trust = replace(TRUST, issuer_keys={ISSUER: (published(alg="PS256"),)})
    with pytest.raises(UnprovenError, match="alg of the token"):
        proved(by_token(V), trust)


def test_keys_of_an_issuer_of_each_kind_verify() -> None:
    """RSA, P-256 and Ed25519."""
    for key in (RSA, ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")):
        trust = replace(TRUST, issuer_keys={ISSUER: (published(key),)})
        assert proved(by_token(V, key=key), trust).identity == "sso:ann"


def test_a_short_rsa_key_verifies_nothing() -> None:
    """1,024 bits can be factored."""
    short = {**published(), "n": RSA.as_dict(private=False)["n"][:168]}
    trust = replace(TRUST, issuer_keys={ISSUER: (short,)})
    with pytest.raises(UnprovenError, match="fewer than 2048 bits"):
        proved(by_token(V), trust)
