"""Step-up: which proof a vote needs, by stage, tier, environment and vote."""

from datetime import timedelta

import pytest

from policy.decision import Refusal, Wanted
from policy.operations import RiskTier
from policy.proofs import Assurance, Principal
from policy.rules.stepping_up import ProofDemand, ProofRule, too_weak, wanted_of, with_proofs
from tests.unit.builders import stage
from tests.unit.signed import NOW

AAL1, AAL2, AAL3 = Assurance.aal1, Assurance.aal2, Assurance.aal3
SIGNED = Principal(identity="ann", kind="key", assurance=AAL1)
TOUCHED = Principal(identity="ann", kind="ssh", assurance=AAL1, gesture=True)
STRONG = Principal(identity="ann", kind="oidc", assurance=AAL2, authenticated_at=NOW - timedelta(minutes=4))
FIVE, THREE = Wanted(assurance=AAL1, max_age_seconds=300), Wanted(assurance=AAL1, max_age_seconds=180)

# What the proof shows, what is wanted, and what comes of it.
CASES = {
    "nothing is wanted": (Principal.claimed("ann"), None, None),
    "a name where a signature is wanted": (Principal.claimed("ann"), Wanted(assurance=AAL1), Refusal.assurance_too_low),
    "a signature where one is wanted": (SIGNED, Wanted(assurance=AAL1), None),
    "a signature where two factors are wanted": (SIGNED, Wanted(assurance=AAL2), Refusal.assurance_too_low),
    "two factors where two are wanted": (STRONG, Wanted(assurance=AAL2), None),
    "a login of four minutes ago, five are allowed": (STRONG, FIVE, None),
    "a login of four minutes ago, three are allowed": (STRONG, THREE, Refusal.authentication_too_old),
    "a key that shows no time, five minutes are allowed": (SIGNED, FIVE, Refusal.authentication_too_old),
    "a touch for this statement": (TOUCHED, THREE, None),
    "a touch where two factors are wanted": (TOUCHED, Wanted(assurance=AAL2), Refusal.assurance_too_low),
}


@pytest.mark.parametrize("case", CASES)
def test_a_proof_that_is_too_weak_is_refused_and_says_what_is_wanted(case: str) -> None:
    """Assurance first, then the age of the authentication; a gesture for this statement is never too old."""
    principal, wanted, code = CASES[case]
    found = too_weak(principal, wanted, NOW)
    assert (found[0] if found else None) is code
    if found is not None:
        assert "needs" in found[1]


def _demand(assurance: Assurance, minutes: int | None = None, *votes: str) -> ProofDemand:
    age = timedelta(minutes=minutes) if minutes is not None else None
    more = {"votes": votes} if votes else {}
    return ProofDemand(assurance=assurance, max_age=age, **more)


def test_the_strongest_and_the_shortest_of_all_demands_count() -> None:
    """Two documents ask for different things: both hold."""
    demands = (_demand(AAL1, 5), _demand(AAL3, 60), _demand(AAL2, 1, "deny"))
    assert wanted_of(demands, "approve") == Wanted(assurance=AAL3, max_age_seconds=300)
    assert wanted_of(demands, "deny") == Wanted(assurance=AAL2, max_age_seconds=60)
    assert wanted_of(demands, "recuse") is None


def test_a_denial_needs_nothing_more_unless_somebody_says_so() -> None:
    """To stop something is not made harder by silence."""
    assert wanted_of((_demand(AAL2, 5),), "deny") is None
    assert wanted_of((_demand(AAL2, 5),), "revoke") is None
    assert wanted_of((_demand(AAL2, 5),), "release") is not None


def test_a_rule_speaks_of_its_tiers_environments_and_stages() -> None:
    """A list that it does not give fits everything; where the environment is not known, a list of them fits nothing."""
    rule = ProofRule(assurance=AAL2, tiers=(RiskTier.critical,), environments=("production",), stages=("dba",))
    assert rule.speaks_of(RiskTier.critical, "production")
    assert not rule.speaks_of(RiskTier.high, "production")
    assert not rule.speaks_of(RiskTier.critical, "staging")
    assert not rule.speaks_of(RiskTier.critical, None)
    assert ProofRule(assurance=AAL2).speaks_of(RiskTier.low, None)
    asked, other = stage("dba", name="dba"), stage("ops", name="ops")
    assert with_proofs(asked, [rule]).proofs == (rule.demand,)
    assert with_proofs(other, [rule]) is other


def test_a_stage_keeps_its_own_demands_besides() -> None:
    """What a chain says and what the document says are both asked; the same twice is once."""
    own = stage("dba", name="dba").model_copy(update={"proofs": (_demand(AAL1),)})
    rule = ProofRule(assurance=AAL2)
    assert with_proofs(own, [rule, rule]).proofs == (_demand(AAL1), rule.demand)
