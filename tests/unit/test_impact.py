"""The impact assessment in cases: what routine stays, what is not, what sets the floor, and what is shown."""

from datetime import timedelta
from typing import Any

import pytest

from policy.catalog import Dependent, Reach, SloObjective
from policy.facts import Facts
from policy.impact import ImpactAssessment, assess
from policy.indicators import WEIGHTS
from policy.observed import Calibration, DenialFact, HoldFact, LastActions, Observed, SloState, Tally, UndoProof
from policy.operations import EFFECTS, RegisteredOperation, RiskTier
from policy.timing import Timing
from tests.unit.builders import T0, a_proposal, facts_of, step_json

DO, UNDO = "x.do", "x.undo"
REPAIR: dict[str, Any] = {
    "severity": 30,
    "effects": ("availability", "performance"),
    "inverse": (UNDO,),
    "undo_seconds": 30,
}
RESTART: dict[str, Any] = {"severity": 20, "effects": ("availability",), "needs_no_undo": True}
DROP: dict[str, Any] = {"severity": 95, "destructive": True, "effects": ("availability", "data_access")}
READ: dict[str, Any] = {"severity": 10, "read_only": True, "needs_no_undo": True}
FRESH = Observed(at=T0, catalog_at=T0, directory_at=T0)


def _reach(weight: float) -> Reach:
    return Reach(total=int(weight), hard=int(weight), weight=weight)


def _assess(operation: dict[str, Any], *, timing: Timing | None = None, steps: Any = None, **facts: Any) -> Any:
    known = RegisteredOperation(name=DO, executor="x", **operation)
    undo = RegisteredOperation(name=UNDO, executor="x", severity=min(known.severity, 20))
    proposal = a_proposal(operation=DO, steps=steps or [step_json(DO, undo=UNDO if known.inverse else None)])
    small = {
        "operations": {DO: known, UNDO: undo},
        "target_criticality": "high",
        "reach": _reach(3),
        "observed": FRESH,
        "unregistered": (),
    }
    everything = facts_of(proposal).model_copy(update=small | facts)
    return assess(proposal, everything, timing or Timing(at=T0))


def _value(found: ImpactAssessment, name: str) -> float:
    return next(item.value for item in found.indicators if item.name == name)


def _evidence(found: ImpactAssessment, name: str) -> str:
    return next(item.evidence for item in found.indicators if item.name == name)


