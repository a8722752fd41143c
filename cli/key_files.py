"""The public half of a key, from whatever file has it: a JWK, a PEM, an OpenSSH `.pub`; and its fingerprint.

A fingerprint is the thumbprint of RFC 7638 for a JWK, and what `ssh-keygen -l` shows for an SSH key.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from pydantic import ValidationError

from policy.canonical import parse_json
from policy.errors import CanonicalError
from policy.people.keys import PublicJwk, RegisteredKey
from signing.keys import KeyFileError, parse_signing_key, public_key

_ID_UNKNOWN = "unknown"


@dataclass(frozen=True)
class PublicKey:
    """What may be shown of a key: one of `jwk` and `ssh` is given. `key_id` is None where its file says none."""

    key_id: str | None
    jwk: dict[str, Any] | None = None
    ssh: str | None = None

    @property
    def kind(self) -> str:
        """What kind of key it is, as people call it."""
        if self.ssh is not None:
            return self.ssh.split(" ")[0]
        return "p256" if self.jwk is not None and self.jwk["kty"] == "EC" else "ed25519"


def read_public(path: Path) -> PublicKey:
    """The public half of the key in a file.

    Raises:
        KeyFileError: it has none that the directory takes.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {error.strerror}") from None
    text = body.decode("utf-8", "replace").strip()
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        return PublicKey(None, ssh=_ssh_line(text, path))
    if "OPENSSH PRIVATE KEY" in text:
        raise KeyFileError(f"key file {path} is a private ssh key: give {path}.pub")
    if text.startswith("{"):
        return _of_jwk(body, path)
    if "PUBLIC KEY" in text:
        return PublicKey(None, jwk=_of_public_pem(body, path))
    return PublicKey(None, jwk=parse_signing_key(body, f"key file {path}", _ID_UNKNOWN).public)


def fingerprint(key: PublicKey) -> str:
    """By which two people make sure that they mean the same key."""
    if key.ssh is not None:
        blob = base64.b64decode(key.ssh.split(" ")[1])
        return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"
    return public_key(PublicJwk.model_validate(key.jwk)).thumbprint()


def _of_jwk(body: bytes, path: Path) -> PublicKey:
    try:
        value = parse_json(body)
    except CanonicalError:
        raise KeyFileError(f"key file {path} is no jwk: it is not strict json") from None
    kid = value.get("kid") if isinstance(value, dict) else None
    kid = kid if isinstance(kid, str) and kid else None
    if isinstance(value, dict) and "d" in value:
        return PublicKey(kid, jwk=parse_signing_key(body, f"key file {path}", kid or _ID_UNKNOWN).public)
    try:
        known = {name: item for name, item in value.items() if name in PublicJwk.model_fields}
        jwk = PublicJwk.model_validate(known)
        public_key(jwk)
    except (ValidationError, ValueError, AttributeError):
        raise KeyFileError(f"key file {path} is no jwk of ed25519 or p256") from None
    return PublicKey(kid, jwk=jwk.value)


def _of_public_pem(body: bytes, path: Path) -> dict[str, Any]:
    try:
        load_pem_public_key(body)
        for made_by in (OKPKey, ECKey):
            try:
                value = made_by.import_key(body).as_dict(private=False)
            except (JoseError, ValueError, TypeError):
                continue
            known = {name: value[name] for name in ("kty", "crv", "x", "y") if name in value}
            return PublicJwk.model_validate(known).value
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise KeyFileError(f"key file {path} is no public key of ed25519 or p256")


def _ssh_line(text: str, path: Path) -> str:
    line = text.split("\n", maxsplit=1)[0].strip()
    try:
        RegisteredKey(id="new", ssh=line)
        base64.b64decode(line.split(" ")[1], validate=True)
    except (ValidationError, ValueError, IndexError):
        raise KeyFileError(
            f"key file {path} has a kind of ssh key that is not taken: make one with `ssh-keygen -t ed25519`"
        ) from None
    return line
