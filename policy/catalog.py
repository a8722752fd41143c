"""The catalog: what targets exist, what they are in the executor's world, and what depends on them.

- The format is that of Backstage entity files (`backstage.io/v1alpha1`), kinds Component and Resource; other kinds are
  skipped and counted. `dependsOn` and `dependencyOf` give the edges; cycles are normal.
- `owner` is for display and paging. It is never authority (Backstage's own rule).
- Our facts are annotations: `countersign/environment`, `countersign/criticality` (low, medium, high, critical) and
  `countersign/resource-id`, the id by which an executor knows the target.
- A resource id belongs to one entity: a second name for the same thing could carry other facts and escape its holds.
- A target that is not here is unknown, and unknown is the worst case.
"""

import re
from collections import deque
from typing import Any, Literal

from policy.base import RecordModel
from policy.errors import DocumentError
from policy.yaml_text import read_yaml

KINDS = ("component", "resource")
CRITICALITIES = ("low", "medium", "high", "critical")
# Nobody said how critical it is: as bad as it can be.
CRITICALITY_WEIGHT = {"low": 0.25, "medium": 0.5, "high": 0.75, "critical": 1.0, None: 1.0}
_REF = re.compile(r"[a-z0-9._-]+:[a-z0-9._-]+/[a-z0-9._-]+")


class Entity(RecordModel):
    """A service or a resource. `ref` is `kind:namespace/name`, in lower case."""

    ref: str
    resource_id: str | None
    environment: str | None
    criticality: str | None
    owner: str | None
    depends_on: tuple[str, ...]
    system: str | None = None
    units: float | None = None


class Dependent(RecordModel):
    """Something that depends on the target; `distance` counts edges, 1 is direct. `strength` is that of the strongest
    way to it: `hard` breaks, `soft` is degraded.
    """

    ref: str
    criticality: str | None
    distance: int
    strength: Literal["hard", "soft"] = "hard"


class Reach(RecordModel):
    """What depends on a target, in sum, and the first ten, worst first.

    Attributes:
        total: how many entities depend on it, directly or not.
        hard: how many of them break with it.
        weight: the sum over all of them of strength, criticality and SLO (`docs/impact.md`).
        dangling: references among them to entities that the catalog does not have.
        nearest: the ten that weigh most.
    """

    total: int = 0
    hard: int = 0
    weight: float = 0.0
    dangling: int = 0
    nearest: tuple[Dependent, ...] = ()


class SloObjective(RecordModel):
    """An objective of an SLO that the catalog names: `objective` is 0..1, for example 0.999."""

    name: str
    objective: float


class Catalog(RecordModel):
    """All entities by reference, with the edges turned round once, so that asking costs no rebuild."""

    entities: dict[str, Entity]
    dependents: dict[str, tuple[str, ...]]
    skipped: tuple[str, ...] = ()

    def entity(self, ref: str) -> Entity | None:
        return self.entities.get(normalize(ref))

    def resolve(self, ref: str) -> tuple[str, ...]:
        """The ids of everything that a target stands for, sorted; empty where nothing is known."""
        entity = self.entity(ref)
        return (entity.resource_id,) if entity and entity.resource_id else ()

    def failure_domains_of(self, _ref: str) -> tuple[str, ...]:
        """The failure domains that a target's parts are in, sorted."""
        return ()

    def objectives_of(self, _ref: str) -> tuple[SloObjective, ...]:
        """The objectives of a target's SLOs."""
        return ()

    def reach(self, ref: str) -> Reach:
        """What depends on a target."""
        found = self.dependents_of(ref)
        weight = sum(CRITICALITY_WEIGHT[item.criticality] for item in found)
        return Reach(total=len(found), hard=len(found), weight=weight, nearest=found[:10])

    def dependents_of(self, ref: str) -> tuple[Dependent, ...]:
        """Everything that depends on an entity, direct or not, nearest first; an entity is no dependent of itself."""
        start = normalize(ref)
        seen = {start}
        queue = deque([(start, 0)])
        found: list[Dependent] = []
        while queue:
            at, distance = queue.popleft()
            for name in self.dependents.get(at, ()):
                if name not in seen:
                    seen.add(name)
                    queue.append((name, distance + 1))
                    entity = self.entities.get(name)
                    found.append(
                        Dependent(ref=name, criticality=entity.criticality if entity else None, distance=distance + 1)
                    )
        return tuple(found)


