"""What the calendars of a policy say of one instant, for the assessment and for the rules."""

from policy.base import Instant, RecordModel


class Timing(RecordModel):
    """One instant in the calendars of the policy in force.

    `windows` and `freezes` are the names of those that are open at that instant and speak of this action; `peak` is
    the calendar of peak hours that it falls into. `window_ends` is when the window that lets it run closes, or the next
    freeze begins, whichever comes first: no permit outlives it.

    Attributes:
        ends: when each open window closes.
        next_freeze: when the next freeze begins that speaks of this action, within eight days.
        stale: names of facts (`catalog`, `directory`, `slo`) that are missing or older than the policy takes.
    """

    at: Instant | None = None
    windows: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    peak: str | None = None
    window_ends: Instant | None = None
    ends: dict[str, Instant] = {}
    next_freeze: Instant | None = None
    stale: tuple[str, ...] = ()
