"""What one assessment costs: facts, reach, assessment and the policy's answer, on a real graph and on a large one.

- The real graph is that of a public service's own architecture (`tests/data/README.md`), 196 entities.
- The large one is generated: 20,000 entities, 50,000 edges, some of them cycles, by a fixed seed.
- `cold` asks about a target for the first time since the catalog was read, `warm` again. The catalog is read once a
  process; no graph is built for an action.
"""

import csv
import gc
import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import table
from policy.catalog import Catalog, read_catalog
from policy.document import read_policy
from policy.facts import collect
from policy.judging import judge
from policy.observed import Observed
from policy.operations import read_operations
from policy.people.directory import read_directory
from policy.proposal import ActionProposal, receive

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
_ENTITIES, _EDGES, _ASKED = 20_000, 50_000, 300
_DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: people, version: "1"}
people: [{id: owner}, {id: omar, groups: [oncall]}, {id: lea, groups: [leads]}]
agents: [{id: bot, owner: owner}]
"""


def real_catalog() -> Catalog:
    """The architecture of HM Prison and Probation Service, as its own repository draws it."""
    rows = list(csv.DictReader((ROOT / "tests/data/service_edges.csv").open(encoding="utf-8", newline="")))
    edges = [(row["from"], row["to"]) for row in rows if row["graph"] == "hmpps-moj"]
    return _catalog(sorted({name for edge in edges for name in edge}), edges)


def large_catalog() -> Catalog:
    """A generated graph in which a few entities have most of the dependents, as in real ones."""
    chance = random.Random(1)
    names = [f"s{number}" for number in range(_ENTITIES)]
    edges: set[tuple[str, str]] = set()
    while len(edges) < _EDGES:
        user, needed = chance.randrange(_ENTITIES), int(_ENTITIES * chance.random() ** 3)
        if user != needed:
            edges.add((names[user], names[needed]))
    return _catalog(names, sorted(edges))


def _catalog(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> Catalog:
    needs: dict[str, list[str]] = {}
    for user, needed in edges:
        needs.setdefault(user, []).append(f"component:{_name(needed)}")
    levels = ("low", "medium", "high", "critical")
    values = [
        {
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {
                "name": _name(name),
                "annotations": {
                    "countersign/resource-id": f"id-{number}",
                    "countersign/environment": "production",
                    "countersign/criticality": levels[number % 4],
                    "countersign/failure-domains": "zone-1",
                },
            },
            "spec": {"type": "service", "owner": "team", "dependsOn": needs.get(name, [])},
        }
        for number, name in enumerate(names)
    ]
    return read_catalog("".join(f"--- {json.dumps(value)}\n" for value in values).encode())


def _name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name.lower())


def _proposal(target: str) -> ActionProposal:
    value = {
        "api_version": "countersign/v1",
        "proposal_id": "measured",
        "operation": "infra.config.push",
        "target": target,
        "environment": "production",
        "agent": {"id": "bot", "confidence": 0.9},
        "on_behalf_of": "owner",
        "rationale": "to measure it",
        "produced_at": "2026-11-24T13:59:00Z",
        "steps": [{"name": "push", "operation": "infra.config.push", "undo": {"operation": "infra.config.push"}}],
        "success_criteria": [{"probe": "platform.healthy", "equals": True}],
    }
    return receive(value).proposal


def measure_assessment() -> str:
    """Both graphs, as a table: median and 99th percentile in milliseconds."""
    rows = []
    for name, make, edges in (("real", real_catalog, 302), ("large", large_catalog, _EDGES)):
        began = time.perf_counter()
        catalog = make()
        reading = time.perf_counter() - began
        targets = _targets(catalog)
        proposals = [_proposal(target) for target in targets]
        ask = _asker(catalog)
        for state in ("cold", "warm"):
            times = _timed(ask, proposals)
            widest = max(catalog.reach(target).total for target in targets)
            rows.append((name, len(catalog.entities), edges, f"{reading:.2f} s", widest, state, *_figures(times)))
    header = ("graph", "entities", "edges", "read in", "most dependents", "asked", "median, ms", "p99, ms")
    return table(header, rows)


def _targets(catalog: Catalog) -> list[str]:
    """As many as are asked about, those with the most users first among them."""
    names = [ref for ref in catalog.entities if ref.startswith("component:")]
    chance = random.Random(2)
    return chance.sample(names, min(_ASKED, len(names)))


def _asker(catalog: Catalog) -> Callable[[ActionProposal], None]:
    registry = read_operations((ROOT / "operations/infrastructure.yaml").read_bytes())
    policy = read_policy((ROOT / "examples/production/policy.yaml").read_bytes())
    directory = read_directory(_DIRECTORY)
    observed = Observed(at=AT, catalog_at=AT, directory_at=AT)

    def ask(proposal: ActionProposal) -> None:
        facts = collect(proposal, catalog=catalog, directory=directory, registry=registry, observed=observed)
        judge(policy, proposal, facts)

    # The policy's conditions and the operations' histories are known before the first target is asked about.
    ask(_proposal("component:default/nothing"))
    return ask


def _timed(ask: Callable[[ActionProposal], None], proposals: Sequence[ActionProposal]) -> list[float]:
    gc.collect()
    times = []
    for proposal in proposals:
        began = time.perf_counter()
        ask(proposal)
        times.append(1000 * (time.perf_counter() - began))
    return times


def _figures(times: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(times)
    return f"{ordered[len(ordered) // 2]:.2f}", f"{ordered[int(0.99 * (len(ordered) - 1))]:.2f}"
