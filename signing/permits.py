"""Signed permits: how the permit role signs one, and what an executor takes for one (`docs/spec/permit.md`).

1. A permit is believed by its key: the keys that an executor was given, found by `kid`, and none that the permit names.
2. A key signs between its `since` and `until`, by the `iat` of the permit: what it signed outlives its rotation, so
   that an undo can be carried out after it. A key that was revoked counts for nothing, whenever it signed.
3. The payload is the RFC 8785 form of its claims, and nothing else is.
4. Keys come as a JWK Set (RFC 7517). A set has public keys only, no `kid` twice and no key under two of them: one that
   was revoked must not come back under another name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import ValidationError

from policy.canonical import canonical, parse_canonical, parse_json
from policy.errors import CanonicalError, CountersignError, explain
from policy.people.keys import RegisteredKey
from policy.permit_claims import MEDIA_TYPE
from signing import jws
from signing.jws import BadSignatureError
from signing.keys import SigningKey, public_key

# Of the year 9999: no instant is later.
_LAST_SECOND = 253_402_300_800
_WHEN = ("since", "until", "revoked_at")


class KeySetError(CountersignError):
    """A set of public keys cannot be used."""


class PermitRefusedError(CountersignError):
    """What was presented is no permit that is believed here; `code` says why, for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class PermitKeys:
    """The public keys by which permits are believed."""

    keys: Mapping[str, RegisteredKey] = field(default_factory=dict)

    @classmethod
    def of(cls, *keys: SigningKey) -> Self:
        """The public keys of private ones, for as long as nobody says otherwise."""
        return cls._of(registered(key) for key in keys)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """The keys of a JWK Set; `since`, `until` and `revoked_at` are ours, and optional.

        Raises:
            KeySetError: it is none that can be used.
        """
        try:
            value = parse_json(body)
        except CanonicalError as error:
            raise KeySetError(f"key set is no strict json: {error}") from None
        return cls.read_value(value)

    @classmethod
    def read_value(cls, value: Any) -> Self:
        """The same of a JWK Set that was parsed."""
        if not isinstance(value, dict) or not isinstance(value.get("keys"), list) or not value["keys"]:
            raise KeySetError('key set has no keys: write {"keys": [{"kid": "permit-1", "kty": "OKP", …}]}')
        return cls._of(_registered(item) for item in value["keys"])

    @classmethod
    def _of(cls, keys: Iterable[RegisteredKey]) -> Self:
        found: dict[str, RegisteredKey] = {}
        for key in keys:
            if key.id in found:
                raise KeySetError(f"key set has kid {key.id} twice: give each key a kid of its own")
            if (twin := next((item.id for item in found.values() if item.material == key.material), None)) is not None:
                raise KeySetError(f"key set has one key as {twin} and as {key.id}: leave one of them out")
            found[key.id] = key
        return cls(found)

    def believing(self, key: SigningKey) -> Self:
        """These keys, and the public key of a private one where they do not have it."""
        own = registered(key)
        if own.material in {item.material for item in self.keys.values()}:
            return self
        return self._of((*self.keys.values(), own))


def registered(key: SigningKey) -> RegisteredKey:
    """The public key of a private one."""
    return RegisteredKey.model_validate({"id": key.id, "jwk": key.public})


def _registered(item: Any) -> RegisteredKey:
    if not isinstance(item, dict):
        raise KeySetError(f"key set has {item!r:.40} where a jwk must be")
    if "d" in item or "k" in item:
        raise KeySetError(f"key {item.get('kid')!r:.80} of the key set is private: replace it, it was shown")
    when = {name: item[name] for name in _WHEN if name in item}
    jwk = {name: value for name, value in item.items() if name not in (*_WHEN, "kid")}
    try:
        key = RegisteredKey.model_validate({"id": item.get("kid"), "jwk": jwk, **when})
        assert key.jwk is not None
        public_key(key.jwk)
    except ValidationError as error:
        raise KeySetError(f"key {item.get('kid')!r:.80} of the key set cannot be used: {explain(error)}") from None
    except ValueError as error:
        raise KeySetError(f"key {item.get('kid')!r:.80} of the key set cannot be used: {error}") from None
    return key


def sign_permit(claims: Mapping[str, Any], key: SigningKey) -> str:
    """A compact JWS over claims.

    Raises:
        CanonicalError: they have no canonical form.
    """
    return jws.sign(canonical(dict(claims)), key, MEDIA_TYPE)


def verify_permit(token: str, keys: PermitKeys) -> dict[str, Any]:
    """The claims of a permit that a believed key signed; whether they fit is for the caller to see.

    Raises:
        PermitRefusedError: it is none, or no key of these signed it.
    """
    try:
        kid = jws.parse(token, MEDIA_TYPE).kid
        key = keys.keys.get(kid)
        if key is None or key.jwk is None:
            believed = ", ".join(sorted(keys.keys)) or "none"
            raise PermitRefusedError("unknown_permit_key", f"permit is signed by {kid!r:.80} (believed: {believed})")
        if key.revoked_at is not None:
            raise PermitRefusedError("revoked_permit_key", f"key {kid} was revoked at {key.revoked_at.isoformat()}")
        claims = read_claims(jws.verify(token, key.jwk, MEDIA_TYPE))
    except BadSignatureError as error:
        raise PermitRefusedError("bad_permit_signature", str(error)) from None
    issued_at = claims.get("iat")
    known = isinstance(issued_at, int) and 0 <= issued_at < _LAST_SECOND
    if not known or not key.signs(datetime.fromtimestamp(claims["iat"], UTC)):
        raise PermitRefusedError("unknown_permit_key", f"key {kid} does not sign at iat {issued_at!r:.40}")
    return claims


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claims in a payload.

    Raises:
        BadSignatureError: it is no object in canonical form.
    """
    try:
        value = parse_canonical(payload)
    except CanonicalError as error:
        raise BadSignatureError(f"payload of the permit is malformed: {error}") from None
    if not isinstance(value, dict):
        raise BadSignatureError("payload of the permit is no json object")
    return value
