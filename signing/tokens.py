"""Identity tokens (OpenID Connect Core 1.0, 3.1.3.7) of issuers that the directory believes.

1. The header names an algorithm of an asymmetric key and, where the issuer has several keys, the `kid` of one of its
   published keys; that key is for signing. No other member chooses how it is verified, and one that nobody knows is
   ignored (RFC 7515, 4). Where an issuer used a `kid` again, one of the keys that had it must verify. What is no key
   for signing among the published keys is passed over (RFC 7517, 5).
2. `iss` is the issuer, exactly. `aud` has one of its clients in it; where it has more, `azp` is that client.
3. It has not expired, is about nothing in the future, and `nonce` is the one that is asked for.
4. What it says of the authentication (`auth_time`, `acr`, `amr`) is the issuer's word.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from policy.canonical import parse_json
from policy.errors import CanonicalError, CountersignError
from policy.people.keys import is_small_order
from policy.proofs import MAX_TOKEN
from signing.jws import BadSignatureError, Registry, base64url

_BY_TYPE: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "RSA": (RSAKey, ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    "EC": (ECKey, ("ES256", "ES384", "ES512")),
    "OKP": (OKPKey, ("EdDSA", "Ed25519")),
}
_CHOOSING = {"crit", "b64", "jwk", "jku", "x5u", "x5c"}
_MOST_HEADER = 4000
_SKEW = timedelta(minutes=1)
_SMALLEST_RSA = 2048


class UnknownKidError(CountersignError):
    """The issuer has no such key among those that are known: it may have got one since."""


@dataclass(frozen=True)
class Token:
    """A token that verified: its claims, and the key of the issuer that signed it."""

    claims: dict[str, Any]
    key: dict[str, Any]

    @property
    def authenticated_at(self) -> datetime | None:
        """`auth_time`, UTC."""
        return _instant(self.claims.get("auth_time"))


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token, of which nothing is verified: to find out whom to ask.

    Raises:
        BadSignatureError: it is none.
    """
    try:
        header, payload, _ = token.split(".")
        found = parse_json(base64url(header), _MOST_HEADER), parse_json(base64url(payload), MAX_TOKEN)
    except (ValueError, CanonicalError) as error:
        raise BadSignatureError(f"token is malformed: {error}") from None
    if not all(isinstance(item, dict) for item in found):
        raise BadSignatureError("token is malformed: header and claims are objects")
    return found


def verify_token(
    token: str,
    keys: Sequence[dict[str, Any]],
    *,
    issuer: str,
    audience: Collection[str],
    nonce: str | None,
    at: datetime,
) -> Token:
    """A token that says what is asked for, at an instant.

    Args:
        token: compact JWS.
        keys: the issuer's published keys, as JWKs.
        issuer: as it must name itself.
        audience: the clients of which one must be meant.
        nonce: what it must be about; None where a token is about nothing (a workload's).
        at: the instant (UTC) at which it was first seen.

    Raises:
        UnknownKidError: none of these keys is the one that it names.
        BadSignatureError: it does not hold.
    """
    _, claims = unverified(token)
    if claims.get("iss") != issuer:
        raise BadSignatureError(f"token is of issuer {claims.get('iss')!r:.100}, not of {issuer}")
    key = verify_signature(token, keys)
    _check_claims(claims, audience, nonce, at)
    return Token(claims, key)


def verify_signature(token: str, keys: Sequence[Any]) -> dict[str, Any]:
    """Which of an issuer's published keys signed a compact JWS.

    Raises:
        UnknownKidError: none of these keys is the one that it names.
        BadSignatureError: none did.
    """
    header = _header(token)
    if chosen := sorted(_CHOOSING & header.keys()):
        raise BadSignatureError(f"header of the token has {chosen[0]}: it may not choose how it is verified")
    failed = BadSignatureError("token names no key")
    for key in _keys(header, keys):
        try:
            _check_signature(token, header, key)
        except BadSignatureError as error:
            failed = error
        else:
            return key
    raise failed


