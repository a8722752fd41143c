"""The impact assessment: facts in, a risk score and a tier out, with every indicator shown.

- Impact (how bad) and likelihood (how probable) stay apart until the score.
- Each indicator has a value 0..1, evidence, a writer and a contribution. Indicators combine by noisy-or,
  `1 - product(1 - weight * value)` (Pearl 1988, section 4.3.2): it is monotonic, so more of anything bad never lowers
  the score.
- `risk_score = round(100 * impact * (0.5 + 0.5 * likelihood))`, 0..100. Tiers start at 0, 25, 50 and 75.
- The tier is never below the floor of any operation in the action, its undos included.
- What the proposer wrote may raise the score (a confidence below one half), never lower it: stating nothing counts like
  stating one half, and so does everything above.
- An unknown target or an unregistered operation is the worst case: critical.

This is the small assessment of the first release; the indicators widen, the shape stays.
"""

from typing import Literal

from policy.base import Instant, RecordModel
from policy.catalog import CRITICALITY_WEIGHT
from policy.facts import Facts
from policy.operations import RegisteredOperation, RiskTier
from policy.proposal import ActionProposal, Step

TIER_STARTS = ((75, RiskTier.critical), (50, RiskTier.high), (25, RiskTier.medium), (0, RiskTier.low))
_HALF_OF_DEPENDENTS = 5


class Indicator(RecordModel):
    """One reason for the score. `value` and `weight` are 0..1, `contribution` is weight * value."""

    name: str
    part: Literal["impact", "likelihood"]
    value: float
    weight: float
    contribution: float
    evidence: str
    writer: str
    as_of: Instant | None = None


class ImpactAssessment(RecordModel):
    """What an action could do, how probable that is, and on which grounds."""

    impact: float
    likelihood: float
    risk_score: int
    risk_tier: RiskTier
    floor: RiskTier
    indicators: tuple[Indicator, ...]


def assess(proposal: ActionProposal, facts: Facts) -> ImpactAssessment:
    """Assess a proposal from facts; pure, so that an auditor computes the same from the ledger."""
    indicators = (
        _severity(proposal, facts),
        _blast_radius(facts),
        _criticality(facts),
        _reversibility(proposal, facts),
        _effects(proposal, facts),
        _confidence(proposal),
        _denied_before(facts),
    )
    impact = _noisy_or([item for item in indicators if item.part == "impact"])
    likelihood = _noisy_or([item for item in indicators if item.part == "likelihood"])
    score = round(100 * impact * (0.5 + 0.5 * likelihood))
    floor = _floor(proposal, facts)
    tier = next(tier for start, tier in TIER_STARTS if score >= start)
    return ImpactAssessment(
        impact=round(impact, 4),
        likelihood=round(likelihood, 4),
        risk_score=score,
        risk_tier=max(tier, floor, key=lambda item: item.rank),
        floor=floor,
        indicators=indicators,
    )


def _noisy_or(indicators: list[Indicator]) -> float:
    left = 1.0
    for item in indicators:
        left *= 1 - item.contribution
    return 1 - left


def _indicator(
    name: str, part: Literal["impact", "likelihood"], value: float, weight: float, *, evidence: str, writer: str
) -> Indicator:
    return Indicator(
        name=name,
        part=part,
        value=round(value, 4),
        weight=weight,
        contribution=round(value * weight, 4),
        evidence=evidence,
        writer=writer,
    )


def _severity(proposal: ActionProposal, facts: Facts) -> Indicator:
    worst = max((facts.operation(name) for name in proposal.operations), key=lambda item: item.severity)
    evidence = f"{worst.name} has severity {worst.severity} of 100"
    value = worst.severity / 100
    return _indicator("change_severity", "impact", value, 0.8, evidence=evidence, writer="operations registry")


def _blast_radius(facts: Facts) -> Indicator:
    if not facts.target_known:
        evidence = "the target is unknown: worst case"
        return _indicator("blast_radius", "impact", 1.0, 0.6, evidence=evidence, writer="catalog")
    weight = facts.reach.weight
    names = ", ".join(item.ref for item in facts.reach.nearest[:5]) or "none"
    evidence = f"{facts.reach.total} dependents: {names}"
    value = weight / (weight + _HALF_OF_DEPENDENTS)
    return _indicator("blast_radius", "impact", value, 0.6, evidence=evidence, writer="catalog")


def _criticality(facts: Facts) -> Indicator:
    level = facts.target_criticality
    evidence = f"the target's criticality is {level or 'not given: worst case'}"
    return _indicator(
        "target_criticality", "impact", CRITICALITY_WEIGHT[level], 0.2, evidence=evidence, writer="catalog"
    )


def _reversibility(proposal: ActionProposal, facts: Facts) -> Indicator:
    stuck = [step.name for step in proposal.steps if not _has_inverse(step, facts.operation(step.operation))]
    evidence = (
        f"no registered undo for {', '.join(stuck)}" if stuck else "every step has its registered undo or needs none"
    )
    value = 1.0 if stuck else 0.0
    return _indicator("undo_difficulty", "impact", value, 0.4, evidence=evidence, writer="operations registry")


def _has_inverse(step: Step, known: RegisteredOperation) -> bool:
    return known.needs_no_undo or (step.undo is not None and step.undo.operation in known.inverse)


def _effects(proposal: ActionProposal, facts: Facts) -> Indicator:
    found = sorted({effect for name in proposal.operations for effect in facts.operation(name).effects})
    evidence = f"effects on {', '.join(found) or 'nothing'}"
    return _indicator("effects", "impact", len(found) / 4, 0.3, evidence=evidence, writer="operations registry")


def _confidence(proposal: ActionProposal) -> Indicator:
    stated = proposal.agent.confidence
    evidence = (
        "the proposer states no confidence" if stated is None else f"the proposer states a confidence of {stated}"
    )
    # A stated confidence is the proposer's word: below one half it raises the likelihood, above it changes nothing.
    value = 0.5 if stated is None else max(0.5, 1 - stated)
    return _indicator("stated_confidence", "likelihood", value, 0.5, evidence=evidence, writer="proposer")


def _denied_before(facts: Facts) -> Indicator:
    earlier = ", ".join(item.proposal_id for item in facts.denials[:3]) or "no earlier proposal"
    evidence = f"the same effect was denied in {earlier}"
    value = 1.0 if facts.denials else 0.0
    return _indicator("denied_before", "likelihood", value, 0.6, evidence=evidence, writer="ledger")


def _floor(proposal: ActionProposal, facts: Facts) -> RiskTier:
    if not facts.target_known:
        return RiskTier.critical
    floors = [facts.operation(name).floor for name in proposal.operations]
    if facts.holds or facts.denials:
        floors.append(RiskTier.high)
    return max(floors, key=lambda item: item.rank)
