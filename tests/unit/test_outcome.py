"""The outcome of an action, from what its executors reported."""

import itertools
from typing import Any, Literal

import pytest

from policy.base import Reason
from policy.outcome import EffectReport, Measurement, Outcome, StepRecord, conclude
from policy.result import NextAction, ResultResolution, next_action
from tests.unit.builders import T0

_MET = Measurement(probe="pg.up", expected=True, value=True, met=True)
_NOT = Measurement(probe="pg.up", expected=True, value=False, met=False)
_OPEN = Measurement(probe="pg.up", expected=True, met=None)


def _done(step: int, status: Any = "succeeded", effect: Any = "done", *measured: Measurement) -> StepRecord:
    return _record(step, "do", status, effect, measured)


def _undone(step: int, status: Any = "succeeded") -> StepRecord:
    return _record(step, "undo", status, "done", ())


def _record(
    step: int, direction: Literal["do", "undo"], status: Any, effect: Any, measured: tuple[Measurement, ...]
) -> StepRecord:
    report = EffectReport(
        permit_id="x", status=status, effect=effect, measurements=measured, started_at=T0, finished_at=T0
    )
    return StepRecord(step=step, direction=direction, use="claimed", report=report)


def _bare(step: int, use: Any, direction: Literal["do", "undo"] = "do") -> StepRecord:
    return StepRecord(step=step, direction=direction, use=use)


_OK1, _OK2 = _done(1), _done(2, "succeeded", "done", _MET)
_BAD2 = _done(2, "failed", "done", _NOT)
_UNSURE = _done(2, "unknown", "done", _OPEN)

# records of an action of two steps and one criterion, whether it was stopped to ask, outcome, codes
CASES: dict[str, tuple[tuple[StepRecord, ...], bool, Outcome, str]] = {
    "nothing was issued": ((), False, Outcome.not_executed, "not_executed"),
    "nothing was claimed": (
        (_bare(1, "unused"), _bare(1, "unused", "undo")),
        False,
        Outcome.not_executed,
        "not_executed",
    ),
    "everything is void": ((_bare(1, "void"),), True, Outcome.not_executed, "not_executed"),
    "everything was done and met": ((_OK1, _OK2), False, Outcome.succeeded, "criteria_met"),
    "the executor refused": ((_done(1, "failed", "none"),), False, Outcome.not_executed, "executor_refused"),
    "nobody reported": ((_bare(1, "claimed"),), False, Outcome.outcome_unknown, "effect_unknown"),
    "the executor does not know": ((_done(1, "unknown", "unknown"),), False, Outcome.outcome_unknown, "effect_unknown"),
    "the second one does not know": (
        (_OK1, _done(2, "unknown", "unknown"), _undone(1)),
        True,
        Outcome.outcome_unknown,
        "effect_unknown",
    ),
    "failed and undone": ((_OK1, _BAD2, _undone(2), _undone(1)), False, Outcome.compensated, "criteria_failed undone"),
    "failed and one of two undone": (
        (_OK1, _BAD2, _undone(2)),
        False,
        Outcome.compensation_failed,
        "criteria_failed undo_failed",
    ),
    "failed and nothing undone": ((_OK1, _BAD2), False, Outcome.compensation_failed, "criteria_failed undo_failed"),
    "the undo failed": (
        (_OK1, _BAD2, _undone(2, "failed"), _undone(1)),
        False,
        Outcome.compensation_failed,
        "criteria_failed undo_failed",
    ),
    "the undo was begun and nobody reported": (
        (_OK1, _BAD2, _bare(2, "claimed", "undo"), _undone(1)),
        False,
        Outcome.compensation_failed,
        "criteria_failed undo_failed",
    ),
    "the second step was refused, the first undone": (
        (_OK1, _done(2, "failed", "none"), _undone(1)),
        False,
        Outcome.compensated,
        "executor_refused undone",
    ),
    "the second step was never begun, the first undone": (
        (_OK1, _bare(2, "void"), _undone(1)),
        False,
        Outcome.compensated,
        "undone",
    ),
    "the second step was never begun, the first left": (
        (_OK1, _bare(2, "void")),
        False,
        Outcome.compensation_failed,
        "steps_missing undo_failed",
    ),
    "everything succeeded and was undone because of a stop": (
        (_OK1, _OK2, _undone(2), _undone(1)),
        False,
        Outcome.compensated,
        "undone",
    ),
    "a criterion could not be measured": ((_OK1, _UNSURE), False, Outcome.inconclusive, "criteria_unmeasured"),
    "a criterion was not measured at all": ((_OK1, _done(2)), False, Outcome.inconclusive, "criteria_unmeasured"),
    "said to have succeeded, measured open": (
        (_OK1, _done(2, "succeeded", "done", _MET, _OPEN)),
        False,
        Outcome.inconclusive,
        "criteria_unmeasured",
    ),
    "said to have succeeded, measured to have failed": (
        (_OK1, _done(2, "succeeded", "done", _MET, _NOT)),
        False,
        Outcome.compensation_failed,
        "criteria_failed undo_failed",
    ),
    "stopped, and people are asked": ((_OK1, _bare(2, "void")), True, Outcome.inconclusive, "stopped"),
    "stopped after everything was done": ((_OK1, _OK2), True, Outcome.inconclusive, "stopped"),
    "stopped after a failure": ((_OK1, _BAD2), True, Outcome.inconclusive, "criteria_failed stopped"),
    "stopped to ask, and undone all the same": (
        (_OK1, _BAD2, _undone(2), _undone(1)),
        True,
        Outcome.compensated,
        "criteria_failed undone",
    ),
    "a step that was not approved": (
        (_OK1, _done(3, "succeeded", "done", _MET)),
        False,
        Outcome.compensation_failed,
        "steps_missing undo_failed",
    ),
}