def _check_signature(token: str, header: dict[str, Any], key: dict[str, Any]) -> None:
    _, algorithms = _BY_TYPE[key["kty"]]
    taken = [name for name in algorithms if key.get("alg", name) == name]
    if header.get("alg") not in taken:
        takes = ", ".join(taken) or "none that is known"
        raise BadSignatureError(f"alg of the token is {header.get('alg')!r:.20}, its key takes {takes}")
    registry = Registry(algorithms=[header["alg"]], strict_check_header=False)
    try:
        jws.deserialize_compact(token, issuer_key(key), registry=registry)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise BadSignatureError(f"token does not verify: {error}"[:200]) from None


def issuer_key(jwk: dict[str, Any]) -> RSAKey | ECKey | OKPKey:
    """A published key, if nobody but its issuer can sign as it.

    Raises:
        ValueError: it is weak, or no key; or another error of what is missing in it, or malformed.
    """
    if jwk["kty"] == "RSA" and int.from_bytes(base64url(jwk["n"]), "big").bit_length() < _SMALLEST_RSA:
        raise ValueError("rsa key has fewer than 2048 bits")
    if jwk["kty"] == "OKP" and is_small_order(base64url(jwk["x"])):
        raise ValueError("key is of small order, anybody can sign as it")
    made_by, _ = _BY_TYPE[jwk["kty"]]
    # `use` and `key_ops` were looked at where the key was chosen.
    key: RSAKey | ECKey | OKPKey = made_by.import_key({k: v for k, v in jwk.items() if k not in ("use", "key_ops")})
    return key


def _header(token: str) -> dict[str, Any]:
    try:
        value = parse_json(base64url(token.partition(".")[0]), _MOST_HEADER)
    except CanonicalError as error:
        raise BadSignatureError(f"token is malformed: {error}") from None
    if not isinstance(value, dict):
        raise BadSignatureError("token is malformed: its header is no object")
    return value


def _keys(header: dict[str, Any], keys: Sequence[Any]) -> list[dict[str, Any]]:
    """The keys that a header means; at least one."""
    usable: list[dict[str, Any]] = [key for key in keys if _signs(key)]
    kid = header.get("kid")
    if not isinstance(kid, str | None):
        raise BadSignatureError(f"kid of the token is {kid!r:.80}, not a text")
    found = [key for key in usable if key.get("kid") == kid] if kid is not None else usable
    if not found:
        raise UnknownKidError(f"issuer has no key {kid!r:.80} for signing")
    if kid is None and len(found) > 1:
        raise BadSignatureError(f"token names no kid, and its issuer has {len(found)} keys")
    return found


def _signs(key: Any) -> bool:
    if not isinstance(key, dict):
        return False
    kind, operations = key.get("kty"), key.get("key_ops", ["verify"])
    return (
        isinstance(kind, str)
        and kind in _BY_TYPE
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _check_claims(claims: dict[str, Any], audience: Collection[str], nonce: str | None, at: datetime) -> None:
    given = claims.get("aud")
    meant = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    ours = [name for name in meant if name in audience]
    if not ours:
        raise BadSignatureError(f"token is for {meant!r:.100}, not for {' or '.join(sorted(audience))}")
    if len(meant) > 1 and claims.get("azp") not in ours:
        raise BadSignatureError(f"token is for several, and azp {claims.get('azp')!r:.80} is none of ours")
    expires, issued = _instant(claims.get("exp")), _instant(claims.get("iat"))
    if expires is None or issued is None:
        raise BadSignatureError("token has no exp or no iat")
    if at - _SKEW > expires:
        raise BadSignatureError(f"token expired at {expires.isoformat()}")
    not_before = _instant(claims.get("nbf")) or issued
    if max(issued, not_before) > at + _SKEW:
        raise BadSignatureError(f"token is issued at {max(issued, not_before).isoformat()}, in the future")
    authenticated = _instant(claims.get("auth_time"))
    if authenticated is not None and authenticated > at + _SKEW:
        raise BadSignatureError(f"auth_time of the token is {authenticated.isoformat()}, in the future")
    if nonce is not None and claims.get("nonce") != nonce:
        raise BadSignatureError("nonce of the token is not the hash of this statement: it is about something else")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise BadSignatureError("token names no sub")


def _instant(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
