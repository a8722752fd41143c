"""The operations registry: what each operation does, as a document and not as code.

- An operation that is not registered is treated as destructive, irreversible and of the highest floor.
- `floor` is the lowest tier that an action with this operation can have, whatever else is said.
- `inverse` names the operations that can undo it. An undo that is none of them does not count as one, and neither is
  one that names another object (`identifies`).
- Parameters are typed; a parameter that is not declared is refused, before anything is assessed.
- The text may hold several registries. Together they are one: a name twice is refused, and an inverse may be in another
  part. What contradicts itself is refused too (`policy/consistency.py`).
"""

import json
import operator
from collections.abc import Mapping
from enum import StrEnum
from functools import cache, cached_property
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Discriminator, Field, JsonValue, Tag, ValidationError, model_validator

from policy import builtin
from policy.base import EdgeModel, Name, Operation, RecordModel
from policy.bounds import Number, TemplateCondition
from policy.consistency import contradictions
from policy.errors import DocumentError, explain
from policy.governed import Metadata
from policy.measured import Measured, check_success
from policy.parameter_types import Parameter
from policy.proposal import ActionProposal, Step, Undo
from policy.yaml_text import read_yaml

Effect = Literal["performance", "security", "data_access", "availability"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
Level = Annotated[int, Field(ge=0, le=100)]
Effects = Annotated[
    Annotated[tuple[Effect, ...], Tag("list")] | Annotated[dict[Effect, Level], Tag("levels")],
    Discriminator(lambda given: "levels" if isinstance(given, dict) else "list"),
]

# A number in the record is an integer in every reader's float (RFC 7493).
MAX_UNITS = float(2**53 - 1)
# What is wrong is kept several times over, and a proposal can be wrong in thousands of ways.
MAX_REASONS = 20


class RiskTier(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return list(RiskTier).index(self)


class Caps(EdgeModel):
    """Limits that no approval lifts. `resolved`: ids at once; `share`: of the target's capacity at once, 0..1;
    `failure_domains`: at once; `per_hour`: effects of this operation; `max_age_seconds`: of a plan when it is assessed
    and when it is dispatched.
    """

    resolved: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    failure_domains: Annotated[int, Field(ge=1)] | None = None
    per_hour: Annotated[int, Field(ge=1)] | None = None
    max_age_seconds: Annotated[int, Field(ge=1)] | None = None


class Counted(EdgeModel):
    """How much of the target's capacity a step takes: the number in a parameter, each item of a list counting one, or
    `all` of it, in units of the catalog's `countersign/units`; or with `resolved_units` what the executor found that
    its targets are together.
    """

    parameter: Name | None = None
    all: bool = False
    resolved_units: Annotated[bool, Field(exclude_if=operator.not_)] = False

    @model_validator(mode="after")
    def _one(self) -> "Counted":
        if sum((self.parameter is not None, self.all, self.resolved_units)) != 1:
            raise ValueError("counts needs one of a parameter, all: true and resolved_units: true")
        return self


class Reading(EdgeModel):
    """What a probe reads. A value in `parameters` or `equals` that is written `$name` is the value of the step's
    parameter of that name.
    """

    probe: Operation
    parameters: dict[str, JsonValue] = {}
    equals: JsonValue


class MinimumCriterion(Reading, Measured):
    """A criterion that every action with this operation is measured by: `parameters` and `equals` as a `Reading` has
    them, or `success`, in whose bounds `$name` is the value of the step's parameter, too. `failure` likewise.
    """

    equals: JsonValue = None
    success: Annotated[TemplateCondition | None, Field(exclude_if=lambda value: value is None)] = None
    failure: Annotated[TemplateCondition | None, Field(exclude_if=lambda value: value is None)] = None

    @model_validator(mode="after")
    def _says_what_succeeds(self) -> "MinimumCriterion":
        check_success(self.probe, self.success, self.equals, said="equals" in self.model_fields_set)
        return self


class Probe(EdgeModel):
    """A value that an executor can read. `constant`: no step can change what it reads. `identifies` are the parameters
    that name the object which a step must touch for the probe to say anything about the step. `minimum` and `maximum`
    are what a number that it reads can be, so that a criterion which all of them fulfil is known to be none.

    `query` is the text that its executor needs to read it (SQL, PromQL, the name of an endpoint), with `$name` where
    the value of a parameter stands. Only the registry says it; no proposal ever does.
    """

    name: Operation
    executor: Name
    type: Literal["string", "integer", "number", "boolean"]
    parameters: dict[Name, Parameter] = {}
    identifies: tuple[Name, ...] = ()
    constant: bool = False
    minimum: Annotated[Number | None, Field(exclude_if=lambda value: value is None)] = None
    maximum: Annotated[Number | None, Field(exclude_if=lambda value: value is None)] = None
    query: Annotated[str, Field(max_length=4000, exclude_if=lambda value: not value)] = ""
    description: str = ""


class RegisteredOperation(EdgeModel):
    """One operation.

    Attributes:
        severity: 0..100, how much of the target it changes at worst.
        effects: what it can harm, at a level of 0..100 each; a list means 100.
        undo_seconds: how long its undo takes at worst.
        identifies: the parameters that name the object; an undo has to name the same.
        before: what the executor makes sure of before it acts, so that reading it afterwards shows nothing.
        origin: where an imported entry came from.
        resolves: the executor finds out what a step would touch, before it is assessed and before it is permitted.
    """

    name: Operation
    executor: Name
    severity: Level
    floor: RiskTier = RiskTier.low
    destructive: bool = False
    read_only: bool = False
    effects: Effects = ()
    inverse: tuple[Operation, ...] = ()
    needs_no_undo: bool = False
    undo_seconds: Annotated[int, Field(ge=0)] | None = None
    caps: Caps = Caps()
    counts: Counted | None = None
    criteria: tuple[MinimumCriterion, ...] = ()
    before: tuple[Reading, ...] = ()
    required: tuple[Literal["evidence", "undo", "dry_run", "expected_targets", "produced_at"], ...] = ()
    parameters: dict[Name, Parameter] = {}
    identifies: tuple[Name, ...] = ()
    description: str = ""
    origin: str = ""
    resolves: Annotated[bool, Field(exclude_if=operator.not_)] = False

    @property
    def effect_levels(self) -> dict[Effect, int]:
        """What it can harm, each at a level of 0..100."""
        given = self.effects if isinstance(self.effects, dict) else dict.fromkeys(self.effects, 100)
        return {effect: given[effect] for effect in EFFECTS if effect in given}

    @property
    def reversible(self) -> bool:
        """Whether anything can undo it, or nothing has to be undone."""
        return bool(self.inverse) or self.needs_no_undo or self.read_only


class _Part(EdgeModel):
    """One document of a registry text."""

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["OperationsRegistry"]
    metadata: Metadata
    operations: tuple[RegisteredOperation, ...] = ()
    probes: tuple[Probe, ...] = ()


class OperationsRegistry(RecordModel):
    """All parts of a registry text as one. `metadata` is that of the first part."""

    metadata: Metadata
    operations: tuple[RegisteredOperation, ...]
    probes: tuple[Probe, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, RegisteredOperation]:
        return {operation.name: operation for operation in self.operations}

    @cached_property
    def _probes(self) -> dict[str, Probe]:
        return {probe.name: probe for probe in self.probes}

    def find(self, name: str) -> RegisteredOperation | None:
        return self._by_name.get(name)

    def probe(self, name: str) -> Probe | None:
        """A probe that is declared."""
        return self._probes.get(name)

    def units_touched(
        self, proposal: ActionProposal, total: float | None = None, found: Mapping[int, float] = MappingProxyType({})
    ) -> float | None:
        """How many units of the target's capacity the steps take together, or their undos, if that is more; None where
        an operation does not say. An undo whose operation counts nothing gives back what its step took.

        Args:
            proposal: what is asked for.
            total: how many units the target has; what takes `all` of it is not known without.
            found: by step, from 1, how many units its targets are together, where its executor said so of each.
        """
        steps = list(enumerate(proposal.steps, start=1))
        undos = [(number, step.undo) for number, step in steps if step.undo is not None]
        counting = [
            (number, undo)
            for number, undo in undos
            if (known := self.find(undo.operation)) is not None and known.counts
        ]
        taken = [self._units(step, total, found.get(number)) for number, step in steps]
        given_back = [self._units(undo, total, found.get(number)) for number, undo in counting]
        if None in taken or None in given_back:
            return None
        # The sum of what a proposal may say can be more than a record can hold, and is all there is in any case.
        return min(MAX_UNITS, max(sum(filter(None, taken)), sum(filter(None, given_back))))

    def _units(self, step: Step | Undo, total: float | None, found: float | None) -> float | None:
        known = self.find(step.operation)
        if known is not None and known.read_only:
            return 0.0
        if known is None or known.counts is None:
            return None
        if known.counts.resolved_units:
            return found
        if known.counts.parameter is None:
            return total
        value = step.parameters.get(known.counts.parameter)
        if isinstance(value, list):
            return float(len(value))
        # Less than nothing cannot be taken: it would make room for what another step takes.
        return max(0.0, float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


@cache
def builtin_operations() -> OperationsRegistry:
    """The operations that nobody had to write, alone."""
    parts = [_read(value) for value in read_yaml(builtin.OPERATIONS)]
    return OperationsRegistry(
        metadata=parts[0].metadata,
        operations=tuple(item for part in parts for item in part.operations),
        probes=tuple(item for part in parts for item in part.probes),
    )


def read_operations(body: bytes) -> OperationsRegistry:
    """Read an operations registry, of one part or several.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    parts = [_read(value) for value in read_yaml(body) if value is not None]
    if not parts:
        raise DocumentError("OperationsRegistry is empty: without an operation every action is the worst case")
    whole = [*(_read(value) for value in read_yaml(builtin.OPERATIONS)), *parts]
    named: dict[str, str] = {}
    for part in whole:
        for name in [*(item.name for item in part.operations), *(item.name for item in part.probes)]:
            if name in named:
                raise DocumentError(
                    f"{name} is registered twice, in {named[name]} and in {part.metadata.name}: remove one of them"
                )
            named[name] = part.metadata.name
    registry = OperationsRegistry(
        metadata=parts[0].metadata,
        operations=tuple(item for part in whole for item in part.operations),
        # Declaring one probe means declaring all: who declares none is not asked to begin because of ours.
        probes=tuple(item for part in whole for item in part.probes) if any(part.probes for part in parts) else (),
    )
    if found := contradictions(registry):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DocumentError(f"malformed OperationsRegistry: {found[0]}{more}")
    return registry


def _read(value: object) -> _Part:
    try:
        # As JSON, because only there pydantic is strict about numbers and still reads lists as tuples.
        return _Part.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise DocumentError(f"malformed OperationsRegistry: {explain(error)}") from None


def unknown(name: str) -> RegisteredOperation:
    """What is assumed of an operation that nobody registered: the worst."""
    return RegisteredOperation(
        name=name,
        executor="none",
        severity=100,
        floor=RiskTier.critical,
        destructive=True,
        effects=("performance", "security", "data_access", "availability"),
    )
