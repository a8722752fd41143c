"""Catalogs of real systems: what their own edges and criticalities come to, cycles and collectors included."""

import csv
from pathlib import Path

import pytest

from policy.catalog import Catalog, Reach
from policy.importing.catalogs import InputFile, import_catalog
from policy.importing.gathering import ImportOptions

DATA = Path(__file__).parents[1] / "data"
TELEMETRY = frozenset({"component:default/otel-collector", "component:default/flagd"})


def _catalog(graph: str, soft_to: frozenset[str] = frozenset()) -> Catalog:
    files = [DATA / "service_edges.csv", *([DATA / "service_criticality.csv"] if graph == "otel-demo" else [])]
    options = ImportOptions(graph=graph, soft_to=soft_to, declare=True)
    return import_catalog([InputFile(path.name, path.read_bytes(), None) for path in files], options).catalog


@pytest.fixture(name="prisons", scope="module")
def _prisons() -> Catalog:
    return _catalog("hmpps-moj")


def _services(catalog: Catalog) -> list[str]:
    return [ref for ref in catalog.entities if ref.startswith("component:default/")]


def _walked(graph: str, target: str) -> set[str]:
    """Everybody who depends on a service, by walking the table itself."""
    with (DATA / "service_edges.csv").open() as file:
        edges = [(row["from"].lower(), row["to"].lower()) for row in csv.DictReader(file) if row["graph"] == graph]
    found, before = {target}, set[str]()
    while found != before:
        before = set(found)
        found |= {user for user, needed in edges if needed in before}
    return found - {target}


@pytest.mark.parametrize(
    ("graph", "services"), [("hmpps-moj", 196), ("otel-demo", 31), ("train-ticket", 37), ("online-boutique", 13)]
)
def test_every_service_has_the_dependents_that_its_table_gives_it(graph: str, services: int) -> None:
    """In each real graph every service is depended on by exactly who can reach it in the table."""
    catalog = _catalog(graph)
    refs = _services(catalog)
    assert (len(refs), catalog.dangling) == (services, ())
    for ref in refs:
        reach = catalog.reach(ref)
        assert (reach.total, reach.hard, reach.dangling) == (len(_walked(graph, ref.split("/")[1])),) * 2 + (0,)


def test_the_widest_of_the_prison_services(prisons: Catalog) -> None:
    """The database that most depends on is found, with its ten nearest direct users first."""
    widest = max(_services(prisons), key=lambda ref: prisons.reach(ref).total)
    reach = prisons.reach("Delius.database")
    assert (widest, reach.total, reach.weight) == ("component:default/delius.database", 61, 61.0)
    assert [item.distance for item in reach.nearest] == [1] * 7 + [2] * 3


def test_a_collector_makes_no_shop_critical() -> None:
    """With telemetry as hard edges every back end seems to break nearly everything; as soft ones the shop is left."""
    hard, soft = _catalog("otel-demo"), _catalog("otel-demo", TELEMETRY)
    assert _shown(hard, "otel-collector") == (24, 24)
    assert _shown(soft, "otel-collector")[1] < 10
    for name in ("kafka", "astronomy-db", "valkey-cart"):
        assert _shown(soft, name)[0] == _shown(hard, name)[0]
        assert _shown(soft, name)[1] < _shown(hard, name)[1]
        assert soft.reach(name).weight < hard.reach(name).weight


def _shown(catalog: Catalog, name: str) -> tuple[int, int]:
    reach: Reach = catalog.reach(name)
    return reach.total, reach.hard


def test_softer_edges_never_raise_and_harder_never_lower() -> None:
    """On the real graph, too, every service weighs at least as much with all edges hard."""
    hard, soft = _catalog("otel-demo"), _catalog("otel-demo", TELEMETRY)
    assert all(hard.reach(ref).weight >= soft.reach(ref).weight for ref in _services(hard))


def test_the_demo_says_how_critical_its_services_are() -> None:
    """The criticalities are the authors' own; who has none counts as the worst."""
    catalog = _catalog("otel-demo")
    told = {ref: entity.criticality for ref, entity in catalog.entities.items()}
    assert (told["component:default/checkout"], told["component:default/quote"]) == ("critical", "low")
    assert told["component:default/valkey-cart"] is None
    assert sum(value is not None for ref, value in told.items() if "default" in ref) == 22
