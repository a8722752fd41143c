"""Who of a group is on call: each of the order in turn, for the same time, from the start on.

- At an instant at least `start` the turn is number `floor((at - start) / every)`, counted around the order.
- An override comes first, while it lasts and its person is there. Otherwise whoever has left, or has not come yet, is
  passed over, and the next of the order stands in.
- Before the start, and where nobody of the order is there, nobody is on call.

Example: order (ann, bob, cleo), a week each: in the fifth week it is bob's turn, and cleo is next.
"""

from collections.abc import Callable
from datetime import datetime

from policy.people.entries import Rotation, within

There = Callable[[str], bool]


def on_call(rotation: Rotation, at: datetime, there: There) -> str | None:
    """The person id of who is on call at an instant (UTC), or None.

    Args:
        rotation: the group's.
        at: the instant.
        there: whether a person, by id, is there at the instant.
    """
    for override in rotation.overrides:
        if within(override.since, override.until, at) and there(override.person):
            return override.person
    if at < rotation.start:
        return None
    return _first(rotation, _turn(rotation, at), there, besides=None)


def next_on_call(rotation: Rotation, at: datetime, there: There) -> str | None:
    """The person id of whoever of the order comes after the turn at an instant and is not on call already, or None."""
    turn = _turn(rotation, at) if at >= rotation.start else -1
    return _first(rotation, turn + 1, there, besides=on_call(rotation, at, there))


def _turn(rotation: Rotation, at: datetime) -> int:
    return (at - rotation.start) // rotation.every


def _first(rotation: Rotation, turn: int, there: There, besides: str | None) -> str | None:
    """The first of the order from a turn on, once around, who is there."""
    count = len(rotation.order)
    candidates = (rotation.order[(turn + step) % count] for step in range(count))
    return next((person for person in candidates if person != besides and there(person)), None)