def normalize(ref: str, kind: str = "component") -> str:
    """`[kind:][namespace/]name` as `kind:namespace/name` in lower case."""
    text = ref.lower()
    if ":" in text:
        kind, text = text.split(":", 1)
    namespace, name = text.split("/", 1) if "/" in text else ("default", text)
    return f"{kind}:{namespace}/{name}"


def read_catalog(body: bytes) -> Catalog:
    """Read Backstage entities.

    Raises:
        DocumentError: names the document, the field and the fix.
    """
    entities: dict[str, Entity] = {}
    resources: dict[str, str] = {}
    inverse: list[tuple[str, str]] = []
    skipped: list[str] = []
    for number, value in enumerate(read_yaml(body), start=1):
        if value is None:
            continue
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise DocumentError(f"entity {number}: kind is missing, give it one of Component, Resource")
        if value["kind"].lower() not in KINDS:
            skipped.append(f"entity {number}: kind {value['kind']} is not used")
            continue
        entity, used_by = _entity(number, value)
        if entity.ref in entities:
            raise DocumentError(f"entity {number}: {entity.ref} occurs twice")
        if (
            entity.resource_id is not None
            and (other := resources.setdefault(entity.resource_id, entity.ref)) != entity.ref
        ):
            raise DocumentError(f"entity {number}: resource-id {entity.resource_id} is that of {other} already")
        entities[entity.ref] = entity
        inverse.extend((user, entity.ref) for user in used_by)
    if not entities:
        raise DocumentError("catalog has no entity of kind Component or Resource: without one every target is unknown")
    return Catalog(entities=entities, dependents=_turn(entities, inverse), skipped=tuple(skipped))


def _entity(number: int, value: dict[str, Any]) -> tuple[Entity, tuple[str, ...]]:
    metadata, spec = _mapping(number, value, "metadata"), _mapping(number, value, "spec")
    annotations = _mapping(number, metadata, "annotations")
    name, namespace = _text(number, metadata, "name"), _text(number, metadata, "namespace")
    if name is None:
        raise DocumentError(f"entity {number}: metadata.name is missing")
    criticality = _text(number, annotations, "countersign/criticality")
    if criticality is not None and criticality not in CRITICALITIES:
        raise DocumentError(f"entity {number}: criticality {criticality!r} is none of {', '.join(CRITICALITIES)}")
    entity = Entity(
        ref=_ref(number, f"{value['kind']}:{namespace or 'default'}/{name}"),
        resource_id=_text(number, annotations, "countersign/resource-id"),
        environment=_text(number, annotations, "countersign/environment"),
        criticality=criticality,
        owner=_text(number, spec, "owner"),
        depends_on=_refs(number, spec, "dependsOn"),
    )
    return entity, _refs(number, spec, "dependencyOf")


def _mapping(number: int, value: dict[str, Any], field: str) -> dict[str, Any]:
    found = value.get(field)
    if not isinstance(found, dict | None):
        raise DocumentError(f"entity {number}: {field} is not a mapping")
    return found or {}


def _text(number: int, value: dict[str, Any], field: str) -> str | None:
    found = value.get(field)
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise DocumentError(f"entity {number}: {field} = {found!r} is not a text, put it in quotes")
    return found


def _ref(number: int, text: str) -> str:
    ref = normalize(text)
    if not _REF.fullmatch(ref):
        raise DocumentError(f"entity {number}: {text!r} is no reference, write it as kind:namespace/name")
    return ref


def _refs(number: int, spec: dict[str, Any], field: str) -> tuple[str, ...]:
    names = spec.get(field) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DocumentError(f"entity {number}: spec.{field} is not a list of references")
    return tuple(_ref(number, name) for name in names)


def _turn(entities: dict[str, Entity], inverse: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Who depends on whom, turned round: each entity to those that need it."""
    users: dict[str, set[str]] = {}
    for entity in entities.values():
        for needed in entity.depends_on:
            users.setdefault(needed, set()).add(entity.ref)
    for user, needed in inverse:
        users.setdefault(needed, set()).add(user)
    return {needed: tuple(sorted(names)) for needed, names in sorted(users.items())}
