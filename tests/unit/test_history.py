"""What past outcomes say: the Beta posterior, its bounds, the cap of one agent, and calibration."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.observed import Calibration, Tally
from policy.risk.calibration import confidence_value, overconfidence
from policy.risk.history import (
    COMPENSATED,
    FAILED,
    UNKNOWN,
    beta_below,
    beta_quantile,
    failure_bounds,
    history_of,
)

_SHAPE = st.floats(1, 5000)


@given(st.floats(0.001, 0.999), st.integers(1, 60), st.integers(1, 60))
def test_beta_is_the_binomial_sum(x: float, a: int, b: int) -> None:
    """For whole numbers I_x(a, b) is the chance of at least a successes in a + b - 1 trials (DLMF 8.17.5)."""
    n = a + b - 1
    expected = sum(comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))
    assert beta_below(x, a, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(_SHAPE, _SHAPE, st.sampled_from([0.05, 0.5, 0.95]))
def test_a_quantile_turns_the_distribution_round(a: float, b: float, p: float) -> None:
    """Below the quantile lies just as much as was asked for."""
    assert beta_below(beta_quantile(a, b, p), a, b) == pytest.approx(p, abs=1e-9)


BOUNDS = {
    "nothing": (0, 0, 0.05, 0.95),
    "one success": (1, 0, 0.0253, 0.7764),
    "ten successes": (10, 0, 0.0047, 0.2384),
    "twenty successes": (20, 0, 0.0024, 0.1329),
    "one failure": (0, 1, 0.2236, 0.9747),
    "half and half": (5, 5, 0.2712, 0.7288),
}


@pytest.mark.parametrize(("succeeded", "failed", "lower", "upper"), BOUNDS.values(), ids=BOUNDS)
def test_bounds(succeeded: float, failed: float, lower: float, upper: float) -> None:
    """Few observations look neither safe nor bad: the bounds come together slowly."""
    assert failure_bounds(succeeded, failed) == pytest.approx((lower, upper), abs=1e-4)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.1, 50))
def test_bounds_follow_the_outcomes(succeeded: float, failed: float, more: float) -> None:
    """A success lowers both bounds, a failure raises both."""
    lower, upper = failure_bounds(succeeded, failed)
    better, worse = failure_bounds(succeeded + more, failed), failure_bounds(succeeded, failed + more)
    assert better[0] <= lower <= worse[0]
    assert better[1] <= upper <= worse[1]


def _tally(**counts: object) -> Tally:
    return Tally.model_validate({"scope": "target", "operation": "x.do", "agent": "a", **counts})


def test_outcomes_weigh_what_servicenow_publishes() -> None:
    """+3 for a success, -2 with issues, -5 without, -10 for the worst incident: as successes 1, 2/3, 5/3 and 10/3."""
    assert (COMPENSATED * 3, FAILED * 3, UNKNOWN * 3) == (2, 5, 10)
    found = history_of("x.do", (_tally(succeeded=4, compensated=3, failed=3, unknown=3),))
    assert (found.succeeded, found.failed) == pytest.approx((4, 17))


TALLIES = {
    "another operation": ([_tally(operation="x.other", succeeded=9, failed=9)], 0, 0),
    "a comparable target": ([_tally(scope="kind", succeeded=8, failed=3)], 4, 2.5),
    "one agent": ([_tally(succeeded=10_000)], 20, 0),
    "one agent on many targets": ([_tally(succeeded=15), _tally(scope="kind", succeeded=10_000)], 20, 0),
    "two agents": ([_tally(succeeded=15), _tally(agent="b", succeeded=10_000)], 35, 0),
    "failures of one agent": ([_tally(succeeded=10_000, failed=30)], 20, 50),
}


@pytest.mark.parametrize(("tallies", "succeeded", "failed"), TALLIES.values(), ids=TALLIES)
def test_what_counts(tallies: list[Tally], succeeded: float, failed: float) -> None:
    """Comparable targets count half, the successes of one agent 20 at most, its failures all."""
    found = history_of("x.do", tuple(tallies))
    assert (found.succeeded, found.failed) == pytest.approx((succeeded, failed))


CONFIDENCE: dict[str, tuple[float | None, Calibration | None, float]] = {
    "nothing said, nothing known": (None, None, 0.0),
    "very sure": (1.0, None, 0.0),
    "half sure": (0.5, None, 0.0),
    "not sure": (0.2, None, 0.6),
    "sure of failure": (0.0, None, 1.0),
    "sure, and right": (0.9, Calibration(n=40, mean_stated=0.9, succeeded=36), 0.0),
    "sure, and young": (1.0, Calibration(n=1, mean_stated=1.0, succeeded=1), 0.0506),
    "sure, and wrong": (1.0, Calibration(n=40, mean_stated=1.0, succeeded=0), 1.0),
    "silent by now, and wrong": (None, Calibration(n=40, mean_stated=1.0, succeeded=0), 1.0),
    "not sure, and wrong": (0.2, Calibration(n=40, mean_stated=0.95, succeeded=24), 0.6),
    "no outcome": (0.9, Calibration(n=0, mean_stated=0.9, succeeded=0), 0.0),
}


@pytest.mark.parametrize(("stated", "measured", "value"), CONFIDENCE.values(), ids=CONFIDENCE)
def test_confidence(stated: float | None, measured: Calibration | None, value: float) -> None:
    """Doubt and overconfidence raise; no confidence lowers."""
    assert confidence_value(stated, measured) == pytest.approx(value, abs=1e-4)


@given(st.none() | st.floats(0, 1), st.integers(0, 60), st.integers(0, 60), st.floats(0, 1))
def test_no_stated_confidence_is_worth_more_than_silence(
    stated: float | None, kept: int, lost: int, mean: float
) -> None:
    """Whatever an agent says today and said before, silence would not have been dearer."""
    measured = Calibration(n=kept + lost, mean_stated=mean, succeeded=kept)
    assert confidence_value(stated, measured) >= confidence_value(None, measured) >= 0


def test_overconfidence_is_what_is_said_beyond_what_is_kept() -> None:
    """The gap is between the stated mean and the most that the outcomes allow."""
    found = overconfidence(Calibration(n=40, mean_stated=0.95, succeeded=24))
    assert found is not None
    assert (found.stated, found.kept, found.gap) == pytest.approx((0.95, 0.7159, 0.2341), abs=1e-4)
    assert overconfidence(None) is None
