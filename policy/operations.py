"""The operations registry: what each operation does, as a document and not as code.

- An operation that is not registered is treated as destructive, irreversible and of the highest floor.
- `floor` is the lowest tier that an action with this operation can have, whatever else is said.
- `inverse` names the operations that can undo it. An undo that is none of them does not count as one.
- Parameters are typed; a parameter that is not declared is refused, before anything is assessed.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from policy.base import EdgeModel, Name, Operation
from policy.canonical import canonical
from policy.governed import Metadata, read_document
from policy.proposal import ActionProposal

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


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


class Parameter(EdgeModel):
    """The type of a parameter, and what a text must look like."""

    type: Literal["string", "integer", "number", "boolean"]
    required: bool = True
    pattern: str | None = None
    secret: bool = False

    def refusal(self, value: Any) -> str | None:
        """Why a value is not one of this parameter, or None."""
        # true is an int in Python, and no number in JSON.
        if isinstance(value, bool) != (self.type == "boolean") or not isinstance(value, _TYPES[self.type]):
            return f"is not of type {self.type}"
        text = value if isinstance(value, str) else canonical(value).decode()
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            return f"does not match {self.pattern}"
        return None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None
        return pattern


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
    `all` of it, in units of the catalog's `countersign/units`.
    """

    parameter: Name | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one(self) -> "Counted":
        if (self.parameter is not None) == self.all:
            raise ValueError("counts needs either a parameter or all: true")
        return self


class MinimumCriterion(EdgeModel):
    """A criterion that every action with this operation is measured by. A value in `parameters` or `equals` that is
    written `$name` is the value of the step's parameter of that name.
    """

    probe: Operation
    parameters: dict[str, JsonValue] = {}
    equals: JsonValue
    within_seconds: Annotated[int, Field(ge=0, le=3600)] = 5
    observe_seconds: Annotated[int, Field(ge=0, le=86400)] = 0


class RegisteredOperation(EdgeModel):
    """One operation. `severity` is 0..100: how much of the target it changes at worst. `undo_seconds` is how long its
    undo takes at worst. `origin` says where an imported entry came from.
    """

    name: Operation
    executor: Name
    severity: Annotated[int, Field(ge=0, le=100)]
    floor: RiskTier = RiskTier.low
    destructive: bool = False
    read_only: bool = False
    effects: tuple[Literal["performance", "security", "data_access", "availability"], ...] = ()
    inverse: tuple[Operation, ...] = ()
    needs_no_undo: bool = False
    undo_seconds: Annotated[int, Field(ge=0)] | None = None
    caps: Caps = Caps()
    counts: Counted | None = None
    criteria: tuple[MinimumCriterion, ...] = ()
    required: tuple[Literal["evidence", "undo", "dry_run", "expected_targets", "produced_at"], ...] = ()
    parameters: dict[Name, Parameter] = {}
    description: str = ""
    origin: str = ""


class OperationsRegistry(EdgeModel):
    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["OperationsRegistry"]
    metadata: Metadata
    operations: tuple[RegisteredOperation, ...]

    @model_validator(mode="after")
    def _whole(self) -> "OperationsRegistry":
        names = [operation.name for operation in self.operations]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"operation {twice[0]} is registered twice")
        for operation in self.operations:
            if missing := sorted(set(operation.inverse) - set(names)):
                raise ValueError(f"operation {operation.name}: its inverse {missing[0]} is not registered")
        return self

    def find(self, name: str) -> RegisteredOperation | None:
        return next((operation for operation in self.operations if operation.name == name), None)

    def units_touched(self, proposal: ActionProposal) -> float | None:
        """How many units of the target's capacity the steps take together; None where an operation does not say."""
        total = 0.0
        for step in proposal.steps:
            known = self.find(step.operation)
            if known is None or known.counts is None or known.counts.parameter is None:
                return None
            value = step.parameters.get(known.counts.parameter)
            if isinstance(value, list):
                total += len(value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                total += value
            else:
                return None
        return total


def read_operations(body: bytes) -> OperationsRegistry:
    """Read an operations registry.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, OperationsRegistry)


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
