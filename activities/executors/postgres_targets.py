"""What operations on PostgreSQL would touch: read from the server's catalogs, never from a proposal.

1. A session is its process id and start; its version is when its transaction began. A parameter is its name; its
   version is value, source and whether it waits for a restart. An index is its name with the schema; its version is
   its number, whether queries may use it, and its definition (`postgres_index_facts.py`).
2. What does not exist resolves to nothing. A parameter that names several things is refused.
3. The environment is what the DBA set on the database (`ALTER DATABASE … SET countersign.environment = 'production'`).
   It is read from the catalog: what a role or a session sets for itself does not count.
4. An object has its name by the server's own identifier, whichever resource leads to it; where the role may not read
   that (`pg_control_system`), it has none.
5. All of it is read as the role that cannot change anything, where the resource has one (`read_url`): on the same
   server, because a replica has other sessions and other parameters. That role needs pg_read_all_stats.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
from pydantic import JsonValue

from activities.executors.base import Inquiry, Order, PreconditionFailedError, TargetChangedError
from activities.executors.postgres_index_facts import Wanted, id_in, index_target, read_index, read_table, split
from activities.executors.postgres_probes import backend_start, pid, setting, text
from activities.executors.postgres_session import Session, before_effect
from policy.canonical import digest_of
from policy.permit import Direction
from policy.targets import ResolvedTarget

_SHOWN = 200
_ENVIRONMENT = """
SELECT substr(item, strpos(item, '=') + 1)
FROM pg_db_role_setting JOIN pg_database AS here ON here.oid = setdatabase AND here.datname = current_database()
  CROSS JOIN unnest(setconfig) AS item
WHERE setrole = 0 AND lower(split_part(item, '=', 1)) = 'countersign.environment'
"""
_MAY_IDENTIFY = "SELECT has_function_privilege('pg_control_system()', 'execute')"
# A replica has the identifier of its primary, and other sessions and parameters.
_SERVER = (
    "SELECT system_identifier || CASE WHEN pg_is_in_recovery() THEN '/replica' ELSE '' END FROM pg_control_system()"
)
_SESSION = """
SELECT usename, datname, application_name, client_addr::text AS client, state, xact_start,
  extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
  extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_seconds,
  (SELECT count(*) FROM pg_stat_activity AS waiting WHERE $1 = ANY (pg_blocking_pids(waiting.pid))) AS blocks
FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2
"""


async def resolve(reading: Session, resource: str, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
    """What an operation would touch on a resource now.

    Args:
        reading: a session that only reads.
        resource: its resource id.
        inquiry: what is asked.

    Raises:
        PreconditionFailedError: the parameters name nothing that could be touched, and why.
        TargetUnreachableError: it could not be read.
    """
    with before_effect(f"resolving {inquiry.operation}"):
        environment = await reading.fetchval(_ENVIRONMENT)
        look = RESOLUTIONS[inquiry.operation]
        found = await look(reading, inquiry)
        place = await _place(reading, of_database=look in (_index, _new_index))
    where = {"resource": resource, "environment": environment}
    return tuple(
        item.model_copy(update=where | ({"object": f"{place}/{item.id}"} if place is not None else {}))
        for item in found
    )


async def _place(reading: Session, *, of_database: bool) -> str | None:
    """The name of the server, or of the database, wherever it is known from; None where the role may not know it."""
    if not await reading.fetchval(_MAY_IDENTIFY):
        return None
    server = f"postgres/{await reading.fetchval(_SERVER)}"
    return f"{server}/{await reading.fetchval('SELECT current_database()')}" if of_database else server


def target_of(order: Order) -> ResolvedTarget:
    """The one target of an order.

    Raises:
        PreconditionFailedError: it has none, several, or one of another resource.
    """
    if len(order.targets) != 1:
        raise PreconditionFailedError(f"{order.operation} acts on one target, the permit has {len(order.targets)}")
    target = order.targets[0]
    if (target.resource,) != order.resolved:
        raise PreconditionFailedError(f"target {target.id} is of {target.resource}, not of {', '.join(order.resolved)}")
    return target


def check_target(order: Order, ident: str, version: str | None) -> None:
    """Refuse an order whose target is not this one, or moved on. What a step left is not what was resolved before it:
    an undo names its target without a version.

    Args:
        order: what is to be carried out.
        ident: what its parameters name now; the target's id.
        version: that target's version now; None where it is gone.

    Raises:
        PreconditionFailedError: the parameters name something else than the target.
        TargetChangedError: the target is not what was resolved.
    """
    target = target_of(order)
    if target.id != ident:
        raise PreconditionFailedError(f"the parameters name {ident}, the permit is for {target.id}")
    if order.direction is Direction.do and target.version is not None and target.version != version:
        raise TargetChangedError(f"{ident} is {version or 'gone'}, resolved was {target.version}")


def session_id(process: int, started: datetime) -> str:
    """The id of a session: no other session of the server ever has it."""
    return f"{process}@{started.astimezone(UTC).isoformat()}"


def parameter_version(row: asyncpg.Record) -> str:
    """What must not have changed of a parameter."""
    return digest_of([row["value"], row["source"], row["pending_restart"]])


async def _session(reading: Session, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
    who = (pid(inquiry.parameters), backend_start(inquiry.parameters))
    if (row := await reading.fetchrow(_SESSION, *who)) is None:
        return ()
    begun = row["xact_start"].isoformat() if row["xact_start"] is not None else "no transaction"
    state = {name: _plain(value) for name, value in row.items() if name != "xact_start"}
    return (_target(session_id(*who), begun, state),)


async def _parameter(reading: Session, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
    row = await setting(reading, text(inquiry.parameters, "name"))
    state = {name: _plain(row[name]) for name in ("value", "source", "pending_restart")}
    return (_target(row["name"], parameter_version(row), state),)


async def _new_index(reading: Session, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
    wanted = Wanted.of(inquiry.parameters)
    table = await read_table(reading, wanted.table, wanted.table_schema)
    wanted.check_table(table)
    there = await read_index(reading, wanted.name, table.schema)
    return (index_target(await id_in(reading, table, wanted.name), there, table),)


async def _index(reading: Session, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
    schema, name = split(text(inquiry.parameters, "index"))
    if (index := await read_index(reading, name, schema)) is None:
        return ()
    return (index_target(index.id, index, await read_table(reading, index.table_name, index.table_schema)),)


def _target(ident: str, version: str, state: dict[str, JsonValue]) -> ResolvedTarget:
    return ResolvedTarget(id=ident, resource="", version=version, state=state)


def _plain(value: Any) -> JsonValue:
    if isinstance(value, float):
        return round(value, 1)
    return value[:_SHOWN] if isinstance(value, str) else value


RESOLUTIONS: dict[str, Callable[[Session, Inquiry], Awaitable[tuple[ResolvedTarget, ...]]]] = {
    "postgres.session.terminate": _session,
    "postgres.parameter.set": _parameter,
    "postgres.parameter.reset": _parameter,
    "postgres.index.create": _new_index,
    "postgres.index.drop": _index,
    "postgres.index.reindex": _index,
}
