"""A place to act before an emulated cluster: workloads, a node, executors, and orders that would be carried out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from activities.executors.base import Inquiry, Order
from activities.executors.kubernetes import KubernetesExecutor
from policy.permit import Direction
from tests.integration.executors.kubernetes_emulator import EmulatedCluster, emulated, executor_of, workload

RESOURCE = "k8s/prod"
WEB = {"kind": "deployment", "namespace": "shop", "name": "web"}
SCALE, SCALE_TO_ZERO = "kubernetes.workload.scale", "kubernetes.workload.scale_to_zero"
RESTART, RESTART_ALL = "kubernetes.rollout.restart", "kubernetes.rollout.restart_all"
UNDO, PAUSE = "kubernetes.rollout.undo", "kubernetes.rollout.pause"
CORDON, UNCORDON = "kubernetes.node.cordon", "kubernetes.node.uncordon"


@dataclass
class Place:
    """A cluster with a Deployment, a StatefulSet, a DaemonSet and a node. `elsewhere` may touch none of them."""

    cluster: EmulatedCluster
    executor: KubernetesExecutor
    elsewhere: KubernetesExecutor

    async def order(self, operation: str, **parameters: Any) -> Order:
        """An order that would be carried out now."""
        targets = await self.executor.resolve(Inquiry(operation, parameters, (RESOURCE,), "production"))
        timeout = timedelta(seconds=30)
        return Order(str(uuid4()), Direction.do, operation, parameters, (RESOURCE,), timeout, targets=targets)

    def spec(self, kind: str = "deployment", name: str = "web", namespace: str | None = "shop") -> Any:
        """The spec of an object as it is."""
        return self.cluster.raw(kind, namespace, name)["spec"]

    def image(self, kind: str = "deployment", name: str = "web") -> str:
        """The image of a workload as it is."""
        return str(self.spec(kind, name)["template"]["spec"]["containers"][0]["image"])


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


@asynccontextmanager
async def placed(folder: Path) -> AsyncIterator[Place]:
    """A place of its own."""
    async with emulated(folder) as (cluster, server):
        for kind, name in (("deployment", "web"), ("statefulset", "db"), ("daemonset", "logs")):
            cluster.add(kind, "shop", name, labels={"app": name}, spec=workload(app=name))
        cluster.add("node", None, "n1", labels={"environment": "production"}, spec={})
        elsewhere = executor_of(server, folder, namespaces=["lab"], nodes=False)
        yield Place(cluster, executor_of(server, folder), elsewhere)
