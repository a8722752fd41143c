"""Signing in at an identity provider for one statement: authorization code with PKCE, on a loopback address.

1. The code comes back to 127.0.0.1 on a port that was free (RFC 8252, 7.3), never to `localhost`, whose meaning is the
   machine's. Only an answer with the `state` that was sent is one; everything else is told so, and waited on.
2. The challenge is S256 (RFC 7636). Where the provider names itself in its answer (RFC 9207), it must be the one that
   was asked; where it announces that it does, it must have. There is no implicit grant and no password (RFC 9700).
3. `nonce` is the hash of the statement, so that the token is about it and about nothing else. The token that comes is
   verified here as a worker will verify it, so that whoever signs hears at once what is wrong.
4. A login that may be no age at all is a new one: `max_age` 0 also says `prompt=login`.
5. Code, verifier and token stand in no error. Nothing is kept: whoever signs again signs in again.
"""

import asyncio
import secrets
import sys
import webbrowser
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from activities.openid import OpenIdError, Provider, discover, exchanged, published_keys
from policy.errors import CountersignError
from policy.proofs import MAX_TOKEN
from signing.jws import BadSignatureError
from signing.tokens import UnknownKidError, verify_token

PATIENCE = timedelta(minutes=5)
CALLBACK = "/callback"
_REQUEST_BYTES = 16 * 1024
_REQUEST_SECONDS = 5.0
_SKEW = timedelta(minutes=1)
_SCOPES = ("openid",)
_SHOWN = 200
# A browser in the terminal would take the place of whoever waits there.
_IN_A_TERMINAL = ("www-browser", "links", "elinks", "lynx", "w3m")


class SignInError(CountersignError):
    """Nobody signed in, or what the provider gave is not about this statement."""


@dataclass(frozen=True)
class _Asked:
    """One request: what is sent, and what must come back."""

    provider: Provider
    client_id: str
    nonce: str
    redirect_uri: str
    state: str = field(repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def address(self, scopes: Sequence[str], max_age: int | None, acr_values: Sequence[str]) -> str:
        """Where the person goes."""
        challenge = urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"max_age": str(max_age)} if max_age is not None else {}),
            **({"prompt": "login"} if max_age == 0 else {}),
            **({"acr_values": " ".join(acr_values)} if acr_values else {}),
        }
        endpoint = self.provider.authorization_endpoint or ""
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"


async def sign_in(
    issuer: str,
    client_id: str,
    nonce: str,
    *,
    max_age: int | None = None,
    acr_values: Sequence[str] = (),
    scopes: Sequence[str] = _SCOPES,
    patience: timedelta = PATIENCE,
    tell: Callable[[str], None],
) -> str:
    """Have somebody sign in at an issuer, for one statement; the identity token about it.

    Args:
        issuer: exactly as the directory names it.
        client_id: the client that people sign in with.
        nonce: the hash of the statement (`policy.proofs.nonce_of`).
        max_age: how many seconds ago they may have authenticated; 0 asks for a new login.
        acr_values: the authentication context classes that are wanted, the best first.
        scopes: what is asked for besides the identity, as `email` where the directory knows people by it.
        patience: how long they may take.
        tell: is told the address to open.

    Raises:
        SignInError: nobody signed in, or the token is not about this statement.
        OpenIdError: the provider cannot be asked, or refuses.
    """
    provider = await discover(issuer)
    if provider.authorization_endpoint is None or provider.token_endpoint is None:
        raise SignInError(f"issuer {issuer} has no authorization or token endpoint that may be asked")
    if provider.challenges is not None and "S256" not in provider.challenges:
        raise SignInError(f"issuer {issuer} takes no code challenge by S256 (RFC 7636): let it")
    answers: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    state = secrets.token_urlsafe(32)
    listener = _Listener(state, answers)
    server = await asyncio.start_server(listener, "127.0.0.1", 0, limit=_REQUEST_BYTES)
    async with server:
        redirect_uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{CALLBACK}"
        asked = _Asked(provider, client_id, nonce, redirect_uri, state)
        tell(asked.address(scopes, max_age, acr_values))
        try:
            async with asyncio.timeout(patience.total_seconds()):
                answer = await answers.get()
        except TimeoutError:
            raise SignInError(f"nobody signed in within {patience.total_seconds():g} s: try again") from None
    return await _token(asked, _code(asked, answer), max_age)


