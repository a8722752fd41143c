"""Flaws that implementations of JOSE have had, each named after the flaw; the classes are those of Project Wycheproof.

Every way to spoil a compact JWS is tried on a statement's signature (`signing.jws.verify`: Ed25519 and P-256) and on an
issuer's token (`signing.tokens.verify_signature`: RSA, P-256 and Ed25519). None verifies, each ends in a refusal, and
the same JWS before it was spoiled verifies.
"""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from policy.people.keys import PublicJwk
from signing.jws import BadSignatureError, Registry, sign, verify
from signing.tokens import UnknownKidError, verify_signature
from tests.unit.signed import ANN, BEN, RSA, b64, published

TYPE = "countersign-decision-v1+jws"
PAYLOAD = b'{"vote":"approve"}'
EC, OKP = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
# The order of P-256.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def token(key: Any, alg: str, **header: Any) -> str:
    """A JWS as an issuer makes one."""
    return jws.serialize_compact({"alg": alg, "kid": "issuer-1", **header}, PAYLOAD, key, algorithms=[alg])


def by_issuer(key: Any, **more: Any) -> Callable[[str], Any]:
    return lambda text: verify_signature(text, [published(key, **more)])


def by_person(key: Any) -> Callable[[str], Any]:
    return lambda text: verify(text, PublicJwk.model_validate(key.public), TYPE)


# A JWS that holds, and whoever verifies it.
WHOLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "a statement by ed25519": (sign(PAYLOAD, ANN, TYPE), by_person(ANN)),
    "a statement by p-256": (sign(PAYLOAD, BEN, TYPE), by_person(BEN)),
    "a token by rs256": (token(RSA, "RS256"), by_issuer(RSA)),
    "a token by ps256": (token(RSA, "PS256"), by_issuer(RSA)),
    "a token by es256": (token(EC, "ES256"), by_issuer(EC)),
    "a token by eddsa": (token(OKP, "EdDSA"), by_issuer(OKP)),
}


def _header(text: str, **changes: Any) -> str:
    """The same with members of the header changed, left out where they are None; the signature as it was."""
    head, payload, signature = text.split(".")
    value = {**json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), **changes}
    return f"{b64(json.dumps({k: v for k, v in value.items() if v is not None}))}.{payload}.{signature}"


def _part(text: str, number: int, change: Callable[[str], str]) -> str:
    parts = text.split(".")
    parts[number] = change(parts[number])
    return ".".join(parts)


def _signature(text: str, change: Callable[[bytes], bytes]) -> str:
    return _part(text, 2, lambda part: b64(change(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))))


