"""What a catalog says of a target: its relations, what it resolves to, its objectives, and how old that is."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policy.catalog import SloObjective, read_catalog
from tests.unit.catalog_documents import catalog, edges, entity, part, slo

RELATIONS: dict[str, tuple[tuple[dict[str, Any], ...], list[tuple[str, str]]]] = {
    "an api between two services": (
        (part("db", providesApis=["orders"]), part("shop", consumesApis=["api:orders"])),
        [("shop", "hard")],
    ),
    "an api that the catalog has": (
        (entity("API", "orders"), part("db", providesApis=["orders"]), part("shop", consumesApis=["orders"])),
        [("shop", "hard")],
    ),
    "an api of another namespace is another api": (
        (part("db", providesApis=["orders"]), part("shop", consumesApis=["other/orders"])),
        [],
    ),
    "a system that somebody needs": (
        (part("db", system="store"), entity("System", "store"), part("shop", dependsOn=["system:store"])),
        [("shop", "hard")],
    ),
    "being in one system is no dependency": ((part("db", system="store"), part("shop", system="store")), []),
    "a component of which it is a part": (
        (part("db", subcomponentOf="suite"), part("suite"), part("shop", dependsOn=["component:suite"])),
        [("shop", "hard"), ("suite", "hard")],
    ),
    "softly, all of them": (
        (part("db"), entity("Component", "shop", notes={"dependency_strength": "soft"}, dependsOn=["component:db"])),
        [("shop", "soft")],
    ),
    "softly, one of them": (
        (
            part("db"),
            entity("Component", "shop", notes={"dependency_strength": "db=soft, *=hard"}, dependsOn=["component:db"]),
        ),
        [("shop", "soft")],
    ),
    "softly, another one": (
        (
            part("db"),
            entity("Component", "shop", notes={"dependency_strength": "mail=soft"}, dependsOn=["component:db"]),
        ),
        [("shop", "hard")],
    ),
    "softly, as a mapping": (
        (part("db"), entity("Component", "shop", notes={"dependency_strength": {"db": "soft"}}, dependsOn=["db"])),
        [("shop", "soft")],
    ),
    "softly, through an api": (
        (
            part("db", providesApis=["orders"]),
            entity("Component", "shop", notes={"dependency_strength": "api:orders=soft"}, consumesApis=["orders"]),
        ),
        [("shop", "soft")],
    ),
    "what the target says of itself is hard": (
        (
            entity("Component", "db", notes={"dependency_strength": "soft"}, dependencyOf=["component:shop"]),
            part("shop"),
        ),
        [("shop", "hard")],
    ),
    "edges from elsewhere": (
        (
            part("db"),
            part("shop"),
            edges({"from": "shop", "to": "db"}, {"from": "mail", "to": "db", "strength": "soft"}),
        ),
        [("mail", "soft"), ("shop", "hard")],
    ),
    "the harder of two statements": (
        (part("db"), part("shop", dependsOn=["component:db"]), edges({"from": "shop", "to": "db", "strength": "soft"})),
        [("shop", "hard")],
    ),
    "the namespace of who refers": (
        (part("db"), entity("Component", "shop", "store", dependsOn=["component:db"])),
        [],
    ),
    "a name without a kind": ((part("db"), part("shop", dependsOn=["db"])), [("shop", "hard")]),
}
RESOLVED: dict[str, tuple[str, tuple[dict[str, Any], ...], tuple[str, ...], str]] = {
    "a component": ("one", (part("one"),), ("k8s/one",), ""),
    "nobody": ("two", (part("one"),), (), "component:default/two is not in the catalog"),
    "without an id": ("one", (part("one", id=None),), (), "component:default/one has no countersign/resource-id"),
    "a system": (
        "system:store",
        (entity("System", "store"), part("b", system="store"), part("a", system="store"), part("c")),
        ("k8s/a", "k8s/b"),
        "",
    ),
    "a domain": (
        "domain:trade",
        (
            entity("Domain", "trade"),
            entity("Domain", "retail", subdomainOf="trade"),
            entity("System", "store", domain="retail"),
            part("a", system="store"),
        ),
        ("k8s/a",),
        "",
    ),
    "an empty system": (
        "system:store",
        (entity("System", "store"), part("a")),
        (),
        "system:default/store has no countersign/resource-id and no parts",
    ),
    "one part without an id": (
        "system:store",
        (entity("System", "store"), part("a", system="store"), part("b", system="store", id=None)),
        (),
        "part component:default/b has no countersign/resource-id",
    ),
    "one part in another environment": (
        "system:store",
        (
            entity("System", "store"),
            part("a", system="store"),
            entity("Resource", "b", notes={"resource_id": "b", "environment": "staging"}, system="store"),
        ),
        (),
        "part component:default/a: its environment is production, not None",
    ),
    "a part without an environment": (
        "system:store",
        (
            entity("System", "store", notes={"environment": "production"}),
            entity("Resource", "b", notes={"resource_id": "b"}, system="store"),
        ),
        (),
        "part resource:default/b: its environment is not given, not production",
    ),
    "subcomponents": (
        "suite",
        (part("suite"), part("a", subcomponentOf="suite"), part("b", subcomponentOf="a")),
        ("k8s/a", "k8s/b", "k8s/suite"),
        "",
    ),
    "an api is a promise": (
        "system:store",
        (entity("System", "store"), entity("API", "orders", system="store"), part("a", system="store")),
        ("k8s/a",),
        "",
    ),
    "parts of each other": (
        "a",
        (part("a", subcomponentOf="b"), part("b", subcomponentOf="a")),
        ("k8s/a", "k8s/b"),
        "",
    ),
}


@pytest.mark.parametrize(("documents", "expected"), RELATIONS.values(), ids=RELATIONS)
def test_relations(documents: tuple[dict[str, Any], ...], expected: list[tuple[str, str]]) -> None:
    """Relations of every kind, from either end, become service edges with a strength."""
    found = catalog(*documents).reach("db")
    assert sorted((item.ref.split("/")[1], item.strength) for item in found.nearest) == expected


@pytest.mark.parametrize(("target", "documents", "ids", "reason"), RESOLVED.values(), ids=RESOLVED)
def test_resolution(target: str, documents: tuple[dict[str, Any], ...], ids: tuple[str, ...], reason: str) -> None:
    """A target resolves to the ids of all its parts, or to nothing with a reason, never to some of them."""
    found = catalog(*documents)
    assert found.resolution(target) == (ids, reason)
    assert found.resolve(target) == ids


def test_a_whole_is_at_least_as_critical_as_its_parts() -> None:
    """What a system says of itself hides nothing: criticality, environment and units come from its parts."""
    notes = {"environment": "production", "resource_id": "a", "criticality": "critical", "units": "3"}
    found = catalog(
        entity("System", "store", notes={"criticality": "low"}),
        entity("Component", "a", notes=notes, system="store"),
        entity("Component", "b", notes={**notes, "resource_id": "b", "units": 2, "criticality": "low"}, system="store"),
    ).entity("system:store")
    assert found is not None
    assert (found.criticality, found.environment, found.units) == ("critical", "production", 5)


@pytest.mark.parametrize("kind", ["System", "Component"])
def test_a_part_of_unknown_criticality_makes_the_whole_unknown(kind: str) -> None:
    """Nobody said how critical one part is, so the whole counts as the worst."""
    whole: dict[str, Any] = {"system" if kind == "System" else "subcomponentOf": "store"}
    found = catalog(entity(kind, "store", notes={"criticality": "low"}), entity("Component", "a", **whole)).entity(
        f"{kind}:store"
    )
    assert found is not None
    assert found.criticality is None


def test_service_criticality_of_opentelemetry_serves() -> None:
    """OpenTelemetry's attribute is read in any case; where both are given the worse counts."""
    both = entity("Component", "a", notes={"criticality": "low"})
    both["metadata"]["annotations"]["service.criticality"] = "High"
    found = catalog(both).entity("a")
    assert found is not None
    assert found.criticality == "high"


