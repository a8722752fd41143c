"""Places that are servers of others: a database, a platform with its own Temporal workers, a Kubernetes API."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from deploy.dev import Stack
from deploy.orders import prepare_orders
from policy.permit_claims import UNNAMED
from tests.faults.disturbing import SLOW_SECONDS, socket_of
from tests.faults.place import Permits, Place
from tests.integration.executors.kubernetes_emulator import EmulatedCluster, emulated, workload
from tests.integration.executors.lossy import LossyWay, lossy_way
from tests.integration.executors.platform import Platform, platform_workers
from tests.permit_keys import KEY

_INDEX = "{table: {type: string}, index: {type: string}, columns: {type: list}}"


class PostgresPlace(Place):
    """A database in which an index is created and dropped again; the way to it counts what it carries."""

    name, resource = "postgres", "postgres/orders"
    operation, undo, probe = "postgres.index.create", "postgres.index.drop", "postgres.index.valid"
    wired = frozenset({"fail", "lose", "slow"})
    registry = f"""
operations:
  - name: postgres.index.create
    executor: postgres
    severity: 10
    resolves: true
    inverse: [postgres.index.drop]
    identifies: [index]
    parameters: {_INDEX}
  - {{name: postgres.index.drop, executor: postgres, severity: 10, resolves: true, needs_no_undo: true,
     identifies: [index], parameters: {_INDEX}}}
probes:
  - {{name: postgres.index.valid, executor: postgres, type: boolean, identifies: [index],
     parameters: {{index: {{type: string}}}}}}
"""

    def __init__(self, stack: Stack, way: LossyWay, port: int) -> None:
        super().__init__()
        self.way = way
        self._url = f"postgresql://orders_maintainer@127.0.0.1:{port}/orders?sslmode=disable"
        self._reader = stack.database_url("orders_reader", "orders")
        self._superuser = stack.database_url("postgres", "orders")
        way.passed = {"CREATE INDEX CONCURRENTLY": 0, "DROP INDEX CONCURRENTLY": 0}

    @property
    def config(self) -> dict[str, Any]:
        return {
            "executors": {"postgres": {"kind": "postgres"}},
            "urls": {self.resource: self._url},
            "readers": {self.resource: self._reader},
        }

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"table": "public.orders", "index": f"faults_{self.key}", "columns": ["customer", "state"]}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"index": f"faults_{self.key}"}, "equals": not fails}

    async def counted(self, permits: Permits) -> tuple[int, int]:
        return self.way.passed["CREATE INDEX CONCURRENTLY"], self.way.passed["DROP INDEX CONCURRENTLY"]

    def arrange(self, fault: str, *, undo: bool) -> None:
        text = f"{'DROP' if undo else 'CREATE'} INDEX CONCURRENTLY"
        match fault:
            case "fail":
                self.way.cut(text)
            case "lose":
                self.way.lose(text)
            case _:
                self.way.hold(text, SLOW_SECONDS)

    def met(self) -> bool:
        return not self.way.armed

    async def clear(self) -> None:
        """Drop what is left."""
        session = await asyncpg.connect(self._superuser)
        await session.execute(f"DROP INDEX IF EXISTS public.faults_{self.key}")
        await session.close()


_REFUND = "parameters: {order: {type: string}, amount: {type: integer}}"


class TemporalPlace(Place):
    """A platform's worker with a till, which verifies the permit and keeps which it has used."""

    name, resource = "temporal", "billing/till"
    operation, undo, probe = "orders.refund", "orders.take_back", "orders.refunded"
    registry = f"""
operations:
  - {{name: orders.refund, executor: billing, resolves: true, severity: 5, inverse: [orders.take_back], {_REFUND}}}
  - {{name: orders.take_back, executor: billing, resolves: true, severity: 5, needs_no_undo: true, {_REFUND}}}
"""

    def __init__(self, platform: Platform, address: str, resource: str = resource) -> None:
        super().__init__()
        self.platform, self._address, self.resource = platform, address, resource

    @property
    def config(self) -> dict[str, Any]:
        return {"executors": {"billing": {"kind": "temporal", **self.platform.entry(self._address)}}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"order": self.key, "amount": 12}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"order": self.key}, "equals": 99 if fails else 12}

    async def counted(self, permits: Permits) -> tuple[int, int]:
        till = self.platform.till
        return till.booked, till.booked - len(till.refunded)

    def log(self) -> Counter[str]:
        return Counter(self.platform.till.slips)

    async def another(self, number: int) -> Place:
        return TemporalPlace(self.platform, self._address, f"{self.resource}/{number}")


