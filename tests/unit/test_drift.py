"""What is a material change, what is not, and what became of the effect; one line of prose each."""

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.drift import compare, effect_of, keep
from policy.base import Reason
from policy.catalog import Reach
from policy.document import ApprovalChain
from policy.observed import DenialFact, DraftFact, HoldFact, SloState
from policy.operations import RiskTier
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.rules.chains import Verdict
from policy.rules.drifting import UNSAID, DriftRules, MaterialFact, strictest
from tests.unit.builders import T0, a_ballot, a_case, a_policy, at, facts_of, proposal_json, stage

EVERYTHING = DriftRules(material=tuple(MaterialFact))
_HOLD = HoldFact(hold_id="h-1", target="component:default/orders", proposal_id="p-0", reason="its undo failed")
_DENIAL = DenialFact(proposal_id="p-9", denied_by=("cleo",))
Change = Callable[[Revision], Revision]


def base() -> Revision:
    """The revision that people vote on."""
    received = receive(proposal_json())
    facts = facts_of(received.proposal, slo_states=(_slo(0.5),), in_flight=("p-5",))
    documents = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")
    return assess_revision(
        received, facts, a_policy(), documents, revision=1, assessed_at=T0, absolute_deadline=at(1000)
    )


def _slo(left: float | None) -> SloState:
    return SloState(name="latency", target="component:default/orders", budget_left=left, at=T0, source="prometheus")


def _facts(**changes: Any) -> Change:
    return lambda one: one.model_copy(update={"facts": one.facts.model_copy(update=changes)})


def _seen(**changes: Any) -> Change:
    return lambda one: _facts(observed=one.facts.observed.model_copy(update=changes))(one)


def _answer(**changes: Any) -> Change:
    return lambda one: one.model_copy(update={"evaluation": one.evaluation.model_copy(update=changes)})


def _assessed(**changes: Any) -> Change:
    return lambda one: one.model_copy(update={"assessment": one.assessment.model_copy(update=changes)})


def _score(more: int) -> Change:
    return lambda one: _assessed(risk_score=one.assessment.risk_score + more)(one)


def _stale(*names: str) -> Change:
    return lambda one: one.model_copy(update={"timing": one.timing.model_copy(update={"stale": names})})


def _other_policy(one: Revision) -> Revision:
    return one.model_copy(update={"documents": one.documents.model_copy(update={"policy": "another"})})


def _later(one: Revision) -> Revision:
    return one.model_copy(update={"assessed_at": at(60), "revision": 7, "voids": 1, "held": True})


_OTHERS = ApprovalChain(stages=(stage("sre"),))
_DENIED = (Reason(code="limit", message="no-drop: it is forbidden now"),)

