"""Kubernetes: the executor scales a Deployment of an emulated cluster (`kubernetes_emulator.py`)."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue

from activities.executors.base import Inquiry, Order
from activities.executors.kubernetes import KubernetesExecutor
from deploy.dev import Stack
from policy.permit import Direction
from tests.integration.executors.harness import Harness
from tests.integration.executors.kubernetes_emulator import (
    ACTS,
    READS,
    EmulatedCluster,
    emulated,
    executor_of,
    going_wrong,
    workload,
)

RESOURCE = "k8s/prod/shop/deployment/web"
SCALE = "kubernetes.workload.scale"
WEB: dict[str, JsonValue] = {"kind": "deployment", "namespace": "shop", "name": "web"}


class KubernetesHarness(Harness):
    """Each order scales by one."""

    secrets = (ACTS, READS)

    def __init__(self, cluster: EmulatedCluster, executor: KubernetesExecutor, dead: KubernetesExecutor) -> None:
        self._cluster = cluster
        self._executor = executor
        self._dead = dead
        self._alive = executor

    @property
    def executor(self) -> KubernetesExecutor:
        return self._executor

    async def inquiry(self) -> Inquiry:
        parameters = {**WEB, "replicas": self._replicas() + 1}
        return Inquiry(SCALE, parameters, (RESOURCE,), "production")

    async def empty(self) -> Inquiry:
        parameters = {"kind": "deployment", "namespace": "shop", "selector": ""}
        return Inquiry("kubernetes.rollout.restart_all", parameters, ("k8s/prod",), "production")

    async def order(self, permit_id: str) -> Order:
        inquiry = await self.inquiry()
        targets = await self._alive.resolve(inquiry)
        timeout = timedelta(seconds=30)
        return Order(permit_id, Direction.do, SCALE, dict(inquiry.parameters), (RESOURCE,), timeout, targets=targets)

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "name": "another"})

    def undo(self, order: Order) -> Order | None:
        targets = tuple(target.model_copy(update={"version": None}) for target in order.targets)
        before = order.targets[0].state["replicas"]
        return replace(
            order,
            permit_id="undo",
            direction=Direction.undo,
            parameters={**WEB, "replicas": before},
            targets=targets,
            undoes=order.permit_id,
        )

    async def state(self) -> object:
        return self._cluster.raw("deployment", "shop", "web")["spec"]

    async def effects(self) -> int:
        return len(self._cluster.effects)

    async def move(self) -> bool:
        self._cluster.change("deployment", "shop", "web", replicas=self._replicas() + 3)
        return True

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        self._executor = self._dead
        yield
        self._executor = self._alive

    def lost_answer(self) -> AbstractAsyncContextManager[None] | None:
        @asynccontextmanager
        async def lost() -> AsyncIterator[None]:
            with going_wrong(self._cluster, "lost"):
                yield

        return lost()

    def _replicas(self) -> int:
        return int(self._cluster.raw("deployment", "shop", "web")["spec"]["replicas"])


@asynccontextmanager
async def kubernetes(_stack: Stack) -> AsyncIterator[KubernetesHarness]:
    """The executor before an emulated cluster."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with emulated(folder) as (cluster, server):
            cluster.add("deployment", "shop", "web", labels={"app": "web"}, spec=workload())
            dead = executor_of(server, folder, server="http://127.0.0.1:9")
            yield KubernetesHarness(cluster, executor_of(server, folder), dead)
