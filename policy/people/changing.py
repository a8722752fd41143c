"""When a directory last said something new: since it was put in force, or since an instant of its own passed.

Memberships, delegations, keys and people's time in it begin and end by themselves. Rotations are not asked: whose turn
it is makes nobody eligible, escalations look it up when they come.
"""

from collections.abc import Iterator
from datetime import datetime

from policy.people.directory import Directory
from policy.people.entries import Membership


def changed_at(directory: Directory, published_at: datetime, now: datetime) -> datetime:
    """The newest instant (UTC), not after `now`, from which on a directory said something else than before; pure."""
    passed = (at for at in _instants(directory) if published_at < at <= now)
    return max(passed, default=published_at)


def _instants(directory: Directory) -> Iterator[datetime]:
    for person in directory.people:
        yield from _given(person.since, person.until)
        for held in (*person.groups, *person.roles, *person.qualifications):
            if isinstance(held, Membership):
                yield from _given(held.since, held.until)
    for delegation in directory.delegations:
        yield from _given(delegation.since, delegation.until)


def _given(*instants: datetime | None) -> Iterator[datetime]:
    return (at for at in instants if at is not None)