def _unused_bits(part: str) -> str:
    """Another last character that decodes to the same bytes, where there is one; else one more."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(part[-1]) ^ 1]
    return part[:-1] + other if len(part) % 4 else part + "A"


SPOILED: dict[str, Callable[[str], str]] = {
    "an empty text": lambda _: "",
    "no header": lambda text: _part(text, 0, lambda _: ""),
    "no header and no point": lambda text: text.split(".", 1)[1],
    "no payload": lambda text: _part(text, 1, lambda _: ""),
    "no payload and no point": lambda text: ".".join(text.split(".")[::2]),
    "no signature": lambda text: _part(text, 2, lambda _: ""),
    "no signature and no point": lambda text: text.rpartition(".")[0],
    "points alone": lambda _: "..",
    "a fourth part": lambda text: f"{text}.AA",
    "a fourth part that is empty": lambda text: f"{text}.",
    "five parts, as of a jwe": lambda text: f"{text}.AA.AA",
    "the json serialization": lambda text: json.dumps(
        dict(zip(("protected", "payload", "signature"), text.split("."), strict=True))
    ),
    "another payload": lambda text: _part(text, 1, lambda _: b64(b'{"vote":"deny"}')),
    "a payload that is longer": lambda text: _part(text, 1, lambda part: part + "AAAA"),
    "another kid": lambda text: _header(text, kid="other"),
    "a member more in the header": lambda text: _header(text, x="y"),
    "spaces in the header's json": lambda text: _part(
        text, 0, lambda part: b64(base64.urlsafe_b64decode(part + "==") + b" ")
    ),
    "a header that is a list": lambda text: _part(text, 0, lambda _: b64("[]")),
    "a header that is a number": lambda text: _part(text, 0, lambda _: b64("1")),
    "a header that is no json": lambda text: _part(text, 0, lambda _: b64("{")),
    "a header with a byte order mark": lambda text: _part(text, 0, lambda part: b64("\ufeff" + "{}")),
    "a header nested deeply": lambda text: _part(text, 0, lambda _: b64('{"alg":' + "[" * 400 + "]" * 400 + "}")),
    "alg none": lambda text: _header(text, alg="none"),
    "alg none without a signature": lambda text: _part(_header(text, alg="none"), 2, lambda _: ""),
    "alg None": lambda text: _header(text, alg="None"),
    "alg NONE without a signature": lambda text: _part(_header(text, alg="NONE"), 2, lambda _: ""),
    "no alg": lambda text: _header(text, alg=None),
    "an empty alg": lambda text: _header(text, alg=""),
    "an alg that is a number": lambda text: _header(text, alg=256),
    "an alg that is a list": lambda text: _header(text, alg=["ES256", "RS256"]),
    "an alg of lower case": lambda text: _header(text, alg="es256"),
    "alg HS256": lambda text: _header(text, alg="HS256"),
    "alg of another curve": lambda text: _header(text, alg="ES384"),
    "alg of bitcoin's curve": lambda text: _header(text, alg="ES256K"),
    "alg of key agreement": lambda text: _header(text, alg="ECDH-ES"),
    "a kid that is a number": lambda text: _header(text, kid=1),
    "a kid that is a path": lambda text: _header(text, kid="../../dev/null"),
    "spaces in the signature": lambda text: _part(text, 2, lambda part: f"{part[:8]} {part[8:]}"),
    "a line feed behind the signature": lambda text: f"{text}\n",
    "spaces behind the header": lambda text: _part(text, 0, lambda part: f"{part}    "),
    "marks behind the header": lambda text: _part(text, 0, lambda part: f"{part}####"),
    "a mark in the payload": lambda text: _part(text, 1, lambda part: f"?{part}"),
    "padding behind the signature": lambda text: _part(text, 2, lambda part: f"{part}=="),
    "padding behind the payload": lambda text: _part(text, 1, lambda part: f"{part}="),
    "the other alphabet": lambda text: _part(text, 2, lambda part: f"+/{part[2:]}"),
    "unused bits of the signature": lambda text: _part(text, 2, _unused_bits),
    "letters of another script": lambda text: _part(text, 2, lambda part: f"\u0410{part[1:]}"),
    "a lone surrogate": lambda text: _part(text, 1, lambda part: f"{part}\ud800"),
    "a signature of zeros": lambda text: _signature(text, lambda raw: bytes(len(raw))),
    "a signature of ones": lambda text: _signature(text, lambda raw: b"\xff" * len(raw)),
    "a signature with one bit another": lambda text: _signature(text, lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
    "a signature with the last bit another": lambda text: _signature(text, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    "a signature cut short": lambda text: _signature(text, lambda raw: raw[:-1]),
    "a signature with zeros behind": lambda text: _signature(text, lambda raw: raw + b"\0\0"),
    "a signature with zeros before": lambda text: _signature(text, lambda raw: b"\0\0" + raw),
    "a signature twice": lambda text: _signature(text, lambda raw: raw + raw),
    "a signature with its halves changed over": lambda text: _signature(
        text, lambda raw: raw[len(raw) // 2 :] + raw[: len(raw) // 2]
    ),
    "a signature in asn.1": lambda text: _signature(
        text,
        lambda raw: encode_dss_signature(
            int.from_bytes(raw[: len(raw) // 2], "big"), int.from_bytes(raw[len(raw) // 2 :], "big")
        ),
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("flaw", SPOILED)
def test_a_jws_that_is_spoiled_is_refused(flaw: str, kind: str) -> None:
    """As a refusal, and never as anything else."""
    whole, verified = WHOLE[kind]
    assert verified(whole)
    spoiled = SPOILED[flaw](whole)
    assert spoiled != whole
    with pytest.raises((BadSignatureError, UnknownKidError)):
        verified(spoiled)


def test_how_many_ways_are_tried() -> None:
    """Pinned, so that none gets lost."""
    assert (len(SPOILED), len(WHOLE)) == (58, 6)


R_AND_S = {"0": 0, "1": 1, "n-1": N - 1, "n": N, "n+1": N + 1, "2^256-1": 2**256 - 1}


@pytest.mark.parametrize("r", R_AND_S)
@pytest.mark.parametrize("s", R_AND_S)
def test_a_signature_that_would_fit_everything_is_refused(r: str, s: str) -> None:
    """ "Psychic signatures" of ECDSA: r and s at the ends of their range, and beyond."""
    signature = b64(R_AND_S[r].to_bytes(32, "big") + R_AND_S[s].to_bytes(32, "big"))
    for whole, verified in (WHOLE["a statement by p-256"], WHOLE["a token by es256"]):
        with pytest.raises(BadSignatureError):
            verified(_part(whole, 2, lambda _: signature))


def test_the_other_form_of_an_ed25519_signature_is_refused() -> None:
    """Malleability: s and s plus the order of the group would be two signatures of one statement (RFC 8032, 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493

    def plus(raw: bytes) -> bytes:
        return raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")

    for name in ("a statement by ed25519", "a token by eddsa"):
        whole, verified = WHOLE[name]
        with pytest.raises(BadSignatureError):
            verified(_signature(whole, plus))


def test_the_other_form_of_an_ecdsa_signature_is_the_same_vote() -> None:
    """n minus s verifies, too (RFC 7518 does not forbid it): so a signature is never what a decision is known by."""

    def minus(raw: bytes) -> bytes:
        return raw[:32] + (N - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")

    whole, verified = WHOLE["a statement by p-256"]
    assert verified(_signature(whole, minus)) == PAYLOAD


SYMMETRIC: dict[str, Callable[[Any], bytes]] = {
    "the public key as pem": lambda key: key.as_pem(private=False),
    "the public key as der": lambda key: key.as_der(private=False),
    "the public key as jwk": lambda key: json.dumps(key.as_dict(private=False)).encode(),
    "the kid": lambda _: b"issuer-1",
}


@pytest.mark.parametrize("secret", SYMMETRIC)
@pytest.mark.parametrize("key", [RSA, EC, OKP], ids=["rsa", "p-256", "ed25519"])
def test_a_public_key_taken_for_a_secret_verifies_nothing(secret: str, key: Any) -> None:
    """Confusion of algorithms: HS256 with what everybody knows (RFC 8725, 2.1)."""
    signed = f"{b64(json.dumps({'alg': 'HS256', 'kid': 'issuer-1'}))}.{b64(PAYLOAD)}"
    mac = hmac.digest(SYMMETRIC[secret](key), signed.encode(), "sha256")
    with pytest.raises(BadSignatureError, match="alg of the token is 'HS256'"):
        by_issuer(key)(f"{signed}.{b64(mac)}")


CHOOSING: dict[str, dict[str, Any]] = {
    "jwk": {"jwk": EC.as_dict(private=False)},
    "jku": {"jku": "https://evil.example/keys"},
    "x5u": {"x5u": "https://evil.example/chain"},
    "x5c": {"x5c": ["MIIB"]},
    "crit": {"crit": ["exp"]},
    "b64": {"b64": True},
}


@pytest.mark.parametrize("member", CHOOSING)
def test_a_header_that_brings_its_own_key_is_refused(member: str) -> None:
    """Even one by the issuer's own key: nothing in a header is looked for (RFC 8725, 3.10)."""
    signed = f"{b64(json.dumps({'alg': 'ES256', 'kid': 'issuer-1', **CHOOSING[member]}))}.{b64(PAYLOAD)}"
    signature = Registry(algorithms=["ES256"]).get_alg("ES256").sign(signed.encode(), EC)
    with pytest.raises(BadSignatureError, match=f"has {member}"):
        by_issuer(EC)(f"{signed}.{b64(signature)}")


def test_a_member_of_a_header_that_nobody_knows_is_ignored() -> None:
    """As RFC 7515 (4) asks: only `crit` makes one matter, and that is refused."""
    registry = Registry(algorithms=["RS256"], strict_check_header=False)
    signed = jws.serialize_compact({"alg": "RS256", "kid": "issuer-1", "x": 1}, PAYLOAD, RSA, registry=registry)
    assert by_issuer(RSA)(signed)


KEYS: dict[str, tuple[list[Any], str]] = {
    "two other keys under its kid": ([published(EC), published(RSAKey.generate_key(2048))], "does not verify"),
    "a symmetric key under the kid": ([{"kty": "oct", "k": "AAAA", "kid": "issuer-1"}], "no key 'issuer-1'"),
    "a key for encryption": ([published(use="enc")], "no key 'issuer-1'"),
    "a key that may only encrypt": ([published(key_ops=["encrypt"])], "no key 'issuer-1'"),
    "a key whose operations are no list": ([published(key_ops="verify")], "no key 'issuer-1'"),
    "a key of another algorithm": ([published(alg="RS512")], "its key takes RS512"),
    "a key of an algorithm that nobody knows": ([published(alg="RSA-OAEP")], "its key takes none that is known"),
    "a key whose algorithm is a list": ([published(alg=["RS256"])], "its key takes none that is known"),
    "a public exponent of one": ([published(e="AQ")], "does not verify"),
    "a public exponent that is even": ([published(e="Ag")], "does not verify"),
    "no public exponent": ([{k: v for k, v in published().items() if k != "e"}], "does not verify"),
    "a modulus that is no text": ([published(n=17)], "does not verify"),
    "a modulus of nothing": ([published(n="")], "fewer than 2048 bits"),
    "a short modulus written long": ([published(n="A" * 300 + published()["n"][:168])], "does not verify"),
    "kinds of keys that are junk": ([{"kty": [], "kid": "issuer-1"}, 7, None, "k", {"kty": {}}], "no key 'issuer-1'"),
    "no keys": ([], "no key 'issuer-1'"),
}


@pytest.mark.parametrize("flaw", KEYS)
def test_keys_of_an_issuer_that_are_wrong_verify_nothing(flaw: str) -> None:
    """Of the wrong use, kind, size or number, or malformed: a refusal says so."""
    keys, said = KEYS[flaw]
    with pytest.raises((BadSignatureError, UnknownKidError), match=said):
        verify_signature(token(RSA, "RS256"), keys)


def test_of_keys_that_an_issuer_called_alike_one_must_verify() -> None:
    """RFC 7517 (4.5) asks for ids of their own, and not every issuer gives them."""
    said = token(RSA, "RS256")
    assert verify_signature(said, [published(EC), published(RSAKey.generate_key(2048)), published()]) == published()


def test_a_token_without_a_kid_is_of_an_issuer_with_one_key() -> None:
    """With two nobody can say which, and with none it is asked for its keys first."""
    said = jws.serialize_compact({"alg": "ES256"}, PAYLOAD, EC, algorithms=["ES256"])
    assert verify_signature(said, [published(EC)]) == published(EC)
    with pytest.raises(BadSignatureError, match="has 2 keys"):
        verify_signature(said, [published(EC), published()])
    with pytest.raises(UnknownKidError):
        verify_signature(said, [])


def test_junk_beside_an_issuers_key_changes_nothing() -> None:
    """What is no key for signing is passed over (RFC 7517, 5)."""
    junk: list[Any] = [7, None, [], {}, {"kty": None}, {"kty": "XYZ", "kid": "issuer-1"}, published(use="enc")]
    assert verify_signature(token(RSA, "RS256"), [*junk, published()]) == published()


CURVES = {"P-384": "ES384", "P-521": "ES512"}


@pytest.mark.parametrize("curve", CURVES)
def test_an_algorithm_of_another_curve_than_the_keys_is_refused(curve: str) -> None:
    """ES256 is of P-256 alone (RFC 7518, 3.4)."""
    key = ECKey.generate_key(curve)
    assert by_issuer(key)(token(key, CURVES[curve]))
    with pytest.raises(BadSignatureError):
        by_issuer(key)(_header(token(key, CURVES[curve]), alg="ES256"))


def test_a_point_that_is_on_no_curve_is_no_key() -> None:
    """The invalid curve attack: the point of a published key must be on its curve."""
    off = {**published(EC), "y": published(EC)["x"]}
    with pytest.raises(BadSignatureError, match="does not verify"):
        verify_signature(token(EC, "ES256"), [off])


def test_a_key_of_small_order_is_no_key_of_an_issuer() -> None:
    """Anybody can sign as the point of order one: r = [s]B, here with s = 0, for every text."""
    forged = f"{b64(json.dumps({'alg': 'EdDSA'}))}.{b64(PAYLOAD)}.{b64((1).to_bytes(32, 'little') + bytes(32))}"
    identity: dict[str, Any] = {"kty": "OKP", "crv": "Ed25519", "x": b64((1).to_bytes(32, "little"))}
    assert jws.deserialize_compact(forged, OKPKey.import_key(identity), algorithms=["EdDSA"]).payload == PAYLOAD
    with pytest.raises(BadSignatureError, match="small order"):
        verify_signature(forged, [identity])


def test_a_long_statement_verifies_like_a_short_one() -> None:
    """A proposal has up to 256 KiB, more than a JOSE library takes in a token."""
    payload = b"x" * 256 * 1024
    assert verify(sign(payload, ANN, TYPE), PublicJwk.model_validate(ANN.public), TYPE) == payload
