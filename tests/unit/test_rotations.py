"""Who is on call."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.people.directory import Directory
from tests.unit.builders import T0
from tests.unit.people import days, people

# ann from T0, then bob, then cleo, a week each; dan takes over for two days of ann's second week.
_ROTATION = {
    "group": "ops",
    "order": ["ann", "bob", "cleo"],
    "start": T0,
    "every": "7d",
    "overrides": [{"person": "dan", "since": days(23), "until": days(25)}],
}


def _directory(gone: str = "", at: float = -100) -> Directory:
    four: list[dict[str, Any]] = [{"id": name} for name in ("ann", "bob", "cleo", "dan")]
    for person in four:
        if person["id"] in gone.split():
            person["until"] = days(at)
    return people(*four, rotations=[_ROTATION])


TURNS: dict[str, tuple[str, float, str | None, str | None]] = {
    "before the start": ("", -0.1, None, "ann"),
    "at the start": ("", 0, "ann", "bob"),
    "just before the change": ("", 6.9999, "ann", "bob"),
    "at the change": ("", 7, "bob", "cleo"),
    "around the order": ("", 20, "cleo", "ann"),
    "in the second round": ("", 21, "ann", "bob"),
    "in an override": ("", 23, "dan", "bob"),
    "after an override": ("", 25, "ann", "bob"),
    "an override by somebody who has left": ("dan", 24, "ann", "bob"),
    "somebody who has left is passed over": ("bob", 8, "cleo", "ann"),
    "the next who has left is passed over": ("bob", 1, "ann", "cleo"),
    "one is left": ("ann bob", 1, "cleo", None),
    "nobody is left": ("ann bob cleo", 1, None, None),
    "the next is who stands in now": ("ann", 0, "bob", "cleo"),
}


@pytest.mark.parametrize(("gone", "day", "now", "then"), TURNS.values(), ids=TURNS)
def test_turns(gone: str, day: float, now: str | None, then: str | None) -> None:
    """Each of the order in turn, overrides first, and whoever is not there passed over."""
    directory = _directory(gone)
    assert (directory.on_call("ops", days(day)), directory.next_on_call("ops", days(day))) == (now, then)


def test_a_group_without_a_rotation() -> None:
    """Nobody is on call for a group of which nothing is said."""
    assert (_directory().on_call("dba", T0), _directory().next_on_call("dba", T0)) == (None, None)


@given(
    st.lists(st.sampled_from(["ann", "bob", "cleo", "dan"]), min_size=1, max_size=6),
    st.integers(1, 10_000),
    st.integers(0, 10**7),
)
def test_every_instant_is_somebodys(order: list[str], minutes: int, seconds: int) -> None:
    """From the start on exactly one person is on call at every instant, and everybody's turn is as long."""
    every = timedelta(minutes=minutes)
    rotation = {**_ROTATION, "order": order, "every": f"{minutes}m", "overrides": []}
    directory = people(*({"id": name} for name in ("ann", "bob", "cleo", "dan")), rotations=[rotation])
    at = T0 + timedelta(seconds=seconds)

    def turns(now: datetime) -> list[int]:
        """Whose turns hold an instant, by a search over all of them."""
        return [n for n in range(seconds // 60 // minutes + 2) if T0 + n * every <= now < T0 + (n + 1) * every]

    (turn,) = turns(at)
    assert directory.on_call("ops", at) == order[turn % len(order)]
    after = directory.next_on_call("ops", at)
    assert after != directory.on_call("ops", at)
    assert (after is None) == (len(set(order)) == 1)
