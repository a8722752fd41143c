"""One request to a host of the entry, with a bound on everything: the only place that opens a connection.

1. The host is one of the entry and its addresses were looked at (`http_guard.py`). No redirect is followed, and no
   proxy, cookie or `.netrc` of the environment is used; a connection is used once.
2. Before a connection stands, nothing was sent. After that nobody knows what the other side did, until it answers, and
   nothing is sent again by itself.
3. An answer is read only where somebody needs it: up to so many bytes, uncompressed, within the time for all of it
   (one that drips is cut off), and as strict JSON where it says that it is JSON. No error repeats its text.
4. Errors name method and host, never a path, a query or a header: any of them may hold what nobody else should see.

aiohttp, and not requests: it is asked from the event loop, takes a resolver, tells when a connection stands, and can be
cut off at any byte.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from activities.executors.http_guard import AddressRefusedError, Resolve, checked_addresses, system_resolve
from activities.executors.http_hosts import Host
from policy.canonical import parse_json
from policy.errors import CanonicalError

_HEADER_BYTES = 8190
_HEADERS = 64
_JSON = ("application/json", "application/problem+json")
_PORTS = {"https": 443, "http": 80}


class HttpError(Exception):
    """A request did not come to a usable answer."""


class NotSentError(HttpError):
    """Nothing was sent; the same request may get through later."""


class NotAllowedError(HttpError):
    """Nothing was sent, and nothing will be: the address is none that may be asked."""


class AnswerLostError(HttpError):
    """It was sent, in whole or in part, and there is no answer."""


class UnusableAnswerError(HttpError):
    """There is an answer, and it is not what it has to be."""


@dataclass(frozen=True)
class Request:
    """What is sent. `url` is encoded already; `headers` may log in."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.method} at {urlsplit(self.url).hostname}"


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is None where nobody asked for it."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)

    def json(self) -> Any:
        """The value of a JSON answer.

        Raises:
            UnusableAnswerError: it is none.
        """
        kind, _, options = self.headers.get("content-type", "").lower().partition(";")
        kind, charset = kind.strip(), options.partition("charset=")[2].strip(' "')
        if not (kind in _JSON or (kind.startswith("application/") and kind.endswith("+json"))):
            raise UnusableAnswerError("the answer is no json, by its content type")
        if charset not in ("", "utf-8"):
            raise UnusableAnswerError("the answer is in another charset than utf-8")
        try:
            return parse_json(self.body or b"", max_bytes=len(self.body or b""))
        except CanonicalError:
            # What is wrong with it may quote it.
            raise UnusableAnswerError("the answer is no strict json, or is nested too deep") from None


class HttpClient:
    """Asks the hosts of one entry.

    Args:
        hosts: which may be asked, by name.
        max_bytes: the most that is read of an answer.
        resolve: the addresses of a name; the system's resolver, unless told.
    """

    def __init__(self, hosts: Mapping[str, Host], max_bytes: int, resolve: Resolve = system_resolve) -> None:
        self._hosts = hosts
        self._max_bytes = max_bytes
        self._resolve = resolve

    def host(self, url: str) -> Host:
        """The host of an address.

        Raises:
            NotAllowedError: it is none that may be asked, or not in this way.
        """
        try:
            parts = urlsplit(url)
            name, port = parts.hostname or "", parts.port
        except ValueError:
            raise NotAllowedError("the address of the resource is none") from None
        known = self._hosts.get(name)
        if known is None:
            raise NotAllowedError(f"host {name[:100]} is none of {', '.join(sorted(self._hosts))}")
        if parts.scheme != ("http" if known.plain else "https") or parts.username or parts.password or port == 0:
            wanted = "http" if known.plain else "https"
            raise NotAllowedError(f"host {name} is asked by {wanted}://, without a user in the address")
        return known

    async def send(self, request: Request, seconds: float, *, read: bool) -> Answer:
        """The answer to a request.

        Args:
            request: what is sent.
            seconds: for everything, from resolving the name to the last byte.
            read: the body is needed.

        Raises:
            NotAllowedError: the host or its address is none that may be asked.
            NotSentError: no connection came to stand.
            AnswerLostError: it was sent, and no answer came in time.
            UnusableAnswerError: the answer is too large, or compressed.
        """
        host, parts = self.host(request.url), urlsplit(request.url)
        assert parts.hostname is not None
        connected = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                port = parts.port or _PORTS[parts.scheme]
                checked = await checked_addresses(parts.hostname, port, host.networks, self._resolve)
                connector = aiohttp.TCPConnector(
                    resolver=checked, use_dns_cache=False, force_close=True, ssl=_tls(host), limit=1
                )
                async with self._session(connector, connected) as session:
                    return await self._answer(session, request, read=read)
        except AddressRefusedError as error:
            raise NotAllowedError(str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # TimeoutError is an OSError; a header that cannot be sent is a ValueError.
            kind = AnswerLostError if connected.is_set() else NotSentError
            what = f"within {seconds:.3g} s" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
            said = "got no answer" if connected.is_set() else "cannot connect"
            raise kind(f"{request} {said} {what}") from None

    @staticmethod
    def _session(connector: aiohttp.TCPConnector, connected: asyncio.Event) -> aiohttp.ClientSession:
        async def once(*_: object) -> None:
            # aiohttp sends PUT, DELETE and GET again, by itself, where the other side closed without an answer.
            if connected.is_set():
                raise AnswerLostError("the other side closed the connection, and sent no answer")

        async def note(*_: object) -> None:
            connected.set()

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_start.append(once)
        tracing.on_connection_create_end.append(note)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[tracing],
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=_HEADERS,
        )

    async def _answer(self, session: aiohttp.ClientSession, request: Request, *, read: bool) -> Answer:
        headers = {"user-agent": "countersign", "accept": "application/json", **request.headers}
        url = URL(request.url, encoded=True)
        async with session.request(
            request.method, url, headers=headers, data=request.body, allow_redirects=False
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            body = await self._body(response) if read else None
            if not read:
                response.close()
            return Answer(response.status, found, body)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnusableAnswerError("the answer is compressed, which nobody asked for")
        body = bytearray()
        async for chunk in response.content.iter_chunked(16 * 1024):
            body += chunk
            if len(body) > self._max_bytes:
                response.close()
                raise UnusableAnswerError(f"the answer has more than {self._max_bytes} bytes")
        return bytes(body)


def _tls(host: Host) -> ssl.SSLContext | bool:
    return True if host.plain else ssl.create_default_context(cafile=host.ca_file)
