"""What is read before a step, what of it keeps the step from beginning, and what an audit finds of it."""

from typing import Any

import pytest

from policy.baselines import check_baselines, kept_before, needed_before, not_to_begin
from policy.outcome import Baseline
from policy.permit import Permit, PermitCriterion
from tests.unit.builders import issued

PLAIN = PermitCriterion(probe="web.version", equals="2")
COMPARED = PermitCriterion(probe="web.latency", success={"at_most": {"baseline_times": 1.5}})
SHARE = PermitCriterion(probe="web.requests", success={"at_least": {"baseline_times": 0.9}})
GUARD = PermitCriterion(probe="till.errors", success={"at_most": 5}, of="component:till", resources=("web/till",))
OTHER_GUARD = GUARD.model_copy(update={"of": "system:shop"})


def _permit(*criteria: PermitCriterion, before: tuple[PermitCriterion, ...] | None = None) -> Permit:
    needed = tuple(item for item in criteria if item.needs_baseline)
    return issued(1)[0].model_copy(
        update={"resolved": ("web/a",), "criteria": criteria, "baselines": needed if before is None else before}
    )


def _read(criterion: PermitCriterion, value: Any = None, error: str = "", resource: str = "web/a") -> Baseline:
    return Baseline(probe=criterion.probe, resource=resource, value=value, error=error)


def test_everything_that_is_measured_is_read_before() -> None:
    permit = _permit(PLAIN, COMPARED, GUARD)
    assert needed_before(permit) == ((COMPARED, "web/a"), (GUARD, "web/till"))
    assert kept_before(permit) == ((PLAIN, "web/a"),)


NEEDED: dict[str, tuple[PermitCriterion, Any, str, str]] = {
    "a number": (COMPARED, 10, "", ""),
    "no answer": (COMPARED, None, "timed out", "web.latency has no baseline on web/a: timed out"),
    "a text": (COMPARED, "fast", "", 'web.latency has no baseline on web/a: "fast" is no number'),
    "whether it is so": (COMPARED, True, "", "web.latency has no baseline on web/a: true is no number"),
    "a share of something": (SHARE, 3, "", ""),
    "a share of nothing": (SHARE, 0, "", "web.requests is 0 on web/a before the step: a share of it says nothing"),
    "a guard that holds": (GUARD, 5, "", ""),
    "a guard that does not": (GUARD, 6, "", "guard till.errors does not hold before the step: 6 on web/a"),
}


@pytest.mark.parametrize(("criterion", "value", "error", "why"), NEEDED.values(), ids=NEEDED)
def test_what_keeps_a_step_from_beginning(criterion: PermitCriterion, value: Any, error: str, why: str) -> None:
    assert not_to_begin(criterion, _read(criterion, value, error)) == why


FOUND: dict[str, tuple[Permit, tuple[Baseline, ...], bool, str]] = {
    "all of it": (_permit(PLAIN, COMPARED), (_read(PLAIN, "1"), _read(COMPARED, 3)), True, ""),
    "only what is needed, as in an earlier release": (_permit(PLAIN, COMPARED), (_read(COMPARED, 3),), True, ""),
    "what is only kept gave no answer": (_permit(PLAIN), (_read(PLAIN, error="down"),), True, ""),
    "what is needed was not read": (_permit(COMPARED), (), True, "have been: web.latency was not read on web/a"),
    "what is needed gave no answer": (_permit(COMPARED), (_read(COMPARED, error="down"),), True, "has no baseline"),
    "it was not begun": (_permit(COMPARED), (_read(COMPARED, error="down"),), False, ""),
    "something else": (
        _permit(PLAIN),
        (_read(SHARE, 3),),
        True,
        "web.requests was read on web/a before the step 1 times",
    ),
    "elsewhere": (_permit(PLAIN), (_read(PLAIN, 3, resource="web/b"),), True, "was read on web/b before the step"),
    "twice": (_permit(COMPARED), (_read(COMPARED, 3), _read(COMPARED, 9)), True, "2 times, which it was not to be"),
    "by two guards of one place, as in an earlier release": (
        _permit(GUARD, OTHER_GUARD),
        (_read(GUARD, 1, resource="web/till"), _read(GUARD, 2, resource="web/till")),
        True,
        "",
    ),
    "by two guards, of which one did not hold": (
        _permit(GUARD, OTHER_GUARD),
        (_read(GUARD, 1, resource="web/till"), _read(GUARD, 9, resource="web/till")),
        True,
        "it was begun, and must not have been: guard till.errors does not hold",
    ),
    "a guard that did not hold": (
        _permit(GUARD),
        (_read(GUARD, 9, resource="web/till"),),
        True,
        "it was begun, and must not have been: guard till.errors does not hold",
    ),
}


@pytest.mark.parametrize(("permit", "baselines", "began", "why"), FOUND.values(), ids=FOUND)
def test_what_an_audit_finds(permit: Permit, baselines: tuple[Baseline, ...], began: bool, why: str) -> None:
    found = list(check_baselines(permit, baselines, began=began))
    assert bool(found) == bool(why), found
    assert why in "; ".join(found)
