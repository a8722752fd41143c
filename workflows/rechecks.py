"""When this run asks that its action is measured again: on the cadence that the record names, and when somebody asks.

However many ask, it is asked for once in a slot of the plan's interval. The record holds to the same by itself.

Whoever changed what the record knows of the people (the sweep, after a new directory) asks that the run looks at the
record again; however many ask, that is done once in a minute.
"""

from datetime import datetime, timedelta

from policy.approval.cadence import next_slot
from policy.approval.standing import Standing
from workflows.messages import Plan

_LOOKS_APART = timedelta(minutes=1)


class Rechecks:
    """What one run remembers of measurements of its open revision."""

    def __init__(self) -> None:
        self._asked = False
        self._interval = timedelta(0)
        self._opened_at: datetime | None = None
        self._measured_at: datetime | None = None
        self._looked_at: datetime | None = None
        self.look_at: datetime | None = None

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

    def ask_to_look(self, now: datetime) -> bool:
        """Somebody asks that the record is read again; whether that is news."""
        if self.look_at is not None:
            return False
        self.look_at = now if self._looked_at is None else max(now, self._looked_at + _LOOKS_APART)
        return True

    def looked(self, now: datetime) -> None:
        """The record was read."""
        self.look_at, self._looked_at = None, now

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
