"""Index maintenance on a real server: what is created, dropped and built anew, and what is said of what is left."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Order,
    PreconditionFailedError,
    ProbeOrder,
    TargetChangedError,
    TargetCredentials,
)
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from tests.integration.postgres_orders import ORDERS, PERMIT, inquiry_of, order_of, resolved, undo_of

CREATE, DROP, REINDEX = "postgres.index.create", "postgres.index.drop", "postgres.index.reindex"
BY_CUSTOMER: dict[str, Any] = {
    "table": "public.orders",
    "index": "orders_by_customer",
    "columns": ["customer", "order_id"],
}
BOUND = 20.0
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NAMES = """
SELECT coalesce(array_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END ORDER BY 1), '{}')
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'public.orders'::regclass AND NOT indisprimary
"""
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"


@pytest.fixture(name="executor")
async def _executor(stack: Stack, superuser: Connection) -> AsyncIterator[PostgresExecutor]:
    urls = {
        ORDERS: stack.database_url("orders_maintainer", "orders"),
        "postgres/operator": stack.database_url("orders_operator", "orders"),
    }
    yield PostgresExecutor(TargetCredentials(urls, {ORDERS: stack.database_url("orders_reader", "orders")}))
    for name in await superuser.fetchval(NAMES):
        await superuser.execute(f'DROP INDEX public."{name.removesuffix(" invalid")}"')


@pytest.fixture(name="busy")
async def _busy(stack: Stack, superuser: object) -> AsyncIterator[Connection]:
    """A transaction that writes the table: whatever is built CONCURRENTLY waits for its end."""
    connection = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    await connection.execute("BEGIN")
    await connection.execute("UPDATE orders SET state = 'paid' WHERE order_id = 1")
    yield connection
    await connection.close()


async def _waits(superuser: Connection) -> None:
    """Until the statement of the permit waits for another transaction."""
    async with asyncio.timeout(BOUND):
        while True:
            if await superuser.fetchval(WAITS, f"countersign/{PERMIT}"):
                return
            await asyncio.sleep(0.02)


async def _leave_invalid(executor: PostgresExecutor, superuser: Connection) -> Order:
    """A unique index whose build failed, and its order."""
    order = await resolved(executor, CREATE, table="orders", index="orders_one_a_state", columns=["state"], unique=True)
    with pytest.raises(
        ExecutorError, match=r"could not create unique.*left invalid: public\.orders_one_a_state"
    ) as error:
        await executor.execute(order)
    assert "paid" not in str(error.value)
    assert await superuser.fetchval(NAMES) == ["orders_one_a_state invalid"]
    return order


async def test_an_index_is_created_dropped_by_its_undo_and_made_again(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """There and back, twice each: an undo that was done already does nothing."""
    order = await resolved(executor, CREATE, **BY_CUSTOMER)
    (target,) = order.targets
    assert (target.id, target.environment) == ("public.orders_by_customer", "production")
    assert (target.state["exists"], target.state["table"]) == (False, "public.orders")
    assert await executor.observe(order) == "none"

    await executor.execute(order)

    assert await superuser.fetchval(NAMES) == ["orders_by_customer"]
    assert await executor.observe(order) == "done"
    assert await executor.measure(ProbeOrder("postgres.index.valid", {"index": "orders_by_customer"}, ORDERS)) is True
    for _ in range(2):
        await executor.execute(undo_of(order, DROP))
        assert await superuser.fetchval(NAMES) == []
    dropping = await _made_and_dropped(executor, order)
    assert await executor.observe(dropping) == "done"
    for _ in range(2):
        await executor.execute(undo_of(dropping, CREATE))
        assert await superuser.fetchval(NAMES) == ["orders_by_customer"]


async def _made_and_dropped(executor: PostgresExecutor, order: Order) -> Order:
    await executor.execute(replace(order, targets=await executor.resolve(inquiry_of(order))))
    dropping = await resolved(executor, DROP, **BY_CUSTOMER)
    assert await executor.observe(dropping) == "none"
    assert "CREATE INDEX" in str(dropping.targets[0].state["definition"])
    await executor.execute(dropping)
    return dropping


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("CREATE INDEX mine ON public.orders (customer) WHERE order_id > 5", "condition"),
        ("CREATE INDEX mine ON public.orders (lower(customer))", "expression"),
        ("CREATE INDEX mine ON public.orders (customer) INCLUDE (state)", "included column"),
        ("CREATE INDEX mine ON public.orders (customer DESC)", "ordering"),
        ("CREATE INDEX mine ON public.orders (customer text_pattern_ops)", "operator class"),
        ('CREATE INDEX mine ON public.orders (customer COLLATE "POSIX")', "collation"),
        ("CREATE INDEX mine ON public.orders (customer) WITH (fillfactor = 50)", "storage parameter"),
        ("CREATE INDEX mine ON public.orders USING hash (customer)", "another method"),
        ("CREATE UNIQUE INDEX mine ON public.orders (customer)", "unique"),
        ("CREATE INDEX mine ON public.orders (customer, state)", "more columns"),
        ("CREATE INDEX mine ON public.orders (state)", "another column"),
        ("ALTER TABLE public.orders ADD CONSTRAINT mine UNIQUE (customer)", "a constraint needs it"),
    ],
)
async def test_only_what_the_undo_makes_again_is_dropped(
    superuser: Connection, executor: PostgresExecutor, made: str, why: str
) -> None:
    """Whatever of an index its table, columns, method and uniqueness do not say: it stays."""
    await superuser.execute(made)
    try:
        order = await resolved(executor, DROP, table="orders", index="mine", columns=["customer"])
        with pytest.raises(PreconditionFailedError, match="is another than approved"):
            await executor.execute(order)
        with pytest.raises(PreconditionFailedError, match="is another than described"):
            await executor.dry_run(replace(order, dry_run=True))
        assert await superuser.fetchval(NAMES) == ["mine"], why
    finally:
        await superuser.execute("ALTER TABLE public.orders DROP CONSTRAINT IF EXISTS mine")


async def test_an_index_that_was_made_anew_meanwhile_is_another_target(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """The same name and definition with another number: it was dropped and created, and somebody knows why."""
    await superuser.execute("CREATE INDEX orders_by_customer ON public.orders (customer, order_id)")
    orders = [
        await resolved(executor, DROP, **BY_CUSTOMER),
        await resolved(executor, REINDEX, index=BY_CUSTOMER["index"]),
    ]
    await superuser.execute("REINDEX INDEX CONCURRENTLY public.orders_by_customer")

    for order in orders:
        with pytest.raises(TargetChangedError, match="resolved was"):
            await executor.execute(order)

    assert await superuser.fetchval(NAMES) == ["orders_by_customer"]


async def test_an_index_is_built_anew(superuser: Connection, executor: PostgresExecutor) -> None:
    """It gets another number, which is how it is seen."""
    await superuser.execute("CREATE INDEX orders_by_customer ON public.orders (customer)")
    before = await superuser.fetchval("SELECT 'public.orders_by_customer'::regclass::oid")
    order = await resolved(executor, REINDEX, index="orders_by_customer")
    assert await executor.observe(order) == "none"

    await executor.execute(order)

    assert await superuser.fetchval("SELECT 'public.orders_by_customer'::regclass::oid") != before
    assert await executor.observe(order) == "done"


async def test_what_a_failed_build_left_is_told_and_its_undo_takes_it_away(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """An invalid index is named by the failure, by the next resolution, by a probe and by a dry run."""
    failed = await _leave_invalid(executor, superuser)
    assert await executor.observe(failed) == "unknown"
    assert await executor.measure(ProbeOrder("postgres.index.valid", {"index": "orders_one_a_state"}, ORDERS)) is False
    assert await executor.measure(ProbeOrder("postgres.table.invalid_indexes", {"table": "orders"}, ORDERS)) == 1
    other = await resolved(executor, CREATE, **BY_CUSTOMER)
    assert other.targets[0].state["invalid"] == ["public.orders_one_a_state"]
    assert "invalid there now: public.orders_one_a_state" in await executor.dry_run(replace(other, dry_run=True))
    with pytest.raises(PreconditionFailedError, match="exists and is invalid"):
        await executor.execute(replace(failed, targets=await executor.resolve(inquiry_of(failed))))

    for _ in range(2):
        await executor.execute(undo_of(failed, DROP))
        assert await superuser.fetchval(NAMES) == []


async def test_a_stop_cancels_what_is_being_built_and_says_what_is_left(
    superuser: Connection, executor: PostgresExecutor, busy: Connection
) -> None:
    """Told to stop while it waits for another transaction, it ends and names the invalid index."""
    order = await resolved(executor, CREATE, **BY_CUSTOMER)
    acting = asyncio.create_task(executor.execute(order))
    await _waits(superuser)
    assert await executor.observe(order) == "unknown"
    order.stop.set()

    with pytest.raises(ExecutorError, match=r"user request; it left invalid: public\.orders_by_customer") as stopped:
        await asyncio.wait_for(acting, BOUND)

    assert not isinstance(stopped.value, PreconditionFailedError | EffectUnknownError)
    assert await superuser.fetchval(NAMES) == ["orders_by_customer invalid"]
    await busy.execute("COMMIT")
    await executor.execute(undo_of(order, DROP))
    assert await superuser.fetchval(NAMES) == []


async def test_a_drop_that_was_stopped_leaves_the_index_invalid_and_its_undo_makes_it_again(
    superuser: Connection, executor: PostgresExecutor, busy: Connection
) -> None:
    """What a drop waits for comes after queries stopped to use the index; the undo takes it away and builds it."""
    await busy.execute("COMMIT")
    await superuser.execute("CREATE INDEX orders_by_customer ON public.orders (customer, order_id)")
    await busy.execute("BEGIN")
    await busy.execute("UPDATE orders SET state = 'paid' WHERE order_id = 1")
    order = await resolved(executor, DROP, **BY_CUSTOMER)
    acting = asyncio.create_task(executor.execute(order))
    await _waits(superuser)
    order.stop.set()

    with pytest.raises(ExecutorError, match=r"left invalid: public\.orders_by_customer"):
        await asyncio.wait_for(acting, BOUND)

    assert await executor.observe(order) == "unknown"
    await busy.execute("COMMIT")
    await executor.execute(undo_of(order, CREATE))
    assert await superuser.fetchval(NAMES) == ["orders_by_customer"]


async def test_a_rebuild_that_was_stopped_names_what_it_left(
    superuser: Connection, executor: PostgresExecutor, busy: Connection
) -> None:
    """REINDEX CONCURRENTLY leaves its half-built copy beside the index, which goes on serving queries."""
    await busy.execute("COMMIT")
    await superuser.execute("CREATE INDEX orders_by_customer ON public.orders (customer)")
    await busy.execute("BEGIN")
    await busy.execute("UPDATE orders SET state = 'paid' WHERE order_id = 1")
    order = await resolved(executor, REINDEX, index="public.orders_by_customer")
    acting = asyncio.create_task(executor.execute(order))
    await _waits(superuser)
    order.stop.set()

    with pytest.raises(ExecutorError, match=r"left invalid: public\.orders_by_customer_ccnew"):
        await asyncio.wait_for(acting, BOUND)

    assert await superuser.fetchval(NAMES) == ["orders_by_customer", "orders_by_customer_ccnew invalid"]
    assert await executor.observe(order) == "none"


async def test_what_takes_longer_than_permitted_is_ended_by_the_server_and_looked_at(
    superuser: Connection, executor: PostgresExecutor, busy: Connection
) -> None:
    """The statement ends before the permitted time does, so that there is time to say what it left."""
    order = await resolved(executor, CREATE, **BY_CUSTOMER)

    with pytest.raises(ExecutorError, match=r"statement timeout; it left invalid: public\.orders_by_customer"):
        await executor.execute(replace(order, timeout=timedelta(seconds=2)))

    assert await superuser.fetchval(NAMES) == ["orders_by_customer invalid"]


async def test_a_session_that_was_ended_says_what_it_left(
    superuser: Connection, executor: PostgresExecutor, busy: Connection
) -> None:
    """When somebody ends the executor's own session in the middle, the invalid index is named all the same."""
    order = await resolved(executor, CREATE, **BY_CUSTOMER)
    acting = asyncio.create_task(executor.execute(order))
    await _waits(superuser)
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1"
    await superuser.fetchval(end, f"countersign/{PERMIT}")

    with pytest.raises(ExecutorError, match=r"left invalid: public\.orders_by_customer"):
        await asyncio.wait_for(acting, BOUND)