def test_failure_domains_and_objectives_of_parts() -> None:
    """A system is in the failure domains of its parts, and their objectives are its own."""
    found = catalog(
        entity("System", "store"),
        entity("Component", "a", notes={"failure_domains": "eu-1b, eu-1a"}, system="store"),
        entity("Component", "b", notes={"failure_domains": "eu-1a"}, system="store"),
        slo("fast", "a", {"target": 0.99}, {"displayName": "strict", "targetPercent": 99.9}),
        slo("up", "component:default/b", {"targetPercent": 99.95}),
    )
    assert found.failure_domains_of("system:store") == ("eu-1a", "eu-1b")
    assert found.objectives_of("system:store") == (
        SloObjective(name="fast/1", objective=0.99),
        SloObjective(name="fast/strict", objective=0.999),
        SloObjective(name="up", objective=0.9995),
    )
    assert found.objectives_of("component:nobody") == ()


def test_a_declared_objective_adds_weight() -> None:
    """A dependent of low criticality with a strict objective weighs by the objective."""
    documents = (part("db"), part("shop", dependsOn=["component:db"]))
    without = catalog(*documents).reach("db")
    strict = catalog(*documents, slo("up", "shop", {"target": 0.9995})).reach("db")
    assert (without.weight, strict.weight) == (0.25, 0.75)


