"""What was predicted of actions against what became of them: duration, affected, success, detection, and a score.

- Every figure is of the record: what the assessment said, what executors reported, how the action ended as people know
  it now. Nothing that a proposer wrote makes a figure better: its steps' timeouts are shown as what it predicted, and
  outcomes count only where criteria of the operations registry measured them, or people said so.
- **Change score**, 0..100, after ServiceNow's change success score: +3 for a success, -2 for one with issues
  (compensated), -5 for an unsuccessful one (failed), -10 for one that caused an incident, here also for one of which
  nobody knows how it ended: `100 * max(0, sum of points) / (3 * n)`. 100 means that all of them succeeded; what went
  wrong once costs more than what went well once brings. These are the weights of the history indicator
  (`policy/risk/history.py`), which bounds the chance of failure by them; the score is their plain mean, for people.
  https://www.servicenow.com/docs/r/it-service-management/change-management/change-score-calculation.html
- **Change failure rate**, 0..1, after DORA: the share of changes that led to degraded service and had to be remedied:
  compensated, failed, caused an incident, or unresolved. https://dora.dev/guides/dora-metrics-four-keys/
- **Time to detection**, seconds: from the beginning of the effect to the end of the measurement that failed; of an
  incident that was traced to an action later, from its end to the statement.

Example: eight successes and one that was compensated: 100 * (24 - 2) / 27 = 81, and a failure rate of 0.11.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from policy.base import RecordModel
from policy.findings import Amended
from policy.outcome import Outcome

POINTS: dict[str, int] = {
    Outcome.succeeded: 3,
    Outcome.compensated: -2,
    Outcome.compensation_failed: -5,
    Amended.failed: -5,
    Amended.caused_incident: -10,
    Outcome.outcome_unknown: -10,
    Outcome.inconclusive: -10,
}
_BEST = 3


class Past(RecordModel):
    """One action: what was predicted, and what became of it.

    Attributes:
        outcome: as people know it now, `recorded_as` as it was recorded.
        counts: whether the outcome was measured by criteria that its proposer did not write, or people said it.
        predicted_seconds: how long its steps might take at most; `took_seconds` how long they took.
        predicted_undo_seconds: how long undoing might take by the operations registry; None where it does not say.
        undo_seconds: how long undoing took; None where nothing was undone.
        predicted_affected: how many ids it was assessed for, `affected` how many it acted on.
        depends: how many entities depended on the target, by the catalog.
        likelihood: how probable harm was said to be, 0..1.
        detected_seconds: time to detection; None where nothing went wrong, or nobody measured it.
    """

    proposal_id: str
    operation: str
    agent: str
    target: str
    outcome: str
    recorded_as: str
    counts: bool
    predicted_seconds: float
    took_seconds: float | None = None
    predicted_undo_seconds: float | None = None
    undo_seconds: float | None = None
    predicted_affected: int = 0
    affected: int = 0
    depends: int = 0
    likelihood: float = 0.0
    detected_seconds: float | None = None


class Summary(RecordModel):
    """The same of several actions. Durations are medians, seconds; None where there is nothing to tell."""

    name: str
    actions: int
    counted: int
    score: int | None
    failure_rate: float | None
    predicted_failure: float
    amended: int
    predicted_seconds: float
    took_seconds: float | None
    predicted_undo_seconds: float | None
    undo_seconds: float | None
    predicted_affected: int
    affected: int
    detected_seconds: float | None


def change_score(outcomes: Sequence[str]) -> int | None:
    """The change score of some outcomes, 0..100; None of none. What did nothing is no change."""
    points = [POINTS[outcome] for outcome in outcomes if outcome in POINTS]
    return round(100 * max(0, sum(points)) / (_BEST * len(points))) if points else None


def failure_rate(outcomes: Sequence[str]) -> float | None:
    """The change failure rate of some outcomes, 0..1; None of none."""
    known = [outcome for outcome in outcomes if outcome in POINTS]
    return sum(outcome != Outcome.succeeded for outcome in known) / len(known) if known else None


def summary(name: str, actions: Sequence[Past]) -> Summary:
    """What became of some actions, at least one, under a name."""
    counted = [one.outcome for one in actions if one.counts]
    return Summary(
        name=name,
        actions=len(actions),
        counted=len(counted),
        score=change_score(counted),
        failure_rate=failure_rate(counted),
        predicted_failure=fmean(one.likelihood for one in actions),
        amended=sum(one.outcome != one.recorded_as for one in actions),
        predicted_seconds=median(one.predicted_seconds for one in actions),
        took_seconds=_middle(one.took_seconds for one in actions),
        predicted_undo_seconds=_middle(one.predicted_undo_seconds for one in actions),
        undo_seconds=_middle(one.undo_seconds for one in actions),
        predicted_affected=sum(one.predicted_affected for one in actions),
        affected=sum(one.affected for one in actions),
        detected_seconds=_middle(one.detected_seconds for one in actions),
    )


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
