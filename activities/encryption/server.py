"""The codec server: Temporal's remote codec protocol, for people who read histories in the UI or the `temporal` CLI.

`POST /decode` and `POST /encode` take and give the JSON of `Payloads`, with the header `X-Namespace`.

- Whoever asks authenticates (`readers.py`), for both.
- Decoding is all that it does. A payload that belongs to another namespace, or cannot be opened, is given back as it
  came, and is shown encrypted. Encoding gives back what it got: stock tools that use this server keep sending in the
  clear, which is accepted of decisions and proposals. It cannot do more: the protocol does not say for which workflow a
  payload is, and what is not bound to one could be moved.
- So what it decodes is what a holder of the key wrote in this namespace, not that it was written for the workflow that
  is looked at. The UI cannot be told; the worker, the CLI and an audit do compare.
- It binds to loopback. What it answers is plain text: before it leaves the machine, it goes through a proxy with TLS.
- It logs who read how much of which namespace, and nothing of what.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from temporalio.api.common.v1 import Payload, Payloads

from activities.encryption.codec import CannotOpenError, open_payload
from activities.encryption.keys import Keys
from activities.encryption.readers import NotAReaderError, Readers, ReadersError
from policy.screens.neutral import visible
from workflows.marks import ENCRYPTED

log = logging.getLogger("countersign.codec")

# Temporal takes no more than 4 MB in a message, which base64 makes longer.
MAX_BODY = 8 * 1024 * 1024
MAX_PAYLOADS = 5000
_HEADERS = "authorization, authorization-extras, content-type, x-namespace"
_HARMLESS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Origin"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CodecServer:
    """The application that serves.

    Args:
        keys: what decrypts.
        readers: who may read.
        origins: where the UI is, like `http://localhost:8233`; a browser shows answers to no other page.
    """

    def __init__(self, keys: Keys, readers: Readers, origins: frozenset[str]) -> None:
        self._keys = keys
        self._readers = readers
        self._origins = origins

    def application(self) -> web.Application:
        """What a server runs."""
        found = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        found.router.add_post("/decode", self._decode)
        found.router.add_post("/encode", self._encode)
        found.router.add_route("OPTIONS", "/{name:decode|encode}", self._preflight)
        return found

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Where it is asked from, and with which headers it is answered."""
        origin = request.headers.get("Origin")
        if origin is not None and origin not in self._origins:
            return _refused(403, "origin is none that this server was started for", {})
        shared = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            # A body that is too large, an address or a method that is not served.
            return _refused(error.status, error.reason, shared)
        answer.headers.update({**_HARMLESS, **shared})
        return answer

    async def _preflight(self, request: web.Request) -> web.Response:
        del request
        allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": _HEADERS}
        return web.Response(status=204, headers={**allowed, "Access-Control-Max-Age": "600"})

    async def _decode(self, request: web.Request) -> web.Response:
        namespace = request.headers.get("X-Namespace", "")
        return await self._answer(request, lambda payload: self._opened(payload, namespace))

    async def _encode(self, request: web.Request) -> web.Response:
        return await self._answer(request, lambda payload: payload)

    async def _answer(self, request: web.Request, change: Callable[[Payload], Payload]) -> web.Response:
        try:
            reader = self._readers.name_of(request.headers.get("Authorization", ""), datetime.now(UTC))
        except NotAReaderError as error:
            return _refused(401, str(error), {"WWW-Authenticate": "Bearer"})
        except ReadersError:
            log.exception("nobody can read")
            return _refused(503, "who may read cannot be found out", {})
        try:
            asked = Parse(await request.text(), Payloads())
        except (ParseError, UnicodeDecodeError, LookupError, RecursionError):
            return _refused(400, "send the json of payloads", {})
        if len(asked.payloads) > MAX_PAYLOADS:
            return _refused(413, f"send at most {MAX_PAYLOADS} payloads", {})
        namespace = request.headers.get("X-Namespace", "")
        log.info("%s: %s, %d payloads of %s", request.path, visible(reader), len(asked.payloads), visible(namespace))
        found = Payloads(payloads=[change(payload) for payload in asked.payloads])
        return web.Response(text=MessageToJson(found), content_type="application/json")

    def _opened(self, payload: Payload, namespace: str) -> Payload:
        if payload.metadata.get("encoding") != ENCRYPTED:
            return payload
        try:
            found, where, _ = open_payload(payload, self._keys)
        except CannotOpenError:
            return payload
        return found if where.namespace == namespace else payload


def _refused(status: int, why: str, headers: dict[str, str]) -> web.Response:
    return web.json_response({"message": why}, status=status, headers={**_HARMLESS, **headers})