HOSTILE = "orders_x ON orders (state); DROP TABLE orders; --"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"columns": ["customer); DROP TABLE orders; --"]}, "has no column"),
        ({"columns": ["lower(customer)"]}, "has no column lower"),
        ({"columns": ["ctid"]}, "has no column ctid"),
        ({"columns": ["customer", "customer"]}, "names a column twice"),
        ({"columns": []}, "no list of 1 to 32"),
        ({"columns": "customer"}, "no list of 1 to 32"),
        ({"columns": [1]}, "is not a text"),
        ({"table": "orders; DROP TABLE orders"}, "there is no table"),
        ({"table": "pg_catalog.pg_class"}, "there is no table"),
        ({"table": "pg_class"}, "there is no table"),
        ({"table": "public.orders_pkey"}, "there is no table"),
        ({"index": "other.orders_x"}, "is in schema public, not in other"),
        ({"index": "a.b.c"}, "is no name"),
        ({"index": "x" * 64}, "is no name of up to 63 bytes"),
        ({"method": "btree (state); --"}, "is none of btree"),
        ({"unique": "yes"}, "is neither true nor false"),
    ],
)
async def test_a_parameter_is_a_name_that_is_looked_up_and_never_sql(
    superuser: Connection, executor: PostgresExecutor, change: dict[str, Any], why: str
) -> None:
    """What names nothing is refused when it is resolved, and again before it is carried out."""
    fitting = await resolved(executor, CREATE, **BY_CUSTOMER)
    order = order_of(CREATE, **(BY_CUSTOMER | change))

    with pytest.raises(PreconditionFailedError, match=why):
        await executor.resolve(inquiry_of(order))
    with pytest.raises(PreconditionFailedError, match=why):
        await executor.execute(replace(order, targets=fitting.targets))

    assert await superuser.fetchval(NAMES) == []
    assert await superuser.fetchval("SELECT count(*) FROM orders") == 100


