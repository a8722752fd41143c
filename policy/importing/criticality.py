"""How critical services are, from a table: columns `service` and `service.criticality`, OpenTelemetry's attribute.

Its values are ours: critical, high, medium, low. A service without one stays unknown, which counts as the worst.
"""

from policy.catalogs.catalog_text import Source
from policy.catalogs.entities import UNSAID, criticality_of, reference
from policy.errors import DocumentError
from policy.importing.gathering import Gathering, Stated
from policy.importing.rows import Row, Table, chosen

COLUMNS = frozenset({"service", "service.criticality"})


def gather_criticality(gathering: Gathering, source: Source, table: Table) -> None:
    """Take every row that can be read.

    Raises:
        DocumentError: the table is malformed, or needs a graph to be chosen.
    """
    mine = gathering.add_source(source)
    for row in chosen(table.rows, table.columns, gathering.options.graph):
        try:
            ref, criticality = _read(row)
        except DocumentError as error:
            gathering.skip(source.file, row.where, str(error))
            continue
        if criticality:
            gathering.stated.append(Stated(source.file, row.where, ref, criticality, mine))
        else:
            gathering.named.setdefault(ref, mine)
            told = f"{ref.split('/', 1)[1]} has no criticality, the worst is assumed"
            gathering.skip(source.file, row.where, told, harmless=True)


def _read(row: Row) -> tuple[str, str]:
    if row.fields is None:
        raise DocumentError(f"{row.where}: it has another number of fields than the header")
    text = row.fields["service.criticality"]
    if not row.fields["service"]:
        raise DocumentError(f"{row.where}: service is empty")
    return reference(row.where, row.fields["service"], UNSAID), criticality_of(row.where, text) if text else ""
