"""SQL probes on a real server: what they read, and everything that they are refused."""

import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import asyncpg
import pytest

from activities.executors.base import ProbeError, ProbeOrder, TargetCredentials
from activities.executors.postgres import PostgresExecutor
from deploy.dev import Stack
from tests.integration.postgres_orders import NOWHERE, ORDERS

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NOTHING: Mapping[str, tuple[str, Any]] = MappingProxyType({})
STATES = "SELECT array_agg(state ORDER BY order_id)::text FROM orders"
EVIL = """
CREATE TABLE public.noted (at timestamptz);
CREATE SEQUENCE public.counter;
GRANT SELECT ON public.noted, public.counter TO PUBLIC;
CREATE FUNCTION public.note() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO public.noted VALUES (now()); SELECT 1';
CREATE FUNCTION public.note_as_owner() RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER
  AS 'INSERT INTO public.noted VALUES (now()); SELECT 1';
CREATE FUNCTION public.advance() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER
  AS $$ SELECT nextval('public.counter') $$;
CREATE FUNCTION public.write_anyway() RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$ BEGIN
  PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO public.noted VALUES (now()); RETURN 1; END $$;
"""
GONE = """
DROP FUNCTION public.note, public.note_as_owner, public.write_anyway, public.advance;
DROP TABLE public.noted;
DROP SEQUENCE public.counter;
"""


@pytest.fixture(name="evil")
async def _evil(superuser: Connection) -> AsyncIterator[None]:
    """Functions that change something."""
    await superuser.execute(EVIL)
    yield
    await superuser.execute(GONE)


@pytest.fixture(name="executor")
async def _executor(stack: Stack, superuser: object) -> PostgresExecutor:
    urls = {name: stack.database_url("orders_operator", "orders") for name in (ORDERS, NOWHERE)}
    readers = {ORDERS: stack.database_url("orders_reader", "orders")}
    readers |= {role: stack.database_url(role, "orders") for role in ("postgres", "orders_app", "orders_maintainer")}
    readers["orders_operator"] = stack.database_url("orders_operator", "orders")
    return PostgresExecutor(TargetCredentials(urls, readers))


def _order(
    query: str, reads: str = "integer", given: Mapping[str, tuple[str, Any]] = NOTHING, resource: str = ORDERS
) -> ProbeOrder:
    values: Mapping[str, Any] = {name: value for name, (_, value) in given.items()}
    types = {name: declared for name, (declared, _) in given.items()}
    return ProbeOrder("orders.probe", values, resource, query, types, reads)


