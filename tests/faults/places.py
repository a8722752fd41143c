"""Where an ordeal acts: real targets, each with an executor of ours before it, and what the target itself has counted.

A place runs in the process of the test and outlives every worker. What goes wrong between a worker and the target is
made there where the target is (`arrange`), as far as it can be; the rest is made at the adapter (`disturbing.py`).
"""

import json
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from deploy import unprivileged
from deploy.dev import Stack
from deploy.orders import prepare_orders
from policy.permit_claims import UNNAMED
from tests.faults.disturbing import SLOW_SECONDS, socket_of
from tests.faults.governed import DIRECTORY, catalog, document, resource
from tests.integration.executors.command_harness import allowed_program
from tests.integration.executors.flag_server import FlagServer, flag_server
from tests.integration.executors.http_harness import PROBES, SET
from tests.integration.executors.http_harness import entry as http_entry
from tests.integration.executors.kubernetes_emulator import EmulatedCluster, emulated, workload
from tests.integration.executors.lossy import LossyWay, lossy_way
from tests.integration.executors.platform import Platform, platform_workers
from tests.permit_keys import KEY

POLICY = document(
    "PolicyDocument",
    "places",
    """
unsigned: [{}]
rules: [{id: all, match: {environments: [production]}, verdict: allow}]
""",
)
ENVIRONMENT = "production"
# Permit id -> whether it is of an undo.
Permits = Mapping[str, bool]


class Place(ABC):
    """One target. `wired` are the faults that `arrange` makes at the target, of the effect and of the undo."""

    name: str
    resource: str
    operation: str
    undo: str
    probe: str
    registry: str
    wired: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.key = f"k{uuid4().hex[:10]}"

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What an operator writes for the executor: `executors`, and `urls` and `readers` of the targets."""

    @abstractmethod
    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        """Of the step, or of what undoes it."""

    @abstractmethod
    def criterion(self, *, fails: bool) -> dict[str, Any]:
        """What is measured afterwards."""

    @abstractmethod
    async def counted(self, permits: Permits) -> tuple[int, int]:
        """How many effects and how many undos the target has seen, by its own count."""

    def log(self) -> Counter[str]:
        """What the target's own log has, by permit; where the target knows the permit."""
        raise AssertionError(f"{self.name} does not count by permit")

    def arrange(self, fault: str, *, undo: bool) -> None:
        """Let the next effect, or the next undo, meet a fault of `wired`."""
        raise AssertionError(f"{fault} cannot be had at {self.name}: make it at the adapter (undo: {undo})")

    def met(self) -> bool:
        """Whether what was arranged has happened."""
        return True

    @property
    def documents(self) -> tuple[bytes, ...]:
        """The governed documents."""
        operations = document("OperationsRegistry", "places", self.registry)
        return POLICY, operations, DIRECTORY, catalog(resource("place", self.resource, environment=ENVIRONMENT))

    def proposal(self, proposal_id: str, *, fails: bool) -> dict[str, Any]:
        """To do it once, and undo it where it fails."""
        step = {
            "name": "step",
            "operation": self.operation,
            "parameters": self.parameters(),
            "timeout_seconds": 8,
            "undo": {"operation": self.undo, "parameters": self.parameters(undo=True), "timeout_seconds": 8},
        }
        return {
            "api_version": "countersign/v1",
            "proposal_id": proposal_id,
            "operation": self.operation,
            "target": "resource:place",
            "environment": ENVIRONMENT,
            "agent": {"id": "agent:bot", "confidence": 0.9},
            "on_behalf_of": "person:anna",
            "rationale": "to see whether it happens once",
            "steps": [step],
            "success_criteria": [{**self.criterion(fails=fails), "within_seconds": 1}],
        }


