"""What an executor says that an order would touch: real ids, and how it found them.

- It is read from the target with a credential that cannot change it, before an action is assessed and again before it
  is dispatched. What a proposal says of its target is a claim; this is not.
- `id` names one thing in the target system and never a pattern. What `resource` of the catalog it was found in says
  where the executor is to go and under whose hold it is.
- `version` is what must still be so when the effect comes: the executor refuses an order whose target moved on, where
  the target can be asked for that.
- `object` is a name that the thing has wherever the catalog finds it. The catalog may name one thing twice, by itself
  and by what it is in; by its object's name holds and reservations meet all the same.
- Nothing is nothing: a selector that matches no target, or that was left empty, resolves to no target.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from policy.base import Instant, RecordModel
from policy.canonical import digest_of

Observes = Literal["by_key", "by_effect", "never"]
Stops = Literal["within", "between"]
MAX_TARGETS = 1000


class ResolvedTarget(RecordModel):
    """One thing that would be touched.

    Attributes:
        id: its name in the target system, unique within `resource`.
        resource: the resource id of the catalog that it was found in.
        environment: what the target system itself says; None where it does not say.
        version: what must not have changed when the effect comes; None where the target has nothing of the kind.
        units: how much of the target's capacity it is (replicas, rows); None where that says nothing.
        state: what people are shown of it now.
        object: a name that nothing else anywhere has, whichever resource it is found in (a UUID, an ARN); None where
            the target system has no such name.
    """

    id: str
    resource: str
    environment: str | None = None
    version: str | None = None
    units: float | None = None
    state: dict[str, JsonValue] = {}
    object: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None


class Capability(RecordModel):
    """What an executor says that it can do for one operation.

    Attributes:
        resolves: it finds out what would be touched.
        dry_runs: it rehearses without changing anything.
        observes: whether it can tell afterwards that its own effect happened: by the permit's id, only by what the
            target looks like, or not at all.
        stops: whether a stop ends it in the middle, or only between targets and steps.
    """

    operation: str = Field(min_length=1)
    resolves: bool = False
    dry_runs: bool = False
    observes: Observes = "never"
    stops: Stops = "between"


class ResolvedStep(RecordModel):
    """What one step would touch, sorted by resource and id, or the `problem` for which nobody can say it."""

    step: int
    operation: str
    executor: str
    targets: tuple[ResolvedTarget, ...] = ()
    problem: str = ""


class Declared(RecordModel):
    """What an executor says of the operations of a proposal. One of its own that is missing here it does not have."""

    executor: str
    capabilities: tuple[Capability, ...] = ()

    def of(self, operation: str) -> Capability | None:
        """What it says of an operation; None where it does not carry it out."""
        return next((item for item in self.capabilities if item.operation == operation), None)


class TargetResolution(RecordModel):
    """What the executors found that an action would touch, at one instant.

    Attributes:
        action_digest: of the proposal that they were asked about.
        at: when they were asked last (UTC), by the executor's clock.
        resolved_by: the worker that asked them.
        steps: those whose operation an executor resolves, in order.
        declared: what the executors of all steps and undos say that they can do.
    """

    action_digest: str
    at: Instant
    resolved_by: str
    steps: tuple[ResolvedStep, ...] = ()
    declared: tuple[Declared, ...] = ()

    def step(self, number: int) -> ResolvedStep | None:
        """What was found of a step, from 1; None where it was not asked about."""
        return next((item for item in self.steps if item.step == number), None)


def objects_of(targets: Iterable[ResolvedTarget]) -> tuple[str, ...]:
    """The scopes of the objects that targets are, each once and in order; apart from the ids of any catalog."""
    return tuple(sorted({f"object {item.object}" for item in targets if item.object is not None}))


def in_order(targets: Iterable[ResolvedTarget]) -> tuple[ResolvedTarget, ...]:
    """Targets sorted by resource and id, so that the same set is the same text."""
    return tuple(sorted(targets, key=lambda item: (item.resource, item.id)))


def targets_digest(targets: Iterable[ResolvedTarget]) -> str:
    """The digest that a permit carries of the targets that it is for."""
    return digest_of([item.model_dump(mode="json") for item in targets])


def without_versions(targets: Iterable[ResolvedTarget]) -> tuple[ResolvedTarget, ...]:
    """The same targets for whoever undoes: the step itself moves their versions."""
    return tuple(item.model_copy(update={"version": None}) for item in targets)
