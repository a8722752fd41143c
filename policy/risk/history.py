"""How often similar actions went wrong: a Beta posterior, and how sure it is.

- The chance of failure has a uniform prior, Beta(1, 1); outcomes add to it (Gelman and others, Bayesian Data Analysis,
  3rd edition, section 2.4). It is read by its bounds, never by its middle: the upper one says how bad it may still be,
  so that few successes do not look safe; the lower one how bad it certainly is, so that one failure does not condemn.
- A success counts 1. The others count by what ServiceNow's change success score subtracts for each, over the 3 that it
  adds for a success: compensated 2/3 (successful with issues), failed 5/3 (unsuccessful), 10/3 where people traced an
  incident to it, and unknown 10/3 (because nobody knows that it is not one).
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
INCIDENT = 10 / 3
COMPARABLE = 0.5
SUCCESSES_OF_ONE_AGENT = 20
CERTAINTY = 0.95
_STEPS = 100
_ENOUGH = 1e-11
_ROUNDS = 300
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
        plain = tally.failed - tally.incidents
        bad = COMPENSATED * tally.compensated + FAILED * plain + INCIDENT * tally.incidents + UNKNOWN * tally.unknown
        failed += counts * bad
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
    """The x below which Beta(a, b) lies with probability p: Newton's method, halving where it leaves the bracket."""
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(_STEPS):
        miss = beta_below(x, a, b) - p
        if abs(miss) < _ENOUGH:
            break
        low, high = (x, high) if miss < 0 else (low, x)
        density = _front(x, a, b) / (x * (1 - x))
        nearer = x - miss / density if density > 0 else low
        x = nearer if low < nearer < high else (low + high) / 2
    return x


def beta_below(x: float, a: float, b: float) -> float:
    """The probability that Beta(a, b) is below x: the regularized incomplete beta function I_x(a, b), DLMF 8.17."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast on this side of the mean only; the other side is its mirror (DLMF 8.17.4).
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_below(1 - x, b, a)
    return _front(x, a, b) / a * _fraction(x, a, b)


def _front(x: float, a: float, b: float) -> float:
    """x^a (1 - x)^b / B(a, b)."""
    return exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, by Lentz's method: two terms a round."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _SMALL)
    value = d
    for m in range(1, _ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + even * d or _SMALL)
        c = 1 + even / c or _SMALL
        value *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + odd * d or _SMALL)
        c = 1 + odd / c or _SMALL
        value *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return value
