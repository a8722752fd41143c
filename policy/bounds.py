"""Conditions on a measured value: the words in which a criterion says what succeeds and what fails.

- A condition is `equals`, or bounds on a number: `at_least` or `above`, `at_most` or `below`. All that it says must
  hold.
- A bound is a number, or follows from the baseline, which is what the probe read before the step: the baseline times
  `baseline_times` plus `baseline_plus`. So `at_most: {baseline_times: 1.2, baseline_plus: 5}` allows a fifth and five
  more.
- A value that is no number is not between bounds, and neither is any value where the baseline is not known: nothing can
  be said. NaN and infinity are no numbers here.
- What every number fulfils, or none, is no condition; and a share of a baseline of zero asks for nothing.
"""

import math
from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints, model_validator

from policy.base import EdgeModel
from policy.canonical import canonical

Number = Annotated[float, Field(allow_inf_nan=False, ge=-(2**53 - 1), le=2**53 - 1)]
Template = Annotated[str, StringConstraints(pattern=r"^\$[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$")]
# No number that is read is further from zero.
_LARGEST = float(2**53 - 1)
LOWER, UPPER = ("at_least", "above"), ("at_most", "below")
BOUNDS = (*LOWER, *UPPER)
_WORDS = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}


def _is_none(value: object) -> bool:
    return value is None


class OfBaseline(EdgeModel):
    """A bound that follows from what was read before the step."""

    baseline_times: Annotated[Number, Field(gt=0)] = 1.0
    baseline_plus: Number = 0.0

    @model_validator(mode="after")
    def _says_something(self) -> "OfBaseline":
        if not self.model_fields_set:
            raise ValueError("a bound of the baseline needs baseline_times or baseline_plus")
        return self

    @property
    def words(self) -> str:
        """As people read it."""
        times = "the value before" if self.baseline_times == 1 else f"{self.baseline_times:g} times the value before"
        return times if self.baseline_plus == 0 else f"{times} {self.baseline_plus:+g}"


Bound = Number | OfBaseline


class Condition(EdgeModel):
    """What a value must be; see above. At least one part is given."""

    equals: Annotated[JsonValue, Field(exclude_if=_is_none)] = None
    at_least: Annotated[Bound | None, Field(exclude_if=_is_none)] = None
    above: Annotated[Bound | None, Field(exclude_if=_is_none)] = None
    at_most: Annotated[Bound | None, Field(exclude_if=_is_none)] = None
    below: Annotated[Bound | None, Field(exclude_if=_is_none)] = None

    @model_validator(mode="after")
    def _one_meaning(self) -> "Condition":
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        if self.equals is not None and given:
            raise ValueError(f"a condition has equals or bounds, not equals and {given[0]}")
        if self.equals is None and not given:
            raise ValueError(f"a condition needs equals or one of {', '.join(BOUNDS)}: without any it says nothing")
        for pair in (LOWER, UPPER):
            if all(name in given for name in pair):
                raise ValueError(f"a condition has {pair[0]} or {pair[1]}, not both")
        return self

    @property
    def bounds(self) -> dict[str, Bound]:
        """What it says of a number, by the name of the bound."""
        return {name: bound for name in BOUNDS if (bound := getattr(self, name)) is not None}

    @property
    def needs_baseline(self) -> bool:
        """Whether it says anything only where the value before the step is known."""
        return any(isinstance(bound, OfBaseline) for bound in self.bounds.values())

    @property
    def words(self) -> str:
        """As people read it, after "reads"."""
        if self.equals is not None:
            return canonical(self.equals).decode()
        return " and ".join(f"{_WORDS[name]} {_say(bound)}" for name, bound in self.bounds.items())

    def holds(self, value: JsonValue, baseline: JsonValue = None) -> bool | None:
        """Whether a value fulfils it; None where that cannot be said.

        Args:
            value: what was read; anything that JSON can say.
            baseline: what was read before the step; None where it is not known.

        Raises:
            CanonicalError: the value is nothing that JSON can say.
        """
        if self.equals is not None:
            return canonical(value) == canonical(self.equals)
        number = number_of(value)
        limits = {name: _at(bound, baseline) for name, bound in self.bounds.items()}
        if number is None or any(limit is None for limit in limits.values()):
            return None
        return all(_fulfils(name, number, limit) for name, limit in limits.items() if limit is not None)


