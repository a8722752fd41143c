"""The PostgreSQL executor on a real server: sessions and parameters, beyond the contract of every executor."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from activities.executors.base import (
    EffectUnknownError,
    Executor,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    TargetChangedError,
    TargetCredentials,
)
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from deploy.orders import prepare_orders
from tests.integration.postgres_orders import NOWHERE, ORDERS, inquiry_of, order_of, resolved

LOCK_SECONDS = 10.0
WAITING = "SELECT pid FROM pg_stat_activity WHERE usename = 'orders_operator' AND wait_event = 'BackendTermination'"


@pytest.fixture(name="executor")
async def _executor(stack: Stack, superuser: object) -> PostgresExecutor:
    urls = {
        ORDERS: stack.database_url("orders_operator", "orders"),
        NOWHERE: "postgresql://orders_operator@/orders?host=/nonexistent&port=1",
    }
    return PostgresExecutor(TargetCredentials(urls, {ORDERS: stack.database_url("orders_reader", "orders")}))


@pytest.fixture(name="idle")
async def _idle(stack: Stack, superuser: object) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A session of the application that sits idle in a transaction and locks an order."""
    connection = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    await connection.execute("BEGIN")
    await connection.execute("UPDATE orders SET state = 'paid' WHERE order_id = 1")
    yield connection
    # Most tests end this session; to end it again is to write into a closed pipe, if nobody noticed yet.
    with contextlib.suppress(OSError):
        await connection.close(timeout=5)


async def _identity(superuser: "asyncpg.Connection[asyncpg.Record]", pid: int) -> dict[str, Any]:
    started = await superuser.fetchval("SELECT backend_start FROM pg_stat_activity WHERE pid = $1", pid)
    return {"pid": pid, "backend_start": started.isoformat()}


async def _until(executor: Executor, expected: object, probe: str, **parameters: Any) -> None:
    await _poll(lambda: executor.measure(ProbeOrder(probe, parameters, ORDERS)), expected)


async def _poll(read: Callable[[], Awaitable[Any]], expected: object) -> None:
    async with asyncio.timeout(LOCK_SECONDS):
        while True:
            if await read() == expected:
                return
            await asyncio.sleep(0.02)


async def test_ends_the_idle_session_and_frees_the_blocked_one(
    stack: Stack,
    superuser: "asyncpg.Connection[asyncpg.Record]",
    executor: PostgresExecutor,
    idle: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """Ending a session that sits idle in a transaction lets the session that waits for it go on."""
    who = await _identity(superuser, idle.get_server_pid())
    waiting = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    blocked = asyncio.create_task(waiting.execute("UPDATE orders SET state = 'shipped' WHERE order_id = 1"))
    await _until(executor, True, "postgres.session.blocked", pid=waiting.get_server_pid())

    await executor.execute(await resolved(executor, "postgres.session.terminate", **who))

    assert await asyncio.wait_for(blocked, LOCK_SECONDS) == "UPDATE 1"
    assert await executor.measure(ProbeOrder("postgres.session.present", who, ORDERS)) is False
    assert (
        await executor.measure(ProbeOrder("postgres.session.blocked", {"pid": waiting.get_server_pid()}, ORDERS))
        is False
    )
    assert await executor.observe(order_of("postgres.session.terminate", **who)) == "done"
    await waiting.close()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"backend_start": "2026-01-01T00:00:00.000001+00:00"}, id="another session had this pid"),
        pytest.param({"pid": 1}, id="another process"),
    ],
)
async def test_leaves_every_other_session_alone(
    superuser: "asyncpg.Connection[asyncpg.Record]",
    executor: PostgresExecutor,
    idle: "asyncpg.Connection[asyncpg.Record]",
    change: dict[str, Any],
) -> None:
    """A session is not ended when pid or start are not exactly the order's."""
    who = await _identity(superuser, idle.get_server_pid())
    order = await resolved(executor, "postgres.session.terminate", **who)
    other = await resolved(executor, "postgres.session.terminate", **(who | change))

    assert other.targets == ()
    with pytest.raises(PreconditionFailedError, match="acts on one target, the permit has 0"):
        await executor.execute(other)
    with pytest.raises(PreconditionFailedError, match="the parameters name session"):
        await executor.execute(replace(order, parameters=who | change))

    assert await executor.observe(order_of("postgres.session.terminate", **who)) == "none"
    assert await idle.fetchval("SELECT 1") == 1