ALWAYS: dict[str, tuple[Change, str]] = {
    "it resolves to another id": (_facts(resolved_ids=("pg-shop",)), "target_changed"),
    "it resolves to one id more": (_facts(resolved_ids=("pg-orders", "pg-shop")), "target_changed"),
    "it resolves to nothing": (_facts(resolved_ids=()), "target_changed"),
    "the policy holds it now": (_answer(verdict=Verdict.hold), "policy_stricter"),
    "a limit denies it now": (_answer(verdict=Verdict.deny, chain=None, reasons=_DENIED), "policy_stricter"),
    "other people are asked": (_answer(chain=_OTHERS), "chain_changed"),
    "the tier is higher": (_assessed(risk_tier=RiskTier.critical), "risk_higher"),
}
LISTED: dict[str, tuple[Change, str]] = {
    "the score is a step higher": (_score(10), "score"),
    "more depend on it": (_facts(reach=Reach(total=2, hard=1)), "dependents"),
    "as many depend on it, more of them hard": (_facts(reach=Reach(total=1, hard=2)), "dependents"),
    "another action is under way there": (_seen(in_flight=("p-5", "p-6")), "in_flight"),
    "another hold lies on it": (_seen(holds=(_HOLD,)), "holds"),
    "an error budget is nearly spent": (_seen(slo_states=(_slo(0.09),)), "slo"),
    "an error budget is spent": (_seen(slo_states=(_slo(0.0),)), "slo"),
    "an error budget is not known any more": (_seen(slo_states=(_slo(None),)), "slo"),
    "an error budget is not measured any more": (_seen(slo_states=()), "slo"),
    "the catalog is too old by now": (_stale("catalog"), "stale"),
}
IMMATERIAL: dict[str, Change] = {
    "the score is a point less than a step higher": _score(9),
    "the score is lower": _score(-20),
    "the tier is lower": _assessed(risk_tier=RiskTier.low),
    "the policy would allow it now": _answer(verdict=Verdict.allow, chain=None),
    "fewer depend on it": _facts(reach=Reach(total=0, hard=0)),
    "what was under way is over": _seen(in_flight=()),
    "people denied the same effect elsewhere": _seen(denials=(_DENIAL,)),
    "somebody else stands behind it": _facts(agent_owner="bob"),
    "another version of the policy says the same": _other_policy,
}
SAME: dict[str, Change] = {
    "nothing": lambda one: one,
    "only the instant and the number": _later,
    "a budget in the same band": _seen(slo_states=(_slo(0.4),)),
    "when it was looked": _seen(at=at(60), catalog_at=at(59)),
}
_DRAFT = DraftFact(kind="policy", digest="sha256:new", previous="sha256:old")
VANISHED: dict[str, tuple[Change, Change, str]] = {
    "the target is in no catalog any more": (lambda one: one, _facts(target_known=False), "target_gone"),
    "the draft is in force": (
        _seen(draft=_DRAFT),
        _seen(draft=_DRAFT.model_copy(update={"previous": _DRAFT.digest})),
        "draft_in_force",
    ),
    "another draft is in force": (
        _seen(draft=_DRAFT),
        _seen(draft=_DRAFT.model_copy(update={"previous": "sha256:other"})),
        "draft_superseded",
    ),
}


@pytest.mark.parametrize("case", ALWAYS)
def test_what_is_always_material(case: str) -> None:
    """Whatever the policy lists, this is another question than the one that was answered."""
    change, rule = ALWAYS[case]
    found = [compare(base(), change(base()), rules) for rules in (UNSAID, EVERYTHING)]
    assert [(item.kind, item.rule, item.listed) for item in found] == [("material", rule, ())] * 2
    assert found[0].changes


@pytest.mark.parametrize("case", LISTED)
def test_what_is_material_where_the_policy_lists_it(case: str) -> None:
    """Listed it opens the next revision; not listed it is told, and votes stay."""
    change, fact = LISTED[case]
    measured = change(base())
    listed = compare(base(), measured, DriftRules(material=(MaterialFact(fact),)))
    others = DriftRules(material=tuple(item for item in MaterialFact if item != fact))
    assert (listed.kind, listed.rule) == ("material", f"more_{fact}")
    assert listed.listed == listed.changes
    for rules in (UNSAID, others):
        found = compare(base(), measured, rules)
        assert (found.kind, found.rule, found.listed) == ("immaterial", "not_worse", ())
        assert found.changes == listed.changes


@pytest.mark.parametrize("case", IMMATERIAL)
def test_what_is_never_material(case: str) -> None:
    """Less bad, or nothing that a vote rests on: everybody is told, and votes stay."""
    found = compare(base(), IMMATERIAL[case](base()), EVERYTHING)
    assert (found.kind, found.rule) == ("immaterial", "not_worse")
    assert found.changes
    assert found.effect != effect_of(base())


@pytest.mark.parametrize("case", SAME)
def test_what_is_no_change_at_all(case: str) -> None:
    """Nothing is written of it."""
    found = compare(base(), SAME[case](base()), EVERYTHING)
    assert (found.kind, found.changes, found.effect) == ("same", (), effect_of(base()))


@pytest.mark.parametrize("case", VANISHED)
def test_an_effect_that_vanished(case: str) -> None:
    """Nothing is left to decide about, whatever else changed with it."""
    before, after, rule = VANISHED[case]
    found = compare(before(base()), _facts(resolved_ids=())(after(before(base()))), EVERYTHING)
    assert (found.kind, found.rule) == ("vanished", rule)
    assert len(found.changes) == 1


_WORSE = st.sampled_from([*ALWAYS.values(), *LISTED.values()])


