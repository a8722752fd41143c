"""The catalog: what targets exist, what they are in the executor's world, and what depends on them.

- The format is that of Backstage entity files (`policy/catalogs/entities.py`), with service edges and OpenSLO v1
  objectives from elsewhere in the same text (`policy/catalogs/catalog_text.py` reads it). Cycles are normal.
- A target stands for what it holds: a system, a domain or a component resolves to the ids of all its parts. A part
  without an id, or in another environment, and an empty selection resolve to nothing at all, never to the rest of it.
- What holds parts is at least as critical as the worst of them, whatever it says of itself.
- A resource id belongs to one entity: a second name for the same thing could carry other facts and escape its holds.
- A target that is not here is unknown, and unknown is the worst case. So is a dependent that is not here.
- `owner` is for display and paging. It is never authority (Backstage's own rule).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, reduce
from typing import NamedTuple

from policy import builtin
from policy.catalogs.catalog_text import CatalogContent, Source, read_content
from policy.catalogs.entities import Entity, Party, normalize, worse
from policy.catalogs.graph import CRITICALITIES, CRITICALITY_WEIGHT, Dependent, Graph, Node, Reach
from policy.catalogs.objectives import SloObjective
from policy.errors import DocumentError

__all__ = [
    "CRITICALITIES",
    "CRITICALITY_WEIGHT",
    "Catalog",
    "Dependent",
    "Entity",
    "Reach",
    "Resolution",
    "SloObjective",
    "Source",
    "normalize",
    "read_catalog",
]
_REMEMBERED = 1024
_NAMED = 3


class Resolution(NamedTuple):
    """The ids that a target stands for, sorted; where there are none, why."""

    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class Catalog:
    """All entities by reference, with the edges turned round once, so that asking costs no rebuild.

    Attributes:
        entities: as they were written; ask `entity`, which also says what follows from the parts.
        parts: what belongs directly to a system, a domain or a component.
        objectives: of SLOs, by entity.
        parties: groups and users, for display only.
        sources: what the numbers in `Entity.sources` mean.
        dangling: references to entities that the catalog does not have, sorted.
        skipped: what was in the text and is not used, and why; what was read with a guess.
    """

    entities: Mapping[str, Entity]
    graph: Graph
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    objectives: Mapping[str, tuple[SloObjective, ...]] = field(default_factory=dict)
    parties: Mapping[str, Party] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    dangling: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    _wholes: dict[str, Entity] = field(default_factory=dict, repr=False)

    def entity(self, ref: str) -> Entity | None:
        """What is known of a target; of one that holds parts, with what follows from them."""
        found = self.entities.get(normalize(ref))
        if found is None or not self._holds(found):
            return found
        if found.ref not in self._wholes:
            if len(self._wholes) >= _REMEMBERED:
                self._wholes.clear()
            self._wholes[found.ref] = _whole(found, [item for item in self._things(found.ref) if item is not found])
        return self._wholes[found.ref]

    def resolution(self, ref: str) -> Resolution:
        """The ids of everything that a target stands for; none with the reason where one of them is not known."""
        target = self.entity(ref)
        if target is None:
            return Resolution((), f"{normalize(ref)} is not in the catalog")
        found = [item for item in self._things(target.ref) if item.ref != target.ref]
        if not found and target.resource_id is None:
            return Resolution((), f"{target.ref} has no countersign/resource-id" + _and_no_parts(target))
        for part in found:
            if part.resource_id is None and not self._holds(part):
                return Resolution((), f"part {part.ref} has no countersign/resource-id")
            if part.environment != target.environment:
                where = part.environment or "not given"
                return Resolution((), f"part {part.ref}: its environment is {where}, not {target.environment}")
        ids = {item.resource_id for item in (target, *found) if item.resource_id is not None}
        return Resolution(tuple(sorted(ids)), "")

    def resolve(self, ref: str) -> tuple[str, ...]:
        """The ids of everything that a target stands for, sorted; empty where nothing or not all is known."""
        return self.resolution(ref).ids

    def failure_domains_of(self, ref: str) -> tuple[str, ...]:
        """The failure domains that a target's parts are in, sorted."""
        return tuple(sorted({name for item in self._held(normalize(ref)) for name in item.failure_domains}))

    def members_of(self, ref: str) -> tuple[str, ...]:
        """A target and everything that belongs to it, directly or not, by reference."""
        return tuple(item.ref for item in self._held(normalize(ref)))

    def system_of(self, ref: str) -> str | None:
        """The system that something belongs to: itself, the one that it names, or that of what it is part of."""
        at, seen = self.entities.get(normalize(ref)), set()
        while at is not None and at.ref not in seen:
            if at.kind == "system" or at.system is not None:
                return at.ref if at.kind == "system" else at.system
            seen.add(at.ref)
            at = next((self.entities[whole] for whole in at.part_of if whole in self.entities), None)
        return None

    def objectives_of(self, ref: str) -> tuple[SloObjective, ...]:
        """The objectives of the SLOs of a target and of its parts."""
        return tuple(item for part in self._held(normalize(ref)) for item in self.objectives.get(part.ref, ()))

    def reach(self, ref: str) -> Reach:
        """What depends on a target or on a part of it (`policy/catalogs/graph.py`)."""
        start = normalize(ref)
        if not self.parts.get(start):
            return self.graph.reach((start,))
        return self.graph.reach((start, *(item.ref for item in self._held(start) if item.ref != start)))

    def facts_at(self, ref: str, published: datetime | None) -> datetime | None:
        """When what is known of a target and its parts was last true (UTC), as far as anybody says: when the catalog
        was published, or what the oldest of its sources says, if that is longer ago. None: nobody knows how old it is.

        Args:
            ref: the target.
            published: when the catalog was put in force; None where nobody knows.
        """
        numbers = {number for item in self._held(normalize(ref)) for number in item.sources}
        told = [published, *(_instant(self.sources[number].as_of) for number in numbers)]
        known = [at for at in told if at is not None]
        return min(known) if len(known) == len(told) else None

    def _holds(self, entity: Entity) -> bool:
        return entity.kind in ("system", "domain") or entity.ref in self.parts

    def _held(self, ref: str) -> Iterator[Entity]:
        """An entity and everything that belongs to it, directly or not, each once."""
        seen, waiting = {ref}, [ref]
        while waiting:
            at = waiting.pop()
            if at in self.entities:
                yield self.entities[at]
            new = [part for part in self.parts.get(at, ()) if part not in seen]
            seen.update(new)
            waiting.extend(reversed(new))

    def _things(self, ref: str) -> list[Entity]:
        """What somebody can act on of what belongs to a target: APIs are promises, systems and domains are names."""
        return [item for item in self._held(ref) if item.ref == ref or item.kind in ("component", "resource")]