async def test_a_name_with_anything_in_it_is_quoted_by_the_server(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """As the name of an index every text is a name."""
    order = await resolved(executor, CREATE, table="orders", index=HOSTILE, columns=["state"])
    await executor.execute(order)

    assert await superuser.fetchval(NAMES) == [HOSTILE]
    assert await superuser.fetchval("SELECT count(*) FROM orders") == 100
    await executor.execute(undo_of(order, DROP))
    assert await superuser.fetchval(NAMES) == []


async def test_who_does_not_own_the_table_is_told_before_and_refused_at_the_effect(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """The operator of parameters may not maintain indexes: the dry run says so, and nothing is done."""
    order = await resolved(executor, CREATE, "postgres/operator", **BY_CUSTOMER)

    with pytest.raises(PreconditionFailedError, match=r"does not own table public\.orders"):
        await executor.dry_run(replace(order, dry_run=True))
    with pytest.raises(PreconditionFailedError, match=r"must be owner of table orders; nothing was done"):
        await executor.execute(order)

    assert await superuser.fetchval(NAMES) == []


async def test_a_dry_run_says_what_would_be_done(superuser: Connection, executor: PostgresExecutor) -> None:
    """Of a step and of its undo, with what it cannot find out."""
    order = await resolved(executor, CREATE, **BY_CUSTOMER, unique=True)
    await superuser.execute("CREATE INDEX orders_by_state ON public.orders (state)")
    by_state: dict[str, Any] = {"table": "orders", "index": "orders_by_state", "columns": ["state"]}
    said = [
        await executor.dry_run(replace(order, dry_run=True)),
        await executor.dry_run(replace(undo_of(order, DROP), dry_run=True)),
        await executor.dry_run(replace(await resolved(executor, DROP, **by_state), dry_run=True)),
        await executor.dry_run(replace(await resolved(executor, REINDEX, index="orders_by_state"), dry_run=True)),
    ]

    assert said[0] == (
        "would create unique btree index orders_by_customer on public.orders (customer, order_id); "
        "not checked: whether there is room for it, whether the rows are unique"
    )
    assert said[1] == "would drop index orders_by_customer of public.orders, which the step creates"
    assert said[2].startswith("would drop CREATE INDEX orders_by_state ON public.orders USING btree (state) (")
    assert said[3].startswith("would build public.orders_by_state anew (")
    assert await superuser.fetchval(NAMES) == ["orders_by_state"]
