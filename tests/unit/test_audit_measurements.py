"""A report whose measurements do not say what was read is found, by asking the rule again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from policy.audit_measurements import check_measurements
from policy.outcome import Baseline, EffectReport
from policy.permit import Permit, PermitCriterion
from tests.unit.builders import issued
from tests.unit.tampering import load

Report: TypeAlias = dict[str, Any]


def _recorded(name: str) -> tuple[Permit, Report]:
    """The forward permit of a recorded run, and its report as it is kept."""
    kept = {entry["kind"]: entry["content"] for entry in reversed(_entries(name))}
    permits = [Permit.model_validate(item) for item in kept["dispatched"]["permits"]]
    return next(item for item in permits if item.direction == "do"), kept["reported"]["report"]


def _entries(name: str) -> list[dict[str, Any]]:
    return [json.loads(item["body"]) for item in load(name)["entries"]]


def _set(report: Report, value: Any, *path: Any) -> None:
    *to, last = path
    for key in to:
        report = report[key]
    report[last] = value


def _low(value: str) -> Callable[[Report], None]:
    return lambda report: _set(report, value, "measurements", 0, "looks", 0, "low")


EDITS: dict[str, tuple[str, Callable[[Report], None], str]] = {
    "a look that read something else": ("one-by-one", _low("4MB"), "says None, and met is recorded as True"),
    "a failure that was none": (
        "one-by-one-ended",
        lambda report: _set(report, True, "measurements", 0, "met"),
        "says False, and met is recorded as True",
    ),
    "a success that nobody could tell": (
        "inconclusive",
        lambda report: _set(report, True, "measurements", 0, "met"),
        "says None, and met is recorded as True",
    ),
    "a look that nobody took": (
        "one-by-one-ended",
        lambda report: _set(report, True, "measurements", 1, "met"),
        "and met is recorded as True",
    ),
    "another resource": (
        "one-by-one",
        lambda report: _set(report, "postgres/x", "measurements", 0, "resource"),
        "was measured on postgres/x, approved is postgres/scratch-a",
    ),
    "one measurement less": ("one-by-one", lambda report: report["measurements"].pop(), "not those of the approved"),
    "a gate that was closed": (
        "one-by-one",
        lambda report: _set(report, "4MB", "gates", 0, "measurements", 0, "looks", 0, "low"),
        "says None, and met is recorded as True",
    ),
    "a gate that is said to be closed": (
        "one-by-one",
        lambda report: _set(report, False, "gates", 0, "measurements", 0, "met"),
        "it went on after postgres/scratch-a without everything measured and met",
    ),
    "no gate at all": ("one-by-one", lambda report: report.pop("gates"), "it went on after postgres/scratch-a"),
    "another order": (
        "one-by-one",
        lambda report: report["touched"].reverse(),
        "it touched postgres/scratch-b, postgres/scratch-a, permitted in order are",
    ),
    "a target that nobody permitted": (
        "one-by-one",
        lambda report: report["touched"].append("postgres/x"),
        "it touched postgres/scratch-a, postgres/scratch-b, postgres/x",
    ),
    "not all of them": ("one-by-one", lambda report: report["touched"].pop(), "1 of 2 targets were touched"),
}


@pytest.mark.parametrize("name", ["one-by-one", "one-by-one-ended", "inconclusive", "allowed", "compensated"])
def test_a_recorded_report_says_what_was_read(name: str) -> None:
    """Those of releases that kept no looks, too."""
    permit, report = _recorded(name)

    assert list(check_measurements(permit, EffectReport.model_validate(report))) == []


@pytest.mark.parametrize(("name", "edit", "found"), EDITS.values(), ids=EDITS)
def test_a_report_that_says_something_else_is_found(name: str, edit: Callable[[Report], None], found: str) -> None:
    permit, report = _recorded(name)
    edit(report)

    said = list(check_measurements(permit, EffectReport.model_validate(report)))

    assert any(found in item for item in said), said


def test_a_value_that_had_to_be_compared_is_judged_by_the_baseline_that_was_kept() -> None:
    """Another baseline, or none, concludes something else."""
    permit, report = _recorded("allowed")
    slower = {"probe": "web.latency", "success": {"at_most": {"baseline_times": 1.5}}, "within_seconds": 0}
    permit = Permit.model_validate(permit.model_dump(mode="json") | {"criteria": [slower]})
    look = {"first": 0, "last": 0, "low": 14}
    (resource,) = permit.resolved
    read = {"probe": "web.latency", "expected": None, "value": 14, "met": True, "resource": resource, "looks": [look]}
    measured = EffectReport.model_validate(report | {"measurements": [read]})

    def said(value: float) -> list[str]:
        return list(
            check_measurements(permit, measured, (Baseline(probe="web.latency", resource=resource, value=value),))
        )

    assert said(10) == []
    assert "says False" in said(9)[0]
    assert "says None" in next(check_measurements(permit, measured))


def test_a_target_that_is_not_the_permits_is_found_also_where_all_are_done_at_once() -> None:
    permit, report = _recorded("allowed")

    def said(*touched: str) -> list[str]:
        return list(check_measurements(permit, EffectReport.model_validate(report | {"touched": touched})))

    assert said(permit.resolved[0]) == []
    assert said("elsewhere") == [f"it touched elsewhere, permitted are {permit.resolved[0]}"]


def test_the_corpus_is_there() -> None:
    """The runs of these tests are those of the replay corpus."""
    assert (Path(__file__).parents[1] / "replay/histories/one-by-one.json").exists()


GUARD = PermitCriterion(probe="till.errors", success={"at_most": 5}, of="component:till", resources=("web/till",))
_HELD, _FELL = ((Baseline(probe="till.errors", resource="web/till", value=value),) for value in (1, 9))

BEGUN: dict[str, tuple[dict[str, Any], bool]] = {
    "with what it needed": ({"baselines": _HELD}, False),
    "without": ({}, True),
    "in spite of it": ({"baselines": _FELL}, True),
    "in spite of it, stored late": ({"baselines": _FELL, "late": True}, True),
    "and nobody knows whether it was done": ({"baselines": _FELL, "effect": "unknown", "status": "unknown"}, True),
    "by somebody who left no report, and another looked": ({"late": True}, False),
    "not at all": ({"baselines": _FELL, "effect": "none", "status": "failed"}, False),
}


@pytest.mark.parametrize(("says", "wrong"), BEGUN.values(), ids=BEGUN)
def test_who_began_a_step_had_what_it_needs(says: dict[str, Any], wrong: bool) -> None:
    permit = issued(1)[0].model_copy(update={"criteria": (), "baselines": (GUARD,)})
    times = {"started_at": permit.issued_at, "finished_at": permit.issued_at}
    done = {"permit_id": permit.permit_id, "status": "succeeded", "effect": "done", **times}
    found = list(check_measurements(permit, EffectReport.model_validate({**done, **says})))
    assert any("it was begun, and must not have been" in line for line in found) == wrong, found