@given(st.lists(st.sampled_from([*IMMATERIAL, *SAME]), max_size=5, unique=True))
def test_less_bad_is_never_material(names: list[str]) -> None:
    """However many things get better or are only told, together they void no vote."""
    measured = reduce(lambda one, name: {**IMMATERIAL, **SAME}[name](one), names, base())
    assert compare(base(), measured, EVERYTHING).kind in ("same", "immaterial")


@given(st.lists(_WORSE, min_size=1, max_size=4))
def test_a_revision_compared_with_itself_is_the_same(worse: list[tuple[Change, str]]) -> None:
    """Whatever a revision says, measured so again it is not material and nothing new."""
    one = reduce(lambda found, item: item[0](found), worse, base())
    assert compare(one, _later(one), EVERYTHING).kind == "same"


@given(st.integers(1, 9), st.integers(1, 30))
def test_small_steps_become_material_once_they_are_a_large_one(step: int, count: int) -> None:
    """Each measurement is compared with what people vote on: no creeping past them, and no step earlier than said."""
    kinds = [compare(base(), _score(step * number)(base()), EVERYTHING).kind for number in range(1, count + 1)]
    assert kinds == ["material" if step * number >= 10 else "immaterial" for number in range(1, count + 1)]


@given(st.lists(st.sampled_from([*LISTED.values()]), min_size=1, max_size=4), st.sampled_from([*MaterialFact]))
def test_listing_more_makes_nothing_less_material(changes: list[tuple[Change, str]], fact: MaterialFact) -> None:
    """What is material under one list is material under every longer one."""
    measured = reduce(lambda one, item: item[0](one), changes, base())
    if compare(base(), measured, DriftRules(material=(fact,))).kind == "material":
        assert compare(base(), measured, EVERYTHING).kind == "material"


def test_several_documents_together_say_the_strictest() -> None:
    """The shortest intervals, the smallest step, everything that any lists, the fewest voids; nothing of nobody."""
    one = DriftRules(recheck_every=timedelta(hours=1), material=(MaterialFact.slo,), max_voids=3)
    other = DriftRules(min_interval=timedelta(minutes=1), score_step=5, material=(MaterialFact.holds,))
    assert strictest([]) is None
    assert strictest([one, other]) == DriftRules(
        recheck_every=timedelta(hours=1),
        min_interval=timedelta(minutes=1),
        score_step=5,
        material=(MaterialFact.holds, MaterialFact.slo),
        max_voids=2,
    )


KEPT: dict[str, tuple[tuple[Any, ...], list[str]]] = {
    "both stages": ((a_ballot("bob", "approve", 1), a_ballot("cleo", "approve", 2, "dba", number=2)), ["bob", "cleo"]),
    "the second stage waits for the first": (
        (a_ballot("gone", "approve", 1, ""), a_ballot("cleo", "approve", 2, "dba", number=2)),
        ["cleo"],
    ),
    "who lost the group": ((a_ballot("bob", "approve", 1, ""),), []),
    "who stands behind it by now": ((a_ballot("rita", "approve", 1),), []),
    "who stepped out stays out": ((a_ballot("bob", "recuse", 1), a_ballot("bob", "approve", 2)), ["bob"]),
}


@pytest.mark.parametrize("case", KEPT)
def test_the_votes_that_a_revision_keeps(case: str) -> None:
    """Those that would count today, dated anew in the same order, with the revision in which they were given."""
    ballots, wanted = KEPT[case]
    asked = a_case(stage("ops"), stage("dba", name="dba")).model_copy(update={"opened_at": at(300)})
    found = keep(asked, ballots, 4)
    assert [ballot.person_id for ballot in found] == wanted
    assert all(ballot.kept_from == 4 and at(300) < ballot.received_at < at(301) for ballot in found)
    assert [ballot.received_at for ballot in found] == sorted({ballot.received_at for ballot in found})


def test_a_vote_that_is_kept_twice_says_where_it_was_given() -> None:
    """The revision in which a vote was given stays with it."""
    asked = a_case(stage("ops"), stage("dba", name="dba"))
    once = keep(asked, (a_ballot("bob", "approve", 1),), 1)
    assert [ballot.kept_from for ballot in keep(asked, once, 2)] == [1]
