"""Worlds to assess in: an action, what is known of it and what the calendars say, drawn at random."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

from policy.catalog import CRITICALITIES, Reach, SloObjective
from policy.facts import Facts
from policy.impact import ImpactAssessment, assess
from policy.observed import Calibration, DenialFact, HoldFact, Observed, SloState, Tally, UndoProof
from policy.operations import EFFECTS, Counted, RegisteredOperation, RiskTier
from policy.proposal import ActionProposal
from policy.rules.timing import Timing
from policy.targets import Capability, Declared, Observes
from tests.unit.builders import T0, a_proposal, step_json

NAMES = ("x.one", "x.two")
UNDO = "x.undo"
CRITICALITY = [*CRITICALITIES, None]
_AGES = st.timedeltas(timedelta(0), timedelta(days=120))
_PART = st.floats(0, 1)


@dataclass(frozen=True)
class World:
    """Everything that an assessment is made from."""

    proposal: ActionProposal
    facts: Facts
    timing: Timing

    def assess(self) -> ImpactAssessment:
        return assess(self.proposal, self.facts, self.timing)

    def fact(self, **changes: Any) -> "World":
        return replace(self, facts=self.facts.model_copy(update=changes))

    def seen(self, **changes: Any) -> "World":
        return self.fact(observed=self.facts.observed.model_copy(update=changes))

    def timed(self, **changes: Any) -> "World":
        return replace(self, timing=self.timing.model_copy(update=changes))

    def registered(self, name: str, **changes: Any) -> "World":
        known = self.facts.operations[name].model_copy(update=changes)
        return self.fact(operations={**self.facts.operations, name: known})


def a_hold() -> HoldFact:
    return HoldFact(hold_id="h", target="component:default/orders", proposal_id="p-8", reason="it was left half done")


def _many(strategy: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


_FLOORS = st.sampled_from([RiskTier.low, RiskTier.low, *RiskTier])
_OPERATION = st.fixed_dictionaries(
    {
        "severity": st.integers(0, 100),
        "floor": _FLOORS,
        "destructive": st.sampled_from([False, False, True]),
        "read_only": st.booleans(),
        "effects": st.dictionaries(st.sampled_from(EFFECTS), st.integers(0, 100)),
        "inverse": st.sampled_from([(), (UNDO,)]),
        "needs_no_undo": st.booleans(),
        "undo_seconds": st.none() | st.integers(0, 4000),
        "counts": st.sampled_from([None, Counted(all=True)]),
    }
)
_FEW = st.integers(0, 30)
_PAST = _AGES.map(lambda age: T0 - age)
_TALLY = st.builds(
    Tally,
    scope=st.sampled_from(["target", "kind"]),
    operation=st.sampled_from([*NAMES, UNDO]),
    agent=st.sampled_from(["tuner", "other"]),
    succeeded=_FEW,
    compensated=_FEW,
    failed=_FEW,
    unknown=_FEW,
)
_PROOF = st.builds(
    UndoProof,
    operation=st.just(UNDO),
    kind=st.sampled_from(["undone", "dry_run", "restore"]),
    at=_PAST,
    seconds=st.none() | st.floats(0, 4000),
)
_SLO_STATE = st.builds(
    SloState,
    name=st.sampled_from(["latency", "errors"]),
    target=st.sampled_from(["component:default/orders", "component:default/shop"]),
    budget_left=st.none() | st.floats(-1, 1),
    at=_AGES.map(lambda age: T0 - age / 100),
    source=st.just("prometheus"),
)
DENIAL = st.builds(
    DenialFact, proposal_id=st.just("p-7"), at=st.none() | st.just(T0), tier=st.none() | st.sampled_from(RiskTier)
)
OBSERVES: tuple[Observes, ...] = ("never", "by_effect", "by_key")
_CAPABILITY = st.builds(
    Capability,
    operation=st.sampled_from([*NAMES, UNDO]),
    dry_runs=st.booleans(),
    observes=st.sampled_from(OBSERVES),
    stops=st.sampled_from(["within", "between"]),
)
DECLARED = st.builds(
    Declared,
    executor=st.just("x"),
    capabilities=st.lists(_CAPABILITY, max_size=3, unique_by=lambda item: item.operation).map(tuple),
)
OBSERVED = st.builds(
    Observed,
    at=st.sampled_from([T0, None]),
    holds=_many(st.just(a_hold()), 1),
    denials=_many(DENIAL, 2),
    tallies=_many(_TALLY, 4),
    calibration=st.none() | st.builds(Calibration, n=st.just(30), mean_stated=_PART, succeeded=_FEW),
    in_flight=_many(st.just("p-9"), 4),
    undo_proofs=_many(_PROOF, 2),
    slo_states=_many(_SLO_STATE, 3),
    catalog_at=st.none() | _PAST,
    directory_at=st.none() | _PAST,
    declared=_many(DECLARED, 1),
)
_FACTS = st.builds(
    Facts,
    target_known=st.sampled_from([True, True, True, False]),
    target_ref=st.just("component:default/orders"),
    target_criticality=st.sampled_from(CRITICALITY),
    target_objectives=_many(st.just(SloObjective(name="latency", objective=0.99)), 1),
    failure_domains=st.integers(0, 3).map(lambda count: tuple(f"zone-{number}" for number in range(count))),
    resolved_ids=st.integers(0, 30).map(lambda count: tuple(f"id-{number}" for number in range(count))),
    units_touched=st.none() | st.floats(0, 10),
    units_total=st.none() | st.just(10.0),
    reach=st.builds(
        Reach,
        total=st.just(9),
        hard=st.just(5),
        weight=st.floats(0, 100),
        dangling=st.integers(0, 3),
        nearest=st.just(()),
    ),
    operations=st.tuples(*([_OPERATION] * len(NAMES)), st.integers(0, 100)).map(lambda drawn: _registry(*drawn)),
    observed=OBSERVED,
)
_TIMING = st.builds(
    Timing,
    at=st.sampled_from([T0, None]),
    freezes=st.sampled_from([(), (), ("quarter-end",)]),
    peak=st.sampled_from([None, "office-hours"]),
    window_ends=st.none() | st.timedeltas(timedelta(0), timedelta(hours=3)).map(lambda left: T0 + left),
    stale=st.sampled_from([(), ("catalog",), ("slo",)]),
)


def _registry(first: dict[str, Any], second: dict[str, Any], undo: int) -> dict[str, RegisteredOperation]:
    known = [
        RegisteredOperation(name=name, executor="x", **item) for name, item in zip(NAMES, (first, second), strict=True)
    ]
    quiet = RegisteredOperation(name=UNDO, executor="x", severity=undo)
    return {item.name: item for item in (*known, quiet)}


@cache
def _proposal(undos: tuple[str | None, ...], confidence: float | None) -> ActionProposal:
    agent = {"id": "tuner"} if confidence is None else {"id": "tuner", "confidence": confidence}
    steps = [step_json(name, name=name, undo=undo) for name, undo in zip(NAMES, undos, strict=False)]
    return a_proposal(operation=NAMES[0], agent=agent, steps=steps)


_UNDOS = st.lists(st.sampled_from([UNDO, None]), min_size=1, max_size=len(NAMES)).map(tuple)
_CONFIDENCE = st.sampled_from([None, 0.0, 0.2, 0.5, 0.9, 1.0])
WORLDS = st.builds(World, st.builds(_proposal, _UNDOS, _CONFIDENCE), _FACTS, _TIMING)
