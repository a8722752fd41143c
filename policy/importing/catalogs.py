"""Files in, one catalog text and a report out; pure, so that the same files make the same bytes.

A file is what its name and its header say: `.csv` is a table of edges or of criticalities, everything else is a file of
Backstage entities, OpenSLO objectives and service edges.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from policy.canonical import digest
from policy.catalog import Catalog, read_catalog
from policy.catalogs.catalog_text import Source
from policy.errors import DocumentError
from policy.importing import criticality, edges
from policy.importing.backstage import gather_documents
from policy.importing.gathering import Gathering, ImportOptions
from policy.importing.report import ImportReport
from policy.importing.rows import read_table
from policy.importing.writing import catalog_text


class InputFile(NamedTuple):
    """A file to import: its name as it is to be remembered, its bytes, and when it was true (RFC 3339)."""

    name: str
    body: bytes
    as_of: str | None


class Imported(NamedTuple):
    """The text of the catalog, the catalog itself, and what became of every input."""

    text: bytes
    catalog: Catalog
    report: ImportReport


def import_catalog(files: Iterable[InputFile], options: ImportOptions | None = None) -> Imported:
    """Read files of any of the formats and bring together what they say.

    Args:
        files: in the order of their precedence.
        options: how tables are read.

    Raises:
        DocumentError: names the file that cannot be read at all, or says that there is nothing to be a target.
    """
    gathering = Gathering(options or ImportOptions())
    for file in files:
        try:
            _gather(gathering, file)
        except DocumentError as error:
            raise DocumentError(f"{file.name}: {error}") from None
    gathering.settle()
    text = "".join(catalog_text(gathering)).encode()
    report = ImportReport(
        sources=tuple(gathering.content.sources),
        read=dict(gathering.read),
        skips=tuple(gathering.skips),
        notes=gathering.noted(),
    )
    del gathering
    # What is written must be readable; and who reads it must come to the same.
    catalog = read_catalog(text)
    return Imported(text, catalog, replace(report, dangling=catalog.dangling))


def _gather(gathering: Gathering, file: InputFile) -> None:
    def source(form: str) -> Source:
        return Source(file.name, digest(file.body), form, file.as_of)

    if not file.name.lower().endswith(".csv"):
        gather_documents(gathering, source("documents"), file.body)
        return
    table = read_table(file.body)
    if edges.COLUMNS.issubset(table.columns):
        edges.gather_edges(gathering, source("service edges"), table)
    elif criticality.COLUMNS.issubset(table.columns):
        criticality.gather_criticality(gathering, source("service.criticality"), table)
    else:
        raise DocumentError(
            f"columns {', '.join(table.columns)[:120]!r} are of no table that is read:"
            " from, to[, strength]; or service, service.criticality"
        )