async def test_leaves_a_session_that_came_back_to_work(
    superuser: "asyncpg.Connection[asyncpg.Record]",
    executor: PostgresExecutor,
    idle: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """A session that is no longer idle in a transaction, or never was, is not ended."""
    who = await _identity(superuser, idle.get_server_pid())
    order = await resolved(executor, "postgres.session.terminate", **who)
    await idle.execute("COMMIT")

    with pytest.raises(PreconditionFailedError, match="is idle: it must be idle in transaction"):
        await executor.execute(order)
    with pytest.raises(PreconditionFailedError, match="no transaction when it was resolved"):
        await executor.execute(await resolved(executor, "postgres.session.terminate", **who))

    assert await idle.fetchval("SELECT 1") == 1


async def test_leaves_a_session_that_is_in_another_transaction(
    superuser: "asyncpg.Connection[asyncpg.Record]",
    executor: PostgresExecutor,
    idle: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """What was approved is the end of one transaction; the next one of the same session is another target."""
    who = await _identity(superuser, idle.get_server_pid())
    order = await resolved(executor, "postgres.session.terminate", **who)
    await idle.execute("COMMIT")
    await idle.execute("BEGIN")

    with pytest.raises(TargetChangedError, match="is in another transaction"):
        await executor.execute(order)

    assert await idle.fetchval("SELECT 1") == 1


async def test_a_session_says_its_name_and_the_servers_log_its_permit(
    superuser: "asyncpg.Connection[asyncpg.Record]", executor: PostgresExecutor
) -> None:
    """Whatever acts is called after its permit, and what only looks after the executor."""
    seen: list[str] = []
    acting = asyncio.create_task(
        executor.execute(await resolved(executor, "postgres.parameter.set", name="work_mem", value="64MB"))
    )
    names = "SELECT application_name FROM pg_stat_activity WHERE usename IN ('orders_operator', 'orders_reader')"
    while not acting.done():
        seen += [row["application_name"] for row in await superuser.fetch(names)]
    await acting

    assert {"countersign/permit-1", "countersign-executor"} >= set(seen) > {"countersign-executor"}


async def test_sets_and_resets_a_parameter(executor: PostgresExecutor) -> None:
    """A parameter that was set is in force for every new session at once, and so is its reset."""
    set_it = await resolved(executor, "postgres.parameter.set", name="work_mem", value="64MB", expected="4MB")

    await executor.execute(set_it)

    assert await executor.measure(ProbeOrder("postgres.parameter.value", {"name": "work_mem"}, ORDERS)) == "64MB"
    assert await executor.observe(set_it) == "done"
    assert await executor.observe(order_of("postgres.parameter.reset", name="work_mem")) == "unknown"

    for _ in range(2):
        await executor.execute(await resolved(executor, "postgres.parameter.reset", name="work_mem"))

        assert await executor.measure(ProbeOrder("postgres.parameter.value", {"name": "work_mem"}, ORDERS)) == "4MB"
        assert await executor.observe(order_of("postgres.parameter.reset", name="work_mem")) == "done"


async def test_a_parameter_that_needs_a_restart_stays_pending_until_it_is_reset(executor: PostgresExecutor) -> None:
    """max_connections keeps its value after the reload, says so, and is not pending any more after the reset."""
    name = {"name": "max_connections"}

    await executor.execute(await resolved(executor, "postgres.parameter.set", **name, value="200"))

    assert await executor.measure(ProbeOrder("postgres.parameter.value", name, ORDERS)) == "100"
    assert await executor.measure(ProbeOrder("postgres.parameter.pending_restart", name, ORDERS)) is True

    await executor.execute(await resolved(executor, "postgres.parameter.reset", **name))

    assert await executor.measure(ProbeOrder("postgres.parameter.pending_restart", name, ORDERS)) is False


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        pytest.param({"name": "work_mem", "value": "64MB", "expected": "8MB"}, "work_mem is 4MB, expected 8MB"),
        pytest.param({"name": "work_mem", "value": "a lot"}, "invalid value", id="the server refuses the value"),
        pytest.param({"name": "shared_buffers", "value": "1GB"}, "permission denied", id="not granted"),
        pytest.param({"name": "no_such", "value": "1"}, "does not exist", id="no such parameter"),
        pytest.param({"name": "work_mem; DROP TABLE orders", "value": "1"}, "does not exist", id="sql as name"),
        pytest.param({"name": 'work_mem"', "value": "1"}, "does not exist", id="quote in the name"),
        pytest.param({"name": "work_mem", "value": "1'; DROP TABLE orders; --"}, "invalid value", id="sql as value"),
        pytest.param({"name": "work_mem", "value": "1\\'"}, "invalid value", id="backslash in the value"),
        pytest.param({"name": "work_mem", "value": 64}, "is not a text", id="number"),
        pytest.param({"name": "work_mem"}, "value = None", id="no value"),
    ],
)
async def test_refuses_what_does_not_fit_the_target(
    superuser: "asyncpg.Connection[asyncpg.Record]", executor: PostgresExecutor, parameters: dict[str, Any], why: str
) -> None:
    """An order that the target refuses, or whose expected value is another one, changes nothing."""
    with pytest.raises(PreconditionFailedError, match=why):
        await executor.execute(await resolved(executor, "postgres.parameter.set", **parameters))

    assert await superuser.fetchval("SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'") == 0
    assert await superuser.fetchval("SELECT count(*) FROM orders") == 100


