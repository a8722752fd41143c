"""When a case is measured again, what holds it, and what a vote that was kept waits for."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.cadence import next_slot
from policy.approval.standing import Ballot, Standing, refuse, stand
from policy.decision import Refusal
from tests.unit.builders import T0, a_ballot, a_case, at, stage

_SPANS = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3))
_HELD: dict[str, Any] = {"held": True, "recheck_seconds": 600}


def _kept(person: str, vote: str, minutes: float, groups: str = "ops", *, number: int = 1) -> Ballot:
    return a_ballot(person, vote, minutes, groups, number=number).model_copy(update={"kept_from": 1})


def _due(standing: Standing) -> list[tuple[str, float]]:
    return [(item.kind, (item.at - T0) / timedelta(minutes=1)) for item in standing.due]


@given(_SPANS, _SPANS)
def test_a_slot_is_left_for_good(since: timedelta, interval: timedelta) -> None:
    """The next slot begins later than the measurement, at most one interval later, and on the grid of the opening."""
    found = next_slot(T0, T0 + since, interval)
    assert T0 + since < found <= T0 + since + interval
    assert (found - T0) % interval == timedelta(0)


DUE: dict[str, tuple[float, list[tuple[str, float]]]] = {
    "when it opens": (0, [("recheck", 25), ("reminder", 30), ("deadline", 60)]),
    "at the instant of a measurement the next one is due": (25, [("reminder", 30), ("recheck", 50), ("deadline", 60)]),
    "none comes after the deadline": (51, [("deadline", 60)]),
}


@pytest.mark.parametrize("case", DUE)
def test_the_cadence_is_among_what_is_due(case: str) -> None:
    """Every 25 minutes from the opening on, in its place among reminders, and nothing of it after the deadline."""
    minutes, wanted = DUE[case]
    asked = a_case(stage("ops", reminders=(timedelta(minutes=30),)), recheck_seconds=1500)
    assert _due(stand(asked, at(minutes), deadline_counts_as_passed=False)) == wanted


def test_the_cadence_counts_from_the_opening_of_the_revision() -> None:
    """A later stage does not begin it anew."""
    asked = a_case(
        stage("ops"), stage("dba", name="dba"), recheck_seconds=1500, ballots=(a_ballot("bob", "approve", 20),)
    )
    assert _due(stand(asked, at(21), deadline_counts_as_passed=False))[0] == ("recheck", 25)


HELD: dict[str, tuple[tuple[Ballot, ...], Ballot, Refusal | None]] = {
    "an approval before the release": ((), a_ballot("bob", "approve", 1), Refusal.on_hold),
    "a denial before the release": ((), a_ballot("bob", "deny", 1), None),
    "the release by somebody of the first stage": ((), a_ballot("bob", "release", 1), None),
    "the release by somebody of another stage": ((), a_ballot("cleo", "release", 1, "dba"), Refusal.not_eligible),
    "the release by who asks": ((), a_ballot("rita", "release", 1), Refusal.self_approval),
    "an approval after it": ((a_ballot("bob", "release", 1),), a_ballot("bob", "approve", 2), None),
    "a second release": ((a_ballot("bob", "release", 1),), a_ballot("eve", "release", 2), Refusal.not_held),
}


@pytest.mark.parametrize("case", HELD)
def test_a_revision_that_is_held(case: str) -> None:
    """Nobody approves before somebody of the first stage, who does not ask, has released it; anybody may deny."""
    before, ballot, code = HELD[case]
    why = refuse(a_case(stage("ops"), stage("dba", name="dba"), ballots=before, **_HELD), ballot)
    assert (why[0] if why else None) is code


def test_nothing_that_is_not_held_is_released() -> None:
    """A release says so."""
    why = refuse(a_case(stage("ops")), a_ballot("bob", "release", 1))
    assert why is not None
    assert why[0] is Refusal.not_held


def test_what_is_held_says_so_and_is_not_measured() -> None:
    """The release is what is missing first, and measuring goes on after it, with the deadline anew."""
    held = stand(a_case(stage("ops"), **_HELD), at(1), deadline_counts_as_passed=False)
    released = stand(
        a_case(stage("ops"), ballots=(a_ballot("bob", "release", 2),), **_HELD), at(3), deadline_counts_as_passed=False
    )
    assert (held.held, held.current.missing) == (True, ("the release by ops", "1 of ops"))
    assert [item.kind for item in held.due] == ["deadline"]
    assert (released.held, released.current.missing) == (False, ("1 of ops",))
    assert [item.kind for item in released.due] == ["recheck", "deadline"]
    assert [found.due[-1].at for found in (held, released)] == [at(60), at(62)]


def test_what_is_held_expires_at_its_deadline() -> None:
    """Nobody has to let it go on."""
    assert stand(a_case(stage("ops"), **_HELD), at(60), deadline_counts_as_passed=True).resolution == "expired"


def test_a_vote_that_was_kept_waits_for_its_stage() -> None:
    """It counts once the stage before is approved, in whatever order; one that nobody kept does not wait."""
    chain = (stage("ops"), stage("dba", name="dba"))
    waits, comes = _kept("cleo", "approve", 1, "dba", number=2), a_ballot("bob", "approve", 5)
    after = stand(a_case(*chain, ballots=(waits, comes)), at(6), deadline_counts_as_passed=False)
    early = waits.model_copy(update={"kept_from": None})
    without = stand(a_case(*chain, ballots=(early, comes)), at(6), deadline_counts_as_passed=False)
    assert (after.resolution, after.resolved_at) == ("approved", at(5))
    assert (without.resolution, without.stage) == ("pending", 2)
