"""What companies have of their services, brought together: every fact with its source, every skip with its reason."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import Catalog, read_catalog
from policy.errors import DocumentError
from policy.importing.catalogs import Imported, InputFile, import_catalog
from policy.importing.gathering import ImportOptions
from policy.importing.report import ImportReport, Skip

AT = "2030-01-01T00:00:00Z"
BACKSTAGE = b"""
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: shop, namespace: store, annotations: {countersign/dependency-strength: 'mail=soft', other/note: "x"}}
spec:
  type: service
  owner: team-a
  system: retail
  dependsOn: ['component:mail', 'resource:default/db']
  consumesApis: [orders]
  providesApis: [carts]
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: db
  annotations:
    countersign/resource-id: "pg/\xc3\xa9\xe2\x80\xa8"
    countersign/environment: production
    countersign/criticality: medium
    countersign/units: "3"
    countersign/failure-domains: b, a
spec: {type: database, owner: team-a, dependencyOf: ['component:reports', 'component:store/shop']}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: retail, namespace: store}
spec: {owner: team-a, domain: trade}
---
apiVersion: backstage.io/v1alpha1
kind: Domain
metadata: {name: trade, namespace: store}
spec: {owner: team-a, subdomainOf: all}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: carts, namespace: store}
spec: {type: openapi, definition: {$text: ./api.yaml}, system: retail}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-a}
spec: {type: team, profile: {displayName: Team A, email: a@example.com}, children: [crew], members: [ana], parent: org}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: ben}
spec: {memberOf: [team-a]}
---
apiVersion: backstage.io/v1alpha1
kind: Location
metadata: {name: more}
spec: {targets: [./more.yaml]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: bad name}
---
- not an entity
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: up}
spec:
  service: component:store/shop
  objectives: [{displayName: all, target: 0.999}, {displayName: most, targetPercent: 99.9}]
"""
EDGES = b"""from,to,strength,evidence,team
reports,db,soft,env:DB,x
reports,db,hard,env:DB,x
store/shop,ledger,,env:LEDGER,x
,db,,,x
store/shop,db,weak,,x
short,row
"""
CRITICALITY = b"service,service.criticality\ndb,High\nstore/shop,low\nledger,\nnobody,low\ndb,extreme\n"


def _import(*files: tuple[str, bytes], options: ImportOptions | None = None) -> Imported:
    return import_catalog([InputFile(name, body, AT) for name, body in files], options)


ALL = (("shop.yaml", BACKSTAGE), ("edges.csv", EDGES), ("criticality.CSV", CRITICALITY))


def test_everything_together() -> None:
    """Entities, relations, edges and criticalities of several files become one catalog, each fact with its source."""
    found = _import(*ALL).catalog
    shop, db = found.entity("store/shop"), found.entity("resource:db")
    assert shop is not None
    assert db is not None
    assert (shop.criticality, shop.owner, shop.part_of, shop.sources) == (
        "low",
        "team-a",
        ("system:store/retail",),
        (0, 2),
    )
    assert (db.resource_id, db.criticality, db.units, db.failure_domains) == ("pg/é\u2028", "high", 3, ("a", "b"))
    reach = found.reach("resource:db")
    assert [(item.ref, item.strength) for item in reach.nearest] == [
        ("component:default/reports", "hard"),
        ("component:store/shop", "hard"),
    ]
    assert found.graph.needs("component:store/shop") == (
        "api:store/orders",
        "component:default/ledger",
        "component:store/mail",
        "resource:default/db",
    )
    assert found.parties["group:default/team-a"].name == "Team A"
    assert [source.file for source in found.sources] == ["shop.yaml", "edges.csv", "criticality.CSV"]
    assert found.facts_at("store/shop", datetime.max.replace(tzinfo=UTC)) == datetime(2030, 1, 1, tzinfo=UTC)


def test_the_report_says_what_was_not_read() -> None:
    """Each skip names the file, the entity or row, and the reason; what is assumed and what dangles is told."""
    report = _import(*ALL).report
    assert report.skips == (
        Skip(
            "shop.yaml",
            "document 8 (Location more)",
            "kind Location of backstage.io/v1alpha1 is not used",
            harmless=True,
        ),
        Skip(
            "shop.yaml",
            "document 9 (Component bad name)",
            "'Component:default/bad name' is no reference, write it as kind:namespace/name",
        ),
        Skip("shop.yaml", "document 10", "kind is missing, give it one of Component, Resource"),
        Skip("edges.csv", "row 5", "from is empty"),
        Skip("edges.csv", "row 6", "strength 'weak' is neither hard nor soft"),
        Skip("edges.csv", "row 7", "it has another number of fields than the header"),
        Skip("criticality.CSV", "row 4", "ledger has no criticality, the worst is assumed", harmless=True),
        Skip("criticality.CSV", "row 6", "criticality 'extreme' is none of low, medium, high, critical"),
        Skip("criticality.CSV", "row 5", "component:default/nobody is in no entity file"),
    )
    assert report.notes == (
        "columns team of edges.csv are not used",
        "4 references without a kind are read as component",
        "2 references without a kind are read as resource",
        "1 entities have two criticalities, the worse counts",
    )
    assert report.read["service edges"] == 2
    assert report.read["service edges, soft"] == 1
    assert report.dangling == (
        "api:store/orders",
        "component:default/ledger",
        "component:default/reports",
        "component:store/mail",
        "domain:store/all",
    )


def test_the_text_can_be_imported_again() -> None:
    """A catalog that was imported is its own import: the same facts, the same sources, nothing skipped."""
    first = _import(*ALL)
    again = _import(("catalog.yaml", first.text))
    assert not again.report.skips
    assert _facts(again.catalog) == _facts(first.catalog)
    origins = {ref: {first.catalog.sources[at] for at in item.sources} for ref, item in first.catalog.entities.items()}
    assert origins == {
        ref: {again.catalog.sources[at] for at in item.sources} for ref, item in again.catalog.entities.items()
    }


def test_the_same_files_are_the_same_bytes() -> None:
    """Whatever the order of a file's documents and rows, the catalog has one text, and one digest with it."""
    turned = b"\n---\n".join(reversed(BACKSTAGE.split(b"\n---\n")))
    assert (
        _import(("shop.yaml", BACKSTAGE)).text.split(b"\n")[1:] == _import(("shop.yaml", turned)).text.split(b"\n")[1:]
    )


