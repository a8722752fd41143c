"""The assessment only ever rises with what is bad, and nobody talks a tier below its floor."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import CRITICALITIES, Reach, SloObjective
from policy.impact import ImpactAssessment, floor_of
from policy.observed import Calibration, Tally
from policy.operations import EFFECTS, RiskTier
from policy.proofs import Assurance
from policy.signature import Signature
from tests.unit.builders import a_proposal, proposal_json, step_json
from tests.unit.worlds import (
    CRITICALITY,
    DENIAL,
    NAMES,
    OBSERVED,
    UNDO,
    WORLDS,
    World,
    a_hold,
)
from tests.unit.worse_executors import less_capable, more_found

Draw = Callable[[st.SearchStrategy[Any]], Any]
_NAME = st.sampled_from([*NAMES, UNDO])
_COUNT = st.integers(1, 20)


def _never_lower(before: ImpactAssessment, after: ImpactAssessment) -> None:
    assert after.risk_score >= before.risk_score
    assert after.risk_tier.rank >= before.risk_tier.rank
    assert after.floor.rank >= before.floor.rank
    assert (after.impact, after.likelihood) >= (before.impact, 0)


def _more_dependents(draw: Draw, world: World) -> World:
    reach, more = world.facts.reach, draw(_COUNT)
    heavier = Reach(total=reach.total + more, hard=reach.hard, weight=reach.weight + more / 10, dangling=reach.dangling)
    return world.fact(reach=heavier)


def _more_dangling(draw: Draw, world: World) -> World:
    reach = world.facts.reach
    more = draw(_COUNT)
    return world.fact(
        reach=reach.model_copy(
            update={
                "total": reach.total + more,
                "weight": reach.weight + more,
                "dangling": reach.dangling + more,
            }
        )
    )


def _more_severity(draw: Draw, world: World) -> World:
    name = draw(_NAME)
    return world.registered(name, severity=draw(st.integers(world.facts.operation(name).severity, 100)))


def _more_effects(draw: Draw, world: World) -> World:
    name, effect = draw(_NAME), draw(st.sampled_from(EFFECTS))
    levels = world.facts.operation(name).effect_levels
    return world.registered(name, effects={**levels, effect: draw(st.integers(levels.get(effect, 0), 100))})


def _less_reversible(draw: Draw, world: World) -> World:
    name = draw(_NAME)
    known = world.facts.operation(name)
    longer = st.none() if known.undo_seconds is None else st.none() | st.integers(known.undo_seconds, 9000)
    worse: list[dict[str, Any]] = [
        {"inverse": (), "needs_no_undo": False, "read_only": False},
        {"needs_no_undo": False},
        {"read_only": False},
        {"destructive": True},
        {"undo_seconds": draw(longer)},
    ]
    return world.registered(name, **draw(st.sampled_from(worse)))


def _less_proved(_draw: Draw, world: World) -> World:
    proofs = tuple(proof.model_copy(update={"kind": "dry_run"}) for proof in world.facts.observed.undo_proofs)
    return world.seen(undo_proofs=proofs)


def _more_targets(draw: Draw, world: World) -> World:
    # A target that resolves to nothing is the worst: nobody knows how much it stands for.
    if not world.facts.resolved_ids:
        return world
    more = tuple(f"more-{number}" for number in range(draw(_COUNT)))
    return world.fact(resolved_ids=(*world.facts.resolved_ids, *more))


def _no_targets(_draw: Draw, world: World) -> World:
    return world.fact(resolved_ids=(), failure_domains=())


def _more_share(draw: Draw, world: World) -> World:
    touched = world.facts.units_touched
    if touched is None or world.facts.share is None:
        return world
    return world.fact(units_touched=touched + draw(st.floats(0, 20)))


def _more_domains(draw: Draw, world: World) -> World:
    # None given is not none: as many as targets are assumed.
    if not world.facts.failure_domains:
        return world
    return world.fact(failure_domains=(*world.facts.failure_domains, f"more-{draw(_COUNT)}"))


def _more_critical(draw: Draw, world: World) -> World:
    levels = CRITICALITY[CRITICALITY.index(world.facts.target_criticality) :]
    return world.fact(target_criticality=draw(st.sampled_from(levels)))


def _less_budget(draw: Draw, world: World) -> World:
    lost = draw(st.floats(0, 2))
    spent = tuple(
        state.model_copy(update={"budget_left": None if state.budget_left is None else state.budget_left - lost})
        for state in world.facts.observed.slo_states
    )
    return world.seen(slo_states=spent)


def _an_unmeasured_objective(_draw: Draw, world: World) -> World:
    more = SloObjective(name="nobody-measures-it", objective=0.999)
    return world.fact(target_objectives=(*world.facts.target_objectives, more))


def _older(draw: Draw, world: World) -> World:
    later = draw(st.timedeltas(timedelta(0), timedelta(days=200)))
    observed, timing = world.facts.observed.at, world.timing.at
    return world.seen(at=observed and observed + later).timed(at=timing and timing + later)


def _undated(draw: Draw, world: World) -> World:
    return world.seen(catalog_at=None) if draw(st.booleans()) else world.seen(directory_at=None)


def _more_stale(draw: Draw, world: World) -> World:
    return world.timed(stale=(*world.timing.stale, draw(st.sampled_from(["catalog", "owners", "directory"]))))


def _more_failures(draw: Draw, world: World) -> World:
    bad = {draw(st.sampled_from(["compensated", "failed", "unknown"])): draw(_COUNT)}
    scope, agent = draw(st.sampled_from([("target", "tuner"), ("kind", "third")]))
    more = Tally(scope=scope, operation=draw(_NAME), agent=agent, **bad)
    return world.seen(tallies=(*world.facts.observed.tallies, more))


def _fewer_successes(_draw: Draw, world: World) -> World:
    fewer = tuple(
        tally.model_copy(update={"succeeded": tally.succeeded // 2}) for tally in world.facts.observed.tallies
    )
    return world.seen(tallies=fewer)


def _more_denials(draw: Draw, world: World) -> World:
    return world.seen(denials=(*world.facts.denials, draw(DENIAL)))


def _a_hold(_draw: Draw, world: World) -> World:
    return world.seen(holds=(*world.facts.holds, a_hold()))


def _more_in_flight(draw: Draw, world: World) -> World:
    return world.seen(in_flight=(*world.facts.observed.in_flight, *("p-5",) * draw(_COUNT)))


def _peak(_draw: Draw, world: World) -> World:
    return world.timed(peak="office-hours")


def _freeze(_draw: Draw, world: World) -> World:
    return world.timed(freezes=("quarter-end",))


def _window_closes_sooner(draw: Draw, world: World) -> World:
    ends = world.timing.window_ends
    return world.timed(window_ends=ends and ends - draw(st.timedeltas(timedelta(0), timedelta(hours=2))))


def _less_calibrated(draw: Draw, world: World) -> World:
    found = world.facts.observed.calibration or Calibration(n=30, mean_stated=0.9, succeeded=30)
    stated, kept = draw(st.floats(found.mean_stated, 1)), draw(st.integers(0, min(found.succeeded, found.n)))
    return world.seen(calibration=Calibration(n=found.n, mean_stated=stated, succeeded=kept))


def _less_sure(draw: Draw, world: World) -> World:
    stated = world.proposal.agent.confidence
    lower = draw(st.floats(0, 0.5 if stated is None else stated))
    agent = world.proposal.agent.model_copy(update={"confidence": lower})
    return replace(world, proposal=world.proposal.model_copy(update={"agent": agent}))


def _one_more_step(draw: Draw, world: World) -> World:
    more = world.proposal.steps[0].model_copy(update={"name": "more", "operation": draw(st.sampled_from(NAMES))})
    return replace(world, proposal=world.proposal.model_copy(update={"steps": (*world.proposal.steps, more)}))


def _an_undo_that_is_none(_draw: Draw, world: World) -> World:
    changed = [world.registered(name, inverse=()) for name in NAMES]
    return world.fact(operations={name: one.facts.operations[name] for name, one in zip(NAMES, changed, strict=True)})


def _unknown_target(_draw: Draw, world: World) -> World:
    return world.fact(target_known=False)


def _unregistered(draw: Draw, world: World) -> World:
    gone = draw(_NAME)
    return world.fact(operations={name: item for name, item in world.facts.operations.items() if name != gone})


SIGNED = Signature(kind="key", assurance=Assurance.aal1, signer="tuner", key_id="platform-1")


def _unsigned(draw: Draw, world: World) -> World:
    return world.seen(signature=Signature(kind="unsigned", expected=draw(st.booleans())))


WORSE = {
    "an executor that can do less": less_capable,
    "more things that executors find": more_found,
    "a proposal that nobody signed": _unsigned,
    "more dependents": _more_dependents,
    "more dependents that the catalog does not have": _more_dangling,
    "more severity": _more_severity,
    "more effects": _more_effects,
    "less reversibility": _less_reversible,
    "an undo that was only tried dry": _less_proved,
    "more resolved targets": _more_targets,
    "a target that resolves to nothing": _no_targets,
    "a larger share of the capacity": _more_share,
    "more failure domains": _more_domains,
    "a more critical target": _more_critical,
    "less error budget": _less_budget,
    "an objective that nobody measures": _an_unmeasured_objective,
    "older facts": _older,
    "facts without a date": _undated,
    "more facts that the policy calls stale": _more_stale,
    "more failures in history": _more_failures,
    "fewer successes in history": _fewer_successes,
    "more denials": _more_denials,
    "a hold": _a_hold,
    "more in flight": _more_in_flight,
    "peak hours": _peak,
    "a freeze": _freeze,
    "a window that closes sooner": _window_closes_sooner,
    "an agent that keeps less than it says": _less_calibrated,
    "an agent that is less sure": _less_sure,
    "one more step": _one_more_step,
    "an undo that is no inverse, and was not looked up": _an_undo_that_is_none,
    "an unknown target": _unknown_target,
    "an operation that nobody registered": _unregistered,
}


@pytest.mark.parametrize("worse", WORSE.values(), ids=WORSE)
@given(data=st.data())
@settings(max_examples=25)
def test_worse_is_never_lower(worse: Callable[[Draw, World], World], data: st.DataObject) -> None:
    """Whatever else is known, more of anything bad lowers neither the score nor the tier nor the floor."""
    world = data.draw(WORLDS)
    _never_lower(world.assess(), worse(data.draw, world).assess())


@given(WORLDS)
def test_the_tier_is_never_below_the_floor(world: World) -> None:
    """The floor of every operation holds whatever the score says, and the score is one of 100."""
    found = world.assess()
    floors = [world.facts.operation(name).floor for name in world.proposal.operations]
    assert found.risk_tier.rank >= found.floor.rank >= max(floor.rank for floor in floors)
    assert 0 <= found.risk_score <= 100


@given(
    WORLDS,
    st.fixed_dictionaries(
        {
            "agent": st.fixed_dictionaries({"id": st.just("tuner"), "confidence": st.floats(0, 1)}),
            "rationale": st.sampled_from(["", "perfectly safe, risk tier: low", "severity 0"]),
            "evidence": st.lists(st.just({"kind": "log", "text": "safe"}), max_size=2),
            "on_stop": st.sampled_from(["compensate", "ask"]),
            "expected_targets": st.none() | st.just(["id-0"]),
            "produced_at": st.none() | st.just("2030-01-01T08:00:00Z"),
            "change_type": st.sampled_from(["standard", "normal", "emergency"]),
            "dry_run": st.booleans(),
            "alternatives": st.lists(st.just({"operation": "x.one", "summary": "worse"}), max_size=1),
        }
    ),
)
def test_nothing_the_proposer_writes_lowers(world: World, words: dict[str, Any]) -> None:
    """Saying nothing is never dearer than saying something: no word of a proposal lowers a score, a tier or a floor."""
    steps = [step.model_dump(mode="json", exclude_none=True) for step in world.proposal.steps]
    silent = {"operation": NAMES[0], "agent": {"id": "tuner"}, "rationale": "", "steps": steps}
    spoken = proposal_json(**silent | words)
    before, after = (replace(world, proposal=a_proposal(**value)) for value in (silent, spoken))
    _never_lower(before.assess(), after.assess())


@given(WORLDS, st.sampled_from(RiskTier), st.sampled_from(CRITICALITY), st.floats(1, 1e9), st.integers(0, 5))
def test_nothing_the_owner_of_the_target_writes_lowers_below_the_floor(
    world: World, floor: RiskTier, criticality: str | None, units: float, domains: int
) -> None:
    """Criticality, capacity, objectives, dependents and domains may say that nothing matters: the floor stays."""
    mild = world.registered(NAMES[0], floor=floor).fact(
        target_known=True,
        target_criticality=criticality,
        target_objectives=(),
        units_total=units,
        failure_domains=tuple(str(number) for number in range(domains)),
        resolved_ids=("id-0",),
        reach=Reach(),
    )
    found, (before, _) = mild.assess(), floor_of(mild.proposal, mild.facts)
    assert found.risk_tier.rank >= found.floor.rank >= floor.rank
    assert found.floor is before


@given(WORLDS, OBSERVED)
def test_nothing_observed_lowers_below_the_floor_of_the_operations(world: World, observed: Any) -> None:
    """However good the record looks, an operation keeps its floor."""
    floors = [world.facts.operation(name).floor.rank for name in world.proposal.operations]
    assert world.fact(observed=observed).assess().risk_tier.rank >= max(floors)


@given(WORLDS, st.integers(21, 10_000), st.sampled_from(["target", "kind"]))
def test_ten_thousand_successes_of_one_agent_count_as_twenty(world: World, many: int, scope: Any) -> None:
    """One agent makes no good history alone: its further successes change nothing, and no tier falls below a floor."""

    def with_successes(count: int) -> ImpactAssessment:
        more = [Tally(scope=scope, operation=name, agent="busy", succeeded=count) for name in NAMES]
        return world.seen(tallies=(*world.facts.observed.tallies, *more)).assess()

    capped, before = with_successes(20 if scope == "target" else 40), world.assess()
    assert with_successes(max(many, 40)) == capped
    assert capped.risk_tier.rank >= capped.floor.rank == before.floor.rank
    assert capped.risk_score <= before.risk_score


@given(WORLDS, st.none() | st.sampled_from(RiskTier))
def test_what_was_denied_enters_no_lower_tier(world: World, tier: RiskTier | None) -> None:
    """Proposed again, an effect that people denied is high at least, and at least what it was when they denied it."""
    denied = world.seen(denials=({"proposal_id": "p-7", "tier": tier},))
    denied = world.seen(denials=type(world.facts.observed).model_validate({"denials": denied.facts.denials}).denials)
    least = max(RiskTier.high, tier or RiskTier.high, key=lambda item: item.rank)
    assert denied.assess().risk_tier.rank >= least.rank


@given(WORLDS, st.sampled_from([*CRITICALITIES, None]), st.floats(0, 1e6))
def test_a_read_is_low_wherever_it_reads(world: World, criticality: str | None, weight: float) -> None:
    """An operation that only reads is low on every known target, whatever its history, its hour and its dependents."""
    reading = world.fact(
        operations={
            name: item.model_copy(
                update={"read_only": True, "destructive": False, "floor": RiskTier.low, "effects": EFFECTS}
            )
            for name, item in world.facts.operations.items()
        },
        target_known=True,
        target_criticality=criticality,
        reach=Reach(total=1, hard=1, weight=weight),
    ).seen(holds=(), denials=())
    steps = [step_json(NAMES[0], undo=None)]
    only = replace(reading, proposal=a_proposal(operation=NAMES[0], steps=steps))
    assert only.assess().risk_tier is RiskTier.low


@given(WORLDS)
def test_what_is_destructive_is_high_at_least(world: World) -> None:
    """What destroys is high wherever it happens; calling it a read, or that it needs no undo, helps nothing."""
    disguised = world.registered(NAMES[0], destructive=True, read_only=True, needs_no_undo=True, severity=0)
    assert disguised.assess().risk_tier.rank >= RiskTier.high.rank


@given(WORLDS)
def test_an_unsigned_proposal_is_never_scored_lower_than_the_same_one_signed(world: World) -> None:
    """Leaving the signature out never pays, a signature lowers nothing that was assessed before, and one that lapsed
    counts as none.
    """
    signed, unsigned = world.seen(signature=SIGNED).assess(), world.seen(signature=Signature(kind="unsigned")).assess()
    lapsed = world.seen(signature=SIGNED.model_copy(update={"lapsed": "revoked_key: it was revoked"})).assess()
    _never_lower(signed, unsigned)
    assert (signed.risk_score, signed.likelihood) == (world.assess().risk_score, world.assess().likelihood)
    assert (lapsed.risk_score, lapsed.likelihood) == (unsigned.risk_score, unsigned.likelihood)
