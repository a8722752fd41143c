"""A server of feature flags that counts what it did by idempotency key, and can be told to behave badly."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

SECRET = "whsec_" + base64.b64encode(b"the secret of the flags endpoint").decode()
TOKEN = "Bearer acts-on-flags-7f3a"
READING_TOKEN = "Bearer reads-flags-91bc"
CHECKOUT = "checkout"


@dataclass
class Flag:
    """Whether it is on, and how often it was changed."""

    on: bool = False
    version: int = 1


class FlagServer:
    """`behaviour` is what the next requests that act meet; `requests` is everything that came, in order.

    `on` and `version` are those of the flag that is there from the start, CHECKOUT.
    """

    def __init__(self) -> None:
        self.flags = {CHECKOUT: Flag()}
        self.effects: Counter[str] = Counter()
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.behaviour: list[str] = []
        self.jobs: dict[str, list[Any]] = {}
        self.cancelled: list[str] = []
        self.location = ""
        # Whoever reads it sees the flag as it is not.
        self.stuck = False
        self.answer: web.StreamResponse | None = None
        self.port = 0
        self.let_go = asyncio.Event()
        # How long whoever meets `hang` waits, unless it is let go before.
        self.slow_seconds: float | None = None

    @property
    def on(self) -> bool:
        return self.flags[CHECKOUT].on

    @property
    def version(self) -> int:
        return self.flags[CHECKOUT].version

    @version.setter
    def version(self, version: int) -> None:
        self.flags[CHECKOUT].version = version

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._note])
        app.router.add_put("/api/flags/{flag}", self._set)
        app.router.add_get("/api/flags", self._list)
        app.router.add_get("/api/flags/{flag}", self._read)
        app.router.add_get("/api/effects/{key}", self._effect)
        app.router.add_post("/api/jobs", self._begin)
        app.router.add_get("/api/jobs/{key}", self._job)
        app.router.add_delete("/api/jobs/{key}", self._cancel)
        app.router.add_route("*", "/api/told", self._told)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.raw_path, headers, body))
        found: web.StreamResponse = await handler(request)
        return found

    async def _set(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != TOKEN or not _is_signed(request, await request.read()):
            return web.Response(status=401)
        body = await request.json()
        if "X-Dry-Run" in request.headers:
            refused = self._refusal(request, body)
            return refused or web.json_response({"would": f"set {request.match_info['flag']} to {body['on']}"})
        key = json.loads(request.headers["Idempotency-Key"])
        if key in self.answers:
            return web.json_response(self.answers[key][1], status=self.answers[key][0])
        how = self.behaviour.pop(0) if self.behaviour else ""
        if how.isdigit():
            headers = {"Retry-After": "0"} if how in ("429", "503") else {}
            return web.Response(status=int(how), headers=headers | {"Location": self.location})
        if refused := self._refusal(request, body):
            return refused
        flag = self._flag(request)
        flag.on, flag.version = body["on"], flag.version + 1
        self.effects[key] += 1
        self.answers[key] = (200, {"on": flag.on})
        if how == "lose":
            assert request.transport is not None
            request.transport.abort()
        if how == "hang":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.let_go.wait(), self.slow_seconds)
        return web.json_response({"on": flag.on}, status=200)

    def _flag(self, request: web.Request) -> Flag:
        return self.flags.get(request.match_info["flag"], self.flags[CHECKOUT])

    def _refusal(self, request: web.Request, body: Any) -> web.Response | None:
        flag = self._flag(request)
        if request.headers.get("If-Match", f'"{flag.version}"') != f'"{flag.version}"':
            return web.Response(status=412)
        return web.Response(status=409) if body.get("expected", flag.on) is not flag.on else None

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != READING_TOKEN:
            return web.Response(status=401)
        name = request.query["name"]
        found = [flag for each, flag in self.flags.items() if each == name]
        listed = [{"name": name, "version": each.version, "env": "production", "on": each.on} for each in found]
        return web.json_response({"flags": listed})

    async def _read(self, request: web.Request) -> web.StreamResponse:
        on = self._flag(request).on
        return web.json_response({"state": {"on": on is not self.stuck}, "many": [1], "none": None})

    async def _effect(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=200 if self.effects[request.match_info["key"]] else 404)

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        key = json.loads(request.headers["Idempotency-Key"])
        self.effects[key] += 1
        self.jobs.setdefault(key, ["running", "running", "done"])
        return web.Response(status=202, headers={"Location": self.location or f"jobs/{key}"})

    async def _job(self, request: web.Request) -> web.StreamResponse:
        states = self.jobs[request.match_info["key"]]
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, int):
            return web.Response(status=state, headers={"Retry-After": "0", "Location": "/api/told"})
        return web.json_response({"status": state}, headers={"Retry-After": "0"})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        self.cancelled.append(key)
        self.jobs[key] = ["cancelled"]
        return web.Response(status=202)

    async def _told(self, request: web.Request) -> web.StreamResponse:
        assert self.answer is not None
        return self.answer


def _is_signed(request: web.Request, body: bytes) -> bool:
    what = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), what, hashlib.sha256).digest()
    return request.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


@asynccontextmanager
async def flag_server() -> AsyncIterator[FlagServer]:
    """A server on a free port of this machine."""
    server = FlagServer()
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield server
    finally:
        server.let_go.set()
        await runner.cleanup()