def _facts(catalog: Catalog) -> dict[str, Any]:
    return {
        ref: (item.resource_id, item.environment, item.criticality, item.units, item.part_of, catalog.reach(ref))
        for ref, item in catalog.entities.items()
    } | {"slos": catalog.objectives, "people": catalog.parties, "dangling": catalog.dangling}


def test_the_first_description_counts() -> None:
    """Of two files that describe one entity the first wins; the other's is skipped with the reason."""
    entity = "kind: Component\nmetadata: {{name: a, annotations: {{countersign/criticality: {}}}}}"
    found = _import(("a.yaml", entity.format("high").encode()), ("b.yaml", entity.format("low").encode()))
    known = found.catalog.entity("a")
    assert known is not None
    assert (known.criticality, known.sources) == ("high", (0,))
    assert found.report.skips == (Skip("b.yaml", "document 1 (Component a)", "component:default/a occurs twice"),)


def test_names_of_tables_can_be_declared() -> None:
    """Where nobody described a service that tables name, a bare entity can be made: known, and the worst in all."""
    tables = (("e.csv", b"\xef\xbb\xbffrom,to\r\na,b\r\n"), ("c.csv", b"service,service.criticality\nc,\nd,low\n"))
    with pytest.raises(DocumentError, match="catalog has no entity"):
        _import(*tables)
    found = _import(*tables, options=ImportOptions(declare=True))
    assert sorted(ref for ref in found.catalog.entities if "default" in ref) == [
        f"component:default/{name}" for name in "abcd"
    ]
    known = found.catalog.entity("a")
    assert known is not None
    assert (known.criticality, known.environment, found.catalog.resolve("a")) == (None, None, ())
    assert found.catalog.dangling == ()


def test_one_graph_of_several_is_chosen() -> None:
    """A table of several graphs is one company's only where one of them was chosen."""
    table = ("e.csv", b"graph,from,to\none,a,b\ntwo,c,d\n")
    chosen = _import(table, options=ImportOptions(graph="two", declare=True))
    assert sorted(ref for ref in chosen.catalog.entities if "default" in ref) == [
        "component:default/c",
        "component:default/d",
    ]
    with pytest.raises(
        DocumentError, match=r"e.csv: table has several graphs \(one, two, …\), choose one with --graph"
    ):
        _import(table, options=ImportOptions(declare=True))
    with pytest.raises(DocumentError, match="table has no graph 'three', it has one, two"):
        _import(table, options=ImportOptions(graph="three", declare=True))


def test_what_nobody_breaks_without() -> None:
    """Edges of tables to what is named as soft are soft, whatever the row says."""
    found = _import(
        ("e.csv", b"from,to\na,collector\na,b\n"),
        options=ImportOptions(declare=True, soft_to=frozenset({"component:default/collector"})),
    )
    assert found.catalog.reach("collector").nearest[0].strength == "soft"
    assert found.catalog.reach("b").nearest[0].strength == "hard"


WRONG: dict[str, tuple[str, bytes, str]] = {
    "not utf-8": ("a.csv", b"from,to\n\xff,b", "a.csv: table is not utf-8 at byte 8"),
    "no header": ("a.csv", b"", "a.csv: table has no header"),
    "a column twice": ("a.csv", b"from,from,to\na,b,c", "table has no header with a name of its own for each column"),
    "another table": ("a.csv", b"name,age\na,1", "columns 'name, age' are of no table that is read"),
    "an open quote": ("a.csv", b'from,to\n"a,b\n', "table is malformed: unexpected end of data"),
    "a quote within": ("a.csv", b'from,to\n"a"x,b\n', "table is malformed"),
    "a field without end": ("a.csv", b"from,to\n" + b"a" * 200_000 + b",b\n", "table is malformed: field larger"),
    "no yaml": ("a.yaml", b"a: [", "a.yaml: line [12], column"),
    "an alias": ("a.yaml", b"kind: Component\nmetadata: &x {name: a}", "anchors and aliases are not read"),
    "a byte order mark": ("a.yaml", b"\xef\xbb\xbfkind: Component", "a.yaml: document starts with a byte order mark"),
    "nothing of use": ("a.yaml", b"kind: Location", "catalog has no entity"),
}


