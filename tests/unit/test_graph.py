"""Who depends on whom: rings, strengths, weights, and what never gets smaller."""

import math
from collections.abc import Iterable, Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalogs.graph import CRITICALITIES, CRITICALITY_WEIGHT, Edge, Graph, Node, Reach

_FACTOR = {0: 1.0, 1: 0.3, 2: 0.09}
_NAMES = [*(f"component:default/s{number}" for number in range(7)), "api:default/a", "system:default/x"]
_REFS = st.sampled_from(_NAMES)
_EDGE = st.builds(Edge, _REFS, _REFS, st.booleans(), st.booleans())
_EDGES = st.lists(_EDGE, max_size=20)
_NODE = st.builds(
    Node,
    st.sampled_from([None, *CRITICALITIES]),
    st.none() | st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.995, 0.999, 0.9999, 1.0]),
)
_NODES = st.dictionaries(_REFS, _NODE, min_size=1)


def s(number: int | str) -> str:
    return f"component:default/s{number}"


def _reach(nodes: Mapping[str, Node], edges: Iterable[Edge], *targets: str) -> Reach:
    return Graph(nodes, edges).reach(targets)


def _by_relaxing(nodes: Mapping[str, Node], edges: list[Edge], target: str) -> tuple[int, int, int, float]:
    """The oracle: Bellman and Ford over (soft edges, length), one edge after the other until nothing changes."""
    best = {target: (0, 0)}
    while True:
        before = dict(best)
        for edge in edges:
            if edge.needed in best:
                soft, length = best[edge.needed]
                way = (soft + (not edge.hard), length + 1)
                best[edge.user] = min(way, best.get(edge.user, way))
        if best == before:
            break
    using = {edge.user for edge in edges if not edge.passing}
    best = {ref: way for ref, way in best.items() if ref != target and (ref.startswith("c") or ref in using)}
    weights = [_FACTOR.get(soft, 0.0) * _weight(nodes.get(ref, Node(None))) for ref, (soft, _) in best.items()]
    unknown = [ref for ref in best if ref not in nodes]
    return len(best), sum(soft == 0 for soft, _ in best.values()), len(unknown), round(sum(weights), 6)


def _weight(node: Node) -> float:
    nines = math.inf if node.strictest_slo == 1 else -math.log10(1 - (node.strictest_slo or 0.0))
    return max(CRITICALITY_WEIGHT[node.criticality], min(4, math.floor(nines + 1e-9)) / 4)


@given(_NODES, _EDGES, _REFS)
def test_as_a_slow_search_finds_it(nodes: dict[str, Node], edges: list[Edge], target: str) -> None:
    """Total, hard, dangling and weight are what relaxing edge by edge comes to, in every graph, cycles included."""
    found = _reach(nodes, edges, target)
    expected = _by_relaxing(nodes, edges, target)
    assert (found.total, found.hard, found.dangling, round(found.weight, 6)) == expected


@given(_NODES, _EDGES, _EDGE, _REFS)
def test_an_edge_more_lowers_nothing(nodes: dict[str, Node], edges: list[Edge], more: Edge, target: str) -> None:
    """Another edge, or a harder one, never makes the reach smaller in any respect."""
    _at_least(_reach(nodes, [*edges, more], target), _reach(nodes, edges, target))


@given(_NODES, _EDGES, _EDGES, _NODE, _REFS)
def test_an_entity_more_lowers_nothing(
    nodes: dict[str, Node], edges: list[Edge], others: list[Edge], node: Node, target: str
) -> None:
    """An entity that nobody named before, with edges of its own, never makes the reach smaller."""
    new = "component:default/new"
    its = [edge._replace(user=new) for edge in others[:3]] + [edge._replace(needed=new) for edge in others[3:6]]
    _at_least(_reach({**nodes, new: node}, [*edges, *its], target), _reach(nodes, edges, target))


def _at_least(more: Reach, less: Reach) -> None:
    assert more.total >= less.total
    assert more.hard >= less.hard
    assert more.weight >= less.weight
    assert more.dangling >= less.dangling


@given(_NODES, _EDGES, _REFS, st.randoms(use_true_random=False))
def test_the_order_of_edges_says_nothing(
    nodes: dict[str, Node], edges: list[Edge], target: str, random: Random
) -> None:
    """The same facts in another order are the same reach, to the last digit and the last of the ten."""
    shuffled, others = list(edges), list(nodes.items())
    random.shuffle(shuffled)
    random.shuffle(others)
    assert _reach(dict(others), shuffled, target) == _reach(nodes, edges, target)


