"""SQL probes: a query of the operations registry, read as a role that cannot change anything.

1. The text is the registry's, and the permit says which was approved. A proposal gives values of declared types, and
   they are bound as values: `$name` in the text is the parameter of that name. No value is ever part of the text.
2. It is read only where the target has a `read_url`, by a role that is no superuser, may make no roles or databases,
   belongs to no role of the server's that signals, writes or runs programs, owns nothing, and may write no table,
   sequence or column; neither by itself nor by a role that it could become. This is asked anew in every session.
3. It is one SELECT, in a transaction that is read only and is always rolled back, in a session of its own with bounds
   on the time of a statement and of waiting for a lock. Names need their schema (`search_path` is pg_catalog).
4. It gives one row of one column of the declared type, not null, no longer than `MAX_BYTES`. Everything else is an
   error and no value.

What a function of the database does outside of the transaction, READ ONLY does not refuse: a session of the reader's
own role can be ended, an advisory lock is held until the session is closed, and a SECURITY DEFINER function in an
untrusted language, or `dblink` where it is installed and granted, does what its owner may. So the registry's queries
are reviewed like code, and EXECUTE on such functions is to be revoked from the reader.
"""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from pydantic import JsonValue

from activities.executors.base import PreconditionFailedError, ProbeError, ProbeOrder, TargetCredentials
from activities.executors.postgres_session import FAILURES, Session, reading_session, say

MAX_BYTES = 10_000
STATEMENT_MS = 5000
_SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "statement_timeout": str(STATEMENT_MS),
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "10000",
    "standard_conforming_strings": "on",
}
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
    | (?P<other>\$\d+ | \$\w*\$) | \$(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_CASTS: Mapping[str, str] = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "list": "text[]",
}
# How PostgreSQL calls the types of which a probe's value may be.
_READS: Mapping[str, frozenset[str]] = {
    "boolean": frozenset({"bool"}),
    "integer": frozenset({"int2", "int4", "int8"}),
    "number": frozenset({"int2", "int4", "int8", "float4", "float8", "numeric"}),
    "string": frozenset({"text", "varchar", "bpchar", "name"}),
}
_POWERS = """
WITH mine AS (SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles
  WHERE pg_has_role(current_user, oid, 'MEMBER'))
SELECT 'is or can become ' || string_agg(rolname::text, ', ') FROM mine
  WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication
    OR rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_read_server_files', 'pg_execute_server_program',
      'pg_signal_backend', 'pg_signal_autovacuum_worker', 'pg_maintain', 'pg_checkpoint', 'pg_create_subscription',
      'pg_database_owner')
  HAVING count(*) > 0
UNION ALL (SELECT 'owns database ' || datname FROM pg_database JOIN mine ON mine.oid = datdba LIMIT 1)
UNION ALL (SELECT 'owns schema ' || nspname FROM pg_namespace JOIN mine ON mine.oid = nspowner LIMIT 1)
UNION ALL (SELECT 'owns function ' || proname FROM pg_proc JOIN mine ON mine.oid = proowner LIMIT 1)
UNION ALL (SELECT 'owns ' || c.oid::regclass FROM pg_class AS c JOIN mine ON mine.oid = c.relowner LIMIT 1)
UNION ALL (SELECT 'may write ' || c.oid::regclass FROM pg_class AS c CROSS JOIN mine
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace
    AND (has_any_column_privilege(mine.oid, c.oid, 'INSERT, UPDATE')
    OR has_table_privilege(mine.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER')) LIMIT 1)
UNION ALL (SELECT 'may advance ' || c.oid::regclass FROM pg_class AS c CROSS JOIN mine
  WHERE c.relkind = 'S' AND has_sequence_privilege(mine.oid, c.oid, 'USAGE, UPDATE') LIMIT 1)
LIMIT 1
"""
_DESCRIBED = """
SELECT * FROM (
{query}
) AS probe
"""
_BOUNDED = """
SELECT octet_length(value::text) AS bytes, CASE WHEN octet_length(value::text) <= {most} THEN value END AS value
FROM (
{query}
) AS probe(value) LIMIT 2
"""


