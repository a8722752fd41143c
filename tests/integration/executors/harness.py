"""What the contract suite needs of each executor: its target, and ways to break it. `HARNESSES` lists them.

A harness stands before a real target, or a real provider of the target's protocol. What it counts as an effect is what
the target itself counts, never what the executor says.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from activities.executors.base import Executor, Inquiry, Order
from deploy.dev import Stack


class Harness(ABC):
    """One executor before one target. What an executor cannot do, it says by None, and by `supports`."""

    secrets: tuple[str, ...] = ()

    @property
    @abstractmethod
    def executor(self) -> Executor:
        """The executor, with credentials of its own for the target."""

    @abstractmethod
    async def order(self, permit_id: str) -> Order:
        """An order that would be carried out now, under a permit; with targets where the operation resolves."""

    @abstractmethod
    async def misfit(self, permit_id: str) -> Order:
        """An order of a known operation that does not fit the target as it is."""

    @abstractmethod
    async def effects(self) -> int:
        """How many effects the target has seen, by the target's own count."""

    @abstractmethod
    def unreachable(self) -> AbstractAsyncContextManager[None]:
        """While it lasts, the target does not answer at all."""

    def undo(self, order: Order) -> Order | None:
        """What undoes an order, under the undo permit; None where nothing has to be undone."""
        return None

    async def state(self) -> object:
        """What the target looks like, to compare after an undo."""
        return None

    async def inquiry(self) -> Inquiry | None:
        """What would be asked before `order`; None where the executor does not resolve it."""
        return None

    async def empty(self) -> Inquiry | None:
        """A question whose selector matches nothing; None where nothing can be selected."""
        return None

    async def move(self) -> bool:
        """Make the target move on, so that versions of orders made before do not hold; False where it has none."""
        return False

    def lost_answer(self) -> AbstractAsyncContextManager[None] | None:
        """While it lasts, an effect is carried out and its answer does not come; None where that cannot be had."""
        return None

    async def slow(self, permit_id: str) -> Order | None:
        """An order whose effect takes long enough to be stopped within; None where `supports.stops` is `between`."""
        return None


Make: TypeAlias = Callable[[Stack], AbstractAsyncContextManager[Harness]]
