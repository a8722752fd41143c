"""The evaluation: document, proposal, facts and assessment in; verdict, chain and reasons out.

- What is certainly wrong denies before any rule is read: an unknown target, a declared environment that is not the
  catalog's, an agent that nobody answers for, wrong parameters, a hold that the action does not remedy.
- A limit that matches denies. No rule can lift it.
- Then every matching rule answers and the strictest verdict decides. No match denies.
- A chain is part of the answer: what is asked of whom is fixed here, and kept.
"""

from policy.base import Reason, RecordModel
from policy.document import ApprovalChain, Match, PolicyDocument, Rule, Verdict
from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.operations import RiskTier
from policy.proposal import ActionProposal


class Evaluation(RecordModel):
    """The answer of a policy. `matched` names every limit and rule that spoke, `decided_by` the one that decided."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    matched: tuple[str, ...] = ()
    decided_by: str | None = None
    chain_name: str | None = None
    chain: ApprovalChain | None = None
    permit_seconds: int = 300


def evaluate(
    document: PolicyDocument, proposal: ActionProposal, facts: Facts, assessment: ImpactAssessment
) -> Evaluation:
    """Ask a policy about an action; pure."""
    if impossible := _impossible(proposal, facts):
        return Evaluation(verdict=Verdict.deny, reasons=impossible)
    limits = [limit for limit in document.limits if _matches(limit.match, proposal, facts, assessment.risk_tier)]
    rules = [rule for rule in document.rules if _matches(rule.match, proposal, facts, assessment.risk_tier)]
    matched = (*(limit.id for limit in limits), *(rule.id for rule in rules))
    if limits:
        reasons = tuple(Reason(code="limit", message=f"{limit.id}: {limit.reason}") for limit in limits)
        return Evaluation(verdict=Verdict.deny, reasons=reasons, matched=matched, decided_by=limits[0].id)
    if not rules:
        message = f"no rule covers {proposal.operation} on {proposal.target} in {proposal.environment}"
        return Evaluation(verdict=Verdict.deny, reasons=(Reason(code="no_rule", message=message),))
    return _answer(document, _strictest(rules), matched, facts)


def _answer(document: PolicyDocument, rule: Rule, matched: tuple[str, ...], facts: Facts) -> Evaluation:
    if rule.verdict is Verdict.allow and facts.holds:
        message = f"{rule.id} allows, but the target is under hold: an action that remedies a hold needs approval"
        return Evaluation(
            verdict=Verdict.deny,
            reasons=(Reason(code="on_hold", message=message),),
            matched=matched,
            decided_by=rule.id,
        )
    return Evaluation(
        verdict=rule.verdict,
        reasons=(Reason(code=f"rule_{rule.verdict}", message=f"{rule.id}: {rule.reason or rule.verdict}"),),
        matched=matched,
        decided_by=rule.id,
        chain_name=rule.chain,
        chain=document.chains[rule.chain] if rule.chain else None,
        permit_seconds=int(document.permit_ttl.total_seconds()),
    )


def _strictest(rules: list[Rule]) -> Rule:
    """The first of the strictest rules in document order."""
    return max(rules, key=lambda rule: (rule.verdict.strictness, -rules.index(rule)))


def _matches(match: Match, proposal: ActionProposal, facts: Facts, tier: RiskTier) -> bool:
    # Undo operations count too: an undo must not smuggle in what the action itself could not do.
    names = set(facts.operations)
    return (
        (match.operations is None or not names.isdisjoint(match.operations))
        and (match.environments is None or facts.target_environment in match.environments)
        and (match.targets is None or proposal.target in match.targets)
        and (match.tiers is None or tier in match.tiers)
        and (
            match.destructive is None
            or match.destructive == any(item.destructive for item in facts.operations.values())
        )
    )


def _impossible(proposal: ActionProposal, facts: Facts) -> tuple[Reason, ...]:
    found: list[Reason] = []

    def say(code: str, message: str) -> None:
        found.append(Reason(code=code, message=message))

    if not facts.target_known:
        say("unknown_target", f"target {proposal.target} is not in the catalog")
    elif not facts.resolved:
        say("unresolved_target", f"target {proposal.target} has no countersign/resource-id in the catalog")
    elif facts.target_environment != proposal.environment:
        declared, real = proposal.environment, facts.target_environment
        say("environment_mismatch", f"environment {declared} is declared, the catalog says {real}")
    if facts.agent_owner is None:
        say("unknown_agent", f"agent {proposal.agent.id} has no owner in the directory")
    if facts.on_behalf_of is None:
        say("unknown_person", f"on_behalf_of {proposal.on_behalf_of} is nobody in the directory")
    found.extend(facts.bad_parameters)
    foreign = [hold for hold in facts.holds if hold.proposal_id is None or hold.proposal_id != proposal.remedies]
    for hold in foreign:
        say("on_hold", f"target {hold.target} is under hold: {hold.reason}; name its proposal in remedies to repair it")
    return tuple(found)
