"""Several targets in memory, one executor, and what goes wrong with which."""

from dataclasses import dataclass, field
from typing import Any

from activities.executors.base import ExecutorError, Order, ProbeOrder, Seen
from policy.audit_entries import check_report
from policy.outcome import EffectReport
from policy.permit import Permit
from tests.integration.effects import Target, World

FLEET = ("memory/a", "memory/b", "memory/c")


@dataclass
class Fleet(Target):
    """Several targets in memory: what each is like, by resource, and what goes wrong with which."""

    state: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(FLEET, 0))
    fails: dict[str, BaseException] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Seen] = field(default_factory=dict)
    stopping: dict[str, Any] = field(default_factory=dict)
    halves: ExecutorError | None = None

    async def execute(self, order: Order) -> None:
        await super().execute(order)
        if self.halves is not None:
            if order.direction == "do":
                raise self.halves
            return
        (resource,) = order.resolved
        if resource in self.stopping:
            self.begun.set()
            await order.stop.wait()
            raise ExecutorError("ended half-way, as it was told")
        if (wrong := self.fails.get(resource)) is not None:
            raise wrong
        self.state[resource] = self.after.get(resource, 1) if order.direction == "do" else 0

    async def observe(self, order: Order) -> Seen:
        return self.shown.get(order.resolved[0], "none")

    async def measure(self, order: ProbeOrder) -> Any:
        self.measured += bool(self.orders)
        value = self.state[order.resource]
        if isinstance(value, Exception):
            raise value
        return value


def fleet_of(world: World) -> Fleet:
    """The fleet as the target of a world, one target after the other."""
    fleet = Fleet()
    world.target, world.resolved, world.one_by_one = fleet, FLEET, True
    world.activities = world.process()
    return fleet


def touched(fleet: Fleet, direction: str = "do") -> list[str]:
    return [order.resolved[0] for order in fleet.orders if order.direction == direction]


async def reported(world: World, permit: Permit) -> EffectReport:
    report = await world.report(permit.permit_id)
    assert report is not None
    (entry,) = await world.entries("reported")
    assert check_report(permit, report, entry["content"]) == []
    return report
