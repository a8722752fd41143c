"""Actions whose steps act on an emulated Kubernetes: from the proposal, over what was resolved, to the outcome."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from activities.auditing import audit
from activities.export import export_action
from deploy.dev import Stack
from tests.integration.executors.kubernetes_emulator import (
    EmulatedCluster,
    emulated,
    executor_of,
    going_wrong,
    workload,
)
from tests.world import DOCUMENTS, World, whole_world
from worker import workflow_runner
from workflows.interface import workflow_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCALE = "kubernetes.workload.scale"
CATALOG = (DOCUMENTS / "catalog.yaml").read_bytes() + b"".join(
    f"""
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    countersign/environment: production
    countersign/criticality: low
    countersign/resource-id: k8s/prod/shop/deployment/{name}
spec: {{owner: team-shop}}
""".encode()
    for name in ("web", "api", "till", "cart")
)
RULE = b"rules:\n  - {id: clusters, match: {operations: [kubernetes.workload.scale]}, verdict: allow}\n"
POLICY = (DOCUMENTS / "policy.yaml").read_bytes().replace(b"rules:\n", RULE, 1)


def _operations() -> bytes:
    """The operations that we ship for Kubernetes, beside those of the tests."""
    shipped = yaml.safe_load((Path(__file__).parents[2] / "operations" / "kubernetes.yaml").read_text())
    own = yaml.safe_load((DOCUMENTS / "operations.yaml").read_text())
    both = {**own, **{name: [*own.get(name, []), *shipped[name]] for name in ("operations", "probes")}}
    return yaml.safe_dump(both).encode()


@dataclass
class Place:
    """Countersign's world and a cluster."""

    world: World
    cluster: EmulatedCluster

    def replicas(self, name: str) -> int:
        """How many replicas a Deployment is to have."""
        return int(self.cluster.raw("deployment", "shop", name)["spec"]["replicas"])


@pytest_asyncio.fixture(name="place", scope="module", loop_scope="module")
async def _place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("tokens")
    async with emulated(folder) as (cluster, server):
        for name in ("web", "api", "till", "cart"):
            cluster.add("deployment", "shop", name, labels={"app": name}, spec=workload(app=name))
        executors = {"kubernetes": executor_of(server, folder)}
        async with whole_world(stack, _operations(), CATALOG, POLICY, executors=executors) as world:
            yield Place(world, cluster)


def scaling(place: Place, name: str, replicas: int, **more: Any) -> Any:
    """A proposal to scale a Deployment, and back if that many are not ready."""
    at = {"kind": "deployment", "namespace": "shop", "name": name}
    body = place.world.propose(SCALE, undo=SCALE, target=name, **more)
    body["steps"][0]["parameters"] = {**at, "replicas": replicas}
    body["steps"][0]["undo"]["parameters"] = {**at, "replicas": place.replicas(name)}
    body["success_criteria"] = [
        {"probe": "kubernetes.workload.replicas", "parameters": at, "equals": replicas, "within_seconds": 1}
    ]
    return body


async def findings(place: Place, body: Any) -> list[str]:
    """What an audit of a closed action finds."""
    world, name = place.world, workflow_id(body["proposal_id"])
    file = await export_action(world.client, world.database, name, at=datetime.now(UTC))
    return [str(item) for item in (await audit(file.body(), workflow_runner())).findings]


async def test_a_deployment_is_scaled_under_its_permit_and_measured(place: Place) -> None:
    """Resolved by uid, permitted with its version, marked by the permit, measured by its status; an audit agrees."""
    body = scaling(place, "web", 5)
    result = await place.world.run(body)

    assert (result.resolution, result.outcome) == ("approved", "succeeded")
    assert place.replicas("web") == 5
    [dispatched] = await place.world.entries(body["proposal_id"], "dispatched")
    forward, _ = dispatched["content"]["permits"]
    found = place.cluster.raw("deployment", "shop", "web")
    assert [target["id"] for target in forward["targets"]] == [f"deployment/shop/web@{found['metadata']['uid']}"]
    assert found["metadata"]["annotations"]["countersign/permit"] == forward["permit_id"]
    assert await findings(place, body) == []


async def test_what_does_not_become_ready_is_scaled_back(place: Place) -> None:
    """The probe reads the status and not the wish: the criterion fails, and the approved undo runs."""
    place.cluster.unready = True
    body = scaling(place, "api", 5)
    result = await place.world.run(body)
    place.cluster.unready = False

    assert result.outcome == "compensated"
    assert place.replicas("api") == 2
    assert [use for _, _, use in await place.world.permits(body["proposal_id"])] == ["claimed", "claimed"]
    assert len([path for path, _ in place.cluster.effects if path.endswith("/api")]) == 2
    assert await findings(place, body) == []


async def test_what_somebody_changed_meanwhile_is_left_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the permit and the effect: nothing is done, nothing is undone, and the result says why."""
    patched = EmulatedCluster._patched

    async def late(cluster: EmulatedCluster, request: Any) -> Any:
        cluster.change("deployment", "shop", "till", replicas=7)
        return await patched(cluster, request)

    monkeypatch.setattr(EmulatedCluster, "_patched", late)
    body = scaling(place, "till", 5)
    result = await place.world.run(body)

    assert result.outcome == "not_executed"
    assert "is not the one that was resolved" in result.reasons[0].message
    assert place.replicas("till") == 7
    assert await place.world.holds("till") == []
    assert await findings(place, body) == []


async def test_an_effect_whose_answer_is_lost_is_seen_by_its_mark(place: Place) -> None:
    """It was done under this permit, as the object says: nobody does it again, and nobody has to look."""
    with going_wrong(place.cluster, "lost"):
        body = scaling(place, "cart", 5)
        result = await place.world.run(body)

    assert result.outcome == "succeeded"
    assert len([path for path, _ in place.cluster.effects if path.endswith("/cart")]) == 1
    assert await place.world.holds("cart") == []
