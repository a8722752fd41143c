"""What executors found that each step would touch, as it is shown and sealed.

- The count and the digest are of all of it, the first few are named: whoever approves approves the whole set.
- What the target system says of its things was written by whoever named them. It is cut here, and neutralised by who
  writes a line for a medium, like every name that is not ours.
"""

import json
from collections.abc import Iterator

from policy.base import RecordModel
from policy.revision import Revision
from policy.screens.neutral import cut
from policy.screens.screen_pieces import Line, Named
from policy.targets import ResolvedStep, ResolvedTarget, targets_digest, without_versions

_NAMED = 5
_ID, _STATE = 100, 80


class ScreenTarget(RecordModel):
    """One thing that would be touched. `state` is what its system says of it now, as JSON, cut."""

    id: str
    resource: str
    environment: str | None = None
    units: float | None = None
    state: str = ""


class ScreenFound(RecordModel):
    """What one step would touch: how many things, the first of them, and the digest of all, versions aside."""

    step: int
    count: int
    targets: tuple[ScreenTarget, ...] = ()
    digest: str = ""
    problem: str = ""


def found_of(revision: Revision) -> tuple[ScreenFound, ...]:
    """What is shown of what the executors found for a revision; nothing where none was asked."""
    return tuple(_found(item) for item in revision.facts.found)


def _found(step: ResolvedStep) -> ScreenFound:
    return ScreenFound(
        step=step.step,
        count=len(step.targets),
        targets=tuple(_target(item) for item in step.targets[:_NAMED]),
        digest=targets_digest(without_versions(step.targets)) if step.targets else "",
        problem=cut(step.problem, _STATE),
    )


def _target(item: ResolvedTarget) -> ScreenTarget:
    state = json.dumps(item.state, sort_keys=True, ensure_ascii=True) if item.state else ""
    return ScreenTarget(
        id=cut(item.id, _ID),
        resource=item.resource,
        environment=cut(item.environment, _ID) if item.environment is not None else None,
        units=item.units,
        state=cut(state, _STATE),
    )


def touches(found: tuple[ScreenFound, ...]) -> Iterator[Line]:
    """What each step would touch, in lines."""
    for item in found:
        if item.problem:
            yield (f"step {item.step} touches nothing that is known: ", Named(item.problem, _STATE))
            continue
        things = "1 thing" if item.count == 1 else f"{item.count} things"
        yield (f"step {item.step} would touch {things}, as found there",)
        yield from (_line(target) for target in item.targets)
        if item.count > len(item.targets):
            yield (f"and {item.count - len(item.targets)} more",)


def _line(target: ScreenTarget) -> Line:
    where: Line = (" in ", Named(target.environment)) if target.environment is not None else ()
    units = f", {target.units:g} units" if target.units is not None else ""
    state: Line = (", now ", Named(target.state, _STATE)) if target.state else ()
    return (Named(target.id, _ID), " of ", Named(target.resource), *where, units, *state)
