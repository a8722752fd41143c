"""The execution permit: what exactly may be done, once.

- A permit is unique by proposal id, revision, step and direction (do, undo). The run id is never part of it.
- It carries everything the executor needs; the executor acts on the permit it read from the record, and on nothing that
  a workflow or a caller told it.
- `resolved` are ids of the catalog, and `targets` what the executor found there when the permit was issued. An executor
  never widens them and never turns a selector into more.
- The permit of a dry run lets an executor rehearse and nothing else: both directions carry the mark, nothing is done
  under it, so nothing is ever undone.
- What an executor found is in the permit with its digest. The permit to undo names the same targets without their
  versions, which the step itself moves.
- `over_by` is when the window closes in which it may run, or the next freeze begins. The effect, with all of its
  timeout, is over by then: whoever acts begins in time, or not at all.
- It is signed (`policy/permit_claims.py`): `signed` stands beside the permit and is no part of it, nor of its digest.
- A forward permit expires. An undo permit does not: compensation never waits. It may be claimed only where something
  was done that has to be undone (`policy/gate.py`).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field

from policy.base import Instant, RecordModel
from policy.canonical import digest_of
from policy.proofs import Assurance
from policy.proposal import Criterion, Parameters
from policy.targets import ResolvedTarget, objects_of
from policy.undecided import Judging

_NAMESPACE = UUID("6f2c4a0e-7a9b-5d0c-9a44-1c7f0f3c9b11")


class Direction(StrEnum):
    do = "do"
    undo = "undo"


class PermitCriterion(Criterion):
    """A criterion with how it is measured, by the registry that it was assessed with.

    Attributes:
        executor: which executor has the probe; empty where it is the permit's own.
        query: the text that this executor needs, of the registry.
        types: the declared types of the query's parameters, by name.
        reads: the declared type of the value; empty where nothing is declared.
        resources: the resource ids that a guard is measured on; empty where it is measured on what the step acts on.
    """

    executor: Annotated[str, Field(exclude_if=lambda value: not value)] = ""
    query: Annotated[str, Field(exclude_if=lambda value: not value)] = ""
    types: Annotated[dict[str, str], Field(exclude_if=lambda value: not value)] = {}
    reads: Annotated[str, Field(exclude_if=lambda value: not value)] = ""
    resources: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()


class Permit(RecordModel):
    """Who may do what to which ids until when, and on which approvals it rests.

    `signed` is the permit as the permit role signed it, a compact JWS; None where it was not signed yet. `baselines`
    are the criteria whose values are read before the first step. With `one_by_one` the step acts on one target at a
    time. `judging` is how people judge what measuring cannot; None where the policy did not speak of it.
    """

    permit_id: str
    proposal_id: str
    revision: int
    step: int
    direction: Direction
    executor: str
    operation: str
    parameters: Parameters
    environment: str
    resolved: tuple[str, ...]
    criteria: tuple[PermitCriterion, ...] = ()
    timeout_seconds: int
    action_digest: str
    assessment_digest: str
    policy_digest: str
    resolved_digest: str
    assurance: Assurance
    issued_at: Instant
    expires_at: Instant | None
    dry_run: bool = False
    targets: Annotated[tuple[ResolvedTarget, ...], Field(exclude_if=lambda value: not value)] = ()
    targets_digest: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    over_by: Annotated[Instant | None, Field(exclude_if=lambda value: value is None)] = None
    baselines: Annotated[tuple[PermitCriterion, ...], Field(exclude_if=lambda value: not value)] = ()
    one_by_one: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    judging: Annotated[Judging | None, Field(exclude_if=lambda value: value is None)] = None
    signed: Annotated[str | None, Field(exclude=True, repr=False)] = None

    def begins_in_time(self, now: datetime) -> bool:
        """Whether an effect that begins at an instant (UTC) is over before its window closes."""
        seconds = self.longest if self.one_by_one else self.timeout_seconds
        return self.over_by is None or now + timedelta(seconds=seconds) <= self.over_by

    @property
    def measurable(self) -> tuple[tuple[PermitCriterion, str], ...]:
        """Every criterion with each resource that it is measured on, in order."""
        return self.measured_on(self.criteria)

    def measured_on(self, criteria: tuple[PermitCriterion, ...]) -> tuple[tuple[PermitCriterion, str], ...]:
        """Some criteria with each resource that they are measured on: guards on theirs, others on what is acted on."""
        return tuple(
            (item, resource) for item in criteria for resource in (self.resolved if item.of is None else item.resources)
        )

    @property
    def held_as(self) -> tuple[str, ...]:
        """The ids, and the objects, under which a hold may be on what it acts on."""
        return (*self.resolved, *objects_of(self.targets))

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the targets that it acts on one at a time, in order; a single empty one where it does not."""
        return self.places if self.one_by_one else ("",)

    @property
    def places(self) -> tuple[str, ...]:
        """The names of all that it acts on, in order: of targets their ids, without targets the resource ids."""
        ids = [target.id for target in self.targets]
        if len(set(ids)) == len(ids):
            return tuple(ids) or self.resolved
        return tuple(f"{target.resource}/{target.id}" for target in self.targets)

    @property
    def part_resources(self) -> tuple[str, ...]:
        """The resource id of each of `parts`."""
        if not self.one_by_one:
            return self.resolved[:1]
        return tuple(target.resource for target in self.targets) or self.resolved

    @property
    def longest(self) -> int:
        """How many seconds acting and measuring may take together."""
        observing = max((item.longest for item in self.criteria), default=0)
        return max(1, len(self.parts)) * (self.timeout_seconds + observing)

    @property
    def order_digest(self) -> str:
        """The digest of what exactly it lets be done to which ids."""
        return order_digest(self.environment, self.resolved, self.operation, self.parameters)


def permit_id(proposal_id: str, revision: int, step: int, direction: Direction) -> str:
    """The one id a permit of this step can have: issuing twice gives the same permit."""
    return str(uuid5(_NAMESPACE, f"permit/{proposal_id}/{revision}/{step}/{direction}"))


def part_key(permit: str, number: int) -> str:
    """The idempotency key of one of the targets of a permit: the permit's id, and the target's number from 1 on.

    A target's own name is anybody's text: in a header, a path or a list it could end the key, or be read as another's.
    """
    return f"{permit}.{number}"


def permit_of(key: str) -> str:
    """The id of the permit in a key: the permit's own, or that of one of its targets."""
    # What was written before the keys had numbers has the target's name after a slash.
    return key.partition("/")[0].partition(".")[0]


def order_digest(environment: str, resolved: tuple[str, ...], operation: str, parameters: Parameters) -> str:
    """The digest of what exactly is done to which ids: a rehearsal proves this, and nothing else."""
    order = {"operation": operation, "parameters": parameters, "environment": environment, "resolved": list(resolved)}
    return digest_of(order)


def entry_id(proposal_id: str, *parts: object) -> str:
    """The one id a ledger entry about this can have: the first writer wins."""
    return str(uuid5(_NAMESPACE, "/".join(["entry", proposal_id, *(str(part) for part in parts)])))
