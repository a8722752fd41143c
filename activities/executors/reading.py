"""What executors have in common that only read: they measure, and carry nothing out.

Such an executor is a file with `make` and a class that says how one value is read, and an entry in `KINDS`. Which
values there are, and the texts that read them, are entries of the operations registry under its name.
"""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

from activities.executors.base import Inquiry, Order, PreconditionFailedError, ProbeOrder, Seen, Supports
from policy.targets import ResolvedTarget


class ReadingExecutor(ABC):
    """An executor without operations.

    Args:
        name: under which the operations registry calls it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.supports = Supports(frozenset(), frozenset(), timedelta(0), "never")

    @abstractmethod
    async def measure(self, order: ProbeOrder) -> Any:
        """The JSON value that a probe reads now; see `Executor.measure`."""

    async def execute(self, order: Order) -> None:
        """It carries nothing out; see `Executor.execute`."""
        raise PreconditionFailedError(f"{self.name} only reads: {order.operation} is carried out by no operation of it")

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """It touches nothing; see `Executor.resolve`."""
        raise PreconditionFailedError(f"{self.name} only reads: {inquiry.operation} touches nothing")

    async def dry_run(self, order: Order) -> str:
        """It carries nothing out; see `Executor.dry_run`."""
        raise PreconditionFailedError(f"{self.name} only reads: {order.operation} is not rehearsed")

    async def observe(self, _order: Order) -> Seen:
        """It did nothing that could be seen; see `Executor.observe`."""
        return "unknown"
