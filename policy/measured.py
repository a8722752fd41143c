"""How a criterion is looked at, in a proposal and in the operations registry alike.

- From `initial_delay_seconds` on it is looked at every `interval_seconds` (0: as often as the executor role sees fit),
  until it reads success `consecutive_successes` times in a row, `within_seconds` at the latest. Then it must go on so
  for `observe_seconds`.
- `success` says what must be read. `failure` says what must not: what is neither is inconclusive so far. Without
  `failure`, what is no success is a failure once it was to be so.
- `failure_limit` failures are forgiven, `error_limit` looks in a row may read nothing. Without `error_limit` nothing
  may be read for no longer than `within_seconds`.
- `of` makes it a guard: it is measured on another entity of the catalog, holds before the step, and must go on to.

What is left out means what it meant before there was any of this.
"""

from typing import Annotated

from pydantic import Field

from policy.base import EdgeModel, Name
from policy.bounds import Condition

# What a criterion is looked at, at most, while it is observed.
MAX_LOOKS = 1000
# A hundred looks at an observation, but not more than ten a second nor fewer than two a minute.
_LOOKS, _FASTEST_SECONDS, _SLOWEST_SECONDS = 100, 0.1, 30.0


def _is_none(value: object) -> bool:
    return value is None


def _is_zero(value: int) -> bool:
    return value == 0


class Measured(EdgeModel):
    """What a criterion says besides its probe; see above. Times are seconds."""

    within_seconds: Annotated[int, Field(ge=0, le=3600)] = 5
    observe_seconds: Annotated[int, Field(ge=0, le=86400)] = 0
    success: Annotated[Condition | None, Field(exclude_if=_is_none)] = None
    failure: Annotated[Condition | None, Field(exclude_if=_is_none)] = None
    initial_delay_seconds: Annotated[int, Field(ge=0, le=3600, exclude_if=_is_zero)] = 0
    interval_seconds: Annotated[int, Field(ge=0, le=3600, exclude_if=_is_zero)] = 0
    failure_limit: Annotated[int, Field(ge=0, le=100, exclude_if=_is_zero)] = 0
    error_limit: Annotated[int | None, Field(ge=0, le=1000, exclude_if=_is_none)] = None
    consecutive_successes: Annotated[int, Field(ge=1, le=100, exclude_if=lambda value: value == 1)] = 1
    of: Annotated[Name | None, Field(exclude_if=_is_none)] = None

    @property
    def settled_by(self) -> int:
        """How many seconds after the step it must read success at the latest."""
        return self.initial_delay_seconds + self.within_seconds

    @property
    def longest(self) -> int:
        """How many seconds measuring it may take."""
        return self.settled_by + self.observe_seconds

    @property
    def pause(self) -> float:
        """How many seconds there are between two looks before it is met."""
        return float(self.interval_seconds) or _FASTEST_SECONDS

    @property
    def observing_pause(self) -> float:
        """How many seconds there are between two looks while it is observed."""
        paced = min(max(_FASTEST_SECONDS, self.observe_seconds / _LOOKS), _SLOWEST_SECONDS)
        return float(self.interval_seconds) or paced

    @property
    def looks(self) -> int:
        """How often it is looked at while it is observed."""
        return int(self.observe_seconds / self.observing_pause) + 1 if self.observe_seconds else 1

    @property
    def is_judged(self) -> bool:
        """Whether it says more than one value that must be read from some second on."""
        counts = (self.failure_limit, self.error_limit is not None, self.consecutive_successes > 1)
        return self.success is not None or self.failure is not None or any(counts)

    @property
    def needs_baseline(self) -> bool:
        """Whether it says anything only where the value before the step is known; a guard has to hold before."""
        return self.of is not None or any(
            item is not None and item.needs_baseline for item in (self.success, self.failure)
        )


def check_success(probe: str, success: Condition | None, equals: object, *, said: bool) -> None:
    """Refuse a criterion that does not say, once, what succeeds; `said` is whether `equals` was given at all.

    Raises:
        ValueError: neither `equals` nor `success`, or both.
    """
    if success is None and not said:
        raise ValueError(f"criterion {probe} needs equals or success: without one it measures nothing")
    if success is not None and equals is not None:
        raise ValueError(f"criterion {probe} has equals and success: leave one out")
