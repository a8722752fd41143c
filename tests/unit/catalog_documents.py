"""Documents of a catalog, for tests: Backstage entities, service edges, objectives."""

import json
from typing import Any

from policy.catalog import Catalog, read_catalog


def entity(
    kind: str, name: str, namespace: str = "default", *, notes: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    annotations = {f"countersign/{key.replace('_', '-')}": value for key, value in (notes or {}).items()}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def part(name: str, *, id: str | None = "", **spec: Any) -> dict[str, Any]:  # noqa: A002 - the field's own name
    notes = {"environment": "production", "criticality": "low"} | (
        {} if id is None else {"resource_id": id or f"k8s/{name}"}
    )
    return entity("Component", name, notes=notes, **spec)


def edges(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "countersign/v1", "kind": "ServiceEdges", "edges": list(rows)}


def slo(name: str, service: str, *objectives: dict[str, Any], version: str = "openslo/v1") -> dict[str, Any]:
    spec = {"service": service, "objectives": list(objectives)}
    return {"apiVersion": version, "kind": "SLO", "metadata": {"name": name}, "spec": spec}


def catalog(*documents: dict[str, Any]) -> Catalog:
    return read_catalog("".join(f"--- {json.dumps(document)}\n" for document in documents).encode())