STRENGTHS: dict[str, tuple[list[Edge], list[tuple[str, str, int]], float]] = {
    "hard": ([Edge(s(1), s(0))], [("s1", "hard", 1)], 1.0),
    "soft": ([Edge(s(1), s(0), hard=False)], [("s1", "soft", 1)], 0.3),
    "the harder of two edges counts": ([Edge(s(1), s(0), hard=False), Edge(s(1), s(0))], [("s1", "hard", 1)], 1.0),
    "hard behind soft is soft": (
        [Edge(s(1), s(0), hard=False), Edge(s(2), s(1))],
        [("s1", "soft", 1), ("s2", "soft", 2)],
        0.6,
    ),
    "soft behind soft": (
        [Edge(s(1), s(0), hard=False), Edge(s(2), s(1), hard=False)],
        [("s1", "soft", 1), ("s2", "soft", 2)],
        0.39,
    ),
    "a longer way that is hard counts": (
        [Edge(s(2), s(0), hard=False), Edge(s(1), s(0)), Edge(s(2), s(1))],
        [("s1", "hard", 1), ("s2", "hard", 2)],
        2.0,
    ),
    "three soft edges weigh nothing and are told": (
        [Edge(s(number + 1), s(number), hard=False) for number in range(4)],
        [("s1", "soft", 1), ("s2", "soft", 2), ("s3", "soft", 3), ("s4", "soft", 4)],
        0.39,
    ),
    "a cycle": (
        [Edge(s(1), s(0)), Edge(s(0), s(1), hard=False), Edge(s(2), s(1)), Edge(s(1), s(2))],
        [("s1", "hard", 1), ("s2", "hard", 2)],
        2.0,
    ),
    "an api is passed through": (
        [
            Edge("api:default/a", s(0), passing=True),
            Edge(s(1), "api:default/a"),
            Edge(s(2), "api:default/a", hard=False),
        ],
        [("s1", "hard", 1), ("s2", "soft", 1)],
        1.3,
    ),
    "a system within a domain is passed through": (
        [
            Edge("system:default/x", s(0), passing=True),
            Edge("domain:default/d", "system:default/x", passing=True),
            Edge(s(1), "domain:default/d"),
        ],
        [("s1", "hard", 1)],
        1.0,
    ),
    "what holds a component breaks with it": (
        [Edge(s(1), s(0), passing=True), Edge(s(2), s(1))],
        [("s1", "hard", 1), ("s2", "hard", 2)],
        2.0,
    ),
    "softly, then through an api": (
        [Edge(s(1), s(0), hard=False), Edge("api:default/a", s(1), passing=True), Edge(s(2), "api:default/a")],
        [("s1", "soft", 1), ("s2", "soft", 2)],
        0.6,
    ),
}


@pytest.mark.parametrize(("edges", "nearest", "weight"), STRENGTHS.values(), ids=STRENGTHS)
def test_strengths(edges: list[Edge], nearest: list[tuple[str, str, int]], weight: float) -> None:
    """A dependent's way is the one with the fewest soft edges; each takes away more than two thirds."""
    nodes = {s(number): Node("critical") for number in range(5)}
    found = _reach(nodes, edges, s(0))
    shown = sorted((item.ref.split("/")[1], item.strength, item.distance) for item in found.nearest)
    assert (shown, found.weight) == (nearest, weight)


def test_the_worst_ten_first() -> None:
    """Of many dependents the ten that weigh most are kept, the nearer and then the first by name before the others."""
    nodes = {s(f"{number:02}"): Node(CRITICALITIES[number % 4]) for number in range(40)}
    edges = [Edge(ref, "resource:default/db") for ref in nodes] + [Edge("component:default/far", s("00"))]
    found = _reach(nodes, edges, "resource:default/db")
    assert [item.ref for item in found.nearest] == [s(f"{number:02}") for number in range(3, 40, 4)]
    assert (found.total, found.dangling, found.weight) == (41, 1, 10 * 2.5 + 1)


def test_who_is_not_in_the_catalog_is_the_worst() -> None:
    """A dependent that nobody described weighs like a critical one and is counted."""
    found = _reach({s(0): Node("low")}, [Edge(s("ghost"), s(0))], s(0))
    assert (found.total, found.hard, found.dangling, found.weight) == (1, 1, 1, 1.0)


def test_targets_are_no_dependents_of_each_other() -> None:
    """Of several targets together only what lies outside of them depends on them."""
    nodes = {s(number): Node("low") for number in range(3)}
    found = _reach(nodes, [Edge(s(1), s(0)), Edge(s(2), s(1))], s(0), s(1))
    assert [item.ref for item in found.nearest] == [s(2)]


def test_remembered() -> None:
    """Asking twice gives the same object, asking for very many forgets some of them."""
    graph = Graph({s(0): Node("low")}, [Edge(s(1), s(0))])
    first = graph.reach((s(0),))
    assert graph.reach((s(0),)) is first
    for number in range(5000):
        graph.reach((s(number),))
    assert len(graph._found) <= 4096
    assert graph.reach((s(0),)) == first


def test_a_long_chain() -> None:
    """A chain of a hundred thousand services is walked without recursion, in one pass."""
    edges = [Edge(s(number + 1), s(number)) for number in range(100_000)]
    found = _reach({}, edges, s(0))
    assert (found.total, found.nearest[-1].distance) == (100_000, 10)


def test_needs_and_direct_users() -> None:
    """Both directions can be read for people."""
    graph = Graph({}, [Edge(s(1), s(0)), Edge(s(2), s(0), hard=False), Edge(s(2), s(1))])
    assert (graph.direct(s(0)), graph.needs(s(2))) == ((s(1), s(2)), (s(0), s(1)))
    assert (graph.direct("component:default/none"), graph.needs("component:default/none")) == ((), ())
