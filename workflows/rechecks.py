"""When this run asks that its action is measured again: on the cadence that the record names, and when somebody asks.

However many ask, it is asked for once in a slot of the plan's interval. The record holds to the same by itself.
"""

from datetime import datetime, timedelta

from policy.approval.cadence import next_slot
from policy.approval.standing import Standing
from workflows.messages import Plan


class Rechecks:
    """What one run remembers of measurements of its open revision."""

    def __init__(self) -> None:
        self._asked = False
        self._interval = timedelta(0)
        self._opened_at: datetime | None = None
        self._measured_at: datetime | None = None

    def begin(self, plan: Plan) -> None:
        """Another revision is open."""
        self._asked = False
        self._interval = timedelta(seconds=plan.min_interval_seconds)
        stages = plan.standing.stages if plan.standing is not None else ()
        self._opened_at = stages[0].opened_at if stages else None
        self._measured_at = None

    def ask(self) -> bool:
        """Somebody asks; whether that is news."""
        if self._asked or not self._interval or self._opened_at is None:
            return False
        self._asked = True
        return True

    @property
    def next_at(self) -> datetime | None:
        """From when on what somebody asked for can be done; None where nobody asks."""
        if not self._asked or self._opened_at is None:
            return None
        return next_slot(self._opened_at, self._measured_at or self._opened_at, self._interval)

    def wanted(self, standing: Standing | None, now: datetime) -> bool:
        """Whether it is to be measured now: somebody asked and may, or the cadence has come."""
        due = standing.due if standing is not None and not standing.held else ()
        if any(item.kind == "recheck" and item.at <= now for item in due):
            return True
        return self.next_at is not None and self.next_at <= now

    def measured(self, now: datetime) -> None:
        """It was measured, or would have been if it could be."""
        self._asked, self._measured_at = False, now