@pytest.mark.parametrize(("records", "stopped", "outcome", "codes"), CASES.values(), ids=CASES)
def test_conclusion(records: tuple[StepRecord, ...], stopped: bool, outcome: Outcome, codes: str) -> None:
    """The record alone says how it ended, with reasons, and in whatever order it is read."""
    for order in itertools.islice(itertools.permutations(records), 24):
        found, reasons = conclude(order, 2, stopped_to_ask=stopped, criteria=1)
        assert (found, " ".join(sorted({reason.code for reason in reasons}))) == (
            outcome,
            " ".join(sorted(codes.split())),
        )


def test_every_outcome_is_reached() -> None:
    """The table has every outcome, and no action of no steps succeeds."""
    assert {outcome for _, _, outcome, _ in CASES.values()} == set(Outcome)
    assert conclude((), 0, stopped_to_ask=False)[0] is Outcome.not_executed


def test_criteria_that_were_not_asked_for_are_still_needed() -> None:
    """An action without a single measurement has not succeeded, whoever says that none was wanted."""
    assert conclude((_done(1),), 1, stopped_to_ask=False, criteria=0)[0] is Outcome.inconclusive
    assert conclude((_done(1, "succeeded", "done", _MET),), 1, stopped_to_ask=False, criteria=2)[0] is (
        Outcome.inconclusive
    )


def test_a_value_that_json_cannot_say_is_kept_as_text() -> None:
    """A report is not lost because of what a probe read."""
    assert Measurement(probe="pg.size", value=2**60).value == "1152921504606846976"
    assert Measurement(probe="pg.size", value=float("nan")).value == "nan"
    assert Measurement(probe="pg.size", value=[1, True, None]).value == [1, True, None]


NEXT: dict[str, tuple[ResultResolution, Outcome, NextAction]] = {
    "done": ("approved", Outcome.succeeded, "none"),
    "undone": ("approved", Outcome.compensated, "propose_anew"),
    "not begun": ("approved", Outcome.not_executed, "propose_anew"),
    "unknown": ("approved", Outcome.outcome_unknown, "ask_a_person"),
    "left half-way": ("approved", Outcome.compensation_failed, "ask_a_person"),
    "inconclusive": ("approved", Outcome.inconclusive, "ask_a_person"),
    "denied": ("denied", Outcome.not_executed, "none"),
    "expired": ("expired", Outcome.not_executed, "propose_anew"),
    "withdrawn": ("withdrawn", Outcome.not_executed, "propose_anew"),
    "refused": ("refused", Outcome.not_executed, "propose_anew"),
}


@pytest.mark.parametrize(("resolution", "outcome", "action"), NEXT.values(), ids=NEXT)
def test_what_a_platform_can_do_next(resolution: ResultResolution, outcome: Outcome, action: NextAction) -> None:
    """Every end says what a platform can do now."""
    assert next_action(resolution, outcome) == action


def test_where_nobody_was_left_nobody_said_no() -> None:
    """What is denied because nobody could approve it may be proposed again."""
    reasons = (Reason(code="unreachable", message="nobody eligible is left"),)
    assert next_action("denied", Outcome.not_executed, reasons) == "propose_anew"