_WORKLOAD = {"kind": "deployment", "namespace": "shop", "name": "web"}
_WHERE = "kind: {type: string}, namespace: {type: string}, name: {type: string}"


class KubernetesPlace(Place):
    """A Deployment of an emulated cluster, which is scaled and scaled back."""

    name, resource = "kubernetes", "k8s/prod/shop/deployment/web"
    operation = undo = "kubernetes.workload.scale"
    wired = frozenset({"fail", "lose", "slow"})
    probe = "kubernetes.workload.replicas"
    registry = f"""
operations:
  - name: kubernetes.workload.scale
    executor: kubernetes
    severity: 10
    resolves: true
    inverse: [kubernetes.workload.scale]
    identifies: [kind, namespace, name]
    parameters: {{{_WHERE}, replicas: {{type: integer}}}}
probes:
  - {{name: kubernetes.workload.replicas, executor: kubernetes, type: integer, identifies: [kind, namespace, name],
     parameters: {{{_WHERE}}}}}
"""

    def __init__(self, cluster: EmulatedCluster, server: str, folder: Path) -> None:
        super().__init__()
        self.cluster, self._server, self._folder = cluster, server, folder

    @property
    def config(self) -> dict[str, Any]:
        one = {
            "server": self._server,
            "token_file": str(self._folder / "acts"),
            "read_token_file": str(self._folder / "reads"),
            "namespaces": ["shop"],
            "environment_label": "environment",
        }
        return {"executors": {"kubernetes": {"kind": "kubernetes", "clusters": {"k8s/prod": one}}}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {**_WORKLOAD, "replicas": 2 if undo else 5}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": dict(_WORKLOAD), "equals": 99 if fails else 5}

    async def counted(self, permits: Permits) -> tuple[int, int]:
        # The first write is the effect: the cluster counts, and does not say under which permit.
        undone = self.cluster.raw("deployment", "shop", "web")["spec"]["replicas"] == 2
        writes = len(self.cluster.effects)
        return (1, writes - 1) if undone and writes else (writes, 0)

    def arrange(self, fault: str, *, undo: bool) -> None:
        self.cluster.faults += [*([""] if undo else []), fault]
        self.cluster.slow_seconds = SLOW_SECONDS

    def met(self) -> bool:
        return not self.cluster.faults


@asynccontextmanager
async def postgres_place(stack: Stack) -> AsyncIterator[Place]:
    """A place for the executor of the kind postgres."""
    await prepare_orders(stack.database_url("postgres", "postgres"))
    async with lossy_way(socket_of(stack.database_url("postgres", "orders"))) as (way, port):
        place = PostgresPlace(stack, way, port)
        yield place
        await place.clear()


@asynccontextmanager
async def temporal_place(stack: Stack, issuer: str = UNNAMED) -> AsyncIterator[Place]:
    """A place for the executor of the kind temporal, whose workers believe the permits of one installation."""
    believed: dict[str, Any] = {"key": KEY, "issuer": issuer, "accepts_claimed": True}
    with tempfile.TemporaryDirectory() as folder:
        async with platform_workers(stack.temporal_address, Path(folder), **believed) as platform:
            yield TemporalPlace(platform, stack.temporal_address)


@asynccontextmanager
async def kubernetes_place(_: Stack) -> AsyncIterator[Place]:
    """A place for the executor of the kind kubernetes."""
    async with AsyncExitStack() as after:
        folder = Path(after.enter_context(tempfile.TemporaryDirectory()))
        cluster, server = await after.enter_async_context(emulated(folder))
        cluster.add("deployment", "shop", "web", labels={"app": "web"}, spec=workload(app="web"))
        yield KubernetesPlace(cluster, str(server.url).rstrip("/"), folder)
