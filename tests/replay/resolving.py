"""Runs in which executors say what would be touched: it runs, it moves before the permit, it is not there any more."""

import asyncio
from datetime import timedelta
from typing import Any

from activities.executors.base import Inquiry, Order, PreconditionFailedError, ProbeOrder, Seen, Supports
from policy.targets import ResolvedTarget
from tests.replay.recording import Recording, Scenario, proposal


class Shelf:
    """A target in memory: shelves by the key of a proposal, with things on them; each effect sweeps what it is told."""

    name = "shelf"
    supports = Supports(
        operations=frozenset({"shelf.sweep", "shelf.fill"}),
        probes=frozenset({"shelf.swept"}),
        stops_within=timedelta(seconds=1),
        observes="by_key",
        resolves=frozenset({"shelf.sweep", "shelf.fill"}),
    )

    def __init__(self) -> None:
        self.things: dict[str, tuple[str, ...]] = {}
        self.swept: dict[str, int] = {}
        self.away: set[str] = set()

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """The things on a shelf."""
        key = str(inquiry.parameters["key"])
        if key in self.away:
            # What no executor does: the whole activity fails, as where no worker is there.
            raise asyncio.CancelledError
        things = self.things.get(key, ())
        return tuple(ResolvedTarget(id=name, resource=inquiry.resources[0], version="1", units=1) for name in things)

    async def execute(self, order: Order) -> None:
        order.check_real()
        key = str(order.parameters["key"])
        if not order.targets:
            raise PreconditionFailedError("nothing to sweep")
        self.swept[key] = self.swept.get(key, 0) + len(order.targets)

    async def dry_run(self, order: Order) -> str:
        raise PreconditionFailedError(f"{order.operation} cannot be rehearsed")

    async def observe(self, order: Order) -> Seen:
        return "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        return self.swept.get(str(order.parameters["key"]), 0)


SHELF = Shelf()


def sweeping(proposal_id: str, things: int, **other: Any) -> dict[str, Any]:
    """Sweep a shelf, and count what was swept."""
    key = {"key": proposal_id}
    step = {
        "name": "sweep",
        "operation": "shelf.sweep",
        "parameters": key,
        "undo": {"operation": "shelf.fill", "parameters": key},
    }
    criterion = {"probe": "shelf.swept", "parameters": key, "equals": things, "within_seconds": 0}
    return proposal(proposal_id, operation="shelf.sweep", steps=[step], success_criteria=[criterion], **other)


async def resolved(place: Recording, proposal_id: str) -> None:
    """Two things are found, the policy allows it, and both are swept."""
    SHELF.things[proposal_id] = ("left", "right")
    await (await place.start(proposal_id, sweeping(proposal_id, 2, scratch=True))).result()


async def target_moved(place: Recording, proposal_id: str) -> None:
    """Between the approval and the permit another thing is there: people are asked again, and it runs."""
    SHELF.things[proposal_id] = ("left",)
    handle = await place.start(proposal_id, sweeping(proposal_id, 2))
    await place.status(handle, lambda item: item["screen"] is not None)
    SHELF.things[proposal_id] = ("left", "right")
    await place.decide(handle, "carol")
    await place.status(handle, lambda item: item["revision"] == 2 and item["state"] == "pending")
    await place.decide(handle, "carol", decision_id="again")
    await handle.result()


async def target_not_resolved(place: Recording, proposal_id: str) -> None:
    """After the approval nothing is there any more: it is asked for twice, and nothing is permitted."""
    SHELF.things[proposal_id] = ("left",)
    handle = await place.start(proposal_id, sweeping(proposal_id, 1))
    await place.status(handle, lambda item: item["screen"] is not None)
    SHELF.things[proposal_id] = ()
    await place.decide(handle, "carol")
    await handle.result()


async def unresolved(place: Recording, proposal_id: str) -> None:
    """Nothing is there from the beginning: denied, and nobody is asked."""
    await (await place.start(proposal_id, sweeping(proposal_id, 1))).result()


async def executor_away(place: Recording, proposal_id: str) -> None:
    """After the approval no executor answers, twice for a minute: the record is asked without, and permits nothing."""
    SHELF.things[proposal_id] = ("left",)
    handle = await place.start(proposal_id, sweeping(proposal_id, 1))
    await place.status(handle, lambda item: item["screen"] is not None)
    SHELF.away.add(proposal_id)
    # What was found for the assessment is more than a minute old when nobody answered for one.
    await asyncio.sleep(5)
    await place.decide(handle, "carol")
    await handle.result()


async def executor_never_there(place: Recording, proposal_id: str) -> None:
    """No executor answers, twice for a minute: the record is asked without, and denies."""
    SHELF.away.add(proposal_id)
    await (await place.start(proposal_id, sweeping(proposal_id, 1))).result()


RESOLVING: tuple[Scenario, ...] = (
    resolved,
    target_moved,
    target_not_resolved,
    unresolved,
    executor_away,
    executor_never_there,
)
