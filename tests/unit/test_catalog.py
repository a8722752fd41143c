"""The catalog: references, dependents, and files that are wrong."""

import pytest

from policy.catalog import Catalog, normalize, read_catalog
from policy.errors import DocumentError


def _component(name: str, *needs: str, used_by: str = "") -> str:
    spec = f"{{dependsOn: [{', '.join(needs)}], dependencyOf: [{used_by}]}}"
    return f"kind: Component\nmetadata: {{name: {name}}}\nspec: {spec}"


def _catalog(*entities: str) -> Catalog:
    return read_catalog("\n---\n".join(entities).encode())


SPELLINGS = {
    "orders": "component:default/orders",
    "Orders": "component:default/orders",
    "component:orders": "component:default/orders",
    "shop/orders": "component:shop/orders",
    "resource:orders": "resource:default/orders",
    "RESOURCE:Shop/Orders": "resource:shop/orders",
}

GRAPHS: dict[str, tuple[tuple[str, ...], list[tuple[str, int]]]] = {
    "nothing": ((_component("a"),), []),
    "one": ((_component("a"), _component("b", "a")), [("b", 1)]),
    "a chain": ((_component("a"), _component("b", "a"), _component("c", "b")), [("b", 1), ("c", 2)]),
    "a diamond": (
        (_component("a"), _component("b", "a"), _component("c", "a"), _component("d", "b", "c")),
        [("b", 1), ("c", 1), ("d", 2)],
    ),
    "a cycle": ((_component("a", "c"), _component("b", "a"), _component("c", "b")), [("b", 1), ("c", 2)]),
    "itself": ((_component("a", "a"),), []),
    "the nearest way counts": (
        (_component("a"), _component("b", "a"), _component("c", "b", "a")),
        [("b", 1), ("c", 1)],
    ),
    "the edge from the other end": ((_component("a", used_by="b"), _component("b")), [("b", 1)]),
    "both ends": ((_component("a", used_by="b"), _component("b", "a")), [("b", 1)]),
    "a dependent that is not in the catalog": ((_component("a", used_by="ghost"),), [("ghost", 1)]),
    "a need that is not in the catalog": ((_component("a", "ghost"),), []),
}

REFUSED = {
    "a list": ("[1]", "entity 1: kind is missing"),
    "no kind": ("metadata: {name: a}", "entity 1: kind is missing"),
    "no metadata": ("kind: Component\nspec: {}", "metadata.name is missing"),
    "metadata as a text": ("kind: Component\nmetadata: a", "metadata is not a mapping"),
    "annotations as a list": ("kind: Component\nmetadata: {name: a, annotations: [x]}", "annotations is not a mapping"),
    "a name that is a number": ("kind: Component\nmetadata: {name: 5}", "name = 5 is not a text, put it in quotes"),
    "a name that is no reference": (
        "kind: Component\nmetadata: {name: 'a b'}",
        "'Component:default/a b' is no reference",
    ),
    "a name with control characters": ('kind: Component\nmetadata: {name: "a\\e[31m"}', r"\\x1b\[31m' is no reference"),
    "an owner that is a number": ("kind: Component\nmetadata: {name: a}\nspec: {owner: 5}", "owner = 5 is not a text"),
    "an empty resource id": (
        "kind: Component\nmetadata: {name: a, annotations: {countersign/resource-id: ''}}",
        "resource-id = '' is not a text",
    ),
    "an unknown criticality": (
        "kind: Component\nmetadata: {name: a, annotations: {countersign/criticality: extreme}}",
        "criticality 'extreme' is none of low, medium, high, critical",
    ),
    "needs that are no list": ("kind: Component\nmetadata: {name: a}\nspec: {dependsOn: b}", "dependsOn is not a list"),
    "needs that are no references": (
        "kind: Component\nmetadata: {name: a}\nspec: {dependsOn: ['/']}",
        "'/' is no reference",
    ),
    "one entity twice": (f"{_component('a')}\n---\n{_component('A')}", "entity 2: component:default/a occurs twice"),
    "one resource under two names": (
        "\n---\n".join(
            f"kind: Component\nmetadata: {{name: {name}, annotations: {{countersign/resource-id: pg}}}}"
            for name in "ab"
        ),
        "entity 2: resource-id pg is that of component:default/a already",
    ),
}


@pytest.mark.parametrize(("text", "ref"), SPELLINGS.items(), ids=SPELLINGS)
def test_spellings_of_a_reference(text: str, ref: str) -> None:
    """Every spelling of a reference has one normal form."""
    assert normalize(text) == ref
    assert normalize(ref) == ref


@pytest.mark.parametrize(("entities", "expected"), GRAPHS.values(), ids=GRAPHS)
def test_dependents(entities: tuple[str, ...], expected: list[tuple[str, int]]) -> None:
    """Everything that depends on a target is found once, nearest first, and never the target itself."""
    found = _catalog(*entities).reach("A")
    assert (found.total, found.hard) == (len(expected), len(expected))
    assert [(item.ref, item.distance) for item in found.nearest] == [
        (f"component:default/{name}", far) for name, far in expected
    ]


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str) -> None:
    """A catalog that cannot be read as meant is refused with the entity, the field and the fix."""
    with pytest.raises(DocumentError, match=message):
        read_catalog(text.encode())


def test_other_kinds_are_skipped_and_counted() -> None:
    """Backstage files hold more than targets; what is not used is said."""
    catalog = _catalog("kind: Group\nmetadata: {name: dba}", "kind: Location", "kind: Location", "", _component("a"))
    assert catalog.skipped == ("2 skipped: kind Location of backstage.io/v1alpha1 is not used",)
    assert set(catalog.entities) == {"component:default/a", "resource:countersign/documents"}
    assert catalog.entity("group:dba") is None


def test_facts_of_an_entity() -> None:
    """Annotations and owner are read; what is not said is not known."""
    catalog = _catalog(
        "kind: Resource\nmetadata: {name: db, namespace: shop, annotations: {countersign/environment: production,"
        " countersign/criticality: high, countersign/resource-id: pg}}\nspec: {owner: team}",
        _component("a"),
    )
    known, bare = catalog.entity("resource:shop/DB"), catalog.entity("a")
    assert known is not None
    assert (known.resource_id, known.environment, known.criticality, known.owner) == (
        "pg",
        "production",
        "high",
        "team",
    )
    assert bare is not None
    assert (bare.resource_id, bare.environment, bare.criticality, bare.owner) == (None, None, None, None)
