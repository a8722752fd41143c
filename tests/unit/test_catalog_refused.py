"""Facts of a catalog that cannot be read as meant."""

from typing import Any

import pytest

from policy.errors import DocumentError
from tests.unit.catalog_documents import catalog, edges, entity, part, slo

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "what is built in": (entity("Component", "a", notes={"resource_id": "countersign:documents"}), "is built in"),
    "units of nothing": (entity("Component", "a", notes={"units": "0"}), "units = '0' is not a number above 0"),
    "units without end": (entity("Component", "a", notes={"units": "inf"}), "units = 'inf' is not a number above 0"),
    "units in words": (entity("Component", "a", notes={"units": "many"}), "units = 'many' is not a number above 0"),
    "units that are true": (entity("Component", "a", notes={"units": True}), "units = True is not a number above 0"),
    "an unknown strength": (
        entity("Component", "a", notes={"dependency_strength": "weak"}),
        "strength 'weak' is neither hard nor soft",
    ),
    "a strength that is a list": (
        entity("Component", "a", notes={"dependency_strength": ["soft"]}),
        "neither hard nor soft",
    ),
    "a system that is a list": (entity("Component", "a", system=["b"]), "system = .* is not a text"),
    "sources that are no numbers": (entity("Component", "a", notes={"sources": "one"}), "are not numbers of sources"),
    "a source that nobody lists": (entity("Component", "a", notes={"sources": "3"}), "CatalogSources does not list"),
    "edges that are no list": (edges() | {"edges": {}}, "edges is not a list"),
    "an edge without an end": (edges({"from": "a"}), "edge 1: to is missing"),
    "an edge to nowhere": (edges({"from": "a", "to": "b c"}), "edge 1: 'b c' is no reference"),
    "an edge with a typo": (
        edges({"from": "a", "to": "b", "strenght": "soft"}),
        "field 'strenght' is none of from, to",
    ),
    "an edge of another strength": (edges({"from": "a", "to": "b", "strength": "weak"}), "neither hard nor soft"),
    "an objective above one": (
        slo("s", "a", {"target": 1.5}),
        "objective 1 has target 1.5, give it one between 0 and 1",
    ),
    "an objective that is a text": (slo("s", "a", {"target": "0.9"}), "target = '0.9' is not a number"),
    "two targets": (slo("s", "a", {"target": 0.9, "targetPercent": 99}), "objective 1 has target 0.9"),
    "no objective": (slo("s", "a"), "spec.objectives is not a list of objectives"),
    "no target": (slo("s", "a", {"displayName": "x"}), "objective 1 has no target"),
    "no service": (slo("s", ""), "service = '' is not a text"),
    "a source without a file": (
        {"apiVersion": "countersign/v1", "kind": "CatalogSources", "sources": [{"file": "a"}]},
        "source 0: file, digest and format must be given",
    ),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(document: dict[str, Any], message: str) -> None:
    """A fact that cannot be read as meant is refused with its field."""
    with pytest.raises(DocumentError, match=message):
        catalog(part("other"), document)
