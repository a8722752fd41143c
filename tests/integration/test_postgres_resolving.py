"""What operations on a real PostgreSQL would touch, as a role that cannot change anything reads it."""

from dataclasses import replace
from typing import Any, TypeAlias

import asyncpg
import pytest

from activities.executors.base import Inquiry, Order, PreconditionFailedError, TargetCredentials, TargetUnreachableError
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from tests.integration.postgres_orders import NOWHERE, ORDERS, inquiry_of, order_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NOBODY = "postgresql://orders_operator@/orders?host=/nonexistent&port=1"


@pytest.fixture(name="executor")
async def _executor(stack: Stack, superuser: object) -> PostgresExecutor:
    """Who could act is not reachable: whatever answers was read by the reader."""
    return PostgresExecutor(
        TargetCredentials({ORDERS: NOBODY, NOWHERE: NOBODY}, {ORDERS: stack.database_url("orders_reader", "orders")})
    )


def _asked(operation: str, **parameters: Any) -> Inquiry:
    return inquiry_of(order_of(operation, **parameters))


async def test_a_session_is_found_with_who_and_what_it_is(
    stack: Stack, superuser: Connection, executor: PostgresExecutor
) -> None:
    """User, application, state, age, and how many sessions wait for it; its transaction is its version."""
    idle = await asyncpg.connect(
        stack.database_url("orders_app", "orders"), server_settings={"application_name": "billing"}
    )
    await idle.execute("BEGIN")
    pid = idle.get_server_pid()
    row = await superuser.fetchrow("SELECT backend_start, xact_start FROM pg_stat_activity WHERE pid = $1", pid)
    assert row is not None
    started = row["backend_start"].isoformat()

    (found,) = await executor.resolve(_asked("postgres.session.terminate", pid=pid, backend_start=started))

    assert (found.id, found.resource, found.version) == (f"{pid}@{started}", ORDERS, row["xact_start"].isoformat())
    expected = {"usename": "orders_app", "application_name": "billing", "state": "idle in transaction", "blocks": 0}
    assert expected.items() <= found.state.items()
    assert isinstance(found.state["transaction_seconds"], float)
    await idle.close()


async def test_a_parameter_is_found_with_its_value_and_source(executor: PostgresExecutor) -> None:
    """A parameter that the server has not is none that could be touched."""
    (found,) = await executor.resolve(_asked("postgres.parameter.set", name="work_mem", value="8MB"))

    assert (found.id, found.environment) == ("work_mem", "production")
    assert found.state == {"value": "4MB", "source": "default", "pending_restart": False}
    with pytest.raises(PreconditionFailedError, match="does not exist on the server"):
        await executor.resolve(_asked("postgres.parameter.set", name="work_memory", value="8MB"))


async def test_an_object_is_the_same_by_whichever_resource_it_is_found(stack: Stack, superuser: Connection) -> None:
    """The catalog may name one database twice: the server tells who it is. Where the role may not know, nobody is."""
    url, other = stack.database_url("orders_reader", "orders"), stack.database_url("orders_reader", "postgres")
    twice = PostgresExecutor(
        TargetCredentials(
            dict.fromkeys((ORDERS, "pg/wide", "pg/other"), NOBODY), {ORDERS: url, "pg/wide": url, "pg/other": other}
        )
    )
    parameter = order_of("postgres.parameter.set", name="work_mem", value="8MB")
    index = order_of("postgres.index.reindex", index="orders_pkey")

    async def object_in(resource: str, order: Order) -> str | None:
        asked = replace(inquiry_of(order), resources=(resource,))
        (found,) = await twice.resolve(asked)
        return found.object

    system = await superuser.fetchval("SELECT system_identifier FROM pg_control_system()")
    assert {await object_in(name, parameter) for name in (ORDERS, "pg/wide", "pg/other")} == {
        f"postgres/{system}/work_mem"
    }
    assert {await object_in(name, index) for name in (ORDERS, "pg/wide")} == {
        f"postgres/{system}/orders/public.orders_pkey"
    }
    await superuser.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        assert await object_in(ORDERS, parameter) is None
    finally:
        await superuser.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


async def test_the_environment_is_what_the_database_was_given(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """What a role says of itself does not count; a database that says nothing is of no environment."""
    asked = _asked("postgres.parameter.reset", name="work_mem")
    await superuser.execute("ALTER ROLE orders_reader SET countersign.environment = 'playground'")
    await superuser.execute("ALTER ROLE orders_reader IN DATABASE orders SET countersign.environment = 'playground'")
    try:
        said = [item.environment for item in await executor.resolve(asked)]
        await superuser.execute("ALTER DATABASE orders RESET countersign.environment")
        unsaid = [item.environment for item in await executor.resolve(asked)]
    finally:
        await superuser.execute("ALTER ROLE orders_reader RESET ALL")
        await superuser.execute("ALTER ROLE orders_reader IN DATABASE orders RESET ALL")
        await superuser.execute("ALTER DATABASE orders SET countersign.environment = 'production'")

    assert (said, unsaid) == (["production"], [None])


async def test_a_name_that_several_indexes_have_needs_its_schema(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """Neither is taken."""
    await superuser.execute(
        "CREATE SCHEMA other; CREATE TABLE other.orders (order_id int CONSTRAINT orders_pkey PRIMARY KEY)"
    )
    try:
        with pytest.raises(PreconditionFailedError, match=r"names .*orders_pkey.*: write schema\.name"):
            await executor.resolve(_asked("postgres.index.reindex", index="orders_pkey"))
        (found,) = await executor.resolve(_asked("postgres.index.reindex", index="other.orders_pkey"))
    finally:
        await superuser.execute("DROP SCHEMA other CASCADE")

    assert (found.id, found.state["table"], found.state["valid"]) == ("other.orders_pkey", "other.orders", True)


async def test_what_does_not_answer_is_not_resolved_to_nothing(executor: PostgresExecutor) -> None:
    """Not knowing is no empty answer."""
    with pytest.raises(TargetUnreachableError):
        await executor.resolve(inquiry_of(order_of("postgres.index.reindex", NOWHERE, index="orders_pkey")))


async def test_the_reader_changes_nothing(stack: Stack, superuser: object) -> None:
    """The role that looks writes no table, ends no session, creates nothing and sets no parameter of the server."""
    reader = await asyncpg.connect(stack.database_url("orders_reader", "orders"))
    other = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    for refused in (
        "UPDATE public.orders SET state = 'paid'",
        "DELETE FROM public.orders",
        "CREATE TABLE public.mine (a int)",
        f"SELECT pg_terminate_backend({other.get_server_pid()})",
        "ALTER SYSTEM SET work_mem = '8MB'",
        "SELECT pg_reload_conf()",
        "REINDEX INDEX CONCURRENTLY public.orders_pkey",
        "DROP INDEX public.orders_pkey",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(refused)
    await reader.close()
    await other.close()
