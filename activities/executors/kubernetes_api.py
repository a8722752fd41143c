"""One API server by one credential: reads and writes of raw objects, through the official client.

1. A write is one request. It is never sent twice by itself, follows no redirect and takes no proxy of the environment.
2. What its answer says is said as an executor has to: refused, so nothing was done (4xx); moved on (409); or nobody
   knows (5xx, a broken connection, an answer that cannot be read). Only a connection that could not be made is a write
   that was not sent.
3. An answer has at most `MAX_BYTES`, is JSON, and comes within its seconds.
4. The token is read from its file for each request, because tokens in files are renewed. It is shown nowhere.

The client is synchronous, so each request runs in a thread. A thread cannot be ended: whoever gives up waiting must
take what it sent for sent.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    PreconditionFailedError,
    TargetUnreachableError,
)

MAX_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
_CHUNK = 64 * 1024
_SAID = 300
_MANAGER = "countersign"
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.LocationValueError,
)
_FAILURES = (urllib3.exceptions.HTTPError, ApiException, OSError, ValueError, RecursionError)

Json: TypeAlias = dict[str, Any]


class ConflictError(ExecutorError):
    """Nothing was done: the object is not the one any more that the write was made for."""


@dataclass(frozen=True)
class Answer:
    """What a server answered: the status, the object, and the server's own time."""

    status: int
    body: Any
    at: datetime | None


class Cluster:
    """One API server by one credential.

    Args:
        server: `https://host:port`.
        ca_file: the certificates that are believed; None believes those of the system.
        token_file: the file of the bearer token.
    """

    def __init__(self, server: str, ca_file: Path | None, token_file: Path) -> None:
        # An empty proxy is none: without it the client would take one of the environment.
        said = client.Configuration(host=server, ssl_ca_cert=str(ca_file) if ca_file else None, proxy="")
        # Not 0, which would wrap what went wrong, and follow redirects by another count.
        said.retries = False
        self._client = client.ApiClient(said)
        self._client.user_agent = _MANAGER
        self._token_file = token_file

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | None:
        """An object or a list; None where there is no such object.

        Raises:
            PreconditionFailedError: the server refuses it.
            TargetUnreachableError: it could not be read.
        """
        try:
            answer = await asyncio.to_thread(self._send, "GET", path, query or {}, None)
        except _FAILURES as error:
            raise TargetUnreachableError(f"reading {path}: {_say(error)}") from None
        if answer.status == 200:  # noqa: PLR2004 - the only status of a read object
            return answer
        if answer.status == 404 and _is_of(answer, path):  # noqa: PLR2004 - any other 404 is of no object
            return None
        said = f"reading {path}: {_answered(answer)}"
        if answer.status in (408, 429) or answer.status >= 500:  # noqa: PLR2004 - it may be answered later
            raise TargetUnreachableError(said)
        raise PreconditionFailedError(said)

    async def patch(self, path: str, operations: list[Json], *, dry_run: bool) -> Answer:
        """Change an object by a JSON Patch (RFC 6902); with `dry_run` the server does all of it and keeps nothing.

        Raises:
            ConflictError: nothing was done, the object moved on.
            TargetUnreachableError: nothing was done, it could not be sent or the server has no time for it.
            PreconditionFailedError: nothing was done, the server refuses it.
            EffectUnknownError: nobody knows whether it was done.
        """
        query = {"fieldManager": _MANAGER} | ({"dryRun": "All"} if dry_run else {})
        try:
            answer = await asyncio.to_thread(self._send, "PATCH", path, query, operations)
        except _NOT_SENT as error:
            raise TargetUnreachableError(f"changing {path}: {_say(error)}") from None
        except _FAILURES as error:
            raise EffectUnknownError(f"changing {path} got no clear answer: {_say(error)}") from None
        if answer.status == 200:  # noqa: PLR2004 - what a patch is answered with
            return answer
        raise _refusal(answer, f"changing {path}: {_answered(answer)}")

    def _send(self, method: str, path: str, query: Mapping[str, str], body: list[Json] | None) -> Answer:
        """Send one request and read its answer, in a thread."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token()}", "User-Agent": _MANAGER}
        if body is not None:
            headers["Content-Type"] = "application/json-patch+json"
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        seconds = (CONNECT_SECONDS, ANSWER_SECONDS)
        response = self._client.call_api(method, url, headers, body, _request_timeout=seconds).response
        try:
            return _answer(response)
        finally:
            response.close()

    def _token(self) -> str:
        try:
            token = self._token_file.read_text().strip()
        except (OSError, ValueError) as error:
            raise PreconditionFailedError(f"token file {self._token_file}: {type(error).__name__}") from None
        if not token.isascii() or not token.isprintable() or not token:
            raise PreconditionFailedError(f"token file {self._token_file} holds no bearer token")
        return token


def path_of(*segments: str) -> str:
    """A path of segments, of which none can be more than one."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _answer(response: urllib3.BaseHTTPResponse) -> Answer:
    """The answer, read to its end; what is no JSON has the body None."""
    read, until = bytearray(), time.monotonic() + ANSWER_SECONDS
    while chunk := response.read1(_CHUNK):
        read += chunk
        if len(read) > MAX_BYTES:
            raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
        if time.monotonic() > until:
            raise ValueError(f"the answer took longer than {ANSWER_SECONDS:g} s")
    try:
        body = json.loads(read)
    except ValueError:
        if response.status == 200:  # noqa: PLR2004 - an object has to be JSON, a refusal need not
            raise ValueError("the answer is no json") from None
        body = None
    if response.status == 200 and not isinstance(body, dict):  # noqa: PLR2004 - as above
        raise ValueError("the answer is no json object")
    return Answer(response.status, body, _instant(response.headers.get("Date")))


def _instant(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None


def _refusal(answer: Answer, said: str) -> ExecutorError:
    """What an answer to a write says that was done."""
    match answer.status:
        case 409:
            return ConflictError(said)
        case 429:
            return TargetUnreachableError(said)
        case status if 300 <= status < 500 and status != 408:  # noqa: PLR2004 - refused before anything was done
            return PreconditionFailedError(said)
    return EffectUnknownError(said)


def _answered(answer: Answer) -> str:
    message = answer.body.get("message") if isinstance(answer.body, dict) else None
    return f"the server answered {answer.status}" + (f": {str(message)[:_SAID]}" if message else "")


def _is_of(answer: Answer, path: str) -> bool:
    """Whether a refusal is about the very object: a kind that is not served is not found either, and names nothing."""
    details = answer.body.get("details") if isinstance(answer.body, dict) else None
    name = details.get("name") if isinstance(details, dict) else None
    return isinstance(name, str) and path.endswith(path_of(name))


def _say(error: BaseException) -> str:
    """The error without what it carries of the request: its type, and its text where that is short."""
    text = " ".join(str(getattr(error, "reason", None) or error).split())
    return f"{type(error).__name__}: {text[:_SAID]}"