def read_catalog(body: bytes) -> Catalog:
    """Read a catalog: Backstage entities, service edges, OpenSLO objectives, as YAML or a stream of JSON.

    Raises:
        DocumentError: names the document, the field and the fix.
    """
    return build_catalog(read_content(body))


@cache
def _builtin() -> dict[str, Entity]:
    """What is a target without anybody having written it."""
    return read_content(builtin.CATALOG).entities


@cache
def builtin_catalog() -> Catalog:
    """The targets that nobody had to write, alone."""
    return _built(_builtin(), read_content(builtin.CATALOG))


def build_catalog(content: CatalogContent) -> Catalog:
    """Turn what was read into a catalog.

    Raises:
        DocumentError: there is nothing in it, or a source that is not listed.
    """
    entities = content.entities
    if not entities:
        raise DocumentError("catalog has no entity of kind Component or Resource: without one every target is unknown")
    if ours := sorted(entities.keys() & _builtin().keys()):
        raise DocumentError(f"{ours[0]} is built in: give yours another name or namespace")
    taken = {item.resource_id for item in _builtin().values()}
    if same := next((item for item in entities.values() if item.resource_id in taken and item.resource_id), None):
        raise DocumentError(f"{same.ref}: resource-id {same.resource_id} is built in: give yours another")
    return _built({**entities, **_builtin()}, content)


def _built(entities: dict[str, Entity], content: CatalogContent) -> Catalog:
    for entity in entities.values():
        if any(number >= len(content.sources) for number in entity.sources):
            raise DocumentError(f"{entity.ref}: countersign/sources names a source that CatalogSources does not list")
    edges, guessed = content.settled()
    parts: dict[str, list[str]] = {}
    for entity in entities.values():
        for whole in entity.part_of:
            parts.setdefault(whole, []).append(entity.ref)
    objectives = content.objectives()
    nodes = {
        ref: Node(entity.criticality, max((item.objective for item in objectives.get(ref, ())), default=None))
        for ref, entity in entities.items()
    }
    named = {ref for edge in edges for ref in edge[:2]} | set(objectives)
    dangling = tuple(sorted(named - entities.keys()))
    return Catalog(
        entities=entities,
        graph=Graph(nodes, edges),
        parts={whole: tuple(sorted(refs)) for whole, refs in parts.items()},
        objectives=objectives,
        parties=content.parties,
        sources=tuple(content.sources),
        dangling=dangling,
        skipped=(*content.skipped(), *guessed, *_unknown(dangling)),
    )


def _unknown(dangling: tuple[str, ...]) -> Iterator[str]:
    if dangling:
        first = ", ".join(dangling[:_NAMED]) + (", …" if len(dangling) > _NAMED else "")
        yield f"{len(dangling)} references to what is not here, the worst is assumed: {first}"


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _whole(entity: Entity, parts: list[Entity]) -> Entity:
    """What holds parts: as critical as the worst of them. A system or domain is nothing of its own, so its environment
    and its units are those of its parts, where it names none and they agree.
    """
    if not parts:
        return entity
    is_name = entity.kind in ("system", "domain")
    given = [item.criticality for item in ((*parts, entity) if not is_name or entity.criticality else parts)]
    worst = None if None in given else reduce(worse, given)
    if not is_name:
        return replace(entity, criticality=worst)
    environments = {part.environment for part in parts}
    units = [part.units for part in parts if part.units is not None]
    return replace(
        entity,
        criticality=worst,
        environment=entity.environment or (environments.pop() if len(environments) == 1 else None),
        units=entity.units or (sum(units) if len(units) == len(parts) else None),
    )


def _and_no_parts(target: Entity) -> str:
    return " and no parts" if target.kind in ("system", "domain") else ""