TARGETS: dict[str, dict[str, Any]] = {
    "low": {"target_criticality": "low", "reach": _reach(0)},
    "medium": {"target_criticality": "medium", "reach": _reach(2)},
    "high": {"target_criticality": "high", "reach": _reach(12)},
    "critical": {"target_criticality": "critical", "reach": _reach(60)},
    "nobody says how critical": {"target_criticality": None, "reach": _reach(60)},
}
KNOWN: dict[str, dict[str, Any]] = {
    "fresh": {},
    "nothing is known": {"observed": Observed(), "timing": Timing()},
    "a bad day": {
        "observed": Observed(
            in_flight=("p-5", "p-6"),
            tallies=(Tally(scope="target", operation=DO, agent="a", succeeded=1, failed=9, unknown=9),),
        ),
        "timing": Timing(at=T0, peak="office-hours", freezes=("quarter-end",)),
    },
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_reads_are_low(target: dict[str, Any], known: dict[str, Any]) -> None:
    """A read is low on every known target, whatever is known, and whatever it costs there."""
    assert _assess(READ, **target, **known).risk_tier is RiskTier.low
    assert _assess({**READ, "severity": 100, "effects": EFFECTS}, **target, **known).risk_tier is RiskTier.low


@pytest.mark.parametrize("target", ["low", "medium", "high"])
@pytest.mark.parametrize("known", ["fresh", "nothing is known"])
@pytest.mark.parametrize("operation", [REPAIR, RESTART, REPAIR | {"undo_seconds": 60, "effects": EFFECTS[:3]}])
def test_routine_repairs_are_medium_at_most(target: str, known: str, operation: dict[str, Any]) -> None:
    """A reversible repair without any history does not need a high tier, even where nothing is measured."""
    assert _assess(operation, **TARGETS[target], **KNOWN[known]).risk_tier.rank <= RiskTier.medium.rank


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_destruction_is_high_at_least(target: dict[str, Any]) -> None:
    """What destroys is high even on a target that nobody misses, with a good history."""
    many = tuple(Tally(scope="target", operation=DO, agent=f"a-{number}", succeeded=99) for number in range(9))
    assert _assess(DROP, **target).risk_tier.rank >= RiskTier.high.rank
    calm = _assess(DROP, **target, observed=FRESH.model_copy(update={"tallies": many}))
    assert calm.risk_tier.rank >= RiskTier.high.rank


ARCHETYPES: dict[str, tuple[dict[str, Any], dict[str, Any], RiskTier]] = {
    "a restart of an internal service": (RESTART, TARGETS["low"], RiskTier.low),
    "a restart of a critical service": (RESTART, TARGETS["critical"], RiskTier.low),
    "a repair of an internal service": (REPAIR, TARGETS["low"], RiskTier.low),
    "a repair of a critical service": (REPAIR, TARGETS["critical"], RiskTier.medium),
    "a slow failover of a critical database": (
        {"severity": 70, "effects": {"availability": 70, "data_access": 60}, "inverse": (UNDO,), "undo_seconds": 600},
        TARGETS["critical"],
        RiskTier.high,
    ),
    "a drop of a critical database, nothing else known": (
        DROP,
        TARGETS["critical"] | KNOWN["nothing is known"],
        RiskTier.high,
    ),
    "a drop of a critical database on a bad day": (DROP, TARGETS["critical"] | KNOWN["a bad day"], RiskTier.critical),
    "an operation of unknown extent on everything": (
        {"severity": 60},
        TARGETS["critical"] | {"resolved_ids": tuple(str(number) for number in range(200))},
        RiskTier.high,
    ),
}


@pytest.mark.parametrize(("operation", "facts", "tier"), ARCHETYPES.values(), ids=ARCHETYPES)
def test_archetypes(operation: dict[str, Any], facts: dict[str, Any], tier: RiskTier) -> None:
    """What the weights were set by: each of these has the tier that people expect of it."""
    assert _assess(operation, **facts).risk_tier is tier


FLOORS: dict[str, tuple[dict[str, Any], dict[str, Any], RiskTier, str]] = {
    "the registered operation": ({}, {}, RiskTier.medium, "pg.set is medium at least"),
    "a hold on the target": (
        {},
        {"holds": (HoldFact(hold_id="h", target="orders", proposal_id="p", reason="r"),)},
        RiskTier.high,
        "orders is under hold",
    ),
    "denied before, nobody knows in which tier": (
        {},
        {"denials": (DenialFact(proposal_id="p-0"),)},
        RiskTier.high,
        "the same effect was denied in p-0",
    ),
    "denied before, when it was low": (
        {},
        {"denials": (DenialFact(proposal_id="p-0", tier=RiskTier.low),)},
        RiskTier.high,
        "the same effect was denied in p-0",
    ),
    "denied before, when it was critical": (
        {},
        {"denials": (DenialFact(proposal_id="p-1"), DenialFact(proposal_id="p-0", tier=RiskTier.critical))},
        RiskTier.critical,
        "the same effect was denied in p-0",
    ),
    "an operation that nobody registered": (
        {"operation": "pg.look", "steps": [step_json("pg.look")]},
        {},
        RiskTier.critical,
        "pg.look is critical at least",
    ),
    "an undo that nobody registered": (
        {"steps": [step_json(undo="pg.look")]},
        {},
        RiskTier.critical,
        "pg.look is critical at least",
    ),
    "an undo that destroys": ({"steps": [step_json(undo="pg.drop")]}, {}, RiskTier.high, "pg.drop is high at least"),
    "operations that were not looked up": ({}, {"operations": {}}, RiskTier.critical, "pg.reset is critical at least"),
    "an unknown target": ({"target": "nobody-knows-it"}, {}, RiskTier.critical, "the target is unknown"),
}


@pytest.mark.parametrize(("changes", "facts", "floor", "why"), FLOORS.values(), ids=FLOORS)
def test_floor(changes: dict[str, Any], facts: dict[str, Any], floor: RiskTier, why: str) -> None:
    """The floor comes from every operation, the undo too, from the target, from holds and from earlier denials."""
    proposal = a_proposal(**changes)
    found = assess(proposal, facts_of(proposal, **facts))
    assert (found.floor, found.floor_reason) == (floor, why)
    assert found.risk_tier.rank >= floor.rank


def test_an_unknown_target_is_the_worst_case_in_every_respect() -> None:
    """Nothing that is read of an unknown target is good news."""
    found = _assess(REPAIR, target_known=False)
    exposed = [item for item in found.indicators if WEIGHTS[item.name].group == "exposure"]
    assert {(item.value, item.evidence) for item in exposed} == {(1.0, "the target is unknown: worst case")}
    assert len(exposed) == 6
    assert found.risk_tier is RiskTier.critical


def test_indicators_say_where_they_come_from() -> None:
    """Each indicator has value, evidence, writer and contribution, and the score follows from what is shown."""
    found = _assess(REPAIR)
    assert [item.name for item in found.indicators] == list(WEIGHTS)
    assert all(item.evidence and item.writer and 0 <= item.value <= 1 for item in found.indicators)
    assert all(item.weight == WEIGHTS[item.name].weight for item in found.indicators)
    assert found.risk_score == round(100 * found.impact * (0.6 + 0.4 * found.likelihood))
    assert {item.part for item in found.indicators} == {"impact", "likelihood"}
    dated = {item.name for item in found.indicators if item.as_of is not None}
    assert {"blast_radius", "history", "peak_hours", "in_flight"} <= dated


def test_a_contribution_is_what_the_score_would_lose() -> None:
    """Without an indicator the score is lower by its contribution, and by nothing if it reads nothing."""
    found = _assess(RESTART)
    by_name = {item.name: item for item in found.indicators}
    without = _assess(RESTART | {"effects": ()})
    points = [one.impact * (0.6 + 0.4 * one.likelihood) for one in (found, without)]
    assert by_name["availability"].contribution == pytest.approx(points[0] - points[1], abs=1e-4)
    assert {item.contribution for item in found.indicators if not item.value} == {0.0}
    assert all(item.contribution > 0 for item in found.indicators if item.value)


def test_an_undo_that_is_no_inverse_is_none() -> None:
    """The proposer cannot make an action look reversible by writing down any undo."""
    proposal = a_proposal(steps=[step_json(undo="pg.end_session")])
    found = assess(proposal, facts_of(proposal))
    assert _value(found, "undo_difficulty") == 1.0
    assert found.worst_state == "after step 1 of 1 was undone, step 1 cannot be undone"


def test_the_undo_counts_as_if_it_were_proposed() -> None:
    """An undo that is worse than what it undoes makes the action as bad as itself."""
    quiet, harsh = (
        {DO: RegisteredOperation(name=DO, executor="x", **REPAIR), UNDO: undo}
        for undo in (
            RegisteredOperation(name=UNDO, executor="x", severity=5),
            RegisteredOperation(name=UNDO, executor="x", severity=90, effects=("security",)),
        )
    )
    found = _assess(REPAIR, operations=harsh)
    assert found.worst_state == "after step 1 of 1 was undone"
    assert (_value(found, "change_severity"), _value(found, "security")) == (0.9, 1.0)
    assert found.risk_score > _assess(REPAIR, operations=quiet).risk_score


def test_a_state_half_way_without_a_way_back_is_worse_than_the_end() -> None:
    """Of three steps the first has no undo: the action can stop after the second, and stay there."""
    steps = [step_json(DO, name=name, undo=None if name == "one" else UNDO) for name in ("one", "two", "three")]
    found, alone = _assess(REPAIR, steps=steps), _assess(REPAIR, steps=steps[:1])
    assert found.worst_state == "after step 2 of 3, step 1 cannot be undone"
    assert _evidence(found, "undo_difficulty") == _evidence(found, "half_way") == found.worst_state
    assert (_value(found, "half_way"), _value(alone, "half_way")) == (1.0, 0.0)
    assert found.risk_score > alone.risk_score


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
        "2 other actions are in flight on the same failure domains: p-5, p-6",
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
    found = _assess(REPAIR, observed=FRESH.model_copy(update=seen))
    assert (_value(found, name), _evidence(found, name)) == (value, evidence)


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
    found = _assess(REPAIR, **facts)
    assert (_value(found, name), _evidence(found, name)) == (value, evidence)


def test_what_takes_capacity_of_nobody_knows_what_is_the_worst() -> None:
    """Where the registry counts capacity and the catalog does not say how much there is, it is all of it."""
    counted = REPAIR | {"counts": {"all": True}}
    assert _value(_assess(counted), "capacity_share") == 1.0
    assert _value(_assess(REPAIR), "capacity_share") == 0.0


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
    assert _value(_assess(REPAIR, timing=timing), name) == value


def test_what_people_read_changes_nothing() -> None:
    """The last similar actions are shown to approvers; only the tallies count."""
    last = LastActions(proposal_id="p-3", operation=DO, outcome="succeeded", at=T0)
    assert _assess(REPAIR, observed=FRESH.model_copy(update={"similar": (last,)})) == _assess(REPAIR)


def test_an_assessment_of_the_first_release_can_be_read() -> None:
    """A recorded assessment without the newer fields is still one."""
    old = _assess(REPAIR).model_dump(mode="json", exclude={"worst_state", "floor_reason"})
    assert ImpactAssessment.model_validate(old).worst_state == ""
    assert isinstance(Facts(target_known=False).observed, Observed)
