"""The one text that an import makes: a stream of JSON documents, one a line, always the same for the same facts.

It is YAML, a catalog, and can be published, compared line by line, edited and imported again.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from policy.catalogs.entities import Entity, Party
from policy.catalogs.graph import Edge
from policy.catalogs.objectives import ServiceObjectives
from policy.importing.gathering import Gathering

_EDGES_A_LINE = 500
# What JSON may write as it is and YAML takes for a line break, or refuses.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_BACKSTAGE = "backstage.io/v1alpha1"
_KINDS = {"api": "API"}


def catalog_text(gathering: Gathering) -> Iterator[str]:
    """The lines of the catalog; settle the gathering first."""
    content = gathering.content
    sources = [{name: told for name, told in item._asdict().items() if told} for item in content.sources]
    yield line({"apiVersion": "countersign/v1", "kind": "CatalogSources", "sources": sources})
    declared: dict[str, list[Edge]] = {}
    rows: dict[tuple[str, str], tuple[bool, int]] = {}
    for edge, (source, by_entity) in zip(content.edges, gathering.origins, strict=True):
        holder = edge.needed if edge.passing else edge.user
        if by_entity and holder in content.entities:
            declared.setdefault(holder, []).append(edge)
        elif not edge.passing:
            hard, first = rows.get(edge[:2], (False, source))
            rows[edge[:2]] = (edge.hard or hard, source if edge.hard and not hard else first)
    for ref in sorted(content.parties):
        yield line(_party(content.parties[ref]))
    for ref in sorted(content.entities):
        yield line(_entity(content.entities[ref], declared.pop(ref, [])))
    named = sorted(rows)
    for start in range(0, len(named), _EDGES_A_LINE):
        edges = [_edge(pair, *rows[pair]) for pair in named[start : start + _EDGES_A_LINE]]
        yield line({"apiVersion": "countersign/v1", "kind": "ServiceEdges", "edges": edges})
    for name in sorted(content.slos):
        yield line(_slo(content.slos[name]))


def line(value: dict[str, Any]) -> str:
    """One document on a line of its own, that YAML and JSON read alike."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "--- " + _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _entity(entity: Entity, edges: list[Edge]) -> dict[str, Any]:
    notes = {
        "countersign/resource-id": entity.resource_id,
        "countersign/environment": entity.environment,
        "countersign/criticality": entity.criticality,
        "countersign/units": None if entity.units is None else f"{entity.units:.15g}",
        "countersign/failure-domains": ",".join(entity.failure_domains),
        "countersign/dependency-strength": ",".join(f"{edge.needed}=soft" for edge in sorted(_soft(edges))),
        "countersign/sources": ",".join(map(str, entity.sources)),
    }
    needed = sorted({edge.needed for edge in edges if not edge.passing})
    spec = {
        "owner": entity.owner,
        **{_whole_field(entity, whole): whole for whole in entity.part_of},
        "dependsOn": [ref for ref in needed if not ref.startswith("api:")],
        "consumesApis": [ref for ref in needed if ref.startswith("api:")],
        "providesApis": sorted({edge.user for edge in edges if edge.passing and edge.user.startswith("api:")}),
    }
    kind, namespace, name = _split(entity.ref)
    return {
        "apiVersion": _BACKSTAGE,
        "kind": _KINDS.get(kind, kind.capitalize()),
        "metadata": {**_namespace(namespace), "name": name, "annotations": _given(notes)},
        "spec": _given(spec),
    }


def _soft(edges: list[Edge]) -> set[Edge]:
    """The soft edges; none to what is needed hard as well."""
    hard = {edge.needed for edge in edges if edge.hard}
    return {edge for edge in edges if not edge.hard and edge.needed not in hard}


def _whole_field(entity: Entity, whole: str) -> str:
    kind = whole.split(":", 1)[0]
    if kind == "domain":
        return "subdomainOf" if entity.kind == "domain" else "domain"
    return "system" if kind == "system" else "subcomponentOf"


def _party(party: Party) -> dict[str, Any]:
    kind, namespace, name = _split(party.ref)
    spec = {
        "profile": {"displayName": party.name} if party.name != name else None,
        "memberOf": list(party.groups) if kind == "user" else None,
        "parent": party.groups[0] if kind == "group" and party.groups else None,
        "members": [ref for ref in party.members if ref.startswith("user:")],
        "children": [ref for ref in party.members if not ref.startswith("user:")],
    }
    return {
        "apiVersion": _BACKSTAGE,
        "kind": kind.capitalize(),
        "metadata": {**_namespace(namespace), "name": name},
        "spec": _given(spec),
    }


def _edge(pair: tuple[str, str], hard: bool, source: int) -> dict[str, Any]:
    return {"from": pair[0], "to": pair[1], **({} if hard else {"strength": "soft"}), "source": source}


def _slo(slo: ServiceObjectives) -> dict[str, Any]:
    several = len(slo.objectives) > 1
    objectives = [
        {**({"displayName": item.name.removeprefix(f"{slo.name}/")} if several else {}), "target": item.objective}
        for item in slo.objectives
    ]
    return {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": slo.name},
        "spec": {"service": slo.service, "objectives": objectives},
    }


def _split(ref: str) -> tuple[str, str, str]:
    kind, rest = ref.split(":", 1)
    namespace, name = rest.split("/", 1)
    return kind, namespace, name


def _namespace(namespace: str) -> dict[str, str]:
    return {} if namespace == "default" else {"namespace": namespace}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
