"""JSON Web Signatures (RFC 7515) as Countersign writes and takes them, through `joserfc`.

1. The protected header has exactly `alg`, `kid` and `typ`: whatever else could be in one (`crit`, `b64`, `jwk`, `jku`,
   `x5u`, `x5c`) is refused, because it would let the sender choose how it is verified (RFC 8725, 3).
2. `alg` must be one of the key's own algorithms, and the key is found by `kid` where it is registered: a header chooses
   neither. `none` and symmetric algorithms are of no key here.
3. `typ` must be that of the statement (RFC 8725, 3.11).
4. Every part is base64url without padding and in its only form, and the header is strict JSON without a key twice.
5. A payload that is detached (RFC 7515, appendix F) is what the verifier made itself of what it received.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from policy.canonical import MAX_TEXT_BYTES, parse_json
from policy.errors import CanonicalError, CountersignError
from policy.people.keys import PublicJwk
from policy.proofs import Domain, signed_bytes
from signing.keys import SigningKey, public_key

_HEADER = {"alg", "kid", "typ"}
_MOST_HEADER = 1000


class Registry(jws.JWSRegistry):
    """The algorithms that are asked for; the library's own bounds are those of a token, a statement may be longer."""

    max_payload_length = 2 * MAX_TEXT_BYTES


class BadSignatureError(CountersignError):
    """A signature does not hold, or what carries it is malformed; the message says which."""


@dataclass(frozen=True)
class Compact:
    """The parts of a compact JWS, of which nothing is verified yet."""

    header: dict[str, Any]
    payload: bytes
    signature: bytes

    @property
    def kid(self) -> str:
        """Which key it says that it was signed by."""
        return str(self.header["kid"])


def sign(payload: bytes, key: SigningKey, media_type: str) -> str:
    """A compact JWS over bytes."""
    header = {"alg": key.algorithm, "kid": key.id, "typ": media_type}
    return jws.serialize_compact(header, payload, key.key, algorithms=[key.algorithm])


def sign_detached(payload: bytes, key: SigningKey, media_type: str) -> str:
    """The same without its payload: `header..signature`."""
    header, _, signature = sign(payload, key, media_type).split(".")
    return f"{header}..{signature}"


def key_proof(value: Mapping[str, Any], key: SigningKey, domain: Domain) -> dict[str, str]:
    """The proof of a statement by a key, as JSON.

    Args:
        value: the statement; a proof that it has already is not part of what is signed.
        key: whose id stands in the directory.
        domain: what kind of statement it is.

    Raises:
        CanonicalError: it cannot be signed.
    """
    return {"kind": "key", "jws": sign_detached(signed_bytes(domain, value), key, domain.media_type)}


def attached(detached: str, payload: bytes) -> str:
    """A detached JWS with its payload put in."""
    header, _, signature = detached.split(".")
    return f"{header}.{_text(payload)}.{signature}"


def parse(token: str, media_type: str) -> Compact:
    """The parts of a compact JWS of a kind.

    Raises:
        BadSignatureError: it is none, or of another kind.
    """
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise BadSignatureError("signature is no compact jws: it has not three parts")
    header, payload, signature = (base64url(part) for part in parts)
    try:
        value = parse_json(header, _MOST_HEADER)
    except CanonicalError as error:
        raise BadSignatureError(f"header of the signature is malformed: {error}") from None
    if (
        not isinstance(value, dict)
        or set(value) != _HEADER
        or not all(isinstance(item, str) for item in value.values())
    ):
        raise BadSignatureError("header of the signature must have alg, kid and typ, and nothing else")
    if value["typ"] != media_type:
        raise BadSignatureError(f"typ of the signature is {value['typ']!r:.80}, this is a {media_type}")
    return Compact(value, payload, signature)


def verify(token: str, jwk: PublicJwk, media_type: str) -> bytes:
    """The payload of a compact JWS that a key signed.

    Raises:
        BadSignatureError: it did not, or it is malformed.
    """
    found = parse(token, media_type)
    if found.header["alg"] not in jwk.algorithms:
        wanted = " or ".join(jwk.algorithms)
        raise BadSignatureError(f"alg of the signature is {found.header['alg']!r:.20}, its key takes {wanted}")
    try:
        jws.deserialize_compact(token, public_key(jwk), registry=Registry(algorithms=jwk.algorithms))
    except (JoseError, ValueError) as error:
        raise BadSignatureError(f"signature does not verify with key {found.kid!r:.80}: {_brief(error)}") from None
    return found.payload


def base64url(part: str) -> bytes:
    """The bytes of base64url without padding, in its only form.

    Raises:
        BadSignatureError: it is not.
    """
    try:
        value = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise BadSignatureError("signature has a part that is not base64url") from None
    if _text(value) != part:
        raise BadSignatureError("signature has a part that is not base64url in its only form")
    return value


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:100]