def test_a_system_reaches_who_depends_on_any_part() -> None:
    """Dependents of a system are those of its parts and of itself, its parts not among them."""
    found = catalog(
        entity("System", "store"),
        part("a", system="store"),
        part("b", system="store", dependsOn=["component:a"]),
        part("c", dependsOn=["component:b"]),
        part("d", dependsOn=["system:store"]),
    ).reach("system:store")
    assert sorted(item.ref for item in found.nearest) == ["component:default/c", "component:default/d"]


def test_what_nobody_described_is_told() -> None:
    """References to entities that are not there are counted, in the catalog and in the reach."""
    found = catalog(
        part("db", dependencyOf=["component:ghost"], system="nowhere"),
        part("shop", dependsOn=["component:db", "cache"], providesApis=["orders"]),
        slo("up", "phantom", {"target": 0.9}),
    )
    assert found.dangling == (
        "api:default/orders",
        "component:default/cache",
        "component:default/ghost",
        "component:default/phantom",
        "system:default/nowhere",
    )
    assert (found.reach("db").total, found.reach("db").dangling, found.reach("db").weight) == (2, 1, 1.25)
    assert found.skipped[0] == "1 references without a kind are read as component"
    assert found.skipped[1].startswith("5 references to what is not here, the worst is assumed: api:default/orders, ")


def test_a_name_without_a_kind_can_be_a_resource() -> None:
    """Where no component has the name, the resource of that name is meant."""
    found = catalog(entity("Resource", "db"), part("shop", dependsOn=["db"]))
    assert [item.ref for item in found.reach("resource:db").nearest] == ["component:default/shop"]


def test_people_are_for_display_only() -> None:
    """Groups and users can be shown with an owner and are no targets."""
    found = catalog(
        part("a", owner="team"),
        entity("Group", "team", profile={"displayName": "The team"}, members=["ana"], children=["crew"], parent="org"),
        entity("User", "Ben", memberOf=["team"]),
    )
    assert found.parties["group:default/team"] == (
        "group:default/team",
        "The team",
        ("group:default/org",),
        ("user:default/ana", "group:default/crew"),
    )
    assert found.parties["user:default/ben"].groups == ("group:default/team",)
    assert found.entity("group:team") is None


def test_the_oldest_source_tells_the_age() -> None:
    """A target's facts are as old as the oldest of their sources, or as their publication; else of unknown age."""
    listed = [
        {"file": "a.yaml", "digest": "sha256:0", "format": "documents", "as_of": "2030-01-03T00:00:00+00:00"},
        {"file": "b.csv", "digest": "sha256:1", "format": "service.criticality", "as_of": "2030-01-01T00:00:00.5Z"},
        {"file": "c.csv", "digest": "sha256:2", "format": "service.criticality"},
    ]
    found = catalog(
        {"apiVersion": "countersign/v1", "kind": "CatalogSources", "sources": listed},
        entity("Component", "new", notes={"sources": "0"}),
        entity("Component", "old", notes={"sources": "0,1"}, system="all"),
        entity("Component", "undated", notes={"sources": "0,2"}),
        entity("Component", "written"),
        entity("System", "all"),
    )
    published, first = datetime(2030, 1, 2, tzinfo=UTC), datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    told = [found.facts_at(ref, published) for ref in ("new", "old", "undated", "written", "system:all", "nobody")]
    assert told == [published, first, None, published, first, published]
    assert found.facts_at("new", None) is None


def test_other_versions_of_openslo_are_skipped() -> None:
    """Only version 1 is read; what else there is, is counted with a hint."""
    found = catalog(
        part("a"),
        slo("s", "a", {"target": 0.9}, version="openslo.com/v2alpha"),
        {"apiVersion": "openslo/v1", "kind": "SLI", "metadata": {"name": "x"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}},
    )
    assert found.objectives_of("a") == ()
    assert found.skipped == (
        "1 skipped: apiVersion openslo.com/v2alpha with kind SLO is not read, write it as openslo/v1",
        "1 skipped: apiVersion v1 with kind Service is not read",
        "1 skipped: kind SLI of openslo/v1 is not used",
    )


def test_the_example_of_the_specification() -> None:
    """The catalog that the page shows says what the page says of it."""
    page = (Path(__file__).parents[2] / "docs/spec/policy-document.md").read_text()
    (example,) = re.findall(r"```yaml catalog\n(.*?)```", page, re.DOTALL)
    found = read_catalog(example.encode())
    known = found.entity("checkout")
    assert known is not None
    assert (known.units, known.failure_domains) == (6, ("eu-1a", "eu-1b"))
    assert found.reach("mail").nearest[0].strength == "soft"
    assert found.reach("resource:orders-db").nearest[0].strength == "hard"
    assert found.objectives_of("checkout")[0].objective == 0.999
