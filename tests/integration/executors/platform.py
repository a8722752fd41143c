"""A platform with a till, and its Temporal workers in a namespace that is not ours: for the tests of the executor.

The workers are protected as `examples/executor` says. The till is what counts: it keeps the word
that a booking came with and asks nothing about it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from policy.canonical import digest_of
from policy.permit import Direction, Permit
from policy.permit_claims import claims_of
from policy.targets import ResolvedTarget
from signing.keys import SigningKey, generate
from signing.permits import sign_permit
from tests.integration.executors.platform_workflow import RefundOrder
from tests.unit.permitted import grounds, permit, standing_alone
from tests.unit.signed import AUDIENCE
from tests.world import until

NAMESPACE, EXECUTOR, RESOURCE = "billing", "billing", "billing/till"
KEY = generate("permit-1")
verifying, guarding = standing_alone("countersign_permit"), standing_alone("countersign_temporal")
_BEAT_SECONDS = 0.2


@dataclass
class Till:
    """Orders and what was refunded of each; `booked` counts every booking there ever was, `slips` what each names."""

    refunded: dict[str, int] = field(default_factory=dict)
    booked: int = 0
    version: int = 1
    slips: Counter[str] = field(default_factory=Counter)

    def book(self, order: str, amount: int, slip: str = "") -> None:
        self.refunded[order] = self.refunded.get(order, 0) + amount
        self.booked += 1
        self.slips[slip] += 1

    def take_back(self, order: str, slip: str) -> None:
        self.refunded.pop(order, None)
        self.slips[slip] += 1


@dataclass
class Platform:
    """The platform's workers. `after` runs when an effect is there and its answer is not yet on its way."""

    client: Client
    till: Till = field(default_factory=Till)
    queue: str = field(default_factory=lambda: f"billing-{uuid4().hex}")
    after: Callable[[], Awaitable[None]] | None = None
    answer: Any = None
    raises: ApplicationError | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="orders.refund")
    async def refund(self, order: dict[str, Any]) -> Any:
        """Books a refund; slowly, where it is asked to."""
        amount, number = order["parameters"]["amount"], order["parameters"]["order"]
        if order["dry_run"]:
            return {"status": "done", "message": f"would refund {amount} of order {number}"}
        if amount > 1000:
            raise ApplicationError(f"{amount} is more than anybody paid", type="Refused", non_retryable=True)
        if any(target["version"] != f"{self.till.version}" for target in order.get("targets", [])):
            raise ApplicationError("the till moved on", type="TargetChanged", non_retryable=True)
        self.begun.set()
        if order["parameters"].get("slow") and await _cancelled():
            return {"status": "refused", "message": "told to stop before it booked anything"}
        if self.raises is not None:
            raise self.raises
        self.till.book(number, amount, order["permit_id"])
        if self.after is not None:
            await self.after()
        return self.answer or {"status": "done", "touched": [f"order-{number}"] if "targets" in order else []}

    @activity.defn(name="orders.take_back")
    async def take_back(self, order: dict[str, Any]) -> Any:
        """Books a refund back, if it is there."""
        self.till.take_back(order["parameters"]["order"], order["permit_id"])
        if self.raises is not None:
            raise self.raises
        return {"status": "done"}

    @activity.defn(name="findOrders")
    async def find(self, asked: dict[str, Any]) -> Any:
        """Which orders a refund would touch."""
        if (number := asked["parameters"]["order"]) == "nobody's":
            return self.answer or {"targets": []}
        found = {
            "id": f"order-{number}",
            "resource": asked["resources"][0],
            "version": f"{self.till.version}",
            "units": 1,
        }
        return self.answer or {"targets": [{**found, "state": {"refunded": self.till.refunded.get(number, 0)}}]}

    @activity.defn(name="readRefunded")
    async def read(self, asked: dict[str, Any]) -> Any:
        """How much of an order was refunded."""
        return self.answer or {"value": self.till.refunded.get(asked["parameters"]["order"], 0)}

    def entry(self, address: str, *, workflow: bool = False, **more: Any) -> dict[str, Any]:
        """What an operator writes of this platform."""
        asking = {"queue": f"{self.queue}-asks"}
        acting = {"queue": self.queue, "stops": True, "ends_within": 3, **more}
        refund = {"workflow": "RefundOrder"} if workflow else {"activity": "orders.refund", "heartbeat": 30}
        return {
            "address": address,
            "namespace": NAMESPACE,
            "operations": {
                "orders.refund": {
                    **refund,
                    **acting,
                    "rehearses": True,
                    "resolve": {"activity": "findOrders", **asking},
                },
                "orders.take_back": {
                    "activity": "orders.take_back",
                    **acting,
                    "resolve": {"activity": "findOrders", **asking},
                },
            },
            "probes": {"orders.refunded": {"activity": "readRefunded", **asking}},
        }


