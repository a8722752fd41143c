"""The readers file: who may have payloads decrypted by the codec server.

    {"tokens": {"ana": "sha256:<of the token>"},
     "issuers": [{"issuer": "https://id.example.com", "audience": ["temporal-ui"], "groups": ["ops"], "keys": [<JWK>]}]}

- A token of the first kind is a random text that one person or program has; the file holds its digest only. It is
  compared in constant time.
- A token of an issuer is a JWT that the Temporal UI passes on, signed by one of the keys here, for one of the
  audiences, of somebody who is in `subjects`, or in `groups` by its claim `groups`. An opaque access token is none.
- Nobody reads who is not in it. It is read again for each request that comes, so that who is taken out is out.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator

from activities.encryption.keys import without_values
from policy.base import Digest, EdgeModel, Name, Text
from policy.canonical import digest
from policy.errors import CountersignError
from signing.jws import BadSignatureError
from signing.tokens import UnknownKidError, unverified, verify_token

MAX_READERS = 64 * 1024
_MOST_TOKEN = 16 * 1024
_TOKEN_BYTES = 32


class ReadersError(CountersignError):
    """The readers file cannot be used."""


class NotAReaderError(CountersignError):
    """Whoever asks may not read."""


class TokenIssuer(EdgeModel):
    """An issuer whose tokens are taken from those who are named here."""

    issuer: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    audience: Annotated[tuple[Name, ...], Field(min_length=1)]
    keys: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    subjects: tuple[Text, ...] = ()
    groups: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _somebody(self) -> "TokenIssuer":
        if not self.subjects and not self.groups:
            raise ValueError(f"issuer {self.issuer}: name who may read, by subjects or groups")
        return self


class ReadersFile(EdgeModel):
    tokens: dict[Name, Digest] = {}
    issuers: tuple[TokenIssuer, ...] = ()


@dataclass(frozen=True)
class Readers:
    """Those who may read, by a file that is read again each time."""

    path: Path

    def name_of(self, authorization: str, at: datetime) -> str:
        """Whose the value of an `Authorization` header is.

        Args:
            authorization: `Bearer` and a token.
            at: the instant (UTC).

        Raises:
            NotAReaderError: nobody's who may read. Says nothing about the token.
            ReadersError: the file cannot be used.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MOST_TOKEN or not token.isascii():
            raise NotAReaderError("send Authorization: Bearer and a token")
        file = read_readers(self.path)
        given = digest(token.encode())
        named = [name for name, known in file.tokens.items() if hmac.compare_digest(given, known)]
        return named[0] if named else _of_issuer(token, file.issuers, at)


def read_readers(path: Path) -> ReadersFile:
    """What a readers file says.

    Raises:
        ReadersError: it cannot be read, or is none.
    """
    try:
        return ReadersFile.model_validate_json(path.read_bytes()[: MAX_READERS + 1])
    except OSError as error:
        raise ReadersError(f"readers file {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ReadersError(f"readers file {path}: {without_values(error)}") from None


def new_token() -> tuple[str, str]:
    """A token that nobody can guess, and the digest by which the file knows it."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return token, f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def _of_issuer(token: str, issuers: tuple[TokenIssuer, ...], at: datetime) -> str:
    try:
        _, claims = unverified(token)
        believed = [item for item in issuers if item.issuer == claims.get("iss")]
        if len(believed) != 1:
            raise NotAReaderError("token is nobody's who may read")
        issuer = believed[0]
        found = verify_token(
            token, issuer.keys, issuer=issuer.issuer, audience=issuer.audience, nonce=None, at=at
        ).claims
    except (BadSignatureError, UnknownKidError):
        raise NotAReaderError("token is nobody's who may read") from None
    groups = found.get("groups")
    belongs = {item for item in groups if isinstance(item, str)} if isinstance(groups, list) else set()
    if found["sub"] not in issuer.subjects and not belongs & set(issuer.groups):
        raise NotAReaderError("token is of somebody who may not read")
    return str(found["sub"])
