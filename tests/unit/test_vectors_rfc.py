"""The examples of the RFCs of JOSE, as they stand in the RFCs. Those of RFC 8785 are in `test_canonical.py`."""

import hashlib
import json
from typing import Any

import pytest

from policy.canonical import canonical
from policy.people.keys import PublicJwk
from signing.jws import BadSignatureError, attached, sign, verify
from signing.keys import parse_signing_key
from signing.tokens import UnknownKidError, verify_signature
from tests.unit.signed import b64

# RFC 7515, appendices A.2 and A.3: one payload, signed with RSA and with P-256.
_JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
A2_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B"
    "m4d4QlL-yRT-SFd2lZS-p"
    "CgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBd"
    "QOS-UTo7WTBEMa2R2CapHg665xsm"
    "tdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{_JOE}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
    "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQ"
    "BMHlb1L07Qe7K0GarZRmB_eSN938"
    "3LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs9"
    "8rqVt5AXLIhWkWywlVmtVrBp0igc"
    "N_IoypGlUPQGe77Rw"
)
A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{_JOE}"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
# RFC 8037, appendices A.1 to A.4.
OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
OKP_SECRET = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
OKP_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
SIGNED: dict[str, tuple[dict[str, Any], str]] = {
    "RFC 7515, A.2: RS256": (A2_KEY, A2),
    "RFC 7515, A.3: ES256": (A3_KEY, A3),
    "RFC 8037, A.4: EdDSA": (OKP, OKP_TOKEN),
}


@pytest.mark.parametrize("example", SIGNED)
def test_a_signed_example_verifies_as_an_issuers(example: str) -> None:
    """With the key that the RFC gives, and not when one character of it is another."""
    key, token = SIGNED[example]
    assert verify_signature(token, [key]) == key
    header, payload, signature = token.split(".")
    for changed in (f"{header}.A{payload[1:]}.{signature}", f"{header}.{payload}.A{signature[1:]}"):
        with pytest.raises(BadSignatureError):
            verify_signature(changed, [key])


@pytest.mark.parametrize("example", ["RFC 7515, A.3: ES256", "RFC 8037, A.4: EdDSA"])
def test_a_signed_example_is_no_statement(example: str) -> None:
    """It verifies, but it does not say for what it is (`typ`, `kid`): nobody can use it as a decision."""
    key, token = SIGNED[example]
    with pytest.raises(BadSignatureError, match="must have alg, kid and typ"):
        verify(token, PublicJwk.model_validate(key), "countersign-decision-v1+jws")


def test_the_unsecured_example_is_nobodys() -> None:
    """RFC 7515, A.5: `alg` none, and no signature."""
    with pytest.raises(BadSignatureError, match="its key takes EdDSA, Ed25519"):
        verify_signature(f"eyJhbGciOiJub25lIn0.{_JOE}.", [OKP])


def test_the_symmetric_example_is_nobodys() -> None:
    """RFC 7515, A.1: a secret that two know shows neither of the two."""
    token = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{_JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    with pytest.raises(UnknownKidError):
        verify_signature(token, [{"kty": "oct", "k": secret}])


def test_the_example_of_a_critical_header_is_refused() -> None:
    """RFC 7515, appendix E: an extension that nobody knows and that must be understood."""
    name = "http://example.invalid/UNDEFINED"
    header = b64(f'{{"alg":"EdDSA",\r\n "crit":["{name}"],\r\n "{name}":true}}')
    with pytest.raises(BadSignatureError, match="has crit"):
        verify_signature(f"{header}.RkFJTA.AA", [OKP])


def test_the_example_of_an_unencoded_payload_is_refused() -> None:
    """RFC 7797, 4.2: `b64` changes what is signed."""
    token = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
    with pytest.raises(BadSignatureError, match="has b64"):
        verify_signature(token, [OKP])


def test_a_signature_of_ed25519_is_the_same_each_time() -> None:
    """RFC 8032, with the private key of RFC 8037 (A.1): the public key of A.2, and the signature of our own header."""
    key = parse_signing_key(json.dumps({**OKP, "d": OKP_SECRET}).encode(), "key", "rfc")
    assert key.public == OKP
    made = {sign(b"Example of Ed25519 signing", key, "x+jws") for _ in range(3)}
    assert len(made) == 1
    assert verify(made.pop(), PublicJwk.model_validate(OKP), "x+jws") == b"Example of Ed25519 signing"


def test_a_detached_payload_is_put_back() -> None:
    """RFC 7515, appendix F, with the example of A.3."""
    header, _, signature = A3.split(".")
    payload = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    assert attached(f"{header}..{signature}", payload) == A3


THUMBPRINTS = {
    "RFC 8037, A.3": (PublicJwk.model_validate(OKP).value, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    "RFC 7638, 3.1": (
        {
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
            "CPebWKRXjBZCiFV4n3o"
            "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs"
            "8KJZgnYb9c7d0zgdAZHzu6qM"
            "QvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1j"
            "F44-csFCur-kEgU8awapJzKn"
            "qDKgw",
            "e": "AQAB",
        },
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    ),
}


@pytest.mark.parametrize("example", THUMBPRINTS)
def test_what_makes_a_key_has_the_thumbprint_of_the_rfc(example: str) -> None:
    """The members that make a key, in the form of RFC 8785, are what RFC 7638 hashes."""
    members, thumbprint = THUMBPRINTS[example]
    assert b64(hashlib.sha256(canonical(members)).digest()) == thumbprint
