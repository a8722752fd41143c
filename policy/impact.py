"""The impact assessment: facts in, a risk score and a tier out, with every indicator shown.

- Impact (how bad) and likelihood (how probable) stay apart until the score. `policy/risk/indicators.py` says how
  indicators become one number: more of anything bad never lowers it. `docs/impact.md` is the whole model, with an
  example.
- Tiers start at 0, 25, 50 and 75 points. The tier is never below the floor of any operation in the action, its undos
  included.
- Assessed is the worst of the end, of every state half-way, and of the undos (`policy/risk/reversal.py`).
- The floor comes from what neither the proposer nor the target's owner writes: the operations registry, the record of
  holds and denials, and whether the target is known at all.
- A target that is unknown and an operation that nobody registered are critical. What is destructive is high at least,
  wherever it happens, and so is what touches something under hold.
- The same effect proposed again after a denial is high at least, and at least what the denied proposal was.
- History, calm hours and full error budgets lower the score, and never the tier below its floor.
"""

from policy.base import RecordModel
from policy.facts import Facts
from policy.operations import RiskTier
from policy.proposal import ActionProposal
from policy.risk.indicators import Indicator, weigh
from policy.risk.indicators_capability import capability_readings
from policy.risk.indicators_change import worst_change
from policy.risk.indicators_exposure import exposure_readings
from policy.risk.indicators_likelihood import likelihood_readings
from policy.rules.timing import Timing

TIER_STARTS = ((75, RiskTier.critical), (50, RiskTier.high), (25, RiskTier.medium), (0, RiskTier.low))


class ImpactAssessment(RecordModel):
    """What an action could do, how probable that is, and on which grounds.

    Attributes:
        impact: how bad, 0..1.
        likelihood: how probable, 0..1.
        risk_score: both together, 0..100.
        risk_tier: the tier of the score, or the floor if that is higher.
        floor: the lowest tier that this action can have.
        indicators: each reason, of the worst state.
        worst_state: the state that was assessed, in words.
        floor_reason: what sets the floor.
    """

    impact: float
    likelihood: float
    risk_score: int
    risk_tier: RiskTier
    floor: RiskTier
    indicators: tuple[Indicator, ...]
    worst_state: str = ""
    floor_reason: str = ""


def assess(proposal: ActionProposal, facts: Facts, timing: Timing = Timing()) -> ImpactAssessment:  # noqa: B008
    """Assess a proposal from facts; pure, so that an auditor computes the same from the ledger.

    Args:
        proposal: what is asked for.
        facts: what was known of it.
        timing: what the calendars of the policy say; without it they count as a fact that is missing.
    """
    state, change = worst_change(proposal, facts)
    readings = (
        *change,
        *exposure_readings(proposal, facts),
        *likelihood_readings(proposal, facts, timing),
        *capability_readings(proposal, facts),
    )
    total, indicators = weigh(readings)
    score = round(total.points)
    floor, why = floor_of(proposal, facts)
    return ImpactAssessment(
        impact=total.impact,
        likelihood=total.likelihood,
        risk_score=score,
        risk_tier=max(tier_of(score), floor, key=lambda item: item.rank),
        floor=floor,
        indicators=indicators,
        worst_state=state.where,
        floor_reason=why,
    )


def tier_of(score: int) -> RiskTier:
    """The tier that a score has by itself."""
    return next(tier for start, tier in TIER_STARTS if score >= start)


def floor_of(proposal: ActionProposal, facts: Facts) -> tuple[RiskTier, str]:
    """The lowest tier that an action can have, and why."""
    found: list[tuple[RiskTier, str]] = [] if facts.target_known else [(RiskTier.critical, "the target is unknown")]
    for name in proposal.operations:
        known = facts.operation(name)
        found.append((known.floor, f"{name} is {known.floor} at least"))
        if known.destructive:
            found.append((RiskTier.high, f"{name} is destructive"))
    found += [(RiskTier.high, f"{hold.target} is under hold") for hold in facts.holds]
    for denial in facts.denials:
        tier = max(RiskTier.high, denial.tier or RiskTier.high, key=lambda item: item.rank)
        found.append((tier, f"the same effect was denied in {denial.proposal_id}"))
    return max(found, key=lambda item: item[0].rank)