class HttpPlace(Place):
    """A server of flags that counts by idempotency key."""

    name, resource, operation, undo, probe = "http", "http/flags", "http.flag.set", "http.flag.set", "http.flag.enabled"
    wired = frozenset({"fail", "lose", "slow"})
    registry = """
operations:
  - name: http.flag.set
    executor: http
    severity: 10
    resolves: true
    inverse: [http.flag.set]
    identifies: [flag]
    parameters: {flag: {type: string}, value: {type: boolean}}
probes:
  - {name: http.flag.enabled, executor: http, type: boolean, identifies: [flag], parameters: {flag: {type: string}}}
"""

    def __init__(self, server: FlagServer) -> None:
        super().__init__()
        self.server = server

    @property
    def config(self) -> dict[str, Any]:
        entry = {**http_entry(), "kind": "http", "operations": {"http.flag.set": SET}, "probes": PROBES}
        return {"executors": {"http": entry}, "urls": {self.resource: self.server.base}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"flag": "checkout", "value": not undo}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"flag": "checkout"}, "equals": not fails}

    async def counted(self, permits: Permits) -> tuple[int, int]:
        effects = self.server.effects
        undos = sum(count for key, count in effects.items() if permits.get(key))
        return effects.total() - undos, undos

    def log(self) -> Counter[str]:
        return Counter(self.server.effects)

    def arrange(self, fault: str, *, undo: bool) -> None:
        how = {"fail": "503", "lose": "lose", "slow": "hang"}[fault]
        self.server.behaviour += [*([""] if undo else []), how]
        if fault == "slow":
            self.server.slow_seconds = SLOW_SECONDS

    def met(self) -> bool:
        return not self.server.behaviour


# Every run is a line: which permit, and which direction. It never looks whether it ran before.
_PROGRAM = f"""#!{sys.executable} -ISB
import os, pathlib, signal, sys, time
home = pathlib.Path(__file__).parent / "state"
log, permit = home / "log", os.environ.get("COUNTERSIGN_PERMIT_ID", "none")
action, *rest = sys.argv[1:]
lines = log.read_text().splitlines() if log.exists() else []
if action == "look":
    sys.exit(0 if any(line.split()[0] == permit for line in lines) else 1)
if action == "read":
    done = [line.split()[1] for line in lines if line.split()[2] == rest[-1]]
    print("there" if done and done[-1] == "do" else "gone")
    sys.exit(0)
fault = home / f"{{action}}-fault"
how = fault.read_text() if fault.exists() else ""
if how:
    fault.unlink()
if how == "fail":
    sys.exit(3)
if how == "slow":
    time.sleep({SLOW_SECONDS})
with log.open("a") as file:
    file.write(f"{{permit}} {{action}} {{rest[-1]}}\\n")
if how == "lose":
    os.kill(os.getpid(), signal.SIGKILL)
"""


