"""Asking a Prometheus server for one number, over its HTTP API (`/api/v1/query`).

- Everything is bounded: one answer takes `ANSWER_SECONDS` at most, connection and headers included, and has
  `ANSWER_BYTES` at most. What is asked is HTTP/1.0, so that no answer comes in pieces.
- No redirect is followed: the address was set by an operator, and an answer must not choose another one.
- What is no single finite number is an error, never a zero.
"""

import asyncio
import json
import math
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Template
from typing import Any
from urllib.parse import urlencode, urlsplit

from policy.errors import CountersignError

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024
_OK = 200


class PrometheusError(CountersignError):
    """Prometheus did not answer, or its answer is no number."""


@dataclass(frozen=True)
class Prometheus:
    """A server, and the query that gives the share of an error budget that is left.

    Attributes:
        url: `http(s)://host[:port][/path]` of the server.
        template: PromQL with `$name`, `$target` and `$objective`, inside double quotes where they are label values.

    """

    url: str
    template: str

    def query(self, *, name: str, target: str, objective: float) -> str:
        """The query of one objective; no name can end the quotes that it stands in."""
        return Template(self.template).substitute(
            name=_escaped(name), target=_escaped(target), objective=format(objective, ".12g")
        )

    async def ask(self, query: str) -> tuple[float, datetime]:
        """The number that a query gives now, and the instant (UTC) that the server gives it for.

        Raises:
            PrometheusError: says why there is none.

        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                body = await self._get(f"/api/v1/query?{urlencode({'query': query})}")
        except TimeoutError:
            raise PrometheusError(f"prometheus gave no answer within {ANSWER_SECONDS:g} s") from None
        except (OSError, asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
            raise PrometheusError(f"prometheus cannot be asked: {error}") from error
        return read_number(body)

    async def _get(self, path: str) -> bytes:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
        try:
            asked = f"GET {parts.path.rstrip('/')}{path} HTTP/1.0\r\nHost: {parts.netloc}\r\n"
            writer.write(f"{asked}Accept: application/json\r\n\r\n".encode("ascii"))
            await writer.drain()
            return _body(await _everything(reader))
        finally:
            writer.transport.abort()


def is_plain(url: str) -> bool:
    """Whether a text is an http address of printable ASCII without a name, a query or a fragment."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return known and not (parts.username or parts.query or parts.fragment) and url.isascii() and url.isprintable()


async def _everything(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    while piece := await reader.read(ANSWER_BYTES):
        found += piece
        if len(found) > ANSWER_BYTES:
            raise PrometheusError(f"prometheus answers with more than {ANSWER_BYTES} bytes: ask for a single number")
    return bytes(found)


def _body(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = lines[0].split(b" ", 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].isdigit():  # noqa: PLR2004
        raise PrometheusError("prometheus gave no http answer: check the address")
    if int(status[1]) != _OK:
        raise PrometheusError(f"prometheus answers with status {int(status[1])}{_why(body)}")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    length = fields.get(b"content-length")
    if length is not None and length != str(len(body)).encode():
        raise PrometheusError("prometheus broke its answer off")
    if b"transfer-encoding" in fields:
        raise PrometheusError("prometheus answers in pieces although it was not asked to")
    return body


def _why(body: bytes) -> str:
    """What the API says of a query that it refuses; cut."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {ascii(said)[:200]}"


def read_number(body: bytes) -> tuple[float, datetime]:
    """The one number in an answer of the API, and its instant (UTC).

    Raises:
        PrometheusError: there is none, more than one, or it is not finite.

    """
    try:
        answer = json.loads(body)
        data = answer["data"]
        samples = {"vector": _vector, "scalar": _scalar}[data["resultType"]](data["result"])
        if answer["status"] != "success" or len(samples) != 1:
            raise PrometheusError(f"prometheus gives {len(samples)} numbers: write a query that gives one")
        at, value = samples[0]
        number, instant = float(value), datetime.fromtimestamp(float(at), UTC)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, OSError, RecursionError) as error:
        raise PrometheusError(f"prometheus gives no number: {type(error).__name__}") from None
    if not math.isfinite(number):
        raise PrometheusError(f"prometheus gives {value}, nothing is known by that")
    return number, instant


def _vector(result: Any) -> list[Any]:
    return [sample["value"] for sample in result]


def _scalar(result: Any) -> list[Any]:
    return [result]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
