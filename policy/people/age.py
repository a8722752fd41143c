"""How old a directory may be: who has left since then still votes in it.

- Older than the policy takes, or of unknown age, no permit is issued by it. At exactly that age one is.
- It is as old as what it was made of (`as_of`), or as its publication, if that is longer ago.
"""

from datetime import datetime, timedelta

from policy.base import Reason, instant_text
from policy.rules.durations import written


def stale_directory(true_at: datetime | None, max_age: timedelta | None, now: datetime) -> Reason | None:
    """Why a directory is too old to issue a permit by, or None.

    Args:
        true_at: when it was true (UTC); None where nobody knows.
        max_age: what the policy takes; None for any.
        now: the instant (UTC).
    """
    if max_age is None or (true_at is not None and now - true_at <= max_age):
        return None
    known = f"was true at {instant_text(true_at)}" if true_at is not None else "is of unknown age"
    message = f"the directory {known}, the policy takes {written(max_age)} at most: publish one of today"
    return Reason(code="directory_stale", message=message)
