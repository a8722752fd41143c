"""Service edges from a table: columns `from` and `to`, and `strength`, `evidence`, `graph` where it has them.

An edge is hard unless its row says `soft`, or whoever imports says that what it leads to is nothing to break for.
"""

from policy.catalogs.catalog_text import MAX_EDGES, Source
from policy.catalogs.entities import UNSAID, candidates, is_hard, reference
from policy.catalogs.graph import Edge
from policy.errors import DocumentError
from policy.importing.gathering import Gathering
from policy.importing.rows import Row, Table, chosen

COLUMNS = frozenset({"from", "to"})
_USED = COLUMNS | {"strength", "evidence", "graph"}


def gather_edges(gathering: Gathering, source: Source, table: Table) -> None:
    """Take every row that can be read.

    Raises:
        DocumentError: the table is malformed, needs a graph to be chosen, or the catalog is full.
    """
    mine = gathering.add_source(source)
    if unused := sorted(set(table.columns) - _USED):
        gathering.notes.append(f"columns {', '.join(unused)[:200]} of {source.file} are not used")
    for row in chosen(table.rows, table.columns, gathering.options.graph):
        if len(gathering.content.edges) >= MAX_EDGES:
            raise DocumentError(f"{row.where}: a catalog holds at most {MAX_EDGES} edges")
        try:
            edge = _edge(row, gathering.options.soft_to)
        except DocumentError as error:
            gathering.skip(source.file, row.where, str(error))
            continue
        gathering.add_edge(edge, mine)
        gathering.read["service edges" if edge.hard else "service edges, soft"] += 1


def _edge(row: Row, soft_to: frozenset[str]) -> Edge:
    if row.fields is None:
        raise DocumentError(f"{row.where}: it has another number of fields than the header")
    user, needed = (_end(row.where, field, row.fields[field]) for field in ("from", "to"))
    hard = is_hard(row.where, row.fields.get("strength") or "hard")
    return Edge(user, needed, hard and not soft_to.intersection((needed, *candidates(needed))))


def _end(where: str, field: str, text: str) -> str:
    if not text:
        raise DocumentError(f"{where}: {field} is empty")
    return reference(where, text, UNSAID)
