"""Backstage entity files, one entity at a time: what it is, what it needs, and what it is part of.

- References are `[kind:][namespace/]name`, in any case. The kind that is left out follows from the field, the namespace
  from the entity that refers. Where a dependency leaves its kind out, Backstage has no default: it is read as a
  component, or as the resource of that name where there is no such component, and that is said.
- `dependsOn`, `dependencyOf`, `consumesApis` and `providesApis` give the edges; `system`, `domain`, `subdomainOf` and
  `subcomponentOf` say what it is part of. An edge is hard unless the consumer's `countersign/dependency-strength` says
  `soft`, for all of them or for one: `soft`, or `component:default/mail=soft, *=hard`.
- `owner`, groups and users are for display and paging. They are never authority (Backstage's own rule).
- Our facts are annotations: `countersign/resource-id` (how an executor knows it), `countersign/environment`,
  `countersign/criticality` (OpenTelemetry's `service.criticality` serves, too; of two the worse counts),
  `countersign/units`, `countersign/failure-domains` (a list with commas), `countersign/sources`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from policy.catalogs.graph import CRITICALITIES, Edge
from policy.errors import DocumentError

TARGET_KINDS = ("component", "resource", "api", "system", "domain")
PARTY_KINDS = ("group", "user")
KINDS = (*TARGET_KINDS, *PARTY_KINDS)
REF = re.compile(r"[a-z0-9._-]{1,63}:[a-z0-9._-]{1,63}/[a-z0-9._-]{1,253}")
_PART_OF = {"subcomponentOf": "component", "system": "system", "domain": "domain", "subdomainOf": "domain"}
# Far above any capacity, and far below what the sum of a whole domain could make a record refuse.
MAX_UNITS = 1e9
# Stands for a kind that was left out, until all entities are known.
UNSAID = "unsaid"
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Entity:
    """A service, a resource, an API, or what holds several. `ref` is `kind:namespace/name`, in lower case.

    Attributes:
        units: how much capacity it has, in units of its own (servers, replicas), where somebody said so.
        part_of: the system, domain or component that it belongs to.
        sources: numbers of the sources that its facts come from, in the catalog's list.
    """

    ref: str
    resource_id: str | None
    environment: str | None
    criticality: str | None
    owner: str | None
    system: str | None = None
    units: float | None = None
    failure_domains: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        return self.ref.split(":", 1)[0]


class Party(NamedTuple):
    """A group or a user, for people to read: its name, and the groups that it belongs to."""

    ref: str
    name: str
    groups: tuple[str, ...]
    members: tuple[str, ...]


class Described(NamedTuple):
    """What one entity file says: the entity, and the edges that it declares from either end."""

    entity: Entity
    edges: tuple[Edge, ...]


def normalize(ref: str, kind: str = "component", namespace: str = "default") -> str:
    """`[kind:][namespace/]name` as `kind:namespace/name` in lower case."""
    text = ref.lower()
    if ":" in text:
        kind, text = text.split(":", 1)
    if "/" in text:
        namespace, text = text.split("/", 1)
    return f"{kind}:{namespace}/{text}"


def reference(where: str, text: str, kind: str, namespace: str = "default") -> str:
    """A reference in its normal form.

    Raises:
        DocumentError: it is none.
    """
    ref = normalize(text, kind, namespace)
    if not REF.fullmatch(ref):
        raise DocumentError(f"{where}: {text[:_SHOWN]!r} is no reference, write it as kind:namespace/name")
    return ref


def read_entity(where: str, value: Mapping[str, Any]) -> Described:
    """Read an entity of a kind that can be a target.

    Args:
        where: what to call it in an error, for example `entity 3`.
        value: the document; its `kind` is one of `TARGET_KINDS`, in any case.

    Raises:
        DocumentError: names the field and the fix.
    """
    metadata, spec = mapping(where, value, "metadata"), mapping(where, value, "spec")
    ref, namespace = _ref_of(where, value, metadata)
    notes = mapping(where, metadata, "annotations")

    def refs(field: str, kind: str) -> tuple[str, ...]:
        return tuple(reference(where, name, kind, namespace) for name in texts(where, spec, field))

    part_of = {
        field: reference(where, name, kind, namespace)
        for field, kind in _PART_OF.items()
        if (name := text_of(where, spec, field)) is not None
    }
    strength = _strengths(where, notes, namespace)
    edges = [Edge(ref, needed, strength(needed)) for needed in refs("dependsOn", UNSAID)]
    edges += [Edge(ref, api, strength(api)) for api in refs("consumesApis", "api")]
    edges += [Edge(user, ref) for user in refs("dependencyOf", UNSAID)]
    edges += [Edge(api, ref, passing=True) for api in refs("providesApis", "api")]
    edges += [Edge(whole, ref, passing=True) for whole in part_of.values()]
    entity = Entity(
        ref=ref,
        resource_id=text_of(where, notes, "countersign/resource-id"),
        environment=text_of(where, notes, "countersign/environment"),
        criticality=_criticality(where, notes),
        owner=text_of(where, spec, "owner"),
        system=part_of.get("system"),
        units=_units(where, notes),
        failure_domains=_listed(where, notes, "countersign/failure-domains"),
        part_of=tuple(part_of.values()),
        sources=_sources(where, notes),
    )
    return Described(entity, tuple(edges))


def read_party(where: str, value: Mapping[str, Any]) -> Party:
    """Read a group or a user.

    Raises:
        DocumentError: names the field and the fix.
    """
    metadata, spec = mapping(where, value, "metadata"), mapping(where, value, "spec")
    ref, namespace = _ref_of(where, value, metadata)
    name = text_of(where, mapping(where, spec, "profile"), "displayName") or ref.split("/", 1)[1]
    parent = text_of(where, spec, "parent")
    above = [*texts(where, spec, "memberOf"), *([parent] if parent else [])]
    return Party(
        ref,
        name,
        groups=tuple(reference(where, group, "group", namespace) for group in above),
        members=tuple(
            reference(where, member, kind, namespace)
            for field, kind in (("members", "user"), ("children", "group"))
            for member in texts(where, spec, field)
        ),
    )


def mapping(where: str, value: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The mapping in a field; empty where there is none."""
    found = value.get(field)
    if not isinstance(found, dict | None):
        raise DocumentError(f"{where}: {field} is not a mapping")
    return found or {}


