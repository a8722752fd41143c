"""Temporal: the executor has the platform's worker act, in a namespace of its own, by an activity or by a workflow."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from activities.executors.base import Inquiry, Order, TargetCredentials
from activities.executors.temporal import TemporalExecutor, make
from deploy.dev import Stack
from policy.permit import Direction
from policy.targets import ResolvedTarget
from tests.integration.executors.cuttable import Way, way_to
from tests.integration.executors.harness import Harness
from tests.integration.executors.platform import EXECUTOR, RESOURCE, Platform, permitted, platform_workers


class TemporalHarness(Harness):
    """Each order refunds an order of its own; what counts is what the till has booked."""

    def __init__(self, platform: Platform, way: Way, executor: TemporalExecutor) -> None:
        self.platform, self._way, self._executor = platform, way, executor
        self._seconds = 30

    @property
    def executor(self) -> TemporalExecutor:
        return self._executor

    async def order(self, permit_id: str) -> Order:
        return self._order(permit_id, order=permit_id[:8], amount=12)

    def _order(self, permit_id: str, **parameters: Any) -> Order:
        found = ResolvedTarget(
            id=f"order-{parameters['order']}", resource=RESOURCE, version=f"{self.platform.till.version}"
        )
        made = permitted(permit_id, parameters=parameters, targets=(found,), timeout_seconds=self._seconds)
        return Order.under(made)

    async def misfit(self, permit_id: str) -> Order:
        return self._order(permit_id, order="7", amount=1_000_000)

    async def effects(self) -> int:
        return self.platform.till.booked

    def undo(self, order: Order) -> Order | None:
        made = permitted(str(uuid4()), Direction.undo, parameters=dict(order.parameters), targets=order.targets)
        return Order.under(made)

    async def state(self) -> Mapping[str, int]:
        return dict(self.platform.till.refunded)

    async def inquiry(self) -> Inquiry | None:
        return Inquiry("orders.refund", {"order": "7", "amount": 12}, (RESOURCE,), "production")

    async def empty(self) -> Inquiry | None:
        return Inquiry("orders.refund", {"order": "nobody's", "amount": 12}, (RESOURCE,), "production")

    async def move(self) -> bool:
        self.platform.till.version += 1
        return True

    async def slow(self, permit_id: str) -> Order | None:
        return self._order(permit_id, order="7", amount=12, slow=True)

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        await self._way.cut()
        yield
        await self._way.mend()

    def lost_answer(self) -> AbstractAsyncContextManager[None] | None:
        # The order gives up early, so that nobody waits for what does not come.
        self._seconds = 5
        return self._cut_after_the_effect()

    @asynccontextmanager
    async def _cut_after_the_effect(self) -> AsyncIterator[None]:
        self.platform.after = self._way.cut
        yield
        self.platform.after = None
        await self._way.mend()


@asynccontextmanager
async def _before(stack: Stack, *, workflow: bool) -> AsyncIterator[Harness]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            platform_workers(stack.temporal_address, Path(folder)) as platform,
            way_to(stack.temporal_address) as way,
        ):
            entry = platform.entry(way.address, workflow=workflow)
            yield TemporalHarness(platform, way, make(EXECUTOR, entry, TargetCredentials({})))


def temporal_activity(stack: Stack) -> AbstractAsyncContextManager[Harness]:
    """The executor before an activity that is started alone."""
    return _before(stack, workflow=False)


def temporal_workflow(stack: Stack) -> AbstractAsyncContextManager[Harness]:
    """The executor before a workflow."""
    return _before(stack, workflow=True)
