"""A stage's clock: what is due when, what stops it, and what its deadline means."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from policy.approval.clock import Clock
from policy.approval.escalation import MAX_REMINDERS
from policy.document import EscalationStep, Stage
from policy.rules.chains import ExpiryVerb
from policy.rules.hours import Hours
from tests.unit.builders import T0, at, escalation, stage

_BUSY = stage(
    "ops",
    reminders=(timedelta(minutes=20), timedelta(minutes=10)),
    escalations=(escalation(20, "sre"), escalation(40, "ops", "boss")),
)
# T0 is a Tuesday, 09:00 UTC.
_OFFICE = Hours.model_validate({"zone": "UTC", "days": {"tue": ["09:00-09:30"], "wed": ["09:00-17:00"]}})
_LATER = EscalationStep(after=timedelta(0), add_groups=("boss",), reason="nobody in ops answered")


def _clock(item: Stage, absolute: float = 10000) -> Clock:
    return Clock(item, 1, T0, at(absolute))


def _due(clock: Clock) -> list[tuple[float, str, int]]:
    return [(_minutes(due.at), due.kind, due.index) for due in clock.due()]


def _minutes(instant: datetime | None) -> float:
    assert instant is not None
    return (instant - T0).total_seconds() / 60


def test_everything_is_due_in_order_of_time() -> None:
    """Everything is due in order of time, escalations before reminders of one instant, the deadline last."""
    assert _due(_clock(_BUSY)) == [
        (10, "reminder", 1),
        (20, "escalation", 0),
        (20, "reminder", 0),
        (40, "escalation", 1),
        (60, "deadline", 0),
    ]


def test_nothing_is_due_after_the_absolute_deadline() -> None:
    """The absolute deadline cuts what is due; nothing moves it."""
    assert _due(_clock(_BUSY, 20)) == [(10, "reminder", 1), (20, "deadline", 0)]
    assert _minutes(_clock(_BUSY, 59).deadline) == 59
    clock = _clock(_BUSY, 70)
    clock.another_round(at(60))
    clock.extend(at(500))
    assert _minutes(clock.deadline) == 70


def test_only_open_hours_count() -> None:
    """Half an hour on Tuesday and the rest on Wednesday: reminders, escalations and the deadline alike."""
    clock = _clock(_BUSY.model_copy(update={"hours": _OFFICE}))
    day = 24 * 60
    assert _due(clock)[-2:] == [(day + 10, "escalation", 1), (day + 30, "deadline", 0)]


def test_reminders_wait_until_people_may_be_reminded() -> None:
    """Reminders come when their hours open, several of one night as one, and none after the deadline."""
    quiet = {"zone": "UTC", "days": {"tue": ["09:30-09:40"], "wed": ["12:00-13:00"]}}
    item = _BUSY.model_copy(update={"remind_hours": Hours.model_validate(quiet), "escalations": ()})
    clock = _clock(item)
    assert _due(clock) == [(30, "reminder", 1), (60, "deadline", 0)]
    clock.happened(clock.due()[0])
    assert _due(clock) == [(60, "deadline", 0)]


def test_no_reminder_after_somebody_looks() -> None:
    """An acknowledgement stops reminders; escalations and the deadline stay."""
    clock = _clock(_BUSY)
    clock.quiet()
    assert [kind for _, kind, _ in _due(clock)] == ["escalation", "escalation", "deadline"]


def test_a_pause_moves_what_is_left() -> None:
    """While a question is open everything waits; the answer lets it come as much later as was waited."""
    clock = _clock(_BUSY)
    clock.happened(clock.due()[0])
    clock.pause(at(15))
    assert _minutes(clock.paused_until(at(16))) == 75
    assert _due(clock) == [(80, "escalation", 0), (80, "reminder", 0), (100, "escalation", 1), (120, "deadline", 0)]
    clock.go_on(at(25))
    assert clock.paused_until(at(25)) is None
    assert _due(clock) == [(30, "escalation", 0), (30, "reminder", 0), (50, "escalation", 1), (70, "deadline", 0)]


def test_all_pauses_together_last_a_deadline_at_most() -> None:
    """A second question pauses for what the first one left, a third one not at all, and nothing passes the absolute."""
    clock = _clock(_BUSY)
    clock.pause(at(15))
    clock.go_on(at(55))
    clock.pause(at(56))
    assert _minutes(clock.paused_until(at(56))) == 76
    clock.pause(at(200))
    assert clock.paused_until(at(200)) is None
    assert _minutes(_paused(_clock(_BUSY, 70)).deadline) == 70


def _paused(clock: Clock) -> Clock:
    clock.pause(at(15))
    return clock


def test_an_answer_that_comes_too_late_moves_nothing() -> None:
    """A clock that went on by itself has gone on when the answer comes."""
    clock = _paused(_clock(_BUSY))
    clock.go_on(at(90))
    assert _minutes(clock.deadline) == 120


def test_a_pause_counts_open_hours_too() -> None:
    """A pause of an hour in open hours lasts over the night."""
    clock = _clock(_BUSY.model_copy(update={"hours": _OFFICE}))
    clock.pause(at(15))
    assert _minutes(clock.paused_until(at(16))) == 24 * 60 + 45
    clock.go_on(at(24 * 60))
    assert _minutes(clock.deadline) == 24 * 60 + 45


@pytest.mark.parametrize(
    ("verb", "more", "ends", "text"),
    [
        ("deny", {}, True, "deadline of stage review: deny"),
        ("cancel", {}, True, "deadline of stage review: cancel"),
        (
            "offer_alternative",
            {},
            True,
            "deadline of stage review: offer_alternative (the case ends, the safer alternative is offered)",
        ),
        (
            "escalate",
            {"expiry_escalation": _LATER},
            False,
            "deadline of stage review: escalate to boss for one more deadline: nobody in ops answered",
        ),
        ("remind", {}, False, "deadline of stage review: remind and go on"),
        ("hold", {}, False, "deadline of stage review: hold until somebody releases it"),
    ],
)
def test_what_a_deadline_means(verb: str, more: dict[str, Any], ends: bool, text: str) -> None:
    """Each verb ends the stage or does not, and says what it does; at the absolute deadline every one ends."""
    clock = _clock(stage("ops", on_expiry=ExpiryVerb(verb), **more), 1000)
    assert clock.ends_case(at(60)) is ends
    assert clock.ends_case(at(1000))
    assert clock.due()[-1].text == text


def test_an_escalated_deadline_passes_once() -> None:
    """One more deadline, and the next one ends the stage."""
    clock = _clock(stage("ops", on_expiry=ExpiryVerb.escalate, expiry_escalation=_LATER))
    clock.another_round(at(60))
    assert (_minutes(clock.deadline), clock.ends_case(at(120))) == (120, True)
    assert clock.due()[-1].text == "deadline of stage review: the case ends, after escalate"


def test_reminding_again_and_again_is_bounded() -> None:
    """A deadline that reminds comes again until the absolute one, and so often at most."""
    clock = _clock(stage("ops", minutes=1, on_expiry=ExpiryVerb.remind))
    for number in range(MAX_REMINDERS):
        assert _due(clock) == [(number + 1, "deadline", number)]
        clock.another_round(at(number + 1))
    assert _due(clock) == [(10000, "deadline", MAX_REMINDERS)]


def test_held_is_without_end_but_the_absolute_one() -> None:
    """A held stage has nothing due until it is released; then its deadline comes anew, and what came stays."""
    clock = _clock(_BUSY.model_copy(update={"on_expiry": ExpiryVerb.hold}))
    clock.happened(clock.due()[0])
    clock.hold(at(60))
    assert _due(clock) == [(10000, "deadline", 1)]
    clock.pause(at(61))
    clock.go_on(at(62))
    assert _due(clock) == [(10000, "deadline", 1)]
    clock.anew(at(100))
    assert _due(clock)[-1] == (160, "deadline", 1)


def test_a_grace_is_the_end() -> None:
    """A stage with a grace ends where the grace does."""
    clock = _clock(_BUSY)
    clock.extend(at(95))
    assert _minutes(clock.deadline) == 95
