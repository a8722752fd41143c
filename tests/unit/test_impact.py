"""The impact assessment in cases: what routine stays, what is not, what sets the floor, and what is shown."""

from typing import Any

import pytest

from policy.facts import Facts
from policy.impact import ImpactAssessment, assess
from policy.observed import DenialFact, HoldFact, LastActions, Observed, Tally
from policy.operations import EFFECTS, RegisteredOperation, RiskTier
from policy.risk.indicators import WEIGHTS
from policy.rules.timing import Timing
from policy.signature import Signature
from policy.targets import Declared
from tests.unit.builders import T0, a_proposal, facts_of, step_json
from tests.unit.single import DO, DROP, FRESH, READ, REPAIR, RESTART, UNDO, assess_one, evidence_of, reach_of, value_of

TARGETS: dict[str, dict[str, Any]] = {
    "low": {"target_criticality": "low", "reach": reach_of(0)},
    "medium": {"target_criticality": "medium", "reach": reach_of(2)},
    "high": {"target_criticality": "high", "reach": reach_of(12)},
    "critical": {"target_criticality": "critical", "reach": reach_of(60)},
    "nobody says how critical": {"target_criticality": None, "reach": reach_of(60)},
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
    assert assess_one(READ, **target, **known).risk_tier is RiskTier.low
    assert assess_one({**READ, "severity": 100, "effects": EFFECTS}, **target, **known).risk_tier is RiskTier.low


@pytest.mark.parametrize("target", ["low", "medium", "high"])
@pytest.mark.parametrize("known", ["fresh", "nothing is known"])
@pytest.mark.parametrize("operation", [REPAIR, RESTART, REPAIR | {"undo_seconds": 60, "effects": EFFECTS[:3]}])
def test_routine_repairs_are_medium_at_most(target: str, known: str, operation: dict[str, Any]) -> None:
    """A reversible repair without any history does not need a high tier, even where nothing is measured."""
    assert assess_one(operation, **TARGETS[target], **KNOWN[known]).risk_tier.rank <= RiskTier.medium.rank


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_destruction_is_high_at_least(target: dict[str, Any]) -> None:
    """What destroys is high even on a target that nobody misses, with a good history."""
    many = tuple(Tally(scope="target", operation=DO, agent=f"a-{number}", succeeded=99) for number in range(9))
    assert assess_one(DROP, **target).risk_tier.rank >= RiskTier.high.rank
    calm = assess_one(DROP, **target, observed=FRESH.model_copy(update={"tallies": many}))
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
    assert assess_one(operation, **facts).risk_tier is tier


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
    found = assess_one(REPAIR, target_known=False)
    exposed = [item for item in found.indicators if WEIGHTS[item.name].group == "exposure"]
    assert {(item.value, item.evidence) for item in exposed} == {(1.0, "the target is unknown: worst case")}
    assert len(exposed) == 6
    assert found.risk_tier is RiskTier.critical


def test_indicators_say_where_they_come_from() -> None:
    """Each indicator has value, evidence, writer and contribution, and the score follows from what is shown."""
    said = Declared(executor="x", capabilities=())
    seen = {"signature": Signature(kind="unsigned"), "declared": (said,)}
    found = assess_one(REPAIR, observed=FRESH.model_copy(update=seen))
    assert [item.name for item in found.indicators] == list(WEIGHTS)
    assert all(item.evidence and item.writer and 0 <= item.value <= 1 for item in found.indicators)
    assert all(item.weight == WEIGHTS[item.name].weight for item in found.indicators)
    assert found.risk_score == round(100 * found.impact * (0.6 + 0.4 * found.likelihood))
    assert {item.part for item in found.indicators} == {"impact", "likelihood"}
    dated = {item.name for item in found.indicators if item.as_of is not None}
    assert {"blast_radius", "history", "peak_hours", "in_flight"} <= dated


def test_a_contribution_is_what_the_score_would_lose() -> None:
    """Without an indicator the score is lower by its contribution, and by nothing if it reads nothing."""
    found = assess_one(RESTART)
    by_name = {item.name: item for item in found.indicators}
    without = assess_one(RESTART | {"effects": ()})
    points = [one.impact * (0.6 + 0.4 * one.likelihood) for one in (found, without)]
    assert by_name["availability"].contribution == pytest.approx(points[0] - points[1], abs=1e-4)
    assert {item.contribution for item in found.indicators if not item.value} == {0.0}
    assert all(item.contribution > 0 for item in found.indicators if item.value)


def test_an_undo_that_is_no_inverse_is_none() -> None:
    """The proposer cannot make an action look reversible by writing down any undo."""
    proposal = a_proposal(steps=[step_json(undo="pg.end_session")])
    found = assess(proposal, facts_of(proposal))
    assert value_of(found, "undo_difficulty") == 1.0
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
    found = assess_one(REPAIR, operations=harsh)
    assert found.worst_state == "after step 1 of 1 was undone"
    assert (value_of(found, "change_severity"), value_of(found, "security")) == (0.9, 1.0)
    assert found.risk_score > assess_one(REPAIR, operations=quiet).risk_score


def test_a_state_half_way_without_a_way_back_is_worse_than_the_end() -> None:
    """Of three steps the first has no undo: the action can stop after the second, and stay there."""
    steps = [step_json(DO, name=name, undo=None if name == "one" else UNDO) for name in ("one", "two", "three")]
    found, alone = assess_one(REPAIR, steps=steps), assess_one(REPAIR, steps=steps[:1])
    assert found.worst_state == "after step 2 of 3, step 1 cannot be undone"
    assert evidence_of(found, "undo_difficulty") == evidence_of(found, "half_way") == found.worst_state
    assert (value_of(found, "half_way"), value_of(alone, "half_way")) == (1.0, 0.0)
    assert found.risk_score > alone.risk_score


def test_what_people_read_changes_nothing() -> None:
    """The last similar actions are shown to approvers; only the tallies count."""
    last = LastActions(proposal_id="p-3", operation=DO, outcome="succeeded", at=T0)
    assert assess_one(REPAIR, observed=FRESH.model_copy(update={"similar": (last,)})) == assess_one(REPAIR)


def test_an_assessment_of_the_first_release_can_be_read() -> None:
    """A recorded assessment without the newer fields is still one."""
    old = assess_one(REPAIR).model_dump(mode="json", exclude={"worst_state", "floor_reason"})
    assert ImpactAssessment.model_validate(old).worst_state == ""
    assert isinstance(Facts(target_known=False).observed, Observed)
