"""Orders to the PostgreSQL executor, with the targets that it resolves itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from activities.executors.base import Inquiry, Order
from activities.executors.postgres import PostgresExecutor
from policy.permit import Direction

ORDERS = "postgres/orders"
NOWHERE = "postgres/nowhere"
PERMIT = "permit-1"


def order_of(operation: str, resource: str = ORDERS, **parameters: Any) -> Order:
    """An order without a target."""
    return Order(PERMIT, Direction.do, operation, parameters, (resource,), timedelta(seconds=30))


def inquiry_of(order: Order) -> Inquiry:
    """What is asked before an order is permitted."""
    return Inquiry(order.operation, order.parameters, order.resolved, "production")


async def resolved(executor: PostgresExecutor, operation: str, resource: str = ORDERS, **parameters: Any) -> Order:
    """An order with the targets that it has now."""
    order = order_of(operation, resource, **parameters)
    return replace(order, targets=await executor.resolve(inquiry_of(order)))


def undo_of(order: Order, operation: str | None = None, **parameters: Any) -> Order:
    """What undoes an order: its targets without their versions, because the step changes them."""
    targets = tuple(target.model_copy(update={"version": None}) for target in order.targets)
    return replace(
        order,
        permit_id="undo-1",
        direction=Direction.undo,
        operation=operation or order.operation,
        parameters={**order.parameters, **parameters},
        targets=targets,
        stop=asyncio.Event(),
    )
