"""When a case is measured again.

- On the cadence of the policy under which its revision opened: at each multiple of it since then, whatever was measured
  in between. So nothing has to remember when it was measured last.
- Never while it is held: then people decide whether it goes on.
- Time since the opening is cut into slots of the policy's `min_interval`, the first of which begins with the
  measurement that opened it. In one slot one measurement counts.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from policy.approval.ballot import ApprovalCase
from policy.approval.escalation import Due


def recheck_due(case: ApprovalCase, stage: int, now: datetime, deadline: datetime) -> Iterator[Due]:
    """The next measurement that comes before the deadline of a stage, if there is one."""
    if not case.recheck_seconds:
        return
    at = next_slot(case.opened_at, now, timedelta(seconds=case.recheck_seconds))
    if at < deadline:
        yield Due(at=at, kind="recheck", index=0, stage=stage, text="what it would do is measured again")


def next_slot(opened_at: datetime, measured_at: datetime, interval: timedelta) -> datetime:
    """From when on a measurement counts after one at `measured_at`: the beginning of the next slot.

    Args:
        opened_at: when the revision opened (UTC).
        measured_at: when it was measured last (UTC); not before it opened.
        interval: how long a slot is; more than nothing.
    """
    return opened_at + ((measured_at - opened_at) // interval + 1) * interval
