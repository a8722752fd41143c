"""What becomes of a step of which nobody can tell whether it is good: by rule, without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from policy.base import Reason, instant_text
from policy.outcome import EffectReport, Measurement, StepRecord
from policy.undecided import (
    ACCEPTED,
    NOT_JUDGED,
    Judging,
    OnExpiry,
    accepted_reason,
    check_judging,
    left_as_is,
    strictest,
    undecided,
)

NOW = datetime(2030, 1, 1, 9, 0, tzinfo=UTC)
UNDO = Judging(within_seconds=1800, on_expiry="compensate")
HOLD = Judging(within_seconds=3600, on_expiry="hold")
SAID = accepted_reason("cleo", "latency is fine by hand")
OPEN, MET, FAILED = (Measurement(probe="latency", met=met) for met in (None, True, False))


def report(*measured: Measurement, **more: Any) -> EffectReport:
    """The report of a step that was done."""
    body = {"permit_id": "p", "status": "succeeded", "effect": "done", "started_at": NOW - timedelta(minutes=1)}
    return EffectReport.model_validate({**body, "finished_at": NOW, "measurements": measured, **more})


def step(
    reported: EffectReport | None,
    direction: Literal["do", "undo"] = "do",
    use: Literal["unused", "void", "claimed"] = "claimed",
) -> StepRecord:
    """What the record holds of a permit."""
    return StepRecord(step=1, direction=direction, use=use, report=reported)


INCONCLUSIVE = step(report(OPEN, MET))
UNUSED = step(None, "undo", "unused")
RECORDS: dict[str, tuple[tuple[StepRecord, ...], bool]] = {
    "nothing was reported": ((step(None),), False),
    "everything was met": ((step(report(MET)), UNUSED), False),
    "something failed": ((step(report(FAILED, OPEN)),), False),
    "something could not be told": ((INCONCLUSIVE, UNUSED), True),
    "an earlier step was met, the last cannot be told": ((step(report(MET)), INCONCLUSIVE), True),
    "another step failed": ((step(report(MET, status="failed")), INCONCLUSIVE), False),
    "others ended it while it was measured": ((step(report(OPEN, stopped="halted: everything")),), False),
    "nothing was done": ((step(report(OPEN, effect="none")),), False),
    "nobody knows what was done": ((step(report(OPEN, effect="unknown")),), False),
    "its undo runs": ((INCONCLUSIVE, step(None, "undo")), False),
    "it was undone": ((INCONCLUSIVE, step(report(), "undo")), False),
    "its undo is void": ((INCONCLUSIVE, step(None, "undo", "void")), True),
    "there is nothing at all": ((), False),
}


@pytest.mark.parametrize(("records", "asked"), RECORDS.values(), ids=RECORDS)
def test_people_are_asked_about_what_was_done_and_cannot_be_told(records: tuple[StepRecord, ...], asked: bool) -> None:
    """What failed, was ended by others, was not done or is undone is for other rules."""
    found = undecided(records)

    assert (found is not None) is asked
    assert found is None or found.inconclusive
    assert UNDO.spares(records, NOW) is asked


SPARED = {
    "people have their time": (UNDO, timedelta(minutes=29), True),
    "at the deadline itself": (UNDO, timedelta(minutes=30), True),
    "after it what was done is undone": (UNDO, timedelta(minutes=30, seconds=1), False),
    "the clock of whoever asks is behind": (UNDO, timedelta(minutes=-5), True),
    "where it is left as it is nothing is ever undone by itself": (HOLD, timedelta(days=300), True),
}


@pytest.mark.parametrize(("rule", "after", "spared"), SPARED.values(), ids=SPARED)
def test_nothing_is_undone_because_nobody_can_tell_before_the_time_is_over(
    rule: Judging, after: timedelta, spared: bool
) -> None:
    """The time counts from the end of the measuring, as the executor reported it."""
    assert rule.spares((INCONCLUSIVE, UNUSED), NOW + after) is spared


STRICTEST: dict[str, tuple[tuple[Judging, ...], tuple[int, OnExpiry] | None]] = {
    "nobody speaks of it": ((), None),
    "one does": ((HOLD,), (3600, "hold")),
    "the shorter time and to undo": ((HOLD, UNDO), (1800, "compensate")),
    "the shorter time of one and the verb of another": (
        (Judging(within_seconds=60, on_expiry="hold"), UNDO),
        (60, "compensate"),
    ),
    "all hold": ((HOLD, Judging(within_seconds=7200, on_expiry="hold")), (3600, "hold")),
}


@pytest.mark.parametrize(("rules", "wanted"), STRICTEST.values(), ids=STRICTEST)
def test_of_several_documents_the_shorter_time_and_to_undo_count(
    rules: tuple[Judging, ...], wanted: tuple[int, OnExpiry] | None
) -> None:
    found = strictest(rules)

    assert wanted == ((found.within_seconds, found.on_expiry) if found is not None else None)


LEFT: dict[str, tuple[Judging | None, tuple[StepRecord, ...], Reason | None, str | None]] = {
    "somebody accepted it": (UNDO, (INCONCLUSIVE,), SAID, ACCEPTED),
    "somebody accepted what would have been held": (HOLD, (INCONCLUSIVE,), SAID, ACCEPTED),
    "nobody said anything, and it is undone": (UNDO, (INCONCLUSIVE,), None, None),
    "nobody said anything, and it is held": (HOLD, (INCONCLUSIVE,), None, NOT_JUDGED),
    "the policy does not speak of it": (None, (INCONCLUSIVE,), SAID, None),
    "it failed, whatever somebody accepted": (UNDO, (step(report(FAILED)),), SAID, None),
    "its undo runs, whatever somebody accepted": (UNDO, (INCONCLUSIVE, step(None, "undo")), SAID, None),
}


@pytest.mark.parametrize(("rule", "records", "accepted", "code"), LEFT.values(), ids=LEFT)
def test_what_is_kept_as_it_is_and_why(
    rule: Judging | None, records: tuple[StepRecord, ...], accepted: Reason | None, code: str | None
) -> None:
    """An acceptance keeps nothing that is not for people to judge."""
    found = left_as_is(rule, records, accepted)

    assert code == (found.code if found is not None else None)


REMINDED = {
    "a quarter of a short time": (1200, timedelta(minutes=15)),
    "an hour of a long one": (7 * 24 * 3600, timedelta(days=7, hours=-1)),
    "exactly an hour": (4 * 3600, timedelta(hours=3)),
}


@pytest.mark.parametrize(("within", "after"), REMINDED.values(), ids=REMINDED)
def test_people_are_reminded_before_their_time_is_over(within: int, after: timedelta) -> None:
    rule = Judging(within_seconds=within, on_expiry="hold")

    assert rule.remind_at(report(OPEN)) == NOW + after
    assert rule.remind_at(report(OPEN)) < rule.until(report(OPEN))


def test_what_somebody_says_of_it_is_cut() -> None:
    """A reason stands in the result, which has no room for a book."""
    assert len(accepted_reason("cleo", "x" * 5000).message) == 500


ENTRIES = {
    "as it is": ({}, UNDO, (INCONCLUSIVE,), []),
    "another time": ({"until": "2030-01-01T10:00:00Z"}, UNDO, (INCONCLUSIVE,), ["it lasts until"]),
    "another rule": ({"judging": HOLD.model_dump(mode="json")}, UNDO, (INCONCLUSIVE,), ["it is not how the policy"]),
    "no rule": ({}, None, (INCONCLUSIVE,), ["nobody is asked"]),
    "nothing to judge": ({}, UNDO, (step(report(MET)),), ["nobody is asked"]),
}


@pytest.mark.parametrize(("changes", "rule", "records", "wrong"), ENTRIES.values(), ids=ENTRIES)
def test_an_audit_computes_again_that_people_were_asked_and_until_when(
    changes: dict[str, Any], rule: Judging | None, records: tuple[StepRecord, ...], wrong: list[str]
) -> None:
    content = {"judging": UNDO.model_dump(mode="json"), "until": instant_text(NOW + timedelta(minutes=30)), **changes}

    found = check_judging(content, rule, records)

    assert len(found) == len(wrong)
    assert all(one.startswith(start) for one, start in zip(found, wrong, strict=True))
