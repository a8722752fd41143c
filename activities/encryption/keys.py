"""The key file: with which keys payloads are encrypted, and since when.

    {"active": "2026-11", "since": "2026-11-28T00:00:00Z", "keys": {"2026-11": "<base64 of 32 bytes>"}}

- It is the operator's, and nobody else may read it (mode 0600). A process reads it when it starts.
- What is written is encrypted with the active key; what is read, with whichever key it names. A key is never given
  another id. Without an active key nothing is encrypted, and what was is still read: so a key reaches every process
  before the first one writes with it.
- A run that began before `since` keeps believing what it is told in the clear, so that a run which was open when
  encryption was turned on replays. By then every process must have been started with the active key. `since` never
  changes while encryption is on: every replay and every audit reads it.
- A key of 256 bits encrypts nothing itself: each workflow id has a key derived from it (HKDF, RFC 5869). So the bound
  of 2^32 random nonces a key (NIST SP 800-38D, 8.3) is one for each workflow id, and no history comes near it.
"""

import base64
import binascii
import re
import stat
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationError, model_validator

from policy.base import EdgeModel, Instant
from policy.canonical import parse_json
from policy.errors import CanonicalError, CountersignError

KEY_BYTES = 32
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
_DOMAIN = b"countersign payload key v1"
_DERIVED = 4096


class KeysError(CountersignError):
    """The key file cannot be used. Never says what is in a key."""


def _key(secret: SecretStr) -> SecretStr:
    key_bytes(secret)
    return secret


def key_bytes(secret: SecretStr) -> bytes:
    """The 32 bytes of a key.

    Raises:
        ValueError: it is no such key.
    """
    try:
        key = base64.b64decode(secret.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key is {KEY_BYTES} random bytes in base64")
    return key


class KeyFile(EdgeModel):
    """What is in the file."""

    active: KeyId | None = None
    since: Instant | None = None
    keys: Annotated[dict[KeyId, Annotated[SecretStr, AfterValidator(_key)]], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _whole(self) -> "KeyFile":
        if self.active is not None and self.active not in self.keys:
            raise ValueError(f"active names {self.active}, which is none of the keys")
        if self.active is not None and self.since is None:
            raise ValueError("since is missing: write when encryption begins, like 2030-01-31T09:00:00Z")
        return self


@dataclass(frozen=True)
class Keys:
    """The keys of a process.

    Attributes:
        active: the id of the key that encrypts; None encrypts nothing.
        since: runs that began then or later believe nothing of ours in the clear; None where nothing is encrypted.

    """

    active: str | None
    since: datetime | None
    _keys: dict[str, bytes] = field(repr=False)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys that are known."""
        return frozenset(self._keys)

    def cipher(self, key_id: str, namespace: str, workflow_id: str) -> AESGCM:
        """What encrypts and decrypts the payloads of one workflow id.

        Raises:
            KeyError: no key has this id.
        """
        return _derived(self._keys[key_id], namespace, workflow_id)


@lru_cache(maxsize=_DERIVED)
def _derived(key: bytes, namespace: str, workflow_id: str) -> AESGCM:
    where = b"".join(len(part).to_bytes(4) + part for part in (namespace.encode(), workflow_id.encode()))
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_DOMAIN + where).derive(key))


def read_key_file(path: Path) -> KeyFile:
    """What a key file says.

    Raises:
        KeysError: it cannot be read, others may read it, or it is none.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise KeysError(f"key file {path} is no file")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeysError(f"key file {path} is open to others than its owner: chmod 600 {path}")
        body = path.read_bytes()
    except OSError as error:
        raise KeysError(f"key file {path} cannot be read: {error.strerror}") from None
    try:
        return KeyFile.model_validate(parse_json(body))
    except (CanonicalError, ValidationError) as error:
        # Neither says what is in a key: a parser could quote the text around a mistake, so that is cut away.
        why = without_values(error) if isinstance(error, ValidationError) else "it is no strict json"
        raise KeysError(f"key file {path}: {why}") from None


def read_keys(path: Path) -> Keys:
    """The keys of a key file; as `read_key_file`."""
    file = read_key_file(path)
    keys = {name: key_bytes(secret) for name, secret in file.keys.items()}
    return Keys(file.active, file.since if file.active is not None else None, keys)


def without_values(error: ValidationError) -> str:
    """What is wrong with a file that holds secrets: names of fields and sentences, nothing that stands in it."""
    found = ((".".join(map(str, item["loc"])), item["msg"]) for item in error.errors(include_input=False))
    return "; ".join(re.sub(r"\s+", " ", f"{where or 'file'}: {what}") for where, what in found)
