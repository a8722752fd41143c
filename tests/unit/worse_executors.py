"""Worlds made worse by what executors say: they can do less, or find more."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from policy.targets import ResolvedStep, ResolvedTarget, TargetResolution
from tests.unit.builders import T0
from tests.unit.worlds import DECLARED, NAMES, OBSERVES, UNDO, World

Draw = Callable[[st.SearchStrategy[Any]], Any]
_NAME = st.sampled_from([*NAMES, UNDO])


def less_capable(draw: Draw, world: World) -> World:
    """An executor that says what it can do, where it said nothing; or one that can do less."""
    known = world.facts.observed.declared
    if not known:
        return world.seen(declared=(draw(DECLARED),))
    (said,) = known
    gone = draw(_NAME)
    worse = [
        item.model_copy(
            update={
                "dry_runs": item.dry_runs and draw(st.booleans()),
                "observes": draw(st.sampled_from(OBSERVES[: OBSERVES.index(item.observes) + 1])),
                "stops": "between" if draw(st.booleans()) else item.stops,
            }
        )
        for item in said.capabilities
        if item.operation != gone
    ]
    return world.seen(declared=(said.model_copy(update={"capabilities": tuple(worse)}),))


def more_found(draw: Draw, world: World) -> World:
    """Executors find so many things where they were not asked."""
    name = draw(_NAME)
    targets = tuple(ResolvedTarget(id=str(number), resource="one") for number in range(draw(st.integers(0, 60))))
    step = ResolvedStep(step=1, operation=name, executor="x", targets=targets)
    at = world.facts.observed.at or T0
    found = TargetResolution(action_digest="x", at=at, resolved_by="w", steps=(step,))
    return world.registered(name, resolves=True).seen(resolution=found)
