"""What a server says of its tables and indexes, and what an order wants of an index.

1. Names are looked up in the catalogs and quoted by the server; columns are existing columns of the table. A name
   without a schema must be the only one of its kind outside of the server's own schemas.
2. An index is *plain* where `postgres.index.create` would make the same again from table, columns, method and
   uniqueness: no expression, condition, included column, ordering, operator class, collation, tablespace or storage
   parameter of its own, and no constraint, replica identity, clustering or partition that needs it.
3. An index that queries may not use is invalid: an interrupted CONCURRENTLY leaves one. Every one of a table is told.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from activities.executors.base import PreconditionFailedError
from activities.executors.postgres_probes import Parameters, text
from activities.executors.postgres_session import Session
from policy.canonical import digest_of
from policy.targets import ResolvedTarget

METHODS = ("btree", "hash", "gin", "gist", "spgist", "brin")
_MOST_COLUMNS = 32
_NAME_BYTES = 63  # of a longer name the server would keep so much, and say nothing

_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'"
_NAMED = f"c.relname = $1 AND ($2::text IS NULL OR n.nspname = $2) AND {_OURS}"
_TABLE = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS id,
  pg_table_size(c.oid) AS bytes, c.reltuples::bigint AS rows,
  ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum) AS columns,
  ARRAY(SELECT format('%I.%I', xn.nspname, x.relname) FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS xn ON xn.oid = x.relnamespace
    WHERE i.indrelid = c.oid AND NOT (i.indisvalid AND i.indisready AND i.indislive) ORDER BY 1) AS invalid
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND """
_INDEX = """
SELECT c.oid::bigint AS oid, format('%I.%I', n.nspname, c.relname) AS id, t.oid::bigint AS table_oid,
  format('%I.%I', tn.nspname, t.relname) AS table_id, tn.nspname AS table_schema, t.relname AS table_name,
  m.amname AS method, i.indisunique AS is_unique, i.indisvalid AND i.indisready AND i.indislive AS valid,
  pg_get_indexdef(c.oid) AS definition, pg_relation_size(c.oid) AS bytes,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number ORDER BY k.place) AS columns,
  c.relkind = 'i' AND NOT c.relispartition AND c.reltablespace = 0 AND c.reloptions IS NULL
    AND i.indexprs IS NULL AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts AND NOT i.indnullsnotdistinct
    AND NOT (i.indisprimary OR i.indisexclusion OR i.indisreplident OR i.indisclustered)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)
    AND NOT EXISTS (SELECT FROM unnest(i.indoption) AS option WHERE option <> 0)
    AND NOT EXISTS (SELECT FROM unnest(i.indclass) AS used JOIN pg_opclass AS o ON o.oid = used WHERE NOT o.opcdefault)
    AND NOT EXISTS (SELECT FROM unnest(i.indkey, i.indcollation) AS k(number, used)
      JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number WHERE used NOT IN (0, a.attcollation))
    AS plain
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
  JOIN pg_am AS m ON m.oid = c.relam
WHERE """
_QUOTED = "SELECT format('%I.%I', $1::text, $2::text)"


@dataclass(frozen=True)
class Table:
    """A table that is there. `rows` is the server's estimate, -1 where it has none."""

    oid: int
    schema: str
    name: str
    id: str
    bytes: int
    rows: int
    columns: tuple[str, ...]
    invalid: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """An index that is there."""

    oid: int
    id: str
    table_oid: int
    table_id: str
    table_schema: str
    table_name: str
    method: str
    is_unique: bool
    valid: bool
    definition: str
    bytes: int
    columns: tuple[str, ...]
    plain: bool

    @property
    def version(self) -> str:
        """What must not have changed of it."""
        return f"{self.oid} {'valid' if self.valid else 'invalid'} {digest_of(self.definition)}"


