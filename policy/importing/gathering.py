"""One import: what all its files say together, until it is written as one catalog.

- Files are read in the order in which they are given. Of two descriptions of one entity the first is kept and the
  other is skipped, with the reason; of two criticalities the worse counts, of two edges the harder.
- What cannot be read as meant is skipped alone, with the reason; a file that cannot be read at all ends the import.
- Every entity and every edge keeps the number of the file that it came from.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from policy.catalogs.catalog_text import CatalogContent, Source
from policy.catalogs.entities import UNSAID, Entity, candidates, worse
from policy.catalogs.graph import Edge
from policy.importing.report import Skip


@dataclass(frozen=True)
class ImportOptions:
    """How rows of tables are read.

    Attributes:
        graph: which rows are meant, where a table has a column `graph`.
        soft_to: references to what nobody breaks without (collectors, flags): edges of tables to them are soft.
        declare: give everything that only tables name a bare entity. Nothing is known of it, so the worst is assumed.
    """

    graph: str | None = None
    soft_to: frozenset[str] = frozenset()
    declare: bool = False


class Stated(NamedTuple):
    """A criticality that a table states."""

    file: str
    row: str
    ref: str
    criticality: str
    source: int


class Gathering:
    """What was read so far."""

    def __init__(self, options: ImportOptions) -> None:
        self.options = options
        self.content = CatalogContent()
        # Of each edge in the content: its source, and whether the consumer's own entity file declares it.
        self.origins: list[tuple[int, bool]] = []
        self.stated: list[Stated] = []
        self.named: dict[str, int] = {}
        self.read: Counter[str] = Counter()
        self.skips: list[Skip] = []
        self.notes: list[str] = []
        self._contradicted = 0

    def add_source(self, source: Source) -> int:
        """Take a file; its number."""
        self.content.sources.append(source)
        return len(self.content.sources) - 1

    def skip(self, file: str, entity: str, reason: str, *, harmless: bool = False) -> None:
        """Say what was not read."""
        # The place is said already; a message begins with it.
        self.skips.append(Skip(file, entity, reason.removeprefix(f"{entity}: "), harmless))

    def add_edge(self, edge: Edge, source: int) -> None:
        """Take an edge of a table."""
        self.content.edges.append(edge)
        self.origins.append((source, False))
        for ref in edge[:2]:
            self.named.setdefault(ref, source)

    def settle(self) -> None:
        """Bring together what different files say of the same entities, once all are read."""
        edges, guessed = self.content.settled()
        self.content.edges = edges
        self.notes += guessed
        if self.options.declare:
            self._declare()
        for stated in self.stated:
            self._apply(stated)

    def noted(self) -> tuple[str, ...]:
        """What was read with a guess, or decided between two statements."""
        twice = f"{self._contradicted} entities have two criticalities, the worse counts"
        return (*self.notes, *([twice] if self._contradicted else []))

    def _declare(self) -> None:
        for ref, source in (*self.named.items(), *((item.ref, item.source) for item in self.stated)):
            settled = self.known_as(ref)
            if settled not in self.content.entities:
                self.content.entities[settled] = _bare(settled, source)
                self.read["bare entities, named by tables only"] += 1

    def known_as(self, ref: str) -> str:
        """The entity that a name in a table means."""
        if not ref.startswith(UNSAID):
            return ref
        likely = candidates(ref)
        return next((item for item in likely if item in self.content.entities), likely[0])

    def _apply(self, stated: Stated) -> None:
        ref = self.known_as(stated.ref)
        entity = self.content.entities.get(ref)
        if entity is None:
            self.skip(stated.file, stated.row, f"{ref} is in no entity file")
            return
        if entity.criticality not in (None, stated.criticality):
            self._contradicted += 1
        self.content.entities[ref] = replace(
            entity,
            criticality=worse(entity.criticality, stated.criticality),
            sources=tuple(sorted({*entity.sources, stated.source})),
        )
        self.read["criticalities"] += 1


def _bare(ref: str, source: int) -> Entity:
    return Entity(ref=ref, resource_id=None, environment=None, criticality=None, owner=None, sources=(source,))
