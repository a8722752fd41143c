"""The targets of `executors.py`: for each kind the same effect, by our adapter and by the client that it stands on."""

import asyncio
import base64
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from aiohttp import web
from temporalio import activity
from temporalio.worker import Worker

from activities.executors.base import Executor, Inquiry, Order, TargetCredentials
from activities.executors.kinds import make_executors
from bench.contestants import Contestants
from bench.kubernetes_target import is_built, kubernetes
from bench.stack import Bench
from deploy import unprivileged
from deploy.orders import prepare_orders
from policy.permit import Direction

_HTTP, _COMMAND, _POSTGRES, _TEMPORAL = "http/bench", "host/bench", "postgres/orders", "temporal/bench"
_SECRET = "whsec_" + base64.b64encode(b"the secret of the benchmarks, no other").decode()
_PARAMETER = "idle_in_transaction_session_timeout"


async def targets(cleanup: AsyncExitStack, bench: Bench) -> Mapping[str, Contestants]:
    """The contestants by kind of executor; what they need is gone when `cleanup` is."""
    return {
        "http": await _http(cleanup),
        "command": _command(cleanup),
        "postgres": await _postgres(cleanup, bench),
        "temporal": await _temporal(cleanup, bench),
        **({"kubernetes": await kubernetes(cleanup)} if is_built() else {}),
    }


def _made(name: str, entry: Mapping[str, Any], urls: Mapping[str, str]) -> Executor:
    return make_executors({name: {"kind": name, **entry}}, TargetCredentials(urls))[name]


def _order(operation: str, resource: str, **parameters: Any) -> Order:
    return Order(str(uuid4()), Direction.do, operation, parameters, (resource,), timedelta(seconds=30), signed="x.y.z")


async def _http(cleanup: AsyncExitStack) -> Contestants:
    async def put(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response({"on": True})

    app = web.Application()
    app.router.add_put("/api/flags/{flag}", put)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    cleanup.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    call = {"method": "PUT", "path": "/flags/{flag}", "body": {"on": "$value"}}
    flag = {"type": "string", "pattern": "[a-z]{1,20}"}
    entry = {
        "hosts": {"127.0.0.1": {"secret": _SECRET, "networks": ["127.0.0.0/8"], "plain": True}},
        "operations": {
            "http.flag.set": {
                "parameters": {"flag": flag, "value": {"type": "boolean"}},
                "call": call,
                "idempotent": True,
            }
        },
    }
    executor = _made("http", entry, {_HTTP: base})

    async def direct() -> None:
        # A connection for each, as the adapter has it.
        async with aiohttp.ClientSession() as session, session.put(f"{base}/flags/a", json={"on": True}) as answer:
            answer.raise_for_status()
            await answer.read()

    return lambda: executor.execute(_order("http.flag.set", _HTTP, flag="a", value=True)), direct


def _command(cleanup: AsyncExitStack) -> Contestants:
    home = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    home.chmod(0o755)
    program = home / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    unprivileged.show(Path(sys.executable).resolve().parents[1])
    user = unprivileged.account()
    entry = {**({"user": user} if user else {}), "operations": {"host.bench.run": {"argv": [str(program)]}}}
    executor = _made("command", entry, {_COMMAND: "here"})

    async def direct() -> None:
        process = await asyncio.create_subprocess_exec(program, stdin=asyncio.subprocess.DEVNULL)
        if await process.wait():
            raise RuntimeError("the program of the benchmark failed")

    return lambda: executor.execute(_order("host.bench.run", _COMMAND)), direct


async def _postgres(cleanup: AsyncExitStack, bench: Bench) -> Contestants:
    await prepare_orders(bench.stack.database_url("postgres", "postgres"))
    url = bench.stack.database_url("orders_operator", "orders")
    executor = _made("postgres", {}, {_POSTGRES: url})
    numbers = iter(range(1_000, 1_000_000))

    async def ours() -> None:
        parameters = {"name": _PARAMETER, "value": f"{next(numbers)}ms"}
        found = await executor.resolve(Inquiry("postgres.parameter.set", parameters, (_POSTGRES,), "production"))
        order = _order("postgres.parameter.set", _POSTGRES, **parameters)
        await executor.execute(replace(order, targets=found))

    async def direct() -> None:
        session = await asyncpg.connect(url)
        try:
            await session.execute(f"ALTER SYSTEM SET {_PARAMETER} = '{next(numbers)}ms'")
            await session.execute("SELECT pg_reload_conf()")
        finally:
            await session.close()

    admin = await asyncpg.connect(bench.stack.database_url("postgres", "postgres"))
    cleanup.push_async_callback(admin.close)
    cleanup.push_async_callback(admin.execute, f"ALTER SYSTEM RESET {_PARAMETER}")
    return ours, direct


async def _temporal(cleanup: AsyncExitStack, bench: Bench) -> Contestants:
    queue = f"bench-{uuid4()}"
    worker = Worker(bench.plain, task_queue=queue, activities=[_act])
    await cleanup.enter_async_context(worker)
    work = {"activity": "bench.act", "queue": queue}
    entry = {
        "address": bench.stack.temporal_address,
        "namespace": bench.plain.namespace,
        "operations": {"bench.act": work},
    }
    executor = _made("temporal", entry, {})
    limit = timedelta(seconds=30)

    async def direct() -> None:
        given: dict[str, Any] = {"task_queue": queue, "start_to_close_timeout": limit}
        await bench.plain.execute_activity("bench.act", {}, id=str(uuid4()), **given)

    return lambda: executor.execute(_order("bench.act", _TEMPORAL)), direct


@activity.defn(name="bench.act")
async def _act(_: Any) -> dict[str, str]:
    return {"status": "done"}