@dataclass(frozen=True)
class Wanted:
    """The index that an order describes. `schema` and `table_schema` are None where it does not say."""

    schema: str | None
    name: str
    table_schema: str | None
    table: str
    columns: tuple[str, ...]
    method: str
    is_unique: bool

    @classmethod
    def of(cls, parameters: Parameters) -> "Wanted":
        """What the parameters describe.

        Raises:
            PreconditionFailedError: names the parameter that is none, and why.
        """
        columns, unique = parameters.get("columns"), parameters.get("unique", False)
        method = text(parameters, "method") if "method" in parameters else METHODS[0]
        if not isinstance(columns, list) or not 0 < len(columns) <= _MOST_COLUMNS:
            raise PreconditionFailedError(f"parameter columns = {columns!r:.100} is no list of 1 to 32 column names")
        if len(set(map(str, columns))) != len(columns):
            raise PreconditionFailedError(f"parameter columns = {columns!r:.100} names a column twice")
        if not isinstance(unique, bool):
            raise PreconditionFailedError(f"parameter unique = {unique!r:.40} is neither true nor false")
        if method not in METHODS:
            raise PreconditionFailedError(f"parameter method = {method!r:.40} is none of {', '.join(METHODS)}")
        schema, name = split(text(parameters, "index"))
        table_schema, table = split(text(parameters, "table"))
        named = tuple(text({"columns": item}, "columns") for item in columns)
        return cls(schema, name, table_schema, table, named, method, unique)

    def check_table(self, table: Table) -> None:
        """Refuse columns that the table has not, and a schema that it is not in.

        Raises:
            PreconditionFailedError: names them.
        """
        if missing := [name for name in self.columns if name not in table.columns]:
            raise PreconditionFailedError(f"table {table.id} has no column {', '.join(missing)[:200]}")
        if self.schema not in (None, table.schema):
            raise PreconditionFailedError(f"an index of {table.id} is in schema {table.schema}, not in {self.schema}")

    def fits(self, index: Index, table: Table) -> bool:
        """Whether an index is what would be made of this."""
        made = (index.table_oid, index.columns, index.method, index.is_unique)
        return index.plain and made == (table.oid, self.columns, self.method, self.is_unique)


def split(name: str) -> tuple[str | None, str]:
    """Schema and name of `schema.name`, or of a name alone.

    Raises:
        PreconditionFailedError: it is none.
    """
    schema, dot, last = name.rpartition(".")
    parts = (schema, last) if dot else (last,)
    if not all(0 < len(part.encode()) <= _NAME_BYTES for part in parts) or "." in schema:
        raise PreconditionFailedError(f"`{name[:100]}` is no name of up to 63 bytes, nor schema.name")
    return (schema or None), last


async def read_table(reading: Session, name: str, schema: str | None) -> Table:
    """A table or materialized view by its name.

    Raises:
        PreconditionFailedError: there is none, or several.
    """
    row = _only(await reading.fetch(_TABLE + _NAMED, name, schema), name)
    if row is None:
        raise PreconditionFailedError(f"there is no table {_shown(name, schema)} that takes an index of its own")
    return Table(**{**row, "columns": tuple(row["columns"]), "invalid": tuple(row["invalid"])})


async def read_index(reading: Session, name: str, schema: str | None) -> Index | None:
    """An index by its name; None where there is none.

    Raises:
        PreconditionFailedError: there are several.
    """
    row = _only(await reading.fetch(_INDEX + _NAMED, name, schema), name)
    return Index(**{**row, "columns": tuple(row["columns"])}) if row is not None else None


async def id_in(reading: Session, table: Table, name: str) -> str:
    """The id that an index of a table has or would have."""
    return str(await reading.fetchval(_QUOTED, table.schema, name))


def absent_version(table: Table) -> str:
    """The version of an index that is not there: what must not have changed of its table."""
    return f"{table.oid} absent {digest_of(list(table.columns))}"


def index_target(ident: str, index: Index | None, table: Table) -> ResolvedTarget:
    """An index, or the place of one, as a target of no resource yet."""
    about = {"table": table.id, "table_bytes": table.bytes, "table_rows": table.rows, "invalid": list(table.invalid)}
    if index is None:
        return ResolvedTarget(id=ident, resource="", version=absent_version(table), state={"exists": False, **about})
    seen = {"exists": True, "definition": index.definition, "bytes": index.bytes, "valid": index.valid}
    return ResolvedTarget(id=ident, resource="", version=index.version, state={**seen, **about})


async def _valid(reading: Session, parameters: Parameters) -> bool:
    schema, name = split(text(parameters, "index"))
    index = await read_index(reading, name, schema)
    return index is not None and index.valid


async def _invalid_indexes(reading: Session, parameters: Parameters) -> int:
    schema, name = split(text(parameters, "table"))
    return len((await read_table(reading, name, schema)).invalid)


INDEX_PROBES: dict[str, Callable[[Session, Parameters], Awaitable[Any]]] = {
    "postgres.index.valid": _valid,
    "postgres.table.invalid_indexes": _invalid_indexes,
}


def _only(rows: list[asyncpg.Record], name: str) -> dict[str, Any] | None:
    if len(rows) > 1:
        raise PreconditionFailedError(f"{name} names {', '.join(row['id'] for row in rows)[:200]}: write schema.name")
    return dict(rows[0]) if rows else None


def _shown(name: str, schema: str | None) -> str:
    return f"{schema}.{name}" if schema else name
