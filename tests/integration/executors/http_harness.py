"""HTTP: the executor sets a flag at a real server on this machine, which counts by idempotency key."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from activities.executors.base import Executor, Inquiry, Order, TargetCredentials
from activities.executors.http import make
from deploy.dev import Stack
from policy.permit import Direction
from tests.integration.executors.flag_server import READING_TOKEN, SECRET, TOKEN, FlagServer, flag_server
from tests.integration.executors.harness import Harness

RESOURCE = "http/flags"
FLAG = {"type": "string", "pattern": "[a-z][a-z0-9-]{0,49}"}
SET: dict[str, Any] = {
    "parameters": {
        "flag": FLAG,
        "value": {"type": "boolean"},
        "expected": {"type": "boolean", "required": False},
    },
    "call": {
        "method": "PUT",
        "path": "/flags/{flag}",
        "body": {"on": "$value", "expected": "$expected", "permit": "$order.permit"},
    },
    "idempotent": True,
    "observe": {"path": "/effects/{order.permit_id}"},
    "resolve": {
        "path": "/flags",
        "query": {"name": "{flag}"},
        "listing": {
            "items": "/flags",
            "id": "/name",
            "version": "/version",
            "environment": "/env",
            "state": {"on": "/on"},
        },
    },
    "dry_run": {"headers": {"X-Dry-Run": "true"}, "shown": "/would"},
}
PROBES: dict[str, Any] = {
    "http.flag.enabled": {"parameters": {"flag": FLAG}, "path": "/flags/{flag}", "value": "/state/on"},
    "http.endpoint.status": {"choose": "endpoint", "among": {"checkout": {"path": "/flags/checkout"}}},
}
HOST = {
    "secret": SECRET,
    "headers": {"Authorization": TOKEN},
    "reading_headers": {"Authorization": READING_TOKEN},
    "networks": ["127.0.0.0/8"],
    "plain": True,
}


def entry(**more: Any) -> dict[str, Any]:
    """What an operator would write of the server of the tests."""
    return {
        "hosts": {"127.0.0.1": HOST},
        "operations": {"http.flag.set": SET},
        "probes": PROBES,
        **more,
    }


class HttpHarness(Harness):
    """Each order turns the flag over."""

    secrets = (SECRET, TOKEN, READING_TOKEN)

    def __init__(self, server: FlagServer) -> None:
        self.server = server
        self._urls = {RESOURCE: server.base}
        self._executor = make("http", entry(), TargetCredentials(self._urls))

    @property
    def executor(self) -> Executor:
        return self._executor

    async def order(self, permit_id: str) -> Order:
        on = self.server.on
        parameters: dict[str, Any] = {"flag": "checkout", "value": not on, "expected": on}
        targets = await self._executor.resolve(Inquiry("http.flag.set", parameters, (RESOURCE,), "production"))
        order = Order(permit_id, Direction.do, "http.flag.set", parameters, (RESOURCE,), timedelta(seconds=20))
        return replace(order, targets=targets)

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "expected": not self.server.on})

    def undo(self, order: Order) -> Order | None:
        parameters = {"flag": "checkout", "value": order.parameters["expected"]}
        return replace(order, permit_id="undo", direction=Direction.undo, parameters=parameters)

    async def state(self) -> object:
        return self.server.on

    async def inquiry(self) -> Inquiry | None:
        return Inquiry("http.flag.set", (await self.order("asked")).parameters, (RESOURCE,), "production")

    async def empty(self) -> Inquiry | None:
        return Inquiry("http.flag.set", {"flag": "no-such-flag", "value": True}, (RESOURCE,), "production")

    async def effects(self) -> int:
        return self.server.effects.total()

    async def move(self) -> bool:
        self.server.version += 1
        return True

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            url, self._urls[RESOURCE] = self._urls[RESOURCE], f"http://127.0.0.1:{unheard.getsockname()[1]}/api"
            yield
            self._urls[RESOURCE] = url

    @asynccontextmanager
    async def _losing(self) -> AsyncIterator[None]:
        self.server.behaviour.append("lose")
        yield

    def lost_answer(self) -> Any:
        return self._losing()


@asynccontextmanager
async def http(_: Stack) -> AsyncIterator[Harness]:
    """The executor before a server of its own."""
    async with flag_server() as server:
        yield HttpHarness(server)
