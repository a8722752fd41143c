"""What is asked of executors before anything is permitted, what of their answers can be used, and for how long.

- Asked about are the steps whose operation the registry says its executor resolves, and nothing at all before the
  parameters have the types that the registry gives them and the catalog knows the ids of the target.
- An answer is used whole or not at all. It names each target once, within the resources that were asked about, with
  texts that can be kept; more than `MAX_TARGETS` are not one action.
- An answer is good for `RESOLUTION_SECONDS`, and never for longer than until the next step of the action ended: each
  step may change what the next one touches.
- What makes two answers the same is which targets they name, and in which environment. Version, units and state move
  all the time: they are counted and handed on anew, and are no other target.
- Once a step was done, what it touched is what was approved: what it looks like afterwards says nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import TypeAlias

from pydantic import JsonValue

from policy.canonical import canonical
from policy.catalog import Catalog
from policy.errors import CanonicalError
from policy.operations import MAX_UNITS, OperationsRegistry
from policy.outcome import StepRecord
from policy.parameters import parameter_refusals
from policy.proposal import ActionProposal
from policy.targets import MAX_TARGETS, ResolvedStep, ResolvedTarget, TargetResolution

RESOLUTION_SECONDS = 60
# What is kept of one step is in every entry that rests on it.
MAX_STEP_BYTES = 262_144
MAX_ID, MAX_PROBLEM = 500, 300
_LONG, _SKEW = timedelta(seconds=RESOLUTION_SECONDS), timedelta(seconds=60)
_SHOWN = 3
_Identity: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Asked:
    """One question to an executor: what would this step touch? `resources` are the ids that the catalog gives."""

    step: int
    operation: str
    executor: str
    parameters: Mapping[str, JsonValue]
    resources: tuple[str, ...]
    environment: str


def asked_of(proposal: ActionProposal, registry: OperationsRegistry, catalog: Catalog) -> tuple[Asked, ...]:
    """What executors are asked about a proposal, by step; nothing where none resolves or may be asked; pure."""
    if not resolves(proposal, registry) or parameter_refusals(proposal, registry):
        return ()
    resources = catalog.resolve(proposal.target)
    if not resources:
        return ()
    known = ((number, step, registry.find(step.operation)) for number, step in enumerate(proposal.steps, start=1))
    return tuple(
        Asked(number, step.operation, found.executor, step.parameters, resources, proposal.environment)
        for number, step, found in known
        if found is not None and found.resolves
    )


def resolves(proposal: ActionProposal, registry: OperationsRegistry) -> bool:
    """Whether the executor of any step says what it would touch."""
    return any((found := registry.find(step.operation)) is not None and found.resolves for step in proposal.steps)


def problem_of(targets: Iterable[ResolvedTarget], resources: Iterable[str]) -> str:
    """Why an answer cannot be used, as a sentence; empty where it can.

    Args:
        targets: what an executor answered.
        resources: the resource ids that it was asked about.
    """
    return next(_problems(tuple(targets), frozenset(resources)), "")


def _problems(targets: tuple[ResolvedTarget, ...], resources: frozenset[str]) -> Iterator[str]:
    if not targets:
        yield "it matches no target"
    if len(targets) > MAX_TARGETS:
        yield f"it matches {len(targets)} targets, {MAX_TARGETS} are the most"
        return
    seen = set()
    for item in targets:
        if (item.resource, item.id) in seen:
            yield f"target {_said(item.id)} is named twice"
        seen.add((item.resource, item.id))
        yield from _wrong(item, resources)
    try:
        size = len(canonical([item.model_dump(mode="json") for item in targets]))
    except CanonicalError as error:
        yield f"a target cannot be kept: {error}"[:MAX_PROBLEM]
        return
    if size > MAX_STEP_BYTES:
        yield f"what it says of the targets has {size} bytes, {MAX_STEP_BYTES} are the most"


def _wrong(item: ResolvedTarget, resources: frozenset[str]) -> Iterator[str]:
    if item.resource not in resources:
        yield f"target {_said(item.id)} is of resource {_said(item.resource)}, which was not asked about"
    texts = {"id": item.id, "environment": item.environment, "version": item.version, "object": item.object}
    for name, text in texts.items():
        if text is not None and not 0 < len(text) <= MAX_ID:
            yield f"target {_said(item.id)}: its {name} has {len(text)} characters, 1 to {MAX_ID} are taken"
    if item.units is not None and not (isfinite(item.units) and 0 <= item.units <= MAX_UNITS):
        yield f"target {_said(item.id)}: its units are {item.units}"


def _said(text: str) -> str:
    return ascii(text)[:80]


def is_fresh(resolution: TargetResolution, now: datetime, since: datetime | None = None) -> bool:
    """Whether a resolution is good at an instant.

    Args:
        resolution: what executors found.
        now: the instant (UTC). The executor's clock may be ahead of it by a minute.
        since: when the last step of the action ended that was done; None where none was.
    """
    young = -_SKEW <= now - resolution.at <= _LONG
    return young and (since is None or resolution.at >= since)


def ended_at(records: Iterable[StepRecord]) -> datetime | None:
    """When the last step was over that was done (UTC); None where none was reported."""
    return max((item.report.finished_at for item in records if item.report is not None), default=None)


def carried(newest: TargetResolution, approved: TargetResolution | None, step: int) -> TargetResolution:
    """A resolution before a step is dispatched: of the steps before it, what was approved; pure."""
    before = [item for item in (approved.steps if approved is not None else ()) if item.step < step]
    return newest.model_copy(update={"steps": (*before, *(item for item in newest.steps if item.step >= step))})


def moved(before: Iterable[ResolvedStep], now: Iterable[ResolvedStep]) -> tuple[str, ...]:
    """What came and what went between two answers, a sentence for each step and way; nothing where they are alike."""
    old, new = ({item.step: _identities(item) for item in steps} for steps in (before, now))
    return tuple(line for step in sorted({*old, *new}) for line in _moved(step, old.get(step, {}), new.get(step, {})))


def _identities(step: ResolvedStep) -> dict[_Identity, str]:
    """The names of a step's targets by what makes them what they are."""
    return {(item.resource, item.id, item.environment or ""): f"{item.resource}/{item.id}" for item in step.targets}


def _moved(step: int, old: dict[_Identity, str], new: dict[_Identity, str]) -> Iterator[str]:
    for verb, some in (("touches", new.keys() - old.keys()), ("does not touch", old.keys() - new.keys())):
        if some:
            names = [{**old, **new}[key] for key in sorted(some)]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            shown = ", ".join(ascii(name)[1:-1][:80] for name in names[:_SHOWN])
            yield f"step {step} {verb} {shown}{more} now"


def check_resolution(
    resolution: TargetResolution | None, action_digest: str, at: datetime, since: datetime | None = None
) -> list[str]:
    """What is wrong with a resolution that an entry rests on, a sentence each: it is of this action, and was good then.

    Arguments as for `is_fresh`; `action_digest` is the action's.
    """
    if resolution is None:
        return []
    found = []
    if resolution.action_digest != action_digest:
        found.append(f"what it touches was resolved for {resolution.action_digest}, not for this action")
    if not is_fresh(resolution, at, since):
        found.append(f"what it touches was resolved at {resolution.at}, which was too old at {at}")
    return found
