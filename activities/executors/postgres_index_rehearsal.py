"""What PostgreSQL would do to an index: the same questions as before the effect, in a read-only session of the operator
role, and no effect.

1. An index would be created if its table has the columns, its name is free and this role owns the table and may create
   in its schema; dropped if it is there, is exactly the one described, and this role owns the table; built anew if it
   is there and this role owns the table or has MAINTAIN on it.
2. Whether the rows allow a unique index, and whether there is room for it, is not found out, and that is said.
3. An undo is rehearsed before its step: that the index is not there yet, or still there, is not held against it.
"""

from collections.abc import Awaitable, Callable

from activities.executors.base import Order, PreconditionFailedError
from activities.executors.postgres_index_facts import Index, Table, Wanted, read_index, read_table, split
from activities.executors.postgres_probes import text
from activities.executors.postgres_session import Session, before_effect
from policy.permit import Direction

_MAY = """
SELECT pg_has_role(current_user, t.relowner, 'USAGE') AS own,
  has_schema_privilege(t.relnamespace, 'CREATE') AS create,
  CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(t.oid, 'MAINTAIN')
    ELSE false END AS maintain
FROM pg_class AS t WHERE t.oid = $1::bigint::oid
"""


async def create(reading: Session, order: Order) -> str:
    """Whether an index would be created.

    Raises:
        PreconditionFailedError: it would not.
    """
    wanted, table, index, may = await _described(reading, order)
    if index is not None and order.direction is Direction.do:
        raise PreconditionFailedError(f"index {index.id} exists{'' if index.valid else ' and is invalid'}")
    if not (may.get("own") and may.get("create")):
        raise PreconditionFailedError(f"this role does not own table {table.id}, or may not create in its schema")
    unsure = ["whether there is room for it", *(["whether the rows are unique"] if wanted.is_unique else [])]
    what = f"{'unique ' if wanted.is_unique else ''}{wanted.method} index {wanted.name} on {table.id}"
    return f"would create {what} ({', '.join(wanted.columns)}){_about(table)}; not checked: {', '.join(unsure)}"


async def drop(reading: Session, order: Order) -> str:
    """Whether an index would be dropped.

    Raises:
        PreconditionFailedError: it would not.
    """
    wanted, table, index, may = await _described(reading, order)
    if index is None and order.direction is Direction.do:
        raise PreconditionFailedError(f"there is no index {wanted.name} on {table.id}")
    if not may.get("own"):
        raise PreconditionFailedError(f"this role does not own table {table.id}")
    if index is None:
        return f"would drop index {wanted.name} of {table.id}, which the step creates{_about(table)}"
    return f"would drop {index.definition} ({index.bytes} bytes){_about(table)}"


async def reindex(reading: Session, order: Order) -> str:
    """Whether an index would be built anew.

    Raises:
        PreconditionFailedError: it would not.
    """
    schema, name = split(text(order.parameters, "index"))
    with before_effect("reading the index"):
        index = await read_index(reading, name, schema)
        if index is None:
            raise PreconditionFailedError(f"there is no index {name}")
        table = await read_table(reading, index.table_name, index.table_schema)
        may = dict(await reading.fetchrow(_MAY, table.oid) or {})
    if not (may.get("own") or may.get("maintain")):
        raise PreconditionFailedError(f"this role neither owns table {table.id} nor has MAINTAIN on it")
    return (
        f"would build {index.id} anew ({index.bytes} bytes){_about(table)}; not checked: whether there is room for it"
    )


async def _described(reading: Session, order: Order) -> tuple[Wanted, Table, Index | None, dict[str, bool]]:
    wanted = Wanted.of(order.parameters)
    with before_effect("reading the index"):
        table = await read_table(reading, wanted.table, wanted.table_schema)
        wanted.check_table(table)
        index = await read_index(reading, wanted.name, table.schema)
        may = dict(await reading.fetchrow(_MAY, table.oid) or {})
    if index is not None and not wanted.fits(index, table):
        raise PreconditionFailedError(f"index {index.id} is another than described: {index.definition}"[:400])
    return wanted, table, index, may


def _about(table: Table) -> str:
    """What is invalid at the table already."""
    return f"; invalid there now: {', '.join(table.invalid)[:300]}" if table.invalid else ""


INDEX_REHEARSALS: dict[str, Callable[[Session, Order], Awaitable[str]]] = {
    "postgres.index.create": create,
    "postgres.index.drop": drop,
    "postgres.index.reindex": reindex,
}