async def _cancelled() -> bool:
    """Wait until this activity is told to stop; False where nobody tells it for long."""
    with contextlib.suppress(asyncio.CancelledError):
        for _ in range(100):
            activity.heartbeat()
            await asyncio.sleep(_BEAT_SECONDS)
        return False
    return True


@contextlib.asynccontextmanager
async def platform_workers(
    address: str,
    folder: Path,
    *,
    running: bool = True,
    key: SigningKey = KEY,
    issuer: str = AUDIENCE,
    accepts_claimed: bool = False,
) -> AsyncIterator[Platform]:
    """A platform on a server, with its workers.

    Args:
        address: of its Temporal.
        folder: where it keeps which permits were used.
        running: False leaves its workers out, so that nobody takes anything.
        key: which signs the permits that it believes.
        issuer: of the installation whose permits they are.
        accepts_claimed: whether a name that is only claimed is enough; in tests of other things.
    """
    platform = Platform(await namespace_client(address))
    keys = {"keys": [{**key.public, "kid": key.id}]}
    guard = guarding.PermitInterceptor(
        verifying.Verifier(keys, issuer=issuer, executor=EXECUTOR, accepts_claimed=accepts_claimed),
        verifying.SqliteStore(folder / "used.db"),
        by_id=True,
        rehearses={"orders.refund"},
    )
    acting = Worker(
        platform.client,
        task_queue=platform.queue,
        activities=[platform.refund, platform.take_back],
        workflows=[RefundOrder],
        # The sandbox would load this package again, with clients of databases that do not stand it.
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[guard],
        max_heartbeat_throttle_interval=timedelta(seconds=_BEAT_SECONDS),
    )
    asking = Worker(platform.client, task_queue=f"{platform.queue}-asks", activities=[platform.find, platform.read])
    async with contextlib.AsyncExitStack() as stack:
        for worker in (acting, asking) if running else ():
            await stack.enter_async_context(worker)
        yield platform


async def namespace_client(address: str) -> Client:
    """A client of the platform's namespace, which is made where it is not there yet."""
    client = await Client.connect(address, namespace=NAMESPACE, identity="the platform")
    keep = Duration()
    keep.FromTimedelta(timedelta(days=1))
    request = RegisterNamespaceRequest(namespace=NAMESPACE, workflow_execution_retention_period=keep)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    await until(lambda: _known(client))
    return client


async def _known(client: Client) -> bool:
    """Whether every part of the server has heard of the namespace."""
    try:
        await client.get_workflow_handle(f"nothing-{uuid4()}").describe()
    except RPCError as error:
        details = error.grpc_status.details
        return not any(item.type_url.endswith("NamespaceNotFoundFailure") for item in details)
    return True


def permitted(permit_id: str, direction: Direction = Direction.do, *, key: Any = KEY, **changes: Any) -> Permit:
    """A permit under an id, signed a moment ago for this platform; `claims` are changed in the signature only."""
    claims = changes.pop("claims", {})
    now = datetime.now(UTC)
    usual = {
        "permit_id": permit_id,
        "executor": EXECUTOR,
        "operation": "orders.refund" if direction is Direction.do else "orders.take_back",
        "parameters": {"order": "7", "amount": 12},
        "resolved": (RESOURCE,),
        "resolved_digest": digest_of([RESOURCE]),
        "targets": (ResolvedTarget(id="order-7", resource=RESOURCE, version="1", units=1),),
        "issued_at": now,
        "expires_at": now + timedelta(minutes=5) if direction is Direction.do else None,
    }
    made = permit(direction, **{**usual, **changes})
    return made.model_copy(update={"signed": sign_permit({**claims_of(made, grounds()), **claims}, key)})
