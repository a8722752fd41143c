"""Which match covers which, by their lists."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.facts import Facts
from policy.footprints import Coverage, Footprint, first
from policy.operations import RegisteredOperation, RiskTier
from policy.rules.match import Match, Where


def _match(**lists: Any) -> Match:
    return Match(**lists)


COVERED: dict[str, tuple[Match | None, Match | None, bool]] = {
    "the same": (_match(operations=("a.b",)), _match(operations=("a.b",)), True),
    "a longer list": (_match(operations=("a.b", "c.d")), _match(operations=("c.d",)), True),
    "a shorter list": (_match(operations=("c.d",)), _match(operations=("a.b", "c.d")), False),
    "no list covers every list": (_match(destructive=True), _match(operations=("a.b",), destructive=True), True),
    "a list does not cover no list": (_match(operations=("a.b",), destructive=True), _match(destructive=True), False),
    "no match covers all": (None, _match(operations=("a.b",)), True),
    "a target in another spelling": (_match(targets=("Orders",)), _match(targets=("component:default/orders",)), True),
    "the other boolean": (_match(destructive=False), _match(destructive=True), False),
    "tiers": (_match(tiers=(RiskTier.low, RiskTier.high)), _match(tiers=(RiskTier.high,)), True),
}


@pytest.mark.parametrize(("wide", "narrow", "covered"), COVERED.values(), ids=COVERED)
def test_one_covers_another(wide: Match | None, narrow: Match | None, covered: bool) -> None:
    """In every dimension the lists of the one hold those of the other."""
    assert (first(Coverage([Footprint(wide)]).of(Footprint(narrow))) == 0) is covered


def test_what_the_document_covers_bounds_its_rules() -> None:
    """A rule covers no more than its document does, and one outside of it covers nothing at all."""
    staging = Where(environments=("staging",))
    inside = Footprint(_match(operations=("a.b",)), staging)
    assert Coverage([inside]).of(Footprint(_match(operations=("a.b",)))) == 0
    assert Coverage([inside]).of(Footprint(_match(operations=("a.b",), environments=("staging",)))) == 1
    assert Footprint(_match(environments=("production",)), staging).empty == ("environments",)


_LISTS = st.fixed_dictionaries(
    {},
    optional={
        "operations": st.sets(st.sampled_from(["a.b", "c.d"]), min_size=1).map(lambda found: tuple(sorted(found))),
        "environments": st.sets(st.sampled_from(["e1", "e2"]), min_size=1).map(lambda found: tuple(sorted(found))),
        "effects": st.sets(st.sampled_from(["security", "performance"]), min_size=1).map(lambda f: tuple(sorted(f))),
        "destructive": st.booleans(),
        "tiers": st.sets(st.sampled_from(list(RiskTier)), min_size=1).map(lambda found: tuple(sorted(found))),
    },
).filter(bool)


@given(wide=_LISTS, narrow=_LISTS, covers=st.none() | _LISTS)
def test_what_covers_matches_wherever_the_other_does(
    wide: dict[str, Any], narrow: dict[str, Any], covers: dict[str, Any] | None
) -> None:
    """There is no action that the covered one matches and the covering one does not."""
    whole = (
        Where(**{name: item for name, item in covers.items() if name != "tiers"})
        if covers and set(covers) != {"tiers"}
        else None
    )
    one, other = Match(**wide), Match(**narrow)
    if not Coverage([Footprint(one)]).of(Footprint(other, whole)):
        return
    effects = [(), ("security",), ("performance",), ("security", "performance")]
    for name, env, effect, harm, tier in product(
        ["a.b", "c.d", "x.y"], ["e1", "e2", "e3"], effects, [True, False], RiskTier
    ):
        operation = RegisteredOperation(name=name, executor="x", severity=1, effects=effect, destructive=harm)
        facts = Facts(target_known=True, target_environment=env)
        if other.matches(operation, facts, tier) and (whole is None or whole.covers(operation, facts)):
            assert one.matches(operation, facts, tier)
