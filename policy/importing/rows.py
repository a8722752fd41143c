"""Tables as CSV (RFC 4180) with a header, read strictly.

- UTF-8, with or without a byte order mark (spreadsheets write one). A row with another number of fields than the header
  is an error of that row, not of the table.
- Where a table has a column `graph`, one of its graphs must be chosen: names of two companies are not one graph.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policy.catalogs.json_stream import MAX_STREAM_BYTES
from policy.errors import DocumentError

MAX_ROWS = 2_000_000
_SHOWN = 60


class Row(NamedTuple):
    """One row: what to call it, and its fields by column; None where it does not fit the header."""

    where: str
    fields: dict[str, str] | None


class Table(NamedTuple):
    """A table that is still being read."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


def read_table(body: bytes) -> Table:
    """Read a table.

    Raises:
        DocumentError: not UTF-8, too large, or without a usable header; malformed rows raise it while they are read.
    """
    if len(body) > MAX_STREAM_BYTES:
        raise DocumentError(f"table has {len(body)} bytes, at most {MAX_STREAM_BYTES} are read, split it")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"table is not utf-8 at byte {error.start}") from None
    reader = csv.reader(_lines(text), strict=True)
    columns = tuple(name.strip().lower() for name in next(_checked(reader), []))
    if not any(columns) or len(set(columns)) != len(columns):
        raise DocumentError(
            f"table has no header with a name of its own for each column: {','.join(columns)[:_SHOWN]!r}"
        )
    return Table(columns, _rows(columns, reader))


def chosen(rows: Iterator[Row], columns: Sequence[str], graph: str | None) -> Iterator[Row]:
    """The rows of one graph; all of them where the table has no such column.

    Raises:
        DocumentError: there are several graphs and none was chosen, or none is called so.
    """
    if "graph" not in columns:
        yield from rows
        return
    seen: dict[str, bool] = {}
    for row in rows:
        name = graph if row.fields is None else row.fields["graph"]
        seen[name or ""] = True
        if graph is None and len(seen) > 1:
            raise DocumentError(f"table has several graphs ({', '.join(seen)[:_SHOWN]}, …), choose one with --graph")
        if name == graph or graph is None:
            yield row
    if graph is not None and graph not in seen:
        raise DocumentError(f"table has no graph {graph[:_SHOWN]!r}, it has {', '.join(sorted(seen))[:_SHOWN]}")


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def _checked(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DocumentError(f"table is malformed: {error}") from None


def _rows(columns: tuple[str, ...], reader: Iterator[list[str]]) -> Iterator[Row]:
    for number, fields in enumerate(_checked(reader), start=2):
        if number > MAX_ROWS:
            raise DocumentError(f"table has more than {MAX_ROWS} rows, split it")
        if fields:
            fits = len(fields) == len(columns)
            yield Row(f"row {number}", {n: f.strip() for n, f in zip(columns, fields, strict=True)} if fits else None)