def show_address(address: str) -> None:
    """Say where to sign in, beside what a command prints, and open it where there is a browser with a window."""
    print(f"to sign in, open {address}", file=sys.stderr, flush=True)
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if browser.name not in _IN_A_TERMINAL:
        browser.open(address)


class _Listener:
    """Takes the one answer that has the state; whatever else connects is told that it is none."""

    def __init__(self, state: str, answers: "asyncio.Queue[dict[str, str]]") -> None:
        self._state = state
        self._answers = answers

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text, answer = self._read(head)
                writer.write(_page(status, text))
                await writer.drain()
                if answer is not None:
                    self._answers.put_nowait(answer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever connected went away, or never said anything: the answer is waited for
        finally:
            writer.close()

    def _read(self, head: bytes) -> tuple[str, str, dict[str, str] | None]:
        method, _, rest = head.split(b"\r\n", 1)[0].decode("ascii", "replace").partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        if method != "GET" or target.path != CALLBACK:
            return "404 Not Found", "There is nothing here.", None
        pairs = parse_qsl(target.query, keep_blank_values=True)
        answer = dict(pairs)
        if len(answer) != len(pairs) or not compare_digest(answer.get("state", "").encode(), self._state.encode()):
            return "400 Bad Request", "This is not the answer that is waited for.", None
        return "200 OK", "Countersign has the answer. You can close this window and go back to the terminal.", answer


def _page(status: str, text: str) -> bytes:
    headers = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer"
    return f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()


def _code(asked: _Asked, answer: dict[str, str]) -> str:
    """The code of an answer with the right state.

    Raises:
        SignInError: another issuer answered, or this one says no.
    """
    named = answer.get("iss")
    if named != asked.provider.issuer and (named is not None or asked.provider.names_itself):
        raise SignInError(f"answer is of issuer {named!r:.100}, not of {asked.provider.issuer}: nothing was exchanged")
    if "error" in answer:
        said = f"{answer['error']} {answer.get('error_description', '')}".strip()
        raise SignInError(f"identity provider says no: {ascii(said[:_SHOWN])[1:-1]}")
    if not answer.get("code"):
        raise SignInError("answer of the identity provider has no code")
    return answer["code"]


async def _token(asked: _Asked, code: str, max_age: int | None) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked.redirect_uri,
        "client_id": asked.client_id,
        "code_verifier": asked.verifier,
    }
    given = await exchanged(asked.provider.token_endpoint or "", form)
    token = given.get("id_token")
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise SignInError("identity provider gave no identity token, or one that is too long: ask for scope openid")
    keys = await published_keys(asked.provider)
    _check(token, keys, asked, max_age)
    return token


def _check(token: str, keys: Sequence[dict[str, Any]], asked: _Asked, max_age: int | None) -> None:
    now = datetime.now(UTC)
    try:
        found = verify_token(
            token, keys, issuer=asked.provider.issuer, audience=(asked.client_id,), nonce=asked.nonce, at=now
        )
    except (BadSignatureError, UnknownKidError) as error:
        raise SignInError(f"token of {asked.provider.issuer} cannot be used: {error}") from None
    if max_age is None:
        return
    when = found.authenticated_at
    if when is None or now - when > timedelta(seconds=max_age) + _SKEW:
        since = "does not say when" if when is None else f"says {when.isoformat()}"
        raise SignInError(f"somebody must have authenticated within {max_age} s, and the provider {since}")


__all__ = ["OpenIdError", "SignInError", "show_address", "sign_in"]
