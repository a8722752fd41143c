"""The text of a catalog: which documents it may hold, and what each adds.

- `backstage.io/v1alpha1` (or no apiVersion): entities; kinds that say nothing of targets are skipped.
- `openslo/v1`: the objectives of `kind: SLO`; everything else of OpenSLO is skipped.
- `countersign/v1`, `kind: ServiceEdges`: `edges`, each `{from, to, strength, source}`; hard unless it says `soft`.
- `countersign/v1`, `kind: CatalogSources`: `sources`, each `{file, digest, format, as_of}`; `countersign/sources` and
  an edge's `source` are numbers in this list, from 0.
- An array stands for the documents in it (the Backstage API answers so). What is skipped is counted, never silent.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from policy.base import Instant, instant_text
from policy.catalogs.entities import (
    PARTY_KINDS,
    TARGET_KINDS,
    UNSAID,
    Entity,
    Party,
    candidates,
    is_hard,
    read_entity,
    read_party,
    reference,
    text_of,
)
from policy.catalogs.graph import Edge
from policy.catalogs.json_stream import read_stream
from policy.catalogs.objectives import ServiceObjectives, SloObjective, read_slo
from policy.errors import DocumentError, explain

MAX_ENTITIES = 500_000
MAX_EDGES = 2_000_000
MAX_SOURCES = 10_000
_REASONS = 20
_INSTANT: TypeAdapter[Any] = TypeAdapter(Instant)
_SHOWN = 60


class Source(NamedTuple):
    """Where facts come from: a file by its digest. `as_of` is the instant (RFC 3339, UTC) that they were true at, as
    far as whoever imported them knows.
    """

    file: str
    digest: str
    format: str
    as_of: str | None


class CatalogContent:
    """What the documents of a catalog said, in the order in which they were read."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self.edges: list[Edge] = []
        self.slos: dict[tuple[str, str], ServiceObjectives] = {}
        self.parties: dict[str, Party] = {}
        self.sources: list[Source] = []
        self._resources: dict[str, str] = {}
        self._skipped: Counter[str] = Counter()

    def add(self, where: str, value: Any) -> str:
        """Take one document; it is taken as a whole or not at all. The kind that it was read as; "" if it was skipped.

        Args:
            where: what to call it in an error.
            value: the document.

        Raises:
            DocumentError: it cannot be read as meant.
        """
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise DocumentError(f"{where}: kind is missing, give it one of Component, Resource")
        version, kind = str(value.get("apiVersion", "backstage.io/v1alpha1")), str(value["kind"]).lower()
        match version.split("/", 1)[0], kind:
            case "backstage.io", _ if kind in TARGET_KINDS:
                self._add_entity(where, value)
            case "backstage.io", _ if kind in PARTY_KINDS:
                party = read_party(where, value)
                self.parties[party.ref] = party
            case "openslo", "slo" if version == "openslo/v1":
                slo = read_slo(where, value)
                if (slo.service, slo.name) in self.slos:
                    raise DocumentError(f"{where}: slo {slo.name[:_SHOWN]} of {slo.service} occurs twice")
                self.slos[slo.service, slo.name] = slo
            case "countersign", "serviceedges" if version == "countersign/v1":
                self.edges.extend(_read_edges(where, value, MAX_EDGES - len(self.edges)))
            case "countersign", "catalogsources" if version == "countersign/v1":
                self.sources.extend(_read_sources(where, value, MAX_SOURCES - len(self.sources)))
            case _:
                self._skipped[why_skipped(version, value["kind"])] += 1
                return ""
        return kind

    def settled(self) -> tuple[list[Edge], tuple[str, ...]]:
        """The edges with every kind that was left out guessed, and what was guessed."""
        guessed: Counter[str] = Counter()

        def settle(ref: str) -> str:
            if not ref.startswith(UNSAID):
                return ref
            likely = candidates(ref)
            found = next((item for item in likely if item in self.entities), likely[0])
            guessed[found.split(":", 1)[0]] += 1
            return found

        edges = [
            edge._replace(user=settle(edge.user), needed=settle(edge.needed))
            if edge.user.startswith(UNSAID) or edge.needed.startswith(UNSAID)
            else edge
            for edge in self.edges
        ]
        return edges, tuple(
            f"{count} references without a kind are read as {kind}" for kind, count in sorted(guessed.items())
        )

    def objectives(self) -> dict[str, tuple[SloObjective, ...]]:
        """The objectives of all SLOs, by entity."""
        found: dict[str, list[SloObjective]] = {}
        for slo in self.slos.values():
            found.setdefault(slo.service, []).extend(slo.objectives)
        return {ref: tuple(sorted(items, key=lambda item: item.name)) for ref, items in found.items()}

    def skipped(self) -> tuple[str, ...]:
        """What was skipped, counted by reason."""
        told = [f"{count} skipped: {reason}" for reason, count in sorted(self._skipped.items())]
        return tuple(told if len(told) <= _REASONS else [*told[:_REASONS], f"and {len(told) - _REASONS} other reasons"])

    def _add_entity(self, where: str, value: Mapping[str, Any]) -> None:
        entity, edges = read_entity(where, value)
        if entity.ref in self.entities:
            raise DocumentError(f"{where}: {entity.ref} occurs twice")
        if len(self.entities) >= MAX_ENTITIES or len(self.edges) + len(edges) > MAX_EDGES:
            raise DocumentError(f"{where}: a catalog holds at most {MAX_ENTITIES} entities and {MAX_EDGES} edges")
        if entity.resource_id is not None:
            other = self._resources.setdefault(entity.resource_id, entity.ref)
            if other != entity.ref:
                raise DocumentError(f"{where}: resource-id {entity.resource_id} is that of {other} already")
        self.entities[entity.ref] = entity
        self.edges.extend(edges)


