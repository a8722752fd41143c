"""Which actions something speaks of: lists to look a value up in, a condition, or both.

- Each list that is given must contain the value. A list that is empty, and a match of no list at all, are refused: they
  would look like nothing and mean everything, or the other way round.
- A `Where` asks only what is known before the risk is assessed, so that calendars can be read first; a `Match` may ask
  for the tier, too.
- Of `match` and `when` both must hold; `match` is looked at first, because it costs less.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from policy.base import EdgeModel, Name, Operation
from policy.catalog import normalize
from policy.facts import Facts
from policy.operations import RegisteredOperation, RiskTier
from policy.rules.conditions import Expression

Effect = Literal["performance", "security", "data_access", "availability"]


def _system(name: str) -> str:
    return normalize(name, "system")


class Where(EdgeModel):
    """What is known of an operation on a target before its risk is. Environments are the catalog's."""

    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] | None = None
    environments: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    targets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    systems: Annotated[tuple[Annotated[Name, AfterValidator(_system)], ...], Field(min_length=1)] | None = None
    effects: Annotated[tuple[Effect, ...], Field(min_length=1)] | None = None
    destructive: bool | None = None
    read_only: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "Where":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"match is empty and would match everything: name at least one of {names}")
        return self

    def covers(self, operation: RegisteredOperation, facts: Facts) -> bool:
        """Whether it speaks of this operation on the target of these facts."""
        return (
            (self.operations is None or operation.name in self.operations)
            and (self.environments is None or facts.target_environment in self.environments)
            and (self.destructive is None or self.destructive == operation.destructive)
            and (self.read_only is None or self.read_only == operation.read_only)
            and (self.effects is None or not set(self.effects).isdisjoint(operation.effects))
            and (self.systems is None or facts.target_system in self.systems)
            and (self.targets is None or facts.target_ref in self.target_refs)
        )

    @cached_property
    def target_refs(self) -> frozenset[str]:
        """The targets that it lists, as the catalog writes them."""
        return frozenset(normalize(target) for target in self.targets or ())


class Match(Where):
    """The same, and the tier of the action's risk."""

    tiers: Annotated[tuple[RiskTier, ...], Field(min_length=1)] | None = None

    def matches(self, operation: RegisteredOperation, facts: Facts, tier: RiskTier) -> bool:
        """Whether it speaks of this operation of an action of this tier."""
        return (self.tiers is None or tier in self.tiers) and self.covers(operation, facts)


class Scoped(EdgeModel):
    """Something that speaks of the operations which `match` lists and for which `when` holds."""

    match: Match | None = None
    when: Expression | None = None
