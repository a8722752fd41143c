"""Workloads in a real cluster, made by its administrator; what nodes would do to their pods is done here, by hand."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from activities.executors.base import TargetCredentials
from activities.executors.kubernetes import KubernetesExecutor, make
from deploy.kubernetes_server import RealCluster

PREFIX = "k8s/prod"
_BOUND = 30.0
_PLURAL = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


def executor_of(cluster: RealCluster, **more: Any) -> KubernetesExecutor:
    """The executor before a real cluster, with the rights of `deploy/kubernetes/rbac.yaml`."""
    return make("kubernetes", {"clusters": {PREFIX: {**cluster.entry(), **more}}}, TargetCredentials({}))


def path(kind: str, name: str) -> str:
    """Where a workload is served."""
    return f"/apis/apps/v1/namespaces/shop/{_PLURAL[kind]}/{name}"


def create(cluster: RealCluster, kind: str = "deployment", name: str | None = None, image: str = "shop:1") -> str:
    """A workload of two replicas; its name."""
    name = name or f"w-{uuid4().hex[:8]}"
    labels = {"app": name}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template(name, image)}
    if kind != "daemonset":
        spec["replicas"] = 2
    if kind == "statefulset":
        spec["serviceName"] = name
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    cluster.create({"apiVersion": "apps/v1", "kind": _KINDS[kind], "metadata": metadata, "spec": spec})
    return name


def template(name: str, image: str) -> dict[str, Any]:
    """A pod template."""
    container = {"name": "main", "image": image}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def patch(cluster: RealCluster, kind: str, name: str, spec: dict[str, Any]) -> None:
    """Somebody else changes a spec."""
    cluster.call("PATCH", path(kind, name), {"spec": spec}, "application/merge-patch+json")


def spec_of(cluster: RealCluster, kind: str, name: str) -> Any:
    """The spec of a workload."""
    return cluster.call("GET", path(kind, name))["spec"]


def image_of(cluster: RealCluster, kind: str, name: str) -> str:
    """The image of a workload."""
    return str(spec_of(cluster, kind, name)["template"]["spec"]["containers"][0]["image"])


async def seen(cluster: RealCluster, kind: str, name: str) -> None:
    """Until its controller has seen its newest spec."""

    def is_seen() -> bool:
        found = cluster.call("GET", path(kind, name))
        return bool(found.get("status", {}).get("observedGeneration", 0) >= found["metadata"]["generation"])

    await until(is_seen)


async def until(holds: Callable[[], bool]) -> None:
    """Until something holds, for a bounded time."""
    async with asyncio.timeout(_BOUND):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - what is awaited is another process
            await asyncio.sleep(0.05)


def start_pods(cluster: RealCluster, name: str) -> int:
    """What a kubelet would report: every pod of a workload runs and is ready. How many there are."""
    pods = cluster.call("GET", f"/api/v1/namespaces/shop/pods?labelSelector=app%3D{name}")["items"]
    for pod in pods:
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        where = f"/api/v1/namespaces/shop/pods/{pod['metadata']['name']}/status"
        cluster.call("PATCH", where, {"status": status}, "application/merge-patch+json")
    return len(pods)
