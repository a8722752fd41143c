"""The impact assessment: monotonic, with a floor, and deaf to the proposer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import CRITICALITIES, CRITICALITY_WEIGHT, Dependent, Reach
from policy.facts import Facts
from policy.impact import TIER_STARTS, ImpactAssessment, assess
from policy.observed import DenialFact, HoldFact, Observed
from policy.operations import RegisteredOperation, RiskTier
from tests.unit.builders import a_proposal, facts_of, step_json

_EFFECTS = ("performance", "security", "data_access", "availability")
_CRITICALITY = st.sampled_from([*CRITICALITIES, None])
_OPERATION = st.builds(
    RegisteredOperation,
    name=st.just("pg.set"),
    executor=st.just("x"),
    severity=st.integers(0, 100),
    floor=st.sampled_from(RiskTier),
    effects=st.lists(st.sampled_from(_EFFECTS), unique=True).map(tuple),
    inverse=st.sampled_from([(), ("pg.reset",)]),
    needs_no_undo=st.booleans(),
)
_DEPENDENTS = st.lists(
    st.builds(Dependent, ref=st.just("component:default/x"), criticality=_CRITICALITY, distance=st.just(1)), max_size=8
).map(tuple)


def _reach(dependents: tuple[Dependent, ...]) -> Reach:
    weight = sum(CRITICALITY_WEIGHT[item.criticality] for item in dependents)
    return Reach(total=len(dependents), hard=len(dependents), weight=weight, nearest=dependents)


@st.composite
def _facts(draw: st.DrawFn) -> Facts:
    quiet = RegisteredOperation(name="pg.reset", executor="x", severity=0)
    return facts_of(a_proposal()).model_copy(
        update={
            "operations": {"pg.set": draw(_OPERATION), "pg.reset": quiet},
            "reach": _reach(draw(_DEPENDENTS)),
            "target_criticality": draw(_CRITICALITY),
            "target_known": draw(st.booleans()),
            "observed": draw(st.sampled_from([Observed(), Observed(denials=(DenialFact(proposal_id="p-0"),))])),
        }
    )


def _operation(facts: Facts, **changes: Any) -> Facts:
    worse = facts.operations["pg.set"].model_copy(update=changes)
    return facts.model_copy(update={"operations": {**facts.operations, "pg.set": worse}})


def _never_lower(before: ImpactAssessment, after: ImpactAssessment) -> None:
    assert after.risk_score >= before.risk_score
    assert after.risk_tier.rank >= before.risk_tier.rank


@given(_facts(), _DEPENDENTS)
def test_more_dependents_never_lower(facts: Facts, more: tuple[Dependent, ...]) -> None:
    """Whatever else is known, one more dependent never makes an action look safer."""
    worse = facts.model_copy(update={"reach": _reach((*facts.reach.nearest, *more))})
    _never_lower(assess(a_proposal(), facts), assess(a_proposal(), worse))


@given(_facts(), st.integers(0, 100))
def test_more_severity_never_lowers(facts: Facts, severity: int) -> None:
    """A more severe operation never scores less."""
    worse = _operation(facts, severity=max(severity, facts.operations["pg.set"].severity))
    _never_lower(assess(a_proposal(), facts), assess(a_proposal(), worse))


@given(_facts(), st.lists(st.sampled_from(_EFFECTS)))
def test_more_effects_never_lower(facts: Facts, more: list[Any]) -> None:
    """An operation that touches more never scores less."""
    worse = _operation(facts, effects=(*facts.operations["pg.set"].effects, *more))
    _never_lower(assess(a_proposal(), facts), assess(a_proposal(), worse))


@given(_facts())
def test_harder_to_undo_never_lowers(facts: Facts) -> None:
    """Without a registered inverse an action never scores less, whatever undo the proposer wrote."""
    worse = _operation(facts, inverse=(), needs_no_undo=False)
    _never_lower(assess(a_proposal(), facts), assess(a_proposal(), worse))


@given(_facts(), _CRITICALITY)
def test_higher_criticality_never_lowers(facts: Facts, level: str | None) -> None:
    """A more critical target never scores less, and one of unknown criticality counts as critical."""
    order = [*CRITICALITIES, None]
    worse = max(level, facts.target_criticality, key=order.index)
    _never_lower(
        assess(a_proposal(), facts), assess(a_proposal(), facts.model_copy(update={"target_criticality": worse}))
    )


@given(_facts())
def test_unknown_target_is_the_worst(facts: Facts) -> None:
    """A target that nobody knows is critical."""
    unknown = facts.model_copy(update={"target_known": False})
    _never_lower(assess(a_proposal(), facts), assess(a_proposal(), unknown))
    assert assess(a_proposal(), unknown).risk_tier is RiskTier.critical


@given(_facts(), st.sampled_from(RiskTier))
def test_tier_is_never_below_the_floor(facts: Facts, floor: RiskTier) -> None:
    """The floor of an operation holds whatever the score says."""
    found = assess(a_proposal(), _operation(facts, floor=floor))
    assert found.risk_tier.rank >= found.floor.rank >= floor.rank
    assert 0 <= found.risk_score <= 100


@given(
    _facts(),
    st.none() | st.floats(0, 1),
    st.text(max_size=50),
    st.lists(st.fixed_dictionaries({"kind": st.just("log"), "text": st.just("safe")}), max_size=3),
    st.sampled_from(["compensate", "ask"]),
)
def test_nothing_the_proposer_writes_lowers(
    facts: Facts, confidence: float | None, rationale: str, evidence: list[Any], on_stop: str
) -> None:
    """Saying nothing is never dearer than saying something: words, confidence and evidence lower nothing."""
    silent = a_proposal(agent={"id": "tuner"}, rationale="")
    agent = {"id": "tuner", "confidence": confidence} if confidence is not None else {"id": "tuner"}
    words = "".join(char for char in rationale if char.isprintable())
    spoken = a_proposal(agent=agent, rationale=words, evidence=evidence, on_stop=on_stop)
    _never_lower(assess(silent, facts), assess(spoken, facts))


@given(_facts(), st.sampled_from(["pg.end_session", "pg.drop", "pg.nobody_knows"]))
def test_one_more_step_never_lowers(facts: Facts, operation: str) -> None:
    """A mild step beside a dangerous one makes nothing milder."""
    more = a_proposal(steps=[step_json(), step_json(operation, name="more", undo=None)])
    known = facts_of(more).operations
    worse = facts.model_copy(update={"operations": {**known, **facts.operations}})
    _never_lower(assess(a_proposal(), facts), assess(more, worse))


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], RiskTier]] = {
    "the registered operation": ({}, {}, RiskTier.medium),
    "a hold on the target": (
        {},
        {"observed": Observed(holds=(HoldFact(hold_id="h", target="t", proposal_id="p", reason="r"),))},
        RiskTier.high,
    ),
    "denied before": ({}, {"observed": Observed(denials=(DenialFact(proposal_id="p-0"),))}, RiskTier.high),
    "an operation that nobody registered": (
        {"operation": "pg.look", "steps": [step_json("pg.look")]},
        {},
        RiskTier.critical,
    ),
    "an undo that nobody registered": ({"steps": [step_json(undo="pg.look")]}, {}, RiskTier.critical),
    "operations that were not looked up": ({}, {"operations": {}}, RiskTier.critical),
}


@pytest.mark.parametrize(("changes", "facts", "floor"), CASES.values(), ids=CASES)
def test_floor(changes: dict[str, Any], facts: dict[str, Any], floor: RiskTier) -> None:
    """The floor comes from every operation, the undo too, from holds and from earlier denials."""
    proposal = a_proposal(**changes)
    assert assess(proposal, facts_of(proposal, **facts)).floor is floor


def test_indicators_say_where_they_come_from() -> None:
    """Each indicator has a writer, evidence and a contribution, and the score follows from them."""
    found = assess(a_proposal(), facts_of(a_proposal()))
    assert {item.writer for item in found.indicators} == {"operations registry", "catalog", "proposer", "ledger"}
    assert all(item.evidence and 0 <= item.contribution <= item.weight <= 1 for item in found.indicators)
    assert found.risk_score == round(100 * found.impact * (0.5 + 0.5 * found.likelihood))
    assert [start for start, _ in TIER_STARTS] == [75, 50, 25, 0]


def test_an_undo_that_is_no_inverse_is_none() -> None:
    """The proposer cannot make an action look reversible by writing down any undo."""
    with_any = assess(a_proposal(steps=[step_json(undo="pg.end_session")]), facts_of(a_proposal()))
    by_name = {item.name: item for item in with_any.indicators}
    assert by_name["undo_difficulty"].value == 1.0
    assert by_name["undo_difficulty"].evidence == "no registered undo for set"