async def test_a_value_is_quoted_by_the_server(
    superuser: "asyncpg.Connection[asyncpg.Record]", executor: PostgresExecutor
) -> None:
    """A value with quotes and backslashes arrives as it is."""
    await superuser.execute("GRANT ALTER SYSTEM ON PARAMETER cluster_name, log_line_prefix TO orders_operator")
    value = """it's "%m" \\ $1 """

    await executor.execute(await resolved(executor, "postgres.parameter.set", name="log_line_prefix", value=value))

    assert await executor.measure(ProbeOrder("postgres.parameter.value", {"name": "log_line_prefix"}, ORDERS)) == value


async def test_two_changes_of_one_value_do_not_both_pass_its_expected_value(executor: PostgresExecutor) -> None:
    """Of two orders that expect the same value only one is carried out, however they overlap."""
    both = [
        await resolved(executor, "postgres.parameter.set", name="work_mem", value=value, expected="4MB")
        for value in ("32MB", "64MB")
    ]

    results = await asyncio.gather(*map(executor.execute, both), return_exceptions=True)

    assert [type(result) for result in results if result] == [TargetChangedError]


async def test_a_lost_answer_is_unknown_and_not_a_refusal(
    superuser: "asyncpg.Connection[asyncpg.Record]",
    executor: PostgresExecutor,
    idle: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """When the executor's own session ends between the signal and the answer, the effect is unknown."""
    who = await _identity(superuser, idle.get_server_pid())
    os.kill(idle.get_server_pid(), signal.SIGSTOP)  # it cannot end now, and the executor waits for its end
    try:
        acting = asyncio.create_task(executor.execute(await resolved(executor, "postgres.session.terminate", **who)))
        await _poll(lambda: superuser.fetchval(f"SELECT count(*) FROM ({WAITING}) AS executor"), 1)
        await superuser.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS executor")

        with pytest.raises(EffectUnknownError, match="no clear answer"):
            await acting
    finally:
        os.kill(idle.get_server_pid(), signal.SIGCONT)


async def test_the_operator_can_do_no_more_than_it_needs(stack: Stack, executor: PostgresExecutor) -> None:
    """The operator's role reads no order, ends no superuser's session and writes no other parameter."""
    operator = await asyncpg.connect(stack.database_url("orders_operator", "orders"))
    root = await asyncpg.connect(stack.database_url("postgres", "orders"))
    for refused in (
        "SELECT * FROM public.orders",
        "CREATE TABLE public.mine (a int)",
        f"SELECT pg_terminate_backend({root.get_server_pid()})",
        "ALTER SYSTEM SET archive_command = 'rm -rf /'",
        "ALTER SYSTEM RESET ALL",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute(refused)
    await operator.close()
    await root.close()


async def test_preparing_twice_changes_nothing(stack: Stack, executor: PostgresExecutor) -> None:
    """The set-up of the target is safe to run again, and by several at once."""
    url = stack.database_url("postgres", "postgres")

    await asyncio.gather(prepare_orders(url), prepare_orders(url))


async def test_credentials_that_are_missing_name_the_setting(executor: PostgresExecutor) -> None:
    """Without an address of a resource it says which ones there are and where one is written."""
    with pytest.raises(PreconditionFailedError, match=r"given: postgres/a\): add it to COUNTERSIGN_TARGETS_FILE$"):
        TargetCredentials({"postgres/a": ""}).url(NOWHERE)


def test_credentials_do_not_show() -> None:
    """The text of the credentials, as a log might have it, holds no URL."""
    assert "secret" not in repr(TargetCredentials({ORDERS: "postgresql://a:secret@db/orders"}))


async def test_every_operation_acts_on_one_known_resource(executor: PostgresExecutor) -> None:
    """No resource, several, and one without credentials are refused for every operation, and show nothing."""
    for operation in executor.supports.operations:
        order = order_of(operation, name="work_mem", value="8MB", pid=1, backend_start="2026-01-01T00:00:00Z")
        for resources in ((), (ORDERS, NOWHERE), ("postgres/other",)):
            with pytest.raises(PreconditionFailedError):
                await executor.execute(replace(order, resolved=resources))
            with pytest.raises(PreconditionFailedError):
                await executor.resolve(inquiry_of(replace(order, resolved=resources)))
            assert await executor.observe(replace(order, resolved=resources)) == "unknown"


async def test_every_probe_reads_or_says_that_it_cannot(executor: PostgresExecutor) -> None:
    """Missing parameters and an unreachable target are errors, never a value."""
    for probe in executor.supports.probes:
        with pytest.raises(ProbeError):
            await executor.measure(ProbeOrder(probe, {}, ORDERS))
        with pytest.raises(ProbeError):
            await executor.measure(ProbeOrder(probe, {"name": "work_mem", "pid": 1}, NOWHERE))