def read_content(body: bytes) -> CatalogContent:
    """Read all documents of a catalog's text.

    Raises:
        DocumentError: the first that cannot be read as meant.
    """
    content = CatalogContent()
    number = 0
    for value in read_stream(body):
        for item in value if isinstance(value, list) else (value,):
            number += 1
            if item is not None:
                content.add(f"entity {number}", item)
    return content


def why_skipped(version: str, kind: str) -> str:
    """Why a document is not used."""
    if version == "openslo/v1" or version.startswith("backstage.io/"):
        return f"kind {kind[:_SHOWN]} of {version[:_SHOWN]} is not used"
    hint = ", write it as openslo/v1" if "openslo" in version else ""
    return f"apiVersion {version[:_SHOWN]} with kind {kind[:_SHOWN]} is not read{hint}"


def _read_edges(where: str, value: Mapping[str, Any], room: int) -> list[Edge]:
    edges = value.get("edges")
    if not isinstance(edges, list) or not all(isinstance(edge, dict) for edge in edges):
        raise DocumentError(f"{where}: edges is not a list of {{from, to, strength, source}}")
    if len(edges) > room:
        raise DocumentError(f"{where}: a catalog holds at most {MAX_EDGES} edges")
    return [_read_edge(f"{where}, edge {number}", edge) for number, edge in enumerate(edges, start=1)]


def _read_edge(where: str, edge: Mapping[str, Any]) -> Edge:
    ends = []
    for field in ("from", "to"):
        text = text_of(where, edge, field)
        if text is None:
            raise DocumentError(f"{where}: {field} is missing")
        ends.append(reference(where, text, "component"))
    if unknown := edge.keys() - {"from", "to", "strength", "source", "evidence"}:
        raise DocumentError(f"{where}: field {min(unknown)[:_SHOWN]!r} is none of from, to, strength, source, evidence")
    return Edge(ends[0], ends[1], is_hard(where, text_of(where, edge, "strength") or "hard"))


def _read_sources(where: str, value: Mapping[str, Any], room: int) -> list[Source]:
    sources = value.get("sources")
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise DocumentError(f"{where}: sources is not a list of {{file, digest, format, as_of}}")
    if len(sources) > room:
        raise DocumentError(f"{where}: a catalog names at most {MAX_SOURCES} sources")
    return [_read_source(f"{where}, source {number}", source) for number, source in enumerate(sources)]


def _read_source(where: str, source: Mapping[str, Any]) -> Source:
    file, digest, form = (text_of(where, source, field) for field in ("file", "digest", "format"))
    if file is None or digest is None or form is None:
        raise DocumentError(f"{where}: file, digest and format must be given")
    return Source(file, digest, form, read_instant(where, text_of(where, source, "as_of")))


def read_instant(where: str, text: str | None) -> str | None:
    """An instant in its one spelling.

    Raises:
        DocumentError: it is none.
    """
    if text is None:
        return None
    try:
        return instant_text(_INSTANT.validate_python(text))
    except ValidationError as error:
        raise DocumentError(f"{where}: as_of is no instant: {explain(error)}") from None
