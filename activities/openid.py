"""What an OpenID provider publishes about itself, and what it answers: fetched with bounds, and read strictly.

- Only https is asked, or http on a loopback address. No redirect is followed: whoever is believed was named by the
  directory, and an answer must not choose another one. No proxy, netrc or cookie of the environment is used; the
  certificates that count are those of this machine (`SSL_CERT_FILE` names others).
- An answer has `ANSWER_BYTES` at most, and is there within `ANSWER_SECONDS` or not at all.
- The issuer in the discovery document is the one that was asked for, exactly (OpenID Connect Discovery 1.0, 4.3).
- Of the published keys, those that verify signatures are kept, without certificates and whatever else comes along.
- No error has an answer's body in it, or what was sent: both may carry codes and tokens.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from policy.canonical import parse_json
from policy.errors import CanonicalError, CountersignError

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 256 * 1024
DISCOVERY = "/.well-known/openid-configuration"
_WAIT_SECONDS = 3.0
_PIECE = 16 * 1024
_OK, _BAD_REQUEST = 200, 400
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MOST_KEYS = 100
_KEPT = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "key_ops", "alg")
_ERROR_CODE = re.compile(r"[a-z_]{1,60}")


class OpenIdError(CountersignError):
    """A provider cannot be asked, or what it answers cannot be used."""


@dataclass(frozen=True)
class Provider:
    """The parts of a discovery document that are used here.

    Attributes:
        issuer: exactly as it was asked for.
        jwks_uri: where its keys are.
        authorization_endpoint: where people sign in; None where nobody does, as with the issuer of a cluster.
        token_endpoint: where a code is exchanged; None as before.
        names_itself: whether it puts `iss` into its answers (RFC 9207).
        challenges: how a code challenge may be made (RFC 7636); None where it does not say.
    """

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    names_itself: bool = False
    challenges: tuple[str, ...] | None = None


async def discover(issuer: str) -> Provider:
    """What an issuer publishes about itself.

    Raises:
        OpenIdError: it cannot be asked, or it is not that issuer.
    """
    value = await _fetched(issuer.rstrip("/") + DISCOVERY)
    if value.get("issuer") != issuer:
        raise OpenIdError(
            f"discovery document of {issuer} names issuer {value.get('issuer')!r:.100}: they must be equal"
        )
    jwks_uri = value.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise OpenIdError(f"discovery document of {issuer} has no jwks_uri")
    methods = value.get("code_challenge_methods_supported")
    return Provider(
        issuer,
        jwks_uri,
        authorization_endpoint=_text(value, "authorization_endpoint"),
        token_endpoint=_text(value, "token_endpoint"),
        names_itself=value.get("authorization_response_iss_parameter_supported") is True,
        challenges=tuple(str(item) for item in methods) if isinstance(methods, list) else None,
    )


async def published_keys(provider: Provider) -> tuple[dict[str, Any], ...]:
    """The public keys that an issuer signs with, as JWKs.

    Raises:
        OpenIdError: they cannot be fetched, or there are none.
    """
    listed = (await _fetched(provider.jwks_uri)).get("keys")
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise OpenIdError(f"{provider.jwks_uri} is no list of at most {_MOST_KEYS} keys")
    kept = tuple(key for item in listed if (key := _verifying(item)) is not None)
    if not kept:
        raise OpenIdError(f"{provider.jwks_uri} has no key that verifies signatures")
    return kept


async def exchanged(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    """What a token endpoint answers to a form.

    Raises:
        OpenIdError: it cannot be asked or refuses, with its code where it says one.
    """
    status, body = await _within(lambda: _asked("POST", url, form))
    if status == _BAD_REQUEST:
        code = _object(url, body).get("error")
        said = code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else "no known error"
        raise OpenIdError(f"{url} refuses: {said}")
    return _object(url, _good(url, status, body))


def usable(url: str) -> bool:
    """Whether an address may be asked: https, or http that stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    return bool(host) and encrypted and plain and "@" not in parts.netloc and not parts.fragment


async def _fetched(url: str) -> dict[str, Any]:
    status, body = await _within(lambda: _asked("GET", url, None))
    return _object(url, _good(url, status, body))


async def _within(work: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asyncio.to_thread(work)
    except TimeoutError:
        raise OpenIdError(f"identity provider gave no answer within {ANSWER_SECONDS:g} s") from None


def _asked(method: str, url: str, form: Mapping[str, str] | None) -> tuple[int, bytes]:
    if not usable(url):
        raise OpenIdError(f"address {url!r:.200} is not asked: it must be https, or http on a loopback address")
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "countersign"}
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", _MachineTrust())
        try:
            answer = session.request(
                method, url, data=form, headers=headers, timeout=_WAIT_SECONDS, allow_redirects=False, stream=True
            )
            with answer:
                return answer.status_code, _read(url, answer)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise OpenIdError(f"{url} cannot be asked: {type(error).__name__}") from None


def _read(url: str, answer: requests.Response) -> bytes:
    """The body, piece by piece: one that trickles in ends with the time, one without an end with its size."""
    ends, found = time.monotonic() + ANSWER_SECONDS, bytearray()
    while piece := answer.raw.read1(_PIECE):
        found += piece
        if len(found) > ANSWER_BYTES or time.monotonic() > ends:
            raise OpenIdError(f"{url} answers with more than {ANSWER_BYTES} bytes, or too slowly")
    return bytes(found)


class _MachineTrust(HTTPAdapter):
    """Takes the certificates that this machine trusts, besides those that come with `requests`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=ssl.create_default_context())


def _good(url: str, status: int, body: bytes) -> bytes:
    if status != _OK:
        raise OpenIdError(f"{url} answers with status {status}")
    return body


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        value = parse_json(body, ANSWER_BYTES)
    except CanonicalError as error:
        raise OpenIdError(f"{url} answers with no strict json: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise OpenIdError(f"{url} answers with json that is no object")
    return value


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and usable(found) else None


def _verifying(item: Any) -> dict[str, Any] | None:
    """A key with what makes it; None for one that is not for signatures, or secret, or of another kind."""
    if not isinstance(item, dict) or item.get("kty") not in ("RSA", "EC", "OKP") or item.get("use", "sig") != "sig":
        return None
    operations = item.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kept = {name: item[name] for name in _KEPT if name in item}
    return kept if all(isinstance(kept[name], str) for name in kept if name != "key_ops") else None
