"""What an executor is: the adapter that acts on one kind of target, and what it owes whoever relies on it.

1. It acts on the ids in the order and on nothing else; it never turns a selector into more, and runs no text of a
   proposal as a command.
2. It says what it knows and no more: nothing was done, or it was done and went wrong, or it cannot tell. Returning
   means done.
3. An undo may be asked for again until it is reported: carrying it out twice must leave what carrying it out once does.
4. A probe only reads, and a value that it cannot read is an error, never a guess.
5. What an order would touch it finds out by reading, with a credential that cannot change the target where it was given
   one. It answers with ids; where nothing matches it answers with none.
6. Whether it would carry an order out it finds out without changing anything: it reads, or it rolls back. It says what
   would happen and what it could not find out. An order of a dry run is never carried out.
7. Where the order names versions, it acts only while they hold, as far as the target can be asked for that.
8. It gets its credentials from the composition root, so that no other role has them.
9. A stop it is told by `Order.stop`. Where it says that it stops within an effect, it ends it then and says what was
   done; otherwise it goes on to the end of the target that it is at.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import JsonValue

from policy.permit import Direction, Permit, permit_id, permit_of
from policy.targets import Capability, Observes, ResolvedTarget, Stops

Seen = Literal["done", "none", "unknown"]
# What an order acted on: a resource id, and the id of the target in it; None where that is the whole resource.
Reached: TypeAlias = tuple[str, str | None]


class ExecutorError(Exception):
    """The effect was done, in whole or in part, and went wrong: it has to be undone.

    Args:
        message: what went wrong.
        touched: of an order on several targets, those that it may have changed. An undo is given no others. Empty where
            nobody knows: then it is all of them.
    """

    def __init__(self, message: str = "", *, touched: tuple[Reached, ...] = ()) -> None:
        super().__init__(message)
        self.touched = touched


class PreconditionFailedError(ExecutorError):
    """Nothing was done, and nothing will be: the order does not fit the target as it is."""


class TargetUnreachableError(PreconditionFailedError):
    """Nothing was done, because the target did not answer; the same order may succeed later."""


class TargetChangedError(PreconditionFailedError):
    """Nothing was done, because the target is not what was resolved any more."""


class EffectUnknownError(ExecutorError):
    """The order was sent and nobody knows whether it was carried out."""


class ProbeError(Exception):
    """A probe could not read its value; that says nothing about the value."""


@dataclass(frozen=True)
class Supports:
    """What an executor can do, declared honestly.

    Attributes:
        operations: the operations that it carries out.
        probes: the values that it can read.
        dry_runs: the operations that it can rehearse without changing anything.
        stops_within: how long it goes on after it was told to stop.
        observes: how `observe` knows: by the permit's id, or by the state of the target, which does not tell its own
            effect from the same effect by somebody else; or not at all.
        stops: whether a stop ends an effect in the middle, or only between targets.
        resolves: the operations of which it finds out what they would touch.
        particular: the operations of which it can do more or less than `observes` and `stops` say, which hold for all.
    """

    operations: frozenset[str]
    probes: frozenset[str]
    stops_within: timedelta
    observes: Observes
    dry_runs: frozenset[str] = frozenset()
    stops: Stops = "between"
    resolves: frozenset[str] = frozenset()
    particular: Mapping[str, Capability] = field(default_factory=dict)

    def of(self, operation: str) -> Capability:
        """What it can do for one operation."""
        return self.particular.get(operation) or Capability(
            operation=operation,
            resolves=operation in self.resolves,
            dry_runs=operation in self.dry_runs,
            observes=self.observes,
            stops=self.stops,
        )


@dataclass(frozen=True)
class Inquiry:
    """What is asked of an executor before anything is permitted: what would this touch?

    `resources` are the resource ids of the catalog. The parameters have the types that the operations registry gives
    them; nothing else was looked at yet.
    """

    operation: str
    parameters: Mapping[str, JsonValue]
    resources: tuple[str, ...]
    environment: str


@dataclass(frozen=True)
class Order:
    """What a permit lets an executor do. `permit_id` is the idempotency key where a target takes one.

    With `dry_run` it lets it rehearse only. An undo is rehearsed before its step was done: what the order expects to
    find after the step cannot be there. `signed` is the permit itself, for an adapter that hands the order on: whoever
    acts in the end can verify it (`docs/spec/permit.md`). `targets` are what it resolved to when it was permitted,
    where the executor resolves the operation; it acts on these and on no others. `stop` is set when it is told to stop.
    `undoes` is the permit of the step that an undo undoes: a target that keeps the ids tells by it whether somebody
    else came after. `part_of` is the permit's whole order, where this one names only what the step touched.
    """

    permit_id: str
    direction: Direction
    operation: str
    parameters: Mapping[str, JsonValue]
    resolved: tuple[str, ...]
    timeout: timedelta
    dry_run: bool = False
    signed: str | None = field(default=None, repr=False)
    targets: tuple[ResolvedTarget, ...] = ()
    stop: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)
    undoes: str | None = None
    part_of: "Order | None" = field(default=None, repr=False)

    @classmethod
    def under(cls, permit: Permit) -> "Order":
        """The order that a permit gives."""
        step = permit_id(permit.proposal_id, permit.revision, permit.step, Direction.do)
        return cls(
            permit_id=permit.permit_id,
            direction=permit.direction,
            operation=permit.operation,
            parameters=MappingProxyType(permit.parameters),
            resolved=permit.resolved,
            timeout=timedelta(seconds=permit.timeout_seconds),
            dry_run=permit.dry_run,
            signed=permit.signed,
            targets=permit.targets,
            undoes=step if permit.direction is Direction.undo else None,
        )

    @property
    def of_permit(self) -> str:
        """The id of the permit itself: `permit_id` names one of its targets, too, where they are taken one by one."""
        return permit_of(self.permit_id)

    def check_real(self) -> None:
        """Refuse to carry out what may only be rehearsed.

        Raises:
            PreconditionFailedError: it is the order of a dry run.
        """
        if self.dry_run:
            raise PreconditionFailedError(f"permit {self.permit_id} is of a dry run: nothing is carried out under it")


@dataclass(frozen=True)
class ProbeOrder:
    """What an executor is to read, and where; of the registry and the permit, never a text of a proposal.

    Attributes:
        probe: its name in the operations registry.
        parameters: of the declared types.
        resource: the resource id of the catalog that it is read on.
        query: the text of the registry by which it is read, with `$name` for a parameter; empty where the executor
            needs none.
        types: the declared types of the parameters by name (string, integer, number, boolean, list, object); empty
            where the permit says none.
        reads: the declared type of the value; empty where the permit says none.
    """

    probe: str
    parameters: Mapping[str, JsonValue]
    resource: str
    query: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    reads: str = ""


@dataclass(frozen=True)
class TargetCredentials:
    """Where each resource answers and how to log in there: a connection URL by resource id.

    `readers` are URLs with which nothing can be changed; a resource that has none there is read by its other one, in a
    session that is set to read only.
    """

    urls: Mapping[str, str] = field(repr=False)
    readers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def url(self, resource_id: str) -> str:
        """The URL of a resource.

        Raises:
            PreconditionFailedError: the executor was given none.
        """
        try:
            return self.urls[resource_id]
        except KeyError:
            known = ", ".join(sorted(self.urls)) or "none"
            message = f"no credentials for resource {resource_id} (given: {known}): add it to COUNTERSIGN_TARGETS_FILE"
            raise PreconditionFailedError(message) from None

    def reading_url(self, resource_id: str) -> str:
        """The URL by which a resource is read.

        Raises:
            PreconditionFailedError: the executor was given none.
        """
        return self.readers.get(resource_id) or self.url(resource_id)


class Executor(Protocol):
    """One adapter."""

    @property
    def name(self) -> str:
        """The name by which the operations registry and the permits call it."""

    @property
    def supports(self) -> Supports:
        """What it can do."""

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """What an operation of `supports.resolves` would touch now, by id; nothing is changed.

        Raises:
            TargetUnreachableError: it could not be found out, because the target did not answer.
            PreconditionFailedError: the parameters name nothing that could be touched, and why.
        """

    async def execute(self, order: Order) -> None:
        """Carry an order out.

        Raises:
            TargetChangedError: nothing was done, because a target moved on.
            PreconditionFailedError: nothing was done.
            EffectUnknownError: it cannot tell.
            ExecutorError: done, in whole or in part, and it went wrong.
        """

    async def dry_run(self, order: Order) -> str:
        """Rehearse an order of `supports.dry_runs` without changing anything; what it would do, and what is not sure.

        Raises:
            PreconditionFailedError: it would not be carried out, and why.
        """

    async def observe(self, order: Order) -> Seen:
        """Look, without acting, whether an order was carried out; unknown where looking does not tell."""

    async def measure(self, order: ProbeOrder) -> Any:
        """The JSON value that a probe reads now.

        Raises:
            ProbeError: it could not be read.
        """
