"""Private keys that Countersign or one of its users signs with, and public keys as JOSE takes them.

- A private key is PEM (PKCS 8) or a JWK, of Ed25519 or P-256. It comes from a file that nobody else can read, or from a
  variable, and is never shown: no error and no `repr` has it.
- The id of a key is the `kid` in the JWK, or is given with it; the same id stands in the directory.
"""

import contextlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from policy.canonical import parse_json
from policy.errors import CanonicalError, CountersignError
from policy.people.keys import PublicJwk

JoseKey = OKPKey | ECKey
_OF_THUMBPRINT = 16
_KINDS = {"ed25519": ("OKP", "Ed25519"), "p256": ("EC", "P-256")}


class KeyFileError(CountersignError):
    """A private key cannot be used; the message never has any of it."""


@dataclass(frozen=True)
class SigningKey:
    """A private key and its id."""

    id: str
    key: JoseKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The algorithm that its signatures name."""
        return "Ed25519" if isinstance(self.key, OKPKey) else "ES256"

    @property
    def public(self) -> dict[str, Any]:
        """The public JWK, with nothing but what makes the key."""
        value = self.key.as_dict(private=False)
        return {name: value[name] for name in ("kty", "crv", "x", "y") if name in value}

    @property
    def private_json(self) -> str:
        """The private JWK with its id, as it is kept in a file."""
        return json.dumps({**self.key.as_dict(private=True), "kid": self.id}, indent=2) + "\n"


def generate(key_id: str, kind: str = "ed25519") -> SigningKey:
    """A new key; `kind` is ed25519 or p256."""
    kty, crv = _KINDS[kind]
    made = OKPKey.generate_key(crv) if kty == "OKP" else ECKey.generate_key(crv)  # type: ignore[arg-type]
    return SigningKey(key_id, made)


def read_signing_key(path: Path, key_id: str | None = None) -> SigningKey:
    """A private key from a file that only its owner can read.

    Raises:
        KeyFileError: it cannot be read, others can read it, or it is no such key.
    """
    try:
        mode = path.stat().st_mode
        body = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"key file {path} can be read by others: chmod 600 {path}")
    return parse_signing_key(body, f"key file {path}", key_id)


def kept_signing_key(path: Path, purpose: str) -> SigningKey:
    """The private key that is kept in a file, or a new one that is kept there from now on, for its owner only.

    Args:
        path: where; its folder exists.
        purpose: what its id begins with; the rest follows from the key (RFC 7638), so that no other key has it.

    Raises:
        KeyFileError: as `read_signing_key`, or it cannot be written.
    """
    if not path.exists():
        made = generate("new")
        named = SigningKey(f"{purpose}-{made.key.thumbprint()[:_OF_THUMBPRINT]}", made.key)
        try:
            # Never there without its protection, nor half-written: another process may look at the same moment.
            unfinished = path.with_name(f".{path.name}.{os.getpid()}")
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(named.private_json)
            with contextlib.suppress(FileExistsError):
                os.link(unfinished, path)
            unfinished.unlink()
        except OSError as error:
            raise KeyFileError(f"key file {path} cannot be written: {error.strerror}") from None
    return read_signing_key(path)


def parse_signing_key(body: bytes, where: str, key_id: str | None = None) -> SigningKey:
    """A private key from its text.

    Args:
        body: PEM or JWK.
        where: what an error calls it.
        key_id: its id; None where the JWK says it.

    Raises:
        KeyFileError: it is no such key, or nobody says its id.
    """
    if b"OPENSSH PRIVATE KEY" in body:
        raise KeyFileError(f"{where} is an ssh key: sign with --ssh, which leaves it to ssh-keygen")
    value: Any = body.decode("utf-8", "replace")
    if body.lstrip().startswith(b"{"):
        try:
            value = parse_json(body)
        except CanonicalError:
            raise KeyFileError(f"{where} is no jwk: it is not strict json") from None
    kid = key_id or (value.get("kid") if isinstance(value, dict) else None)
    if not isinstance(kid, str) or not kid:
        raise KeyFileError(f"{where} says no id: give it with --key-id, or as `kid` of a jwk")
    return SigningKey(kid, _private(value, where))


def _private(value: Any, where: str) -> JoseKey:
    for made_by in (OKPKey, ECKey):
        try:
            key = made_by.import_key(value)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if key.is_private and key.curve_name in ("Ed25519", "P-256"):
            return key
    raise KeyFileError(f"{where} is no private key of ed25519 or p-256: make one with `countersign keys new`")


def public_key(jwk: PublicJwk) -> JoseKey:
    """A public key as JOSE takes it.

    Raises:
        ValueError: it is no point of its curve.
    """
    made_by = OKPKey if jwk.kty == "OKP" else ECKey
    try:
        key = made_by.import_key(jwk.value)
        key.public_key  # noqa: B018 - read here, so that a key that is none is found here
    except (JoseError, TypeError, KeyError) as error:
        raise ValueError(f"key is no point of {jwk.crv}: {error}") from None
    return key
