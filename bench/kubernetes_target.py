"""Kubernetes for `executor_targets.py`: scaling a deployment, by our adapter and by the official client.

The API server and its controllers are real and in processes of their own: those that `make kubernetes` builds. Where
they are not built there is nothing to measure, as the emulated one shares the process that would be measured.
"""

import asyncio
import itertools
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from kubernetes import client

from activities.executors.base import Inquiry, Order, TargetCredentials
from activities.executors.kinds import make_executors
from bench.contestants import Contestants
from deploy.kubernetes_server import PROGRAMS, RealCluster, real_cluster
from policy.permit import Direction

_PREFIX, _NAMESPACE, _NAME = "k8s/bench", "shop", "till"
_SCALE = "kubernetes.workload.scale"
_AT = {"kind": "deployment", "namespace": _NAMESPACE, "name": _NAME}


def is_built() -> bool:
    """Whether there is an API server to measure."""
    return (PROGRAMS / "kube-apiserver").exists()


async def kubernetes(cleanup: AsyncExitStack) -> Contestants:
    """The contestants: as many writes each, of replicas that change every time."""
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    cluster = await asyncio.to_thread(cleanup.enter_context, real_cluster(folder))
    _deploy(cluster)
    entry = {"kind": "kubernetes", "clusters": {_PREFIX: cluster.entry()}}
    executor, apps = make_executors({"kubernetes": entry}, TargetCredentials({}))["kubernetes"], _apps(cluster)
    replicas = itertools.cycle((1, 2, 3))

    async def ours() -> None:
        parameters: dict[str, Any] = {**_AT, "replicas": next(replicas)}
        found = await executor.resolve(Inquiry(_SCALE, parameters, (_PREFIX,), "production"))
        order = Order(str(uuid4()), Direction.do, _SCALE, parameters, (_PREFIX,), timedelta(seconds=30), signed="x.y.z")
        await executor.execute(replace(order, targets=found))

    async def direct() -> None:
        body = {"spec": {"replicas": next(replicas)}}
        await asyncio.to_thread(apps.patch_namespaced_deployment, _NAME, _NAMESPACE, body)

    return ours, direct


def _deploy(cluster: RealCluster) -> None:
    """A deployment whose pods never run: there is no node."""
    labels = {"app": _NAME}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "till:1"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": _NAME, "namespace": _NAMESPACE}
    cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def _apps(cluster: RealCluster) -> client.AppsV1Api:
    """The official client with the rights that the executor has."""
    said = client.Configuration(host=cluster.url, ssl_ca_cert=str(cluster.ca_file), proxy="")
    said.api_key = {"authorization": f"Bearer {cluster.token('countersign-acts').read_text().strip()}"}
    return client.AppsV1Api(client.ApiClient(said))
