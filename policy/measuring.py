"""Whether a criterion is met, from everything that was read; pure, so that an auditor concludes the same.

Each look is a success, a failure, neither (`between`), or reads no value. The first rule that applies ends it:

- Before it is settled: `consecutive_successes` in a row settle it. A failure counts only where the criterion says what
  a failure is; otherwise it is just not met yet. Who looks at or after the last second and does not find it settled
  ends it: failed where the last look failed, otherwise inconclusive.
- Once it is settled, every failure counts. The last look of the observation must be a success.
- More failures than `failure_limit` are a failure, at once.
- More looks than `error_limit` without a value and without a success between them leave it inconclusive. Without such a
  limit, what reads no success and no failure for longer than `within_seconds` does. With it, half of the looks from
  the one that settled it on must have read a value.
- What changes too often to be kept is inconclusive. What ends early is not met: a series that is cut short says
  nothing.

A value that is success and failure at once is a failure. What no rule ends goes on. No further failure makes a success
of a series that is none. The states are those of Argo Rollouts' analysis, without its ways to pass by ending early
(argoproj/argo-rollouts#1329, #1360) or to go on where nothing was found (#3850).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from policy.canonical import canonical
from policy.errors import CanonicalError
from policy.outcome import Baseline, Looks, place
from policy.proposal import Criterion

Says = Literal["success", "failure", "between", "none"]

# What is kept of one criterion on one resource.
MAX_KEPT = 100
_SHOWN = 120
# How late a look may begin that should have begun at the last second: the process may have been busy.
_LATE_SECONDS = 5.0


@dataclass(frozen=True)
class Judgement:
    """What follows from the looks so far.

    Attributes:
        met: whether the criterion is met; None where that is open.
        over: whether nothing can change it any more.
        settled_at: since when it is observed, in seconds since the measuring began; None before.
        why: what ended it, for people; empty while it goes on.
    """

    met: bool | None = None
    over: bool = False
    settled_at: float | None = None
    why: str = ""


def says(criterion: Criterion, value: JsonValue, baseline: JsonValue = None) -> Says:
    """What one value says of a criterion.

    Args:
        criterion: which one.
        value: what was read.
        baseline: what was read before the step; None where it is not known.
    """
    try:
        good = _is_wanted(criterion, value, baseline)
        bad = criterion.failure.holds(value, baseline) if criterion.failure is not None else None
    except CanonicalError:
        return "none"
    if bad:
        return "failure"
    if good is None or (criterion.failure is not None and bad is None):
        return "none"
    if good:
        return "success"
    return "failure" if criterion.failure is None else "between"


def seen(criterion: Criterion, kept: Sequence[Looks], look: Looks, baseline: JsonValue = None) -> tuple[Looks, ...]:
    """Everything that was read, with one more look: beside the last ones where it says the same as they.

    Args:
        criterion: which one.
        kept: the looks before it.
        look: the new one.
        baseline: what was read before the step.
    """
    last = kept[-1] if kept else None
    settled_at = judge(criterion, kept, baseline).settled_at
    if last is None or last.last == settled_at or _of(criterion, last, baseline) != _of(criterion, look, baseline):
        return (*kept, look)
    merged = _merged(last, look)
    return (*kept, look) if merged is None else (*kept[:-1], merged)


def judge(criterion: Criterion, kept: Iterable[Looks], baseline: JsonValue = None) -> Judgement:
    """What follows from everything that was read.

    Args:
        criterion: which one.
        kept: the looks, in order.
        baseline: what was read before the step; None where it is not known.
    """
    fold = _Fold(criterion)
    for number, item in enumerate(kept, start=1):
        if (found := fold.follow(item, _of(criterion, item, baseline))) is not None:
            return found
        if number >= MAX_KEPT:
            return fold.ends(None, "changed too often to be judged")
    return Judgement(settled_at=fold.settled_at)


def baseline_of(criterion: Criterion, resource: str, baselines: Iterable[Baseline]) -> JsonValue:
    """What the probe of a criterion read on a resource before the step; None where that is not known."""
    wanted = place(criterion.probe, criterion.parameters, resource)
    for item in baselines:
        if not item.error and item.place == wanted:
            return item.value  # type: ignore[return-value] # what JSON cannot say is kept as text
    return None


def shown(value: object) -> str:
    """A value as people read it, cut."""
    return canonical(value).decode()[:_SHOWN]


class _Fold:
    """The rules, look by look."""

    def __init__(self, criterion: Criterion) -> None:
        self.settled_at: float | None = None
        self._criterion = criterion
        self._streak = self._failures = self._errors = 0
        self._read = self._unread = 0  # of the looks since it is settled
        self._good_at = 0.0

    def follow(self, item: Looks, said: Says) -> Judgement | None:
        """What these looks end; None where it goes on."""
        criterion = self._criterion
        if said == "success":
            self._errors, self._good_at = 0, item.last
            self._streak += item.count
        else:
            self._streak = 0
        if said == "none":
            self._errors += item.count
        if criterion.error_limit is not None and self._errors > criterion.error_limit:
            return self.ends(None, f"read no value {self._errors} times, at most {criterion.error_limit} are forgiven")
        if said == "failure" and (self.settled_at is not None or criterion.failure is not None):
            self._failures += item.count
            if self._failures > criterion.failure_limit:
                forgiven = f", {criterion.failure_limit} are forgiven" if criterion.failure_limit else ""
                return self.ends(False, f"failed {self._failures} times{forgiven}" if forgiven else "failed")
        return self._settling(item, said) if self.settled_at is None else self._observing(item, said)

    def ends(self, met: bool | None, why: str) -> Judgement:
        """It is over."""
        return Judgement(met=met, over=True, settled_at=self.settled_at, why=why)

    def _settling(self, item: Looks, said: Says) -> Judgement | None:
        by = self._criterion.settled_by
        if said == "success" and self._streak >= self._criterion.consecutive_successes:
            if item.last > by + _LATE_SECONDS:
                return self.ends(None, f"was looked at {item.last:.0f} s after the step, and not within {by} s")
            self.settled_at, self._read = item.last, 1
            return None if self._criterion.observe_seconds else self.ends(True, "met")
        if item.last < by:
            return None
        if said == "failure":
            return self.ends(False, f"not met within {by} s")
        why = {"success": "not met often enough in a row", "between": "neither met nor failed", "none": "no value"}
        return self.ends(None, f"{why[said]} within {by} s")

    def _observing(self, item: Looks, said: Says) -> Judgement | None:
        criterion = self._criterion
        assert self.settled_at is not None
        over = item.last >= self.settled_at + criterion.observe_seconds
        if said == "none":
            self._unread += item.count
        else:
            self._read += item.count
        if over and said == "success" and criterion.error_limit is not None and self._unread > self._read:
            return self.ends(None, f"read no value {self._unread} times of {self._unread + self._read}")
        if over and said == "success":
            return self.ends(True, f"met for {criterion.observe_seconds} s")
        if over:
            met = False if said == "failure" else None
            return self.ends(met, f"not met at the end of {criterion.observe_seconds} s")
        bounded = criterion.error_limit is not None and said == "none"
        if said in ("between", "none") and not bounded and item.last - self._good_at > criterion.within_seconds:
            return self.ends(None, f"not met for longer than {criterion.within_seconds} s, and not failed")
        return None


def _of(criterion: Criterion, item: Looks, baseline: JsonValue) -> Says:
    """What some looks say. Between two numbers that are a success every number is one, as conditions are intervals."""
    if item.error:
        return "none"
    low = says(criterion, item.low, baseline)  # type: ignore[arg-type] # what JSON cannot say is kept as text
    if item.high is None or low == says(criterion, item.high, baseline):  # type: ignore[arg-type]
        return low
    return "between"


def _is_wanted(criterion: Criterion, value: JsonValue, baseline: JsonValue) -> bool | None:
    if criterion.success is not None:
        return criterion.success.holds(value, baseline)
    return canonical(value) == canonical(criterion.equals)


def _merged(last: Looks, look: Looks) -> Looks | None:
    """Two looks as one; None where what they read cannot be said together."""
    whole = {"first": last.first, "last": look.last, "count": last.count + look.count}
    if last.error or look.error:
        return Looks(**whole, error=look.error) if last.error and look.error else None
    values = [item for item in (last.low, last.high, look.low) if item is not None]
    numbers = [item for item in values if isinstance(item, int | float) and not isinstance(item, bool)]
    if len({canonical(item) for item in values}) <= 1 and (last.low is None) == (look.low is None):
        return Looks(**whole, low=last.low)
    if len(numbers) < len(values) or last.low is None or look.low is None:
        return None
    return Looks(**whole, low=min(numbers), high=max(numbers))
