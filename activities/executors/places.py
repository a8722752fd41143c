"""What one order acts on, one after the other: what its executor resolved, or else what the catalog names.

- Each place has a key of its own, that the target is given as idempotency key: the permit's id where there is one
  place, and the id with the number of the place where there are several.
- A stop counts between places. What was not begun is not done.
- Where an earlier place is done and a later one is refused, the order is done in part: the error says in which places,
  so that an undo is not carried out in others. In those it has the keys that it would have in all of them.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    Reached,
    Seen,
)
from policy.permit import part_key
from policy.targets import MAX_TARGETS, ResolvedTarget


@dataclass(frozen=True)
class Place:
    """One thing that is acted on.

    Attributes:
        key: what the target knows the effect by.
        resource: of the catalog, where the executor goes.
        target: what was resolved there; None where the operation resolves nothing.
    """

    key: str
    resource: str
    target: ResolvedTarget | None = None

    @property
    def version(self) -> str | None:
        """What must not have changed since it was resolved; None where nobody knows one."""
        return self.target.version if self.target else None

    @property
    def reached(self) -> Reached:
        """What is touched by who acts here."""
        return self.resource, self.target.id if self.target else None

    def __str__(self) -> str:
        return f"{self.target.id} in {self.resource}" if self.target else self.resource


def places_of(order: Order, *, resolves: bool) -> tuple[Place, ...]:
    """Where an order acts.

    Args:
        order: the order.
        resolves: the executor resolves the operation, so that only what it found counts.

    Raises:
        PreconditionFailedError: nowhere, or beside what was permitted.
    """
    if not resolves:
        found: list[tuple[str, ResolvedTarget | None]] = [(resource, None) for resource in order.resolved]
    else:
        found = [(target.resource, target) for target in order.targets]
        if strange := sorted({resource for resource, _ in found} - set(order.resolved)):
            raise PreconditionFailedError(f"target in {strange[0]}, which is none of {', '.join(order.resolved)}")
    if not found:
        raise PreconditionFailedError(f"{order.operation} has no target: nothing is touched")
    if len(set(order.resolved)) != len(order.resolved) or len({(r, t and t.id) for r, t in found}) != len(found):
        raise PreconditionFailedError(f"{order.operation} has the same target twice")
    if order.part_of is not None:
        mine = {(resource, target and target.id) for resource, target in found}
        return tuple(place for place in places_of(order.part_of, resolves=resolves) if place.reached in mine)
    if len(found) == 1:
        return (Place(order.permit_id, *found[0]),)
    return tuple(Place(part_key(order.permit_id, number), *each) for number, each in enumerate(found, start=1))


async def in_turn(order: Order, places: Sequence[Place], act: Callable[[Place], Awaitable[None]]) -> None:
    """Act on each place.

    Raises:
        PreconditionFailedError: nothing was done.
        EffectUnknownError: it cannot be told.
        ExecutorError: done, in whole or in part, and it went wrong; it names the places that were reached.
    """
    reached = tuple(place.reached for place in places)
    for done, place in enumerate(places):
        try:
            _check_not_stopped(order)
            await act(place)
        except PreconditionFailedError as error:
            if not done:
                raise
            message = f"done for {done} of {len(places)} targets, then {place}: {error}"
            raise ExecutorError(message, touched=reached[:done]) from error
        except EffectUnknownError as error:
            raise EffectUnknownError(f"{place}: {error}", touched=reached[: done + 1]) from error
        except ExecutorError as error:
            raise ExecutorError(f"{place}: {error}", touched=reached[: done + 1]) from error


def _check_not_stopped(order: Order) -> None:
    if order.stop.is_set():
        raise PreconditionFailedError("stopped before it acted")


async def resolved_in_each(
    inquiry: Inquiry, look: Callable[[str], Awaitable[Sequence[ResolvedTarget]]] | None
) -> tuple[ResolvedTarget, ...]:
    """What would be touched in the resources of an inquiry, looked at one after the other.

    Args:
        inquiry: what is asked.
        look: what would be touched in one resource; None where the executor resolves no such operation.

    Raises:
        PreconditionFailedError: nothing is resolved, or more than one action may touch.
    """
    if look is None:
        raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")
    found = [target for resource in inquiry.resources for target in await look(resource)]
    if len(found) > MAX_TARGETS:
        raise PreconditionFailedError(f"{len(found)} targets, at most {MAX_TARGETS} are permitted")
    return tuple(found)


def seen_in_all(seen: Sequence[Seen]) -> Seen:
    """What was seen of an order by what was seen at each of its places."""
    if not seen or len(set(seen)) > 1:
        return "unknown"
    return seen[0]