class TemplateCondition(Condition):
    """A condition of the operations registry, in which `$name` stands for the value of the step's parameter."""

    at_least: Annotated[Bound | Template | None, Field(exclude_if=_is_none)] = None  # type: ignore[assignment]
    above: Annotated[Bound | Template | None, Field(exclude_if=_is_none)] = None  # type: ignore[assignment]
    at_most: Annotated[Bound | Template | None, Field(exclude_if=_is_none)] = None  # type: ignore[assignment]
    below: Annotated[Bound | Template | None, Field(exclude_if=_is_none)] = None  # type: ignore[assignment]


def number_of(value: object) -> float | None:
    """A value as a number; None where it is none, or not finite. Whether something is so is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**53 and math.isfinite(value) else None


def impossible(condition: Condition) -> bool:
    """Whether no number at all fulfils a condition, as far as its bounds can be compared."""
    return _empty(condition.bounds)


def overlap(success: Condition, failure: Condition) -> bool:
    """Whether some value would be success and failure at once, as far as the two can be compared."""
    if success.equals is not None and failure.equals is not None:
        return canonical(success.equals) == canonical(failure.equals)
    for one, other in ((success, failure), (failure, success)):
        if one.equals is not None:
            return other.holds(one.equals) is True
    if success.needs_baseline or failure.needs_baseline:
        return success.bounds == failure.bounds
    lower = max(_lower(success), _lower(failure))
    upper = min(_upper(success), _upper(failure))
    return lower < upper


def always(condition: Condition, least: float | None, most: float | None) -> bool:
    """Whether every number that a probe can read fulfils a condition, whatever it read before.

    Args:
        condition: with bounds.
        least: what the probe reads at least, where that is declared.
        most: what it reads at most.
    """
    if condition.equals is not None:
        return False
    lowest, highest = -_LARGEST if least is None else least, _LARGEST if most is None else most
    return all(
        _fulfils(name, lowest, _strictest(bound, highest))
        if name in LOWER
        else _fulfils(name, highest, _strictest(bound, lowest))
        for name, bound in condition.bounds.items()
    )


def says_nothing(condition: Condition, baseline: JsonValue) -> bool:
    """Whether what was before makes a bound of it one that a thing which is gone fulfils, too: a share of nothing."""
    return number_of(baseline) == 0 and any(
        isinstance(bound, OfBaseline) and bound.baseline_plus <= 0
        for name, bound in condition.bounds.items()
        if name in LOWER
    )


def _strictest(bound: Bound, baseline: float) -> float:
    """A bound where the baseline is such that it asks most."""
    return bound.baseline_times * baseline + bound.baseline_plus if isinstance(bound, OfBaseline) else bound


def _empty(bounds: dict[str, Bound]) -> bool:
    lower = next(((name, bounds[name]) for name in LOWER if name in bounds), None)
    upper = next(((name, bounds[name]) for name in UPPER if name in bounds), None)
    if lower is None or upper is None:
        return False
    low, high = lower[1], upper[1]
    if isinstance(low, OfBaseline) and isinstance(high, OfBaseline) and low.baseline_times == high.baseline_times:
        low, high = low.baseline_plus, high.baseline_plus
    if isinstance(low, OfBaseline) or isinstance(high, OfBaseline):
        return False
    return low > high or (low == high and "above" in bounds) or (low == high and "below" in bounds)


def _lower(condition: Condition) -> tuple[float, int]:
    """Where a condition without a baseline begins: a number, and whether that number is outside."""
    name, bound = next(((name, bound) for name, bound in condition.bounds.items() if name in LOWER), ("", -math.inf))
    assert not isinstance(bound, OfBaseline)
    return bound, int(name == "above")


def _upper(condition: Condition) -> tuple[float, int]:
    """Where a condition without a baseline ends: a number, and 1 where that number is inside."""
    name, bound = next(((name, bound) for name, bound in condition.bounds.items() if name in UPPER), ("", math.inf))
    assert not isinstance(bound, OfBaseline)
    return bound, int(name != "below")


def _at(bound: Bound, baseline: JsonValue) -> float | None:
    if not isinstance(bound, OfBaseline):
        return bound
    before = number_of(baseline)
    return None if before is None else before * bound.baseline_times + bound.baseline_plus


def _fulfils(name: str, number: float, limit: float) -> bool:
    found: dict[str, bool] = {
        "at_least": number >= limit,
        "above": number > limit,
        "at_most": number <= limit,
        "below": number < limit,
    }
    return found[name]


def _say(bound: Any) -> str:
    return bound.words if isinstance(bound, OfBaseline) else f"{bound:.12g}" if isinstance(bound, float) else str(bound)