async def read_sql(credentials: TargetCredentials, order: ProbeOrder) -> JsonValue:
    """The value that a probe's query reads.

    Args:
        credentials: where resources answer.
        order: the probe; its query is not empty.

    Raises:
        ProbeError: it could not be read, or must not be.
    """
    if order.resource not in credentials.readers:
        raise ProbeError(
            f"probe {order.probe}: {order.resource} has no read_url, and SQL is read by a role that cannot write: "
            "add one to COUNTERSIGN_TARGETS_FILE"
        )
    query, values = bound(order)
    try:
        async with reading_session(credentials, order.resource, _SETTINGS) as reading:
            if power := await reading.fetchval(_POWERS):
                raise ProbeError(f"probe {order.probe}: the role of read_url {power}: name one that only reads")
            return await _read(reading, order, query, values)
    except (*FAILURES, PreconditionFailedError) as error:
        raise ProbeError(f"probe {order.probe} on {order.resource}: {say(error)}") from error


def bound(order: ProbeOrder) -> tuple[str, list[Any]]:
    """The query with numbers where it names parameters, and the values in their order.

    Raises:
        ProbeError: it names a parameter that is not given or has no type, or is no text of that kind.
    """
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match["other"] is not None:
            raise ProbeError(f"probe {order.probe}: its query has {match['other']}: name parameters, quote with '")
        if (name := match["name"]) is None:
            return match[0]
        if name not in order.parameters:
            raise ProbeError(f"probe {order.probe}: its query names ${name}, which is not given")
        return f"(${numbers.setdefault(name, len(numbers) + 1)}::{_cast(order, name)})"

    query = _TOKEN.sub(number, order.query)
    return query, [_value(order, name) for name in numbers]


def _cast(order: ProbeOrder, name: str) -> str:
    declared = order.types.get(name, "")
    if declared not in _CASTS:
        raise ProbeError(f"probe {order.probe}: parameter {name} is of type {declared or 'unknown'}, which SQL has not")
    return _CASTS[declared]


def _value(order: ProbeOrder, name: str) -> Any:
    value, declared = order.parameters[name], order.types[name]
    fits: dict[str, Callable[[Any], bool]] = {
        "string": lambda it: isinstance(it, str) and "\0" not in it,
        "integer": lambda it: isinstance(it, int) and not isinstance(it, bool) and abs(it) < 1 << 63,
        "number": lambda it: isinstance(it, int | float) and not isinstance(it, bool),
        "boolean": lambda it: isinstance(it, bool),
        "list": lambda it: isinstance(it, list) and all(isinstance(one, str) and "\0" not in one for one in it),
    }
    if not fits[declared](value):
        raise ProbeError(f"probe {order.probe}: parameter {name} = {value!r:.60} is not of type {declared}")
    return float(value) if declared == "number" and isinstance(value, int) else value


async def _read(reading: Session, order: ProbeOrder, query: str, values: list[Any]) -> JsonValue:
    looking = reading.transaction(readonly=True)
    await looking.start()
    try:
        # The description of a query that has not run yet. A query within brackets is a SELECT and nothing else.
        described = (await reading.prepare(_DESCRIBED.format(query=query))).get_attributes()
        allowed = _READS.get(order.reads, frozenset())
        if len(described) != 1 or described[0].type.name not in allowed:
            shown = ", ".join(f"{column.name} {column.type.name}" for column in described)[:200]
            raise ProbeError(f"probe {order.probe} reads ({shown}), not one column of type {order.reads or 'unknown'}")
        reader = await reading.prepare(_BOUNDED.format(most=MAX_BYTES, query=query))
        rows = await reader.fetch(*values)
    finally:
        await looking.rollback()
    if len(rows) != 1:
        raise ProbeError(f"probe {order.probe} reads {'several rows' if rows else 'no row'}, not one")
    if rows[0]["bytes"] is None:
        raise ProbeError(f"probe {order.probe} reads null, which is no value")
    if rows[0]["bytes"] > MAX_BYTES:
        raise ProbeError(f"probe {order.probe} reads {rows[0]['bytes']} bytes, more than {MAX_BYTES}")
    return _plain(order, rows[0]["value"])


def _plain(order: ProbeOrder, value: Any) -> JsonValue:
    number = float(value) if isinstance(value, Decimal) else value
    if isinstance(number, float) and not math.isfinite(number):
        raise ProbeError(f"probe {order.probe} reads {number}, which is no number")
    return number
