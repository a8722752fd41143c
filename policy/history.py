"""How often similar actions went wrong: a Beta posterior, and how sure it is.

- The chance of failure has a uniform prior, Beta(1, 1); outcomes add to it (Gelman and others, Bayesian Data Analysis,
  3rd edition, section 2.4). It is read by its bounds, never by its middle: the upper one says how bad it may still be,
  so that few successes do not look safe; the lower one how bad it certainly is, so that one failure does not condemn.
- A success counts 1. The others count by what ServiceNow's change success score subtracts for each, over the 3 that it
  adds for a success: compensated 2/3 (successful with issues), failed 5/3 (unsuccessful), unknown 10/3 (what its worst
  incident costs, because nobody knows that it is not one).
- What happened on comparable targets counts half.
- All the successes of one agent count 20 at most, over every target; its failures all count. So no agent makes a good
  history alone, and none washes out its failures by doing the same harmless thing ten thousand times.
- Only measured outcomes come here (`policy.observed.Tally`): a criterion that the proposer wrote proves nothing.

Example: 10 successes on this target and nothing else: Beta(1, 11), the chance of failure is below 0.24 with 95 %.
"""

from functools import lru_cache
from math import exp, lgamma, log, log1p
from typing import NamedTuple

from policy.observed import Tally

# https://www.servicenow.com/docs/r/it-service-management/change-management/change-score-calculation.html: +3 for a
# successful change, -2 for one with issues, -5 for an unsuccessful one, -10 for a P1 incident.
COMPENSATED, FAILED, UNKNOWN = 2 / 3, 5 / 3, 10 / 3
COMPARABLE = 0.5
SUCCESSES_OF_ONE_AGENT = 20
CERTAINTY = 0.95
_STEPS = 100
_ENOUGH = 1e-12
_TERMS = 300
_SMALL = 1e-300


class History(NamedTuple):
    """What is known of one operation: weighted counts, and the bounds of the chance that it fails (0..1)."""

    succeeded: float
    failed: float
    lower: float
    upper: float


def history_of(operation: str, tallies: tuple[Tally, ...]) -> History:
    """The posterior of an operation."""
    successes: dict[str, float] = {}
    failed = 0.0
    for tally in tallies:
        if tally.operation != operation:
            continue
        counts = 1.0 if tally.scope == "target" else COMPARABLE
        successes[tally.agent] = successes.get(tally.agent, 0.0) + counts * tally.succeeded
        failed += counts * (COMPENSATED * tally.compensated + FAILED * tally.failed + UNKNOWN * tally.unknown)
    succeeded = sum(min(count, SUCCESSES_OF_ONE_AGENT) for count in successes.values())
    lower, upper = failure_bounds(succeeded, failed)
    return History(succeeded, failed, lower, upper)


def failure_bounds(succeeded: float, failed: float) -> tuple[float, float]:
    """Between which chances of failure it lies: each bound holds with 95 %."""
    return (
        beta_quantile(1 + failed, 1 + succeeded, 1 - CERTAINTY),
        beta_quantile(1 + failed, 1 + succeeded, CERTAINTY),
    )


@lru_cache(maxsize=4096)
def beta_quantile(a: float, b: float, p: float) -> float:
    """The x below which Beta(a, b) lies with probability p: regula falsi (Illinois), right to 10 digits."""
    low, high, under, over = 0.0, 1.0, -p, 1 - p
    x, side = 0.5, 0
    for _ in range(_STEPS):
        x = (low * over - high * under) / (over - under)
        miss = beta_below(x, a, b) - p
        if abs(miss) < _ENOUGH or high - low < _ENOUGH:
            break
        if miss < 0:
            low, under, over = x, miss, over / 2 if side < 0 else over
        else:
            high, over, under = x, miss, under / 2 if side > 0 else under
        side = -1 if miss < 0 else 1
    return x


def beta_below(x: float, a: float, b: float) -> float:
    """The probability that Beta(a, b) is below x: the regularized incomplete beta function I_x(a, b), DLMF 8.17."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast on this side of the mean only; the other side is its mirror (DLMF 8.17.4).
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_below(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    return front / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, by Lentz's method."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(value - before) < 1e-14 * abs(value):
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _SMALL else _SMALL
