"""What is due when, and who may answer at an instant."""

from datetime import timedelta

import pytest

from policy.approval.escalation import deadline_of, requirements_at, schedule
from policy.document import Requirement, Stage
from tests.unit.builders import T0, at, escalation, stage

_BUSY = stage(
    "ops",
    reminders=(timedelta(minutes=20), timedelta(minutes=10)),
    escalations=(escalation(20, "sre"), escalation(40, "ops", "boss")),
)


def _due(item: Stage, absolute: float) -> list[tuple[float, str, int]]:
    return [((due.at - T0).total_seconds() / 60, due.kind, due.index) for due in schedule(item, 1, T0, at(absolute))]


def test_schedule_is_in_order_of_time() -> None:
    """Everything is due in order of time, escalations before reminders of one instant, the deadline last."""
    assert _due(_BUSY, 1000) == [
        (10, "reminder", 1),
        (20, "escalation", 0),
        (20, "reminder", 0),
        (40, "escalation", 1),
        (60, "deadline", 0),
    ]


def test_nothing_is_due_after_the_end() -> None:
    """The absolute deadline cuts the schedule; nothing moves it."""
    assert _due(_BUSY, 20) == [(10, "reminder", 1), (20, "deadline", 0)]
    assert _due(_BUSY, -5) == [(-5, "deadline", 0)]


def test_the_deadline_is_the_first_of_both() -> None:
    """A stage ends at its own deadline or at the absolute one."""
    assert deadline_of(_BUSY, T0, at(1000)) == at(60)
    assert deadline_of(_BUSY, T0, at(59)) == at(59)


@pytest.mark.parametrize(
    ("minutes", "groups"),
    [
        (0, ("ops",)),
        (19.999, ("ops",)),
        (20, ("ops", "sre")),
        (40, ("ops", "sre", "boss")),
        (9999, ("ops", "sre", "boss")),
    ],
)
def test_escalation_adds_groups_from_its_instant_on(minutes: float, groups: tuple[str, ...]) -> None:
    """Groups are added, never taken away, and no seat less is asked for."""
    assert requirements_at(_BUSY, T0, at(minutes)) == (Requirement(groups=groups),)


def test_texts_say_what_happens() -> None:
    """What is due says it in words, the deadline with its verb."""
    texts = [due.text for due in schedule(_BUSY, 1, T0, at(1000))]
    assert texts[1] == "escalate stage review to sre: nobody answered"
    assert texts[-1] == "deadline of stage review: deny"