@pytest.mark.parametrize(
    ("query", "reads", "given", "expected"),
    [
        ("SELECT count(*) FROM public.orders", "integer", {}, 100),
        ("SELECT count(*) FROM public.orders -- all of them", "number", {}, 100),
        ("SELECT count(*) FROM public.orders WHERE customer = $who", "integer", {"who": ("string", "customer 7")}, 1),
        (
            "SELECT count(*) FROM public.orders WHERE customer = ANY ($of)",
            "integer",
            {"of": ("list", ["customer 7", "nobody"])},
            1,
        ),
        ("SELECT $a + $b + $a", "integer", {"a": ("integer", 2), "b": ("integer", 3)}, 7),
        ("SELECT avg(order_id) FROM public.orders", "number", {}, 50.5),
        ("SELECT $share * 2", "number", {"share": ("number", 1)}, 2.0),
        ("SELECT not $yes", "boolean", {"yes": ("boolean", True)}, False),
        (
            "SELECT '$state' || $state || \"x\" FROM (SELECT 'it''s $a' AS x) AS y",
            "string",
            {"state": ("string", "p")},
            "$statepit's $a",
        ),
        ("SELECT $text", "string", {"text": ("string", "'; DROP TABLE orders; --")}, "'; DROP TABLE orders; --"),
    ],
)
async def test_a_query_reads_one_value_with_parameters_that_are_values(
    executor: PostgresExecutor, query: str, reads: str, given: dict[str, tuple[str, Any]], expected: object
) -> None:
    """Each parameter is bound by its declared type, wherever and however often the text names it."""
    found = await executor.measure(_order(query, reads, given))

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("query", "reads", "given", "why"),
    [
        ("SELECT order_id FROM public.orders", "integer", {}, "several rows"),
        ("SELECT order_id FROM public.orders WHERE false", "integer", {}, "no row"),
        ("SELECT order_id, state FROM public.orders", "integer", {}, "not one column of type integer"),
        ("SELECT state FROM public.orders LIMIT 1", "integer", {}, "not one column of type integer"),
        ("SELECT now()", "string", {}, "not one column of type string"),
        ("SELECT 1", "", {}, "not one column of type unknown"),
        ("SELECT NULL::int", "integer", {}, "reads null"),
        ("SELECT 'NaN'::float8", "number", {}, "reads nan"),
        ("SELECT 'Infinity'::numeric", "number", {}, "reads inf"),
        ("SELECT count(*) FROM orders", "integer", {}, 'relation "orders" does not exist'),
        ("SELECT $1", "integer", {}, r"its query has \$1"),
        ("SELECT $$a$$", "string", {}, r"its query has \$\$"),
        ("SELECT $other", "integer", {}, "names \\$other, which is not given"),
        ("SELECT $a", "integer", {"a": ("integer", "1")}, "is not of type integer"),
        ("SELECT $a", "integer", {"a": ("integer", True)}, "is not of type integer"),
        ("SELECT $a", "integer", {"a": ("integer", 1 << 63)}, "is not of type integer"),
        ("SELECT $a", "string", {"a": ("string", "a\0b")}, "is not of type string"),
        ("SELECT $a", "string", {"a": ("object", {})}, "is of type object"),
        ("SELECT no_such_function()", "integer", {}, "does not exist"),
    ],
)
async def test_what_is_no_single_value_of_its_type_is_an_error(
    executor: PostgresExecutor, query: str, reads: str, given: dict[str, tuple[str, Any]], why: str
) -> None:
    """Never a guess, and never the first of several."""
    with pytest.raises(ProbeError, match=why):
        await executor.measure(_order(query, reads, given))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT public.note()::text", "cannot execute INSERT in a read-only transaction"),
        ("SELECT public.note_as_owner()::text", "cannot execute INSERT in a read-only transaction"),
        ("SELECT public.write_anyway()::text", "transaction read-write mode"),
        ("SELECT set_config('transaction_read_only', 'off', false)", "transaction read-write mode"),
        ("SELECT nextval('public.counter')::text", "permission denied"),
        ("SELECT public.advance()::text", "cannot execute nextval\\(\\) in a read-only transaction"),
        ("SELECT setval('public.counter', 7)::text", "permission denied"),
        ("SELECT pg_reload_conf()::text", "permission denied"),
        ("SELECT pg_rotate_logfile()::text", "permission denied"),
        ("SELECT pg_switch_wal()::text", "permission denied"),
        ("SELECT pg_stat_reset()::text", "permission denied"),
        ("SELECT pg_read_file('PG_VERSION')", "permission denied"),
        ("SELECT count(*)::text FROM pg_ls_dir('.')", "permission denied"),
        ("SELECT lo_import('/etc/passwd')::text", "permission denied"),
        ("SELECT lo_create(4711)::text", "read-only transaction"),
        ("SELECT lo_from_bytea(4711, 'a')::text", "read-only transaction"),
        (
            "SELECT query_to_xml('DELETE FROM public.orders RETURNING 1', true, true, '')::text",
            "DELETE is not allowed in a non-volatile function",
        ),
        ("SELECT dblink('dbname=orders', 'DELETE FROM orders')::text", "does not exist"),
        ("SELECT rolpassword::text FROM pg_authid LIMIT 1", "permission denied"),
        ("SELECT state FROM public.orders WHERE order_id = 1 FOR UPDATE", "read-only transaction|permission denied"),
        ("DELETE FROM public.orders RETURNING state", "syntax error"),
        ("WITH gone AS (DELETE FROM public.orders RETURNING state) SELECT state FROM gone", "at the top level"),
        ("COPY public.orders TO PROGRAM 'touch /tmp/countersign-was-here'", "syntax error"),
        ("DO 'BEGIN DELETE FROM public.orders; END'", "syntax error"),
        ("SELECT 'a'; DELETE FROM public.orders", "syntax error"),
        (
            "SELECT 'a') AS probe; DELETE FROM public.orders; SELECT * FROM (SELECT 'a'",
            "cannot insert multiple commands",
        ),
        ("SELECT 'a') AS probe; COMMIT; DELETE FROM public.orders; --", "syntax error|cannot insert multiple commands"),
        ("SELECT state INTO public.mine FROM public.orders", "syntax error|not allowed"),
    ],
)
async def test_nothing_is_changed_by_what_a_query_calls(
    superuser: Connection, executor: PostgresExecutor, evil: None, query: str, why: str
) -> None:
    """Refused by READ ONLY, by a privilege that the reader has not, or because it is no single SELECT."""
    before = await superuser.fetchval(STATES)

    with pytest.raises(ProbeError, match=why):
        await executor.measure(_order(query, "string"))

    assert await superuser.fetchval(STATES) == before
    assert await superuser.fetchval("SELECT count(*) FROM public.noted") == 0
    assert await superuser.fetchval("SELECT last_value || ' ' || is_called FROM public.counter") == "1 false"
    assert await superuser.fetchval("SELECT count(*) FROM pg_largeobject_metadata") == 0


