"""What people read of a report: what its criteria read after the step, and before it."""

from typing import Any

import pytest

from cli.readings import readings

AFTER = {"probe": "web.latency", "resource": "web/a", "value": 12, "met": True}


def _before(value: Any = 10, **more: Any) -> dict[str, Any]:
    return {"probe": "web.latency", "resource": "web/a", "value": value, **more}


CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "both": ([_before()], "web.latency reads 12 (10 before)"),
    "nobody answered": ([_before(None, error="timed out")], "web.latency reads 12 (no answer before)"),
    "of an earlier release": ([], "web.latency reads 12"),
    "of another resource": ([_before(resource="web/b")], "web.latency reads 12"),
    "asked two things": ([_before(), _before(3, parameters={"of": "p99"})], "web.latency reads 12"),
}


@pytest.mark.parametrize(("before", "said"), CASES.values(), ids=CASES)
def test_a_reading_says_what_was_before(before: list[dict[str, Any]], said: str) -> None:
    assert list(readings({"measurements": [AFTER], "baselines": before})) == [(AFTER, said)]


def test_of_two_measurements_that_only_differ_in_what_was_asked_nothing_is_said_of_before() -> None:
    two = [AFTER, {**AFTER, "value": 300}]
    said = [text for _, text in readings({"measurements": two, "baselines": [_before(310)]})]
    assert said == ["web.latency reads 12", "web.latency reads 300"]
