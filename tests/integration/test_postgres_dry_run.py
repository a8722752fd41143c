"""The PostgreSQL executor's dry runs on a real server: what they find out, and that nothing is changed by them."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from activities.executors.base import Order, PreconditionFailedError, TargetCredentials, TargetUnreachableError
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from policy.permit import Direction

ORDERS = "postgres/orders"
SET, RESET, END = "postgres.parameter.set", "postgres.parameter.reset", "postgres.session.terminate"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def _order(operation: str, resource: str = ORDERS, direction: Direction = Direction.do, **parameters: Any) -> Order:
    return Order("permit-1", direction, operation, parameters, (resource,), timedelta(seconds=30), dry_run=True)


@pytest.fixture(name="executor")
async def _executor(stack: Stack, superuser: object) -> PostgresExecutor:
    urls = {
        ORDERS: stack.database_url("orders_operator", "orders"),
        "postgres/root": stack.database_url("postgres", "orders"),
        "postgres/nowhere": "postgresql://orders_operator@/orders?host=/nonexistent&port=1",
    }
    return PostgresExecutor(TargetCredentials(urls))


@pytest.fixture(name="idle")
async def _idle(stack: Stack, superuser: object) -> AsyncIterator[Connection]:
    """A session of the application that sits idle in a transaction."""
    connection = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    await connection.execute("BEGIN")
    yield connection
    with contextlib.suppress(OSError):
        await connection.close(timeout=5)


async def _who(superuser: Connection, pid: int) -> dict[str, Any]:
    started = await superuser.fetchval("SELECT backend_start FROM pg_stat_activity WHERE pid = $1", pid)
    return {"pid": pid, "backend_start": started.isoformat()}


async def _state(superuser: Connection) -> list[Any]:
    """Every parameter of the server, what is written in its configuration files, and when they were read."""
    settings = await superuser.fetch("SELECT name, setting, source, pending_restart FROM pg_settings ORDER BY name")
    files = await superuser.fetch("SELECT name, setting, applied FROM pg_file_settings ORDER BY seqno")
    return [settings, files, await superuser.fetchval("SELECT pg_conf_load_time()")]


async def test_a_session_that_would_be_ended_stays(
    superuser: Connection, executor: PostgresExecutor, idle: Connection
) -> None:
    """It is found idle in transaction, and goes on living."""
    who = await _who(superuser, idle.get_server_pid())

    said = await executor.dry_run(_order(END, **who))

    assert said == f"would end session {who['pid']} of orders_app, idle in transaction now"
    assert await idle.fetchval("SELECT 1") == 1


async def test_a_session_that_would_not_be_ended_is_refused(
    superuser: Connection, executor: PostgresExecutor, idle: Connection
) -> None:
    """Another start, a session at work, and a superuser's: each with its reason."""
    who = await _who(superuser, idle.get_server_pid())
    other = who | {"backend_start": "2026-01-01T00:00:00.000001+00:00"}
    with pytest.raises(PreconditionFailedError, match="does not exist: it must be idle in transaction"):
        await executor.dry_run(_order(END, **other))
    await idle.execute("COMMIT")
    with pytest.raises(PreconditionFailedError, match="is idle: it must be idle in transaction"):
        await executor.dry_run(_order(END, **who))
    its = await _who(superuser, superuser.get_server_pid())
    async with superuser.transaction():
        with pytest.raises(PreconditionFailedError, match="may not end sessions of postgres"):
            await executor.dry_run(_order(END, **its))


async def test_a_parameter_that_would_be_set_keeps_its_value(superuser: Connection, executor: PostgresExecutor) -> None:
    """The value is tried and taken back: settings, files and the time of the last reload are as before."""
    before = await _state(superuser)

    said = [
        await executor.dry_run(_order(SET, name="work_mem", value="65536kB", expected="4MB")),
        await executor.dry_run(_order(SET, direction=Direction.undo, name="work_mem", value="4MB", expected="64MB")),
        await executor.dry_run(_order(RESET, name="work_mem")),
    ]

    assert said == [
        "would set work_mem from 4MB to 64MB",
        "would set work_mem from 4MB to 4MB; not checked: that it is 64MB after the step",
        "would reset work_mem, 4MB now; not checked: the value of the configuration file ('4096' without one)",
    ]
    assert await _state(superuser) == before


@pytest.mark.parametrize(
    ("resource", "parameters", "why"),
    [
        (ORDERS, {"name": "work_mem", "value": "lots"}, "does not take lots: invalid value"),
        (ORDERS, {"name": "work_mem", "value": "1kB"}, "does not take 1kB: 1 kB is outside the valid range"),
        (ORDERS, {"name": "work_mem", "value": "4MB'; DROP TABLE orders; --"}, "does not take"),
        (ORDERS, {"name": "work_mem", "value": "8MB", "expected": "7MB"}, "work_mem is 4MB, expected 7MB"),
        (ORDERS, {"name": "work_memory", "value": "8MB"}, "does not exist on the server"),
        (ORDERS, {"name": "fsync", "value": "off"}, "no ALTER SYSTEM privilege on parameter fsync"),
        ("postgres/root", {"name": "shared_buffers", "value": "1GB"}, "only when the server starts"),
        ("postgres/root", {"name": "server_version", "value": "17"}, "never takes another value"),
        (ORDERS, {"name": "work_mem"}, "value = None is not a text"),
    ],
)
async def test_a_parameter_that_would_not_be_set_is_refused(
    superuser: Connection, executor: PostgresExecutor, resource: str, parameters: dict[str, Any], why: str
) -> None:
    """Each with its reason, and with nothing changed."""
    before = await _state(superuser)
    with pytest.raises(PreconditionFailedError, match=why):
        await executor.dry_run(_order(SET, resource, **parameters))
    assert await _state(superuser) == before


async def test_what_only_a_reload_can_try_is_said(executor: PostgresExecutor) -> None:
    """A parameter that no session may set is not tried, and the answer says so."""
    said = await executor.dry_run(_order(SET, "postgres/root", name="autovacuum_naptime", value="2min"))
    assert said.endswith("to 2min; not checked: whether the server accepts 2min, which only a reload tells")


async def test_the_order_of_a_dry_run_is_never_carried_out(
    superuser: Connection, executor: PostgresExecutor, idle: Connection
) -> None:
    """Whoever calls `execute` with it: refused, before anything is sent."""
    before = await _state(superuser)
    who = await _who(superuser, idle.get_server_pid())
    for order in (
        _order(SET, name="work_mem", value="8MB"),
        _order(RESET, name="work_mem"),
        _order(END, **who),
    ):
        with pytest.raises(PreconditionFailedError, match="is of a dry run"):
            await executor.execute(order)
    assert await _state(superuser) == before
    assert await idle.fetchval("SELECT 1") == 1


async def test_what_cannot_be_rehearsed_is_refused(executor: PostgresExecutor) -> None:
    """An operation that is none of its own, and a server that does not answer."""
    assert executor.supports.dry_runs == executor.supports.operations
    with pytest.raises(PreconditionFailedError, match=r"operation postgres\.table\.drop is none of"):
        await executor.dry_run(_order("postgres.table.drop"))
    with pytest.raises(TargetUnreachableError):
        await executor.dry_run(_order(RESET, "postgres/nowhere", name="work_mem"))
