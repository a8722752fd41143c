"""What an agent's stated confidence is worth, by what became of what it said before.

- Saying nothing, and saying the truth, read 0: a stated confidence never makes an action look safer.
- A confidence below one half raises: 0.2 stated reads 0.6.
- An agent that says more than it keeps is overconfident: what it says on average, less the share that succeeded
  (calibration in the large: Van Calster and others 2016). That share is taken at its upper 95 % bound, so that a young
  agent is not accused for being young. A gap of one half reads 1. It counts against an agent that falls silent, too.
- The larger of the two counts.

Example: 40 outcomes, stated 0.95 on average, 24 succeeded. The share is at most 0.71, the gap 0.24, the reading 0.47.
"""

from typing import NamedTuple

from policy.observed import Calibration
from policy.risk.history import failure_bounds

NEUTRAL = 0.5


class Overconfidence(NamedTuple):
    """How far an agent's words go beyond what it keeps. `kept` is the most that it may keep, 0..1."""

    stated: float
    kept: float
    gap: float


def overconfidence(calibration: Calibration | None) -> Overconfidence | None:
    """What the measured outcomes say of an agent, or None where there are none."""
    if calibration is None or calibration.n <= 0:
        return None
    succeeded = min(max(calibration.succeeded, 0), calibration.n)
    lower, _ = failure_bounds(succeeded, calibration.n - succeeded)
    kept = 1 - lower
    return Overconfidence(calibration.mean_stated, kept, max(0.0, calibration.mean_stated - kept))


def confidence_value(stated: float | None, calibration: Calibration | None) -> float:
    """How much a stated confidence raises, 0..1; never less than if nothing had been stated."""
    doubt = 0.0 if stated is None else max(0.0, (NEUTRAL - stated) / NEUTRAL)
    found = overconfidence(calibration)
    return max(doubt, 0.0 if found is None else min(1.0, found.gap / NEUTRAL))