@pytest.mark.parametrize(("name", "body", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_read(name: str, body: bytes, message: str) -> None:
    """A file that cannot be read at all ends the import, by name: half a file is no catalog."""
    with pytest.raises(DocumentError, match=message):
        _import((name, body))


def test_long_lists_are_cut() -> None:
    """The report names the first and counts the others; what was wrong comes before what had nothing to read."""
    skips = tuple(Skip("f", f"row {number}", "why", harmless=number < 3) for number in range(8))
    lines = ImportReport(sources=(), read={"of kind api": 2}, skips=skips, dangling=("a", "b")).lines(first=6)
    assert lines == [
        "read: 2 of kind api",
        "skipped: 8",
        *(f"  f, row {number}: why" for number in (3, 4, 5, 6, 7, 0)),
        "  and 2 more",
        "not in the catalog, the worst is assumed: 2",
        "  a",
        "  b",
    ]


_PIECES = st.sampled_from(
    [b"kind: Component", b"\nmetadata: {name: a}", b"\n---\n", b'--- {"kind":', b'"SLO"}', b"from,to\n", b"a,b\n",
     b'"', b"\xff", b"service,service.criticality\n", b"a,low\n", b"spec: {dependsOn: [b]}\n", b"[", b"{", b"\0",
     b"apiVersion: openslo/v1\n", b"\nspec: {service: a, objectives: [{target: 1}]}"]
)  # fmt: skip


@given(
    st.lists(_PIECES | st.binary(max_size=6), max_size=8).map(b"".join),
    st.sampled_from(["f.csv", "f.yaml"]),
    st.booleans(),
)
def test_anything_is_imported_or_refused(body: bytes, name: str, declare: bool) -> None:
    """Whatever a file holds, the answer is a catalog or a DocumentError."""
    try:
        found = _import(
            (name, body), ("b.yaml", b"kind: Component\nmetadata: {name: b}"), options=ImportOptions(declare=declare)
        )
    except DocumentError:
        return
    assert read_catalog(found.text).entities == found.catalog.entities


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(0, 2)
    | st.sampled_from(["a", "b", "", "a b", "soft", "component:a"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "target", "from", "to"]), inner)
    ),
    max_leaves=4,
)
_FIELDS = ["name", "namespace", "annotations", "dependsOn", "system", "service", "objectives", "memberOf", "profile"]
_MAPPINGS = st.dictionaries(st.sampled_from(_FIELDS), _JSON)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(
                    ["Component", "System", "API", "Group", "User", "SLO", "ServiceEdges", "CatalogSources"]
                )
            },
            optional={
                "apiVersion": st.sampled_from(["backstage.io/v1alpha1", "openslo/v1", "countersign/v1"]) | _JSON,
                "metadata": _MAPPINGS | _JSON,
                "spec": _MAPPINGS | _JSON,
                "edges": st.lists(_JSON, max_size=2) | _JSON,
                "sources": st.lists(_JSON, max_size=2) | _JSON,
            },
        ),
        max_size=4,
    )
)
def test_any_document_is_read_or_skipped(documents: list[dict[str, Any]]) -> None:
    """Whatever a document's fields hold, it is read or skipped with a reason, and the others are read."""
    good = {"kind": "Component", "metadata": {"name": "good"}}
    body = "".join(f"--- {json.dumps(item)}\n" for item in [*documents, good]).encode()
    found = _import(("f.yaml", body))
    assert found.catalog.entity("good") is not None
    assert len(found.report.skips) <= len(documents)


def test_many_entities_with_references_to_nobody() -> None:
    """Twenty thousand entities, of which every third needs somebody who is not there, are read and answered for."""
    size = 20_000
    lines = (
        f'--- {{"kind":"Component","metadata":{{"name":"s{at}"}},"spec":{{"dependsOn":["component:s{at // 2}"'
        + (f',"component:ghost{at}"' if at % 3 == 0 else "")
        + f'],"dependencyOf":["component:phantom{at % 7}"]}}}}\n'
        for at in range(1, size + 1)
    )
    found = _import(("big.yaml", "".join(lines).encode()))
    reach = found.catalog.reach("s1")
    assert len(found.catalog.dangling) == size // 3 + 7 + 1
    assert (reach.total, reach.dangling, reach.weight) == (size - 1 + 7, 7, size - 1 + 7)
    assert len(found.report.lines()) < 60