class CommandPlace(Place):
    """A program that writes a line each time that it acts."""

    name, resource, operation, undo, probe = (
        "command",
        "host/web-1",
        "host.line.add",
        "host.line.remove",
        "host.line.there",
    )
    wired = frozenset({"fail", "lose", "slow"})
    registry = """
operations:
  - name: host.line.add
    executor: command
    severity: 10
    inverse: [host.line.remove]
    identifies: [line]
    parameters: {line: {type: string}}
  - {name: host.line.remove, executor: command, severity: 10, needs_no_undo: true, identifies: [line],
     parameters: {line: {type: string}}}
probes:
  - {name: host.line.there, executor: command, type: string, identifies: [line], parameters: {line: {type: string}}}
"""

    def __init__(self, program: Path) -> None:
        super().__init__()
        self.program = program
        self._state = program.parent / "state"

    @property
    def config(self) -> dict[str, Any]:
        ours, account = str(self.program), unprivileged.account()
        line = {"line": {"type": "string", "pattern": "k[a-z0-9-]{1,60}"}}

        def acting(verb: str) -> dict[str, Any]:
            return {
                "parameters": line,
                "argv": [ours, verb, "--", "{line}"],
                "exits": {"refused": [3]},
                "observe": {"argv": [ours, "look"], "by": "key", "none": [1]},
            }

        entry = {
            "kind": "command",
            **({"user": account} if account else {}),
            "operations": {"host.line.add": acting("do"), "host.line.remove": acting("undo")},
            "probes": {
                "host.line.there": {"parameters": line, "argv": [ours, "read", "--", "{line}"], "text": "string"}
            },
        }
        return {"executors": {"command": entry}, "urls": {self.resource: "web-1"}}

    def parameters(self, *, undo: bool = False) -> dict[str, Any]:
        return {"line": self.key}

    def criterion(self, *, fails: bool) -> dict[str, Any]:
        return {"probe": self.probe, "parameters": {"line": self.key}, "equals": "gone" if fails else "there"}

    def lines(self) -> list[list[str]]:
        """Permit, direction and line of everything that it did."""
        log = self._state / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    async def counted(self, permits: Permits) -> tuple[int, int]:
        undos = sum(direction == "undo" for _, direction, _ in self.lines())
        return len(self.lines()) - undos, undos

    def log(self) -> Counter[str]:
        return Counter(permit for permit, _, _ in self.lines())

    def arrange(self, fault: str, *, undo: bool) -> None:
        (self._state / f"{'undo' if undo else 'do'}-fault").write_text(fault)

    def met(self) -> bool:
        return not list(self._state.glob("*-fault"))


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

    def __init__(self, platform: Platform, address: str) -> None:
        super().__init__()
        self.platform, self._address = platform, address

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


_WORKLOAD = {"kind": "deployment", "namespace": "shop", "name": "web"}
_WHERE = "kind: {type: string}, namespace: {type: string}, name: {type: string}"


class KubernetesPlace(Place):
    """A Deployment of an emulated cluster, which is scaled and scaled back."""

    name, resource = "kubernetes", "k8s/prod/shop/deployment/web"
    operation = undo = "kubernetes.workload.scale"
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


@asynccontextmanager
async def _http(_: Stack) -> AsyncIterator[Place]:
    async with flag_server() as server:
        yield HttpPlace(server)


@asynccontextmanager
async def _command(_: Stack) -> AsyncIterator[Place]:
    with allowed_program(_PROGRAM) as program:
        yield CommandPlace(program)


@asynccontextmanager
async def _postgres(stack: Stack) -> AsyncIterator[Place]:
    await prepare_orders(stack.database_url("postgres", "postgres"))
    async with lossy_way(socket_of(stack.database_url("postgres", "orders"))) as (way, port):
        place = PostgresPlace(stack, way, port)
        yield place
        await place.clear()


@asynccontextmanager
async def _temporal(stack: Stack) -> AsyncIterator[Place]:
    believed: dict[str, Any] = {"key": KEY, "issuer": UNNAMED, "accepts_claimed": True}
    with tempfile.TemporaryDirectory() as folder:
        async with platform_workers(stack.temporal_address, Path(folder), **believed) as platform:
            yield TemporalPlace(platform, stack.temporal_address)


@asynccontextmanager
async def _kubernetes(_: Stack) -> AsyncIterator[Place]:
    async with AsyncExitStack() as after:
        folder = Path(after.enter_context(tempfile.TemporaryDirectory()))
        cluster, server = await after.enter_async_context(emulated(folder))
        cluster.add("deployment", "shop", "web", labels={"app": "web"}, spec=workload(app="web"))
        yield KubernetesPlace(cluster, str(server.url).rstrip("/"), folder)


PLACES = {"http": _http, "command": _command, "postgres": _postgres, "temporal": _temporal, "kubernetes": _kubernetes}


def placed(name: str, stack: Stack) -> AbstractAsyncContextManager[Place]:
    """A place of its own."""
    return PLACES[name](stack)


def told(place: Place) -> dict[str, str]:
    """What a worker process is told of it."""
    return {name: json.dumps(value) for name, value in place.config.items()}