def text_of(where: str, value: Mapping[str, Any], field: str) -> str | None:
    """The text in a field; None where there is none."""
    found = value.get(field)
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise DocumentError(f"{where}: {field} = {_shown(found)} is not a text, put it in quotes")
    return found


def texts(where: str, value: Mapping[str, Any], field: str) -> list[str]:
    """The list of texts in a field; empty where there is none."""
    names = value.get(field)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DocumentError(f"{where}: spec.{field} is not a list of references")
    return names


def criticality_of(where: str, text: str) -> str:
    """A criticality in lower case.

    Raises:
        DocumentError: it is none of the four.
    """
    if (found := text.lower()) not in CRITICALITIES:
        raise DocumentError(f"{where}: criticality {_shown(text)} is none of {', '.join(CRITICALITIES)}")
    return found


def worse(one: str | None, other: str | None) -> str | None:
    """The worse of two criticalities, of which one may be left out."""
    given = [item for item in (one, other) if item is not None]
    return max(given, key=CRITICALITIES.index, default=None)


def is_hard(where: str, text: str) -> bool:
    """Whether a strength is `hard`.

    Raises:
        DocumentError: it is neither `hard` nor `soft`.
    """
    if text not in ("hard", "soft"):
        raise DocumentError(f"{where}: strength {_shown(text)} is neither hard nor soft")
    return text == "hard"


def _ref_of(where: str, value: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, str]:
    name, namespace = text_of(where, metadata, "name"), text_of(where, metadata, "namespace") or "default"
    if name is None:
        raise DocumentError(f"{where}: metadata.name is missing")
    return reference(where, f"{value['kind']}:{namespace}/{name}", "component"), namespace.lower()


def _criticality(where: str, notes: Mapping[str, Any]) -> str | None:
    given = (text_of(where, notes, field) for field in ("countersign/criticality", "service.criticality"))
    one, other = (None if text is None else criticality_of(where, text) for text in given)
    return worse(one, other)


def _units(where: str, notes: Mapping[str, Any]) -> float | None:
    found = notes.get("countersign/units")
    if found is None:
        return None
    try:
        units = float(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else 0.0
    except (ValueError, OverflowError):
        units = 0.0
    if not 0 < units <= MAX_UNITS:
        raise DocumentError(
            f"{where}: countersign/units = {_shown(found)} is not a number above 0, {MAX_UNITS:g} at most"
        )
    return units


def _listed(where: str, notes: Mapping[str, Any], field: str) -> tuple[str, ...]:
    text = text_of(where, notes, field)
    return () if text is None else tuple(sorted({part.strip() for part in text.split(",") if part.strip()}))


def _sources(where: str, notes: Mapping[str, Any]) -> tuple[int, ...]:
    listed = _listed(where, notes, "countersign/sources")
    if not all(re.fullmatch(r"[0-9]{1,4}", item) for item in listed):
        raise DocumentError(f"{where}: countersign/sources = {', '.join(listed)[:_SHOWN]!r} are not numbers of sources")
    return tuple(sorted(int(item) for item in listed))


def _strengths(where: str, notes: Mapping[str, Any], namespace: str) -> Callable[[str], bool]:
    """How hard each dependency of an entity is; hard where nobody said."""
    given = notes.get("countersign/dependency-strength")
    if given is None:
        return _always_hard
    if isinstance(given, str):
        given = dict(_pair(item) for item in given.split(","))
    if not isinstance(given, dict) or not all(isinstance(item, str) for item in given.values()):
        raise DocumentError(f"{where}: countersign/dependency-strength = {_shown(given)} is neither hard nor soft")
    found = {
        name if name == "*" else reference(where, name, "component", namespace): is_hard(where, item)
        for name, item in given.items()
    }

    def strength(needed: str) -> bool:
        said = [found[ref] for ref in (needed, *candidates(needed)) if ref in found]
        return any(said) if said else found.get("*", True)

    return strength


def candidates(ref: str) -> tuple[str, ...]:
    """What a reference without a kind can mean, the likelier first."""
    kind, rest = ref.split(":", 1)
    return (f"component:{rest}", f"resource:{rest}") if kind == UNSAID else ()


def _always_hard(_needed: str) -> bool:
    return True


def _pair(item: str) -> tuple[str, str]:
    name, equals, strength = item.strip().rpartition("=")
    return (name.strip() if equals else "*", strength.strip())


def _shown(value: object) -> str:
    return repr(value)[:_SHOWN]