async def test_another_roles_session_is_not_ended(
    stack: Stack, superuser: Connection, executor: PostgresExecutor
) -> None:
    """Neither ended nor its statement cancelled: the reader may signal nobody else."""
    app = await asyncpg.connect(stack.database_url("orders_app", "orders"))
    for function in ("pg_terminate_backend", "pg_cancel_backend"):
        with pytest.raises(ProbeError, match="permission denied"):
            await executor.measure(_order(f"SELECT {function}({app.get_server_pid()})", "boolean"))

    assert await app.fetchval("SELECT 1") == 1
    await app.close()


async def test_what_a_query_sets_or_locks_ends_with_its_session(
    superuser: Connection, executor: PostgresExecutor
) -> None:
    """An advisory lock and a setting are not refused, and are gone once the probe was read."""
    locks = "SELECT 1 FROM pg_advisory_lock(4711), pg_notify('orders', 'x'), set_config('work_mem', '1GB', false)"

    assert await executor.measure(_order(locks)) == 1

    assert await superuser.fetchval("SELECT pg_try_advisory_lock(4711)")
    await superuser.execute("SELECT pg_advisory_unlock_all()")
    assert await executor.measure(_order("SELECT current_setting('work_mem')", "string")) == "4MB"


async def test_a_slow_query_is_ended_by_the_server(superuser: Connection, executor: PostgresExecutor) -> None:
    """After its bound, also where it lifts the bound itself; nothing of it goes on at the server."""
    begun = time.monotonic()
    for query in (
        "SELECT 1 FROM pg_sleep(60)",
        "SELECT 1 FROM set_config('statement_timeout', '0', false), pg_sleep(60)",
    ):
        with pytest.raises(ProbeError, match="statement timeout"):
            await executor.measure(_order(query))

    assert time.monotonic() - begun < 30
    assert await superuser.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'") == 1


@pytest.mark.parametrize("query", ["SELECT repeat('a', 20000000)", "SELECT repeat('a', 10001)"])
async def test_a_giant_answer_is_no_value_and_is_not_sent(executor: PostgresExecutor, query: str) -> None:
    """The server is asked for the length first."""
    with pytest.raises(ProbeError, match="bytes, more than 10000"):
        await executor.measure(_order(query, "string"))


async def test_a_lock_is_waited_for_a_second(superuser: Connection, executor: PostgresExecutor) -> None:
    """What somebody locks is not measured, and the probe does not queue behind it."""
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ProbeError, match="lock timeout"):
            await executor.measure(_order("SELECT count(*) FROM public.orders"))


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (NOWHERE, "has no read_url"),
        ("postgres", "is or can become postgres|is or can become .*postgres"),
        ("orders_app", "owns "),
        ("orders_maintainer", "owns "),
        ("orders_operator", "is or can become pg_signal_backend"),
    ],
)
async def test_who_could_change_something_does_not_read(executor: PostgresExecutor, resource: str, why: str) -> None:
    """A superuser, the owner of a table, who could become it, and who may signal: refused, whatever the query is."""
    with pytest.raises(ProbeError, match=why):
        await executor.measure(_order("SELECT 1", resource=resource))


@pytest.mark.parametrize(
    ("given", "taken", "why"),
    [
        (
            "GRANT UPDATE (state) ON public.orders TO orders_reader",
            "REVOKE UPDATE (state) ON public.orders FROM orders_reader",
            "may write public.orders",
        ),
        (
            "GRANT DELETE ON public.orders TO PUBLIC",
            "REVOKE DELETE ON public.orders FROM PUBLIC",
            "may write public.orders",
        ),
        (
            "GRANT pg_write_all_data TO orders_reader WITH INHERIT FALSE",
            "REVOKE pg_write_all_data FROM orders_reader",
            "can become pg_write_all_data",
        ),
        (
            "ALTER ROLE orders_reader CREATEROLE",
            "ALTER ROLE orders_reader NOCREATEROLE",
            "is or can become orders_reader",
        ),
    ],
)
async def test_a_privilege_that_was_given_later_is_noticed(
    superuser: Connection, executor: PostgresExecutor, given: str, taken: str, why: str
) -> None:
    """The role is looked at in every session, not when the worker starts."""
    assert await executor.measure(_order("SELECT 1")) == 1
    await superuser.execute(given)
    try:
        with pytest.raises(ProbeError, match=why):
            await executor.measure(_order("SELECT 1"))
    finally:
        await superuser.execute(taken)
