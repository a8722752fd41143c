"""What only a real API server and real controllers can show: conflicts, revisions, rights, defaults."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from activities.executors.base import ExecutorError, Inquiry, Order, PreconditionFailedError, ProbeError, ProbeOrder
from activities.executors.kubernetes import KubernetesExecutor
from activities.executors.kubernetes_api import Cluster, ConflictError
from activities.trails.kubernetes import read_audit_events
from deploy.kubernetes_server import RealCluster
from policy.permit import Direction
from tests.real_kubernetes.workloads import (
    PREFIX,
    create,
    executor_of,
    image_of,
    patch,
    path,
    seen,
    spec_of,
    start_pods,
    template,
    until,
)

WORKLOADS = ("deployment", "statefulset", "daemonset")
SCALE, RESTART, UNDO = "kubernetes.workload.scale", "kubernetes.rollout.restart", "kubernetes.rollout.undo"


@pytest.fixture(name="executor")
def _executor(cluster: RealCluster) -> KubernetesExecutor:
    return executor_of(cluster)


async def order_of(executor: KubernetesExecutor, operation: str, **parameters: Any) -> Order:
    """An order that would be carried out now."""
    targets = await executor.resolve(Inquiry(operation, parameters, (PREFIX,), "production"))
    seconds = timedelta(seconds=30)
    return Order(str(uuid4()), Direction.do, operation, parameters, (PREFIX,), seconds, targets=targets)


def undoing(order: Order, operation: str, **parameters: Any) -> Order:
    """The order to undo another."""
    targets = tuple(target.model_copy(update={"version": None}) for target in order.targets)
    return replace(
        order,
        permit_id=str(uuid4()),
        direction=Direction.undo,
        operation=operation,
        parameters=parameters,
        targets=targets,
        undoes=order.permit_id,
    )


def names(kind: str, name: str) -> dict[str, str]:
    return {"kind": kind, "namespace": "shop", "name": name}


async def test_a_patch_of_another_resource_version_is_a_conflict(cluster: RealCluster) -> None:
    """The server refuses a JSON Patch that names the resourceVersion of an older read; that is what all rests on."""
    name = create(cluster)
    entry = cluster.entry()
    acting = Cluster(entry["server"], cluster.ca_file, cluster.folder / "countersign-acts")
    before = cluster.call("GET", path("deployment", name))["metadata"]["resourceVersion"]
    patch(cluster, "deployment", name, {"replicas": 3})
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": before},
        {"op": "add", "path": "/spec/replicas", "value": 9},
    ]

    with pytest.raises(ConflictError):
        await acting.patch(path("deployment", name), operations, dry_run=False)

    assert spec_of(cluster, "deployment", name)["replicas"] == 3


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_a_rollout_goes_back_and_its_undo_comes_back(
    cluster: RealCluster, executor: KubernetesExecutor, kind: str
) -> None:
    """Real controllers keep and number the revisions; what the server made of the template is what is found again."""
    name = create(cluster, kind)
    await seen(cluster, kind, name)
    for image in ("shop:2", "shop:3"):
        patch(cluster, kind, name, {"template": template(name, image)})
        await seen(cluster, kind, name)
    order = await order_of(executor, UNDO, **names(kind, name))
    assert order.targets[0].state["goes_back_to"] == {"revision": 2, "images": ["shop:2"]}

    await executor.execute(order)
    assert image_of(cluster, kind, name) == "shop:2"
    await seen(cluster, kind, name)

    undo = undoing(order, UNDO, **names(kind, name))
    for _ in range(2):
        await executor.execute(undo)
        await seen(cluster, kind, name)
        assert image_of(cluster, kind, name) == "shop:3"


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_a_restart_makes_a_new_revision_once(
    cluster: RealCluster, executor: KubernetesExecutor, kind: str
) -> None:
    name = create(cluster, kind)
    await seen(cluster, kind, name)
    order = await order_of(executor, RESTART, **names(kind, name))
    generation = cluster.call("GET", path(kind, name))["metadata"]["generation"]

    await executor.execute(order)
    await executor.execute(order)

    assert cluster.call("GET", path(kind, name))["metadata"]["generation"] == generation + 1


async def test_pausing_and_scaling_a_node_away_are_undone(cluster: RealCluster, executor: KubernetesExecutor) -> None:
    """What the API leaves out when it is false is found to be false."""
    cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    name = create(cluster)
    pause = await order_of(executor, "kubernetes.rollout.pause", **names("deployment", name))
    cordon = await order_of(executor, "kubernetes.node.cordon", node="n1")

    await executor.execute(pause)
    await executor.execute(cordon)
    assert spec_of(cluster, "deployment", name)["paused"] is True
    assert await executor.measure(ProbeOrder("kubernetes.node.schedulable", {"node": "n1"}, PREFIX)) is False

    await executor.execute(undoing(pause, "kubernetes.rollout.resume", **names("deployment", name)))
    await executor.execute(undoing(cordon, "kubernetes.node.uncordon", node="n1"))
    assert "paused" not in spec_of(cluster, "deployment", name)
    assert await executor.measure(ProbeOrder("kubernetes.node.schedulable", {"node": "n1"}, PREFIX)) is True


async def test_a_workload_is_available_when_its_pods_are(cluster: RealCluster, executor: KubernetesExecutor) -> None:
    name = create(cluster)
    at = names("deployment", name)
    await until(lambda: start_pods(cluster, name) == 2)

    await until(lambda: cluster.call("GET", path("deployment", name))["status"].get("availableReplicas") == 2)

    assert await executor.measure(ProbeOrder("kubernetes.workload.available", at, PREFIX)) is True
    assert await executor.measure(ProbeOrder("kubernetes.workload.replicas", at, PREFIX)) == 2
    condition = {**at, "type": "Available"}
    assert await executor.measure(ProbeOrder("kubernetes.object.condition", condition, PREFIX)) == "True"
    await executor.execute(await order_of(executor, SCALE, **at, replicas=3))
    assert await executor.measure(ProbeOrder("kubernetes.workload.available", at, PREFIX)) is False


async def test_what_does_not_exist_is_told_from_what_cannot_be_asked(
    cluster: RealCluster, executor: KubernetesExecutor
) -> None:
    at = {"kind": "configmap", "namespace": "shop", "name": "nobody"}
    assert await executor.measure(ProbeOrder("kubernetes.object.present", at, PREFIX)) is False
    # kube-apiserver 1.20 does not serve autoscaling/v2 yet: no such kind is not the same as no such object.
    with pytest.raises(ProbeError, match="404"):
        await executor.measure(
            ProbeOrder("kubernetes.object.present", {**at, "kind": "horizontalpodautoscaler"}, PREFIX)
        )


async def test_each_credential_can_do_its_own_part_only(cluster: RealCluster, executor: KubernetesExecutor) -> None:
    """The one that reads cannot patch, the one that acts cannot read, and neither reaches another namespace."""
    name = create(cluster)
    order = await order_of(executor, SCALE, **names("deployment", name), replicas=3)
    entry = cluster.entry()
    swapped = (
        {"token_file": str(cluster.copied("countersign-reads"))},
        {"read_token_file": str(cluster.copied("countersign-acts"))},
    )

    for files in swapped:
        with pytest.raises(PreconditionFailedError, match="403"):
            await executor_of(cluster, **files).execute(order)

    assert spec_of(cluster, "deployment", name)["replicas"] == 2
    acting = Cluster(entry["server"], cluster.ca_file, cluster.folder / "countersign-acts")
    with pytest.raises(PreconditionFailedError, match="403"):
        await acting.patch("/apis/apps/v1/namespaces/kube-system/deployments/dns", [], dry_run=True)


async def test_a_certificate_of_somebody_else_is_no_cluster(cluster: RealCluster, tmp_path: Any) -> None:
    """Without the authority of the entry nothing is sent."""
    with pytest.raises(ExecutorError, match="certificate verify failed"):
        await order_of(executor_of(cluster, ca_file=None), SCALE, **names("deployment", "web"), replicas=3)


async def test_the_audit_log_tells_our_effects_from_those_of_others(
    cluster: RealCluster, executor: KubernetesExecutor
) -> None:
    """A scale and its undo under their permits, a change by somebody else, a dry run and a conflict that are none."""
    name = create(cluster)
    at = names("deployment", name)
    order = await order_of(executor, SCALE, **at, replicas=3)
    await executor.dry_run(replace(order, dry_run=True))
    await executor.execute(order)
    undo = undoing(order, SCALE, **at, replicas=2)
    await executor.execute(undo)
    patch(cluster, "deployment", name, {"template": template(name, "evil:1")})
    trail = read_audit_events(cluster.audit_log.read_text().splitlines(), PREFIX)
    mine = [effect for effect in trail.effects if effect.target == f"deployment/shop/{name}"]

    found = [(effect.operation, effect.permit_id, effect.actor.rpartition(":")[2]) for effect in mine]
    assert found == [
        ("kubernetes.workload.change", None, "administrator"),
        (SCALE, order.permit_id, "countersign-acts"),
        (SCALE, undo.permit_id, "countersign-acts"),
        ("kubernetes.workload.change", None, "administrator"),
    ]
    assert trail.unreadable == 0
