"""The contract of every executor (`tests/integration/executors/test_contract.py`), before a real API server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import JsonValue

from activities.executors.base import Inquiry, Order
from activities.executors.kubernetes import KubernetesExecutor
from deploy.kubernetes_server import RealCluster
from policy.permit import Direction
from tests.integration.executors.harness import Harness
from tests.integration.executors.test_contract import *  # noqa: F403 - every test of the contract
from tests.real_kubernetes.workloads import PREFIX, create, executor_of, patch, spec_of

SCALE = "kubernetes.workload.scale"


class RealHarness(Harness):
    """Each order scales a Deployment by one; effects are counted in the audit log of the server."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self._name = create(cluster)
        self._alive = self._executor = executor_of(cluster)
        self._dead = executor_of(cluster, server="https://127.0.0.1:9")
        self.secrets = tuple((cluster.folder / name).read_text() for name in ("countersign-acts", "countersign-reads"))

    @property
    def executor(self) -> KubernetesExecutor:
        return self._executor

    def _names(self) -> dict[str, JsonValue]:
        return {"kind": "deployment", "namespace": "shop", "name": self._name}

    def _replicas(self) -> int:
        return int(spec_of(self._cluster, "deployment", self._name)["replicas"])

    async def inquiry(self) -> Inquiry:
        return Inquiry(SCALE, {**self._names(), "replicas": self._replicas() + 1}, (PREFIX,), "production")

    async def empty(self) -> Inquiry:
        parameters = {"kind": "deployment", "namespace": "shop", "selector": "app=nobody"}
        return Inquiry("kubernetes.rollout.restart_all", parameters, (PREFIX,), "production")

    async def order(self, permit_id: str) -> Order:
        inquiry = await self.inquiry()
        targets = await self._alive.resolve(inquiry)
        seconds = timedelta(seconds=30)
        return Order(permit_id, Direction.do, SCALE, inquiry.parameters, (PREFIX,), seconds, targets=targets)

    async def misfit(self, permit_id: str) -> Order:
        order = await self.order(permit_id)
        return replace(order, parameters={**order.parameters, "name": "another"})

    def undo(self, order: Order) -> Order | None:
        return replace(
            order,
            permit_id="undo",
            direction=Direction.undo,
            parameters={**self._names(), "replicas": order.targets[0].state["replicas"]},
            targets=tuple(target.model_copy(update={"version": None}) for target in order.targets),
            undoes=order.permit_id,
        )

    async def state(self) -> object:
        return spec_of(self._cluster, "deployment", self._name)

    async def effects(self) -> int:
        events = [json.loads(line) for line in self._cluster.audit_log.read_text().splitlines()]
        return sum(
            event["stage"] == "ResponseComplete"
            and event["verb"] == "patch"
            and event["objectRef"]["name"] == self._name
            and event["user"]["username"].endswith(":countersign-acts")
            and event["responseStatus"]["code"] == 200
            and "dryRun" not in event["requestURI"]
            and "/spec/replicas" in json.dumps(event["requestObject"])
            for event in events
        )

    async def move(self) -> bool:
        patch(self._cluster, "deployment", self._name, {"replicas": self._replicas() + 3})
        return True

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        self._executor = self._dead
        yield
        self._executor = self._alive


@pytest.fixture(name="harness")
async def _harness(cluster: RealCluster) -> Harness:
    return RealHarness(cluster)
