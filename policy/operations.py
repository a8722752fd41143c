"""The operations registry: what each operation does, as a document and not as code.

- An operation that is not registered is treated as destructive, irreversible and of the highest floor.
- `floor` is the lowest tier that an action with this operation can have, whatever else is said.
- `inverse` names the operations that can undo it. An undo that is none of them does not count as one.
- Parameters are typed; a parameter that is not declared is refused, before anything is assessed.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from policy.base import EdgeModel, Name, Operation, Reason
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


class RegisteredOperation(EdgeModel):
    """One operation. `severity` is 0..100: how much of the target it changes at worst."""

    name: Operation
    executor: Name
    severity: Annotated[int, Field(ge=0, le=100)]
    floor: RiskTier = RiskTier.low
    destructive: bool = False
    effects: tuple[Literal["performance", "security", "data_access", "availability"], ...] = ()
    inverse: tuple[Operation, ...] = ()
    needs_no_undo: bool = False
    parameters: dict[Name, Parameter] = {}
    description: str = ""


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


def parameter_refusals(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[Reason, ...]:
    """What is wrong with the parameters of the steps and of their undos, and with undos that are no inverse."""
    reasons: list[Reason] = []
    for step in proposal.steps:
        known = registry.find(step.operation)
        reasons += _refuse(f"step {step.name}", known, step.parameters)
        if step.undo is None:
            continue
        if known is not None and step.undo.operation not in known.inverse:
            allowed = ", ".join(known.inverse) or "none"
            message = (
                f"step {step.name}: {step.undo.operation} is no inverse of {step.operation} (registered: {allowed})"
            )
            reasons.append(Reason(code="undo_is_no_inverse", message=message))
        reasons += _refuse(f"undo of step {step.name}", registry.find(step.undo.operation), step.undo.parameters)
    if (more := len(reasons) - MAX_REASONS) <= 0:
        return tuple(reasons)
    return (*reasons[:MAX_REASONS], Reason(code="bad_parameter", message=f"and {more} more like these"))


def _refuse(where: str, known: RegisteredOperation | None, given: dict[str, Any]) -> list[Reason]:
    if known is None:
        return []
    found = []
    for name, parameter in known.parameters.items():
        if name not in given:
            if parameter.required:
                found.append(f"{where}: parameter {name} is missing")
        elif refusal := parameter.refusal(given[name]):
            found.append(f"{where}: parameter {name} = {given[name]!r} {refusal}")
    found += [
        f"{where}: parameter {name!r} is not declared by {known.name}" for name in given if name not in known.parameters
    ]
    return [Reason(code="bad_parameter", message=message[:300]) for message in found]
