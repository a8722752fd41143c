"""The table of all orders in `docs/approval.md`: votes and a deadline, with and without a worker, in either order.

The deadline is at minute 60. `seen` is when the worker first looks: at once where it was there.
"""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from policy.decision import Refusal
from policy.rules.chains import ExpiryVerb
from tests.unit.builders import a_ballot, a_case, at, stage
from tests.unit.kept import Kept

VERBS = (ExpiryVerb.deny, ExpiryVerb.cancel, ExpiryVerb.offer_alternative)
GRACE = timedelta(minutes=20)
# arrives, worker, first in the history -> when the vote and the timer are seen, in order of being read
ORDERS: dict[tuple[str, str, str], tuple[tuple[str, float], ...]] = {
    ("before", "there", "the vote"): (("vote", 59), ("timer", 60)),
    ("at", "there", "the vote"): (("vote", 60), ("timer", 60)),
    ("at", "there", "the timer"): (("timer", 60), ("vote", 60)),
    ("after", "there", "the timer"): (("timer", 60), ("vote", 60.1)),
    ("before", "back before the deadline", "either"): (("vote", 59.5), ("timer", 60)),
    ("before", "back within a minute", "either"): (("vote", 61), ("timer", 61)),
    ("at", "back within a minute", "either"): (("vote", 61), ("timer", 61)),
    ("after", "back within a minute", "either"): (("vote", 61), ("timer", 61)),
    ("before", "back later", "either"): (("vote", 90), ("timer", 90)),
    ("at", "back later", "either"): (("vote", 90), ("timer", 90)),
    ("after", "back later", "either"): (("vote", 90), ("timer", 90)),
    ("before", "back later", "the timer is read first"): (("timer", 90), ("vote", 90)),
    ("after the grace", "back later", "either"): (("timer", 90), ("vote", 110.1)),
}
_ROW = re.compile(
    r"^\| (before|at|after|after the grace) \| ([a-z ]+) \| ([a-z ]+) \| (counts|late) \| (counts|late) \|$"
)


def _table() -> dict[tuple[str, str, str], tuple[str, str]]:
    """The table as it is written."""
    text = (Path(__file__).parents[2] / "docs" / "approval.md").read_text()
    rows = [found.groups() for line in text.splitlines() if (found := _ROW.fullmatch(line))]
    return {(arrives, worker, first): (without, with_) for arrives, worker, first, without, with_ in rows}


def test_the_written_table_has_every_order() -> None:
    """What is written is what is played, no row more and no row less."""
    assert set(_table()) == set(ORDERS)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("grace", [None, GRACE], ids=["without grace", "with grace"])
@pytest.mark.parametrize("order", ORDERS, ids=" / ".join)
def test_each_order(order: tuple[str, str, str], grace: timedelta | None, verb: ExpiryVerb) -> None:
    """A vote counts, or is late and the stage's verb applies, as the table says."""
    kept = Kept(a_case(stage("ops", grace=grace, on_expiry=verb)))
    refused: Refusal | None = None
    for what, minute in ORDERS[order]:
        if what == "timer":
            kept.advance(at(minute))
        else:
            refused = kept.vote(a_ballot("bob", "approve", minute), at(minute))
    kept.advance(at(500))
    assert kept.ended is not None
    counts = _table()[order][grace is not None] == "counts"
    assert kept.ended.resolution == ("approved" if counts else "expired")
    assert [reason.code for reason in kept.ended.reasons] == ["approved" if counts else f"expired_{verb}"]
    assert (refused is None) is counts
    assert refused in (None, Refusal.past_deadline, Refusal.not_pending)


def test_a_backdated_vote_is_no_younger() -> None:
    """What the sender wrote about time does not matter here: the instant is when the worker first saw it."""
    kept = Kept(a_case(stage("ops")))
    assert kept.vote(a_ballot("bob", "approve", 10), at(61)) is Refusal.past_deadline


def test_a_grace_is_given_once_and_ends_before_the_absolute_deadline() -> None:
    """Nobody there at the end of a grace either: the verb applies; and no grace begins past the absolute deadline."""
    kept = Kept(a_case(stage("ops", grace=GRACE)))
    kept.advance(at(90))
    kept.advance(at(300))
    assert kept.ended is not None
    assert kept.ended.resolved_at == at(110)
    kept = Kept(a_case(stage("ops", grace=GRACE), absolute=100))
    kept.advance(at(90))
    assert [event.until for event in kept.noted] == [at(100)]
    kept = Kept(a_case(stage("ops", grace=GRACE), absolute=80))
    kept.advance(at(90))
    assert (kept.noted, kept.ended is not None) == ([], True)
