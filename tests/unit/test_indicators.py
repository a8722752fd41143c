"""The indicators in cases: what each reads, and the sentence that it says it in."""

from datetime import timedelta
from typing import Any

import pytest

from policy.catalog import Dependent, Reach, SloObjective
from policy.observed import Calibration, DenialFact, SloState, Tally, UndoProof
from policy.rules.timing import Timing
from tests.unit.builders import T0
from tests.unit.single import DO, FRESH, REPAIR, UNDO, assess_one, evidence_of, value_of

READINGS: dict[str, tuple[dict[str, Any], str, float, str]] = {
    "an undo that was done here": (
        {"undo_proofs": (UndoProof(operation=UNDO, kind="undone", at=T0 - timedelta(days=3), seconds=20),)},
        "undo_difficulty",
        0.0455,
        "after step 1 of 1, the undo takes 30 s and was seen to work here",
    ),
    "an undo that was tried dry": (
        {"undo_proofs": (UndoProof(operation=UNDO, kind="dry_run", at=T0),)},
        "undo_difficulty",
        0.1409,
        f"after step 1 of 1, the undo takes 30 s and {UNDO} was only tried dry here",
    ),
    "a proof that is too old": (
        {"undo_proofs": (UndoProof(operation=UNDO, kind="restore", at=T0 - timedelta(days=31), seconds=300),)},
        "undo_difficulty",
        0.475,
        f"after step 1 of 1, the undo takes 300 s and {UNDO} was not seen to work here in 30 days",
    ),
    "a budget that is nearly spent": (
        {"slo_states": (_state := SloState(name="e", target="orders", budget_left=0.1, at=T0, source="prometheus"),)},
        "error_budget",
        0.9,
        "e of orders has 10% of its error budget left",
    ),
    "a budget of yesterday": (
        {"slo_states": (_state.model_copy(update={"at": T0 - timedelta(days=1)}),)},
        "error_budget",
        1.0,
        "e of orders has 10% of its error budget left more than an hour ago: as good as spent",
    ),
    "no history": (
        {},
        "history",
        0.95,
        f"{DO}: no measured outcome, so it fails in less than 95% of cases (95 % certain)",
    ),
    "some history": (
        {"tallies": (Tally(scope="target", operation=DO, agent="a", succeeded=10, failed=3),)},
        "past_failures",
        0.1778,
        f"{DO}: successes weigh 10 and failures 5, so it fails in more than 18% of cases (95 % certain)",
    ),
    "an agent that keeps less than it says": (
        {"calibration": Calibration(n=40, mean_stated=0.95, succeeded=24)},
        "stated_confidence",
        0.4682,
        "the proposer states a confidence of 0.9; it said 0.95 before and kept 24 of 40, at most 0.72",
    ),
    "others in flight": (
        {"in_flight": ("p-5", "p-6")},
        "in_flight",
        0.5,
        "2 in flight beside it on the same failure domains: p-5, p-6",
    ),
    "an old catalog": (
        {"catalog_at": T0 - timedelta(days=91), "directory_at": T0 - timedelta(days=31)},
        "stale_facts",
        0.625,
        "missing or old: catalog, directory",
    ),
    "two denials": (
        {"denials": (DenialFact(proposal_id="p-7", at=T0), DenialFact(proposal_id="p-6"))},
        "denied_before",
        0.6667,
        "the same effect was denied in p-7, p-6",
    ),
}


@pytest.mark.parametrize(("seen", "name", "value", "evidence"), READINGS.values(), ids=READINGS)
def test_what_was_observed_is_read(seen: dict[str, Any], name: str, value: float, evidence: str) -> None:
    """Each indicator of what was observed reads its number and says it in a sentence."""
    found = assess_one(REPAIR, observed=FRESH.model_copy(update=seen))
    assert (value_of(found, name), evidence_of(found, name)) == (value, evidence)


EXTENTS: dict[str, tuple[dict[str, Any], str, float, str]] = {
    "eleven targets": (
        {"resolved_ids": tuple("abcdefghijk"), "failure_domains": ("a", "b")},
        "resolved_targets",
        0.5,
        "the target resolves to 11",
    ),
    "targets in domains that nobody gave": (
        {"resolved_ids": ("a", "b", "c"), "failure_domains": ()},
        "failure_domains",
        0.6667,
        "no failure domain is given: 3 are assumed",
    ),
    "nothing resolved": ({"resolved_ids": ()}, "resolved_targets", 1.0, "the target resolves to nothing: worst case"),
    "half of the capacity": (
        {"units_touched": 2.0, "units_total": 4.0},
        "capacity_share",
        0.5,
        "2 of 4 units at once",
    ),
    "an objective that nobody measures": (
        {"target_objectives": (SloObjective(name="latency", objective=0.99),)},
        "error_budget",
        1.0,
        "nobody measured the error budget of latency: as good as spent",
    ),
    "dependents": (
        {
            "reach": Reach(
                total=7,
                hard=4,
                weight=5,
                dangling=2,
                nearest=(Dependent(ref="component:default/shop", criticality="high", distance=1),),
            )
        },
        "blast_radius",
        0.5,
        "7 dependents (4 break, 2 not in the catalog), together 5.00: component:default/shop",
    ),
}


@pytest.mark.parametrize(("facts", "name", "value", "evidence"), EXTENTS.values(), ids=EXTENTS)
def test_what_is_touched_is_counted(facts: dict[str, Any], name: str, value: float, evidence: str) -> None:
    """Each indicator of the target reads its number and says it in a sentence."""
    found = assess_one(REPAIR, **facts)
    assert (value_of(found, name), evidence_of(found, name)) == (value, evidence)


def test_what_takes_capacity_of_nobody_knows_what_is_the_worst() -> None:
    """Where the registry counts capacity and the catalog does not say how much there is, it is all of it."""
    counted = REPAIR | {"counts": {"all": True}}
    assert value_of(assess_one(counted), "capacity_share") == 1.0
    assert value_of(assess_one(REPAIR), "capacity_share") == 0.0


TIMES: dict[str, tuple[Timing, str, float]] = {
    "nothing special": (Timing(at=T0), "freeze_near", 0.0),
    "a freeze": (Timing(at=T0, freezes=("quarter-end",)), "freeze_near", 1.0),
    "a window that closes": (Timing(at=T0, window_ends=T0 + timedelta(minutes=15)), "freeze_near", 0.75),
    "a freeze to come": (Timing(at=T0, next_freeze=T0 + timedelta(minutes=30)), "freeze_near", 0.5),
    "a freeze next week": (Timing(at=T0, next_freeze=T0 + timedelta(days=7)), "freeze_near", 0.0),
    "peak hours": (Timing(at=T0, peak="office-hours"), "peak_hours", 1.0),
    "what the policy calls stale": (Timing(at=T0, stale=("slo",)), "stale_facts", 0.5),
    "no calendar": (Timing(), "stale_facts", 0.5),
}


@pytest.mark.parametrize(("timing", "name", "value"), TIMES.values(), ids=TIMES)
def test_the_hour_counts(timing: Timing, name: str, value: float) -> None:
    """Peak hours, a freeze, a window about to close, and facts that the policy calls stale raise."""
    assert value_of(assess_one(REPAIR, timing=timing), name) == value
