"""The evaluation: document, proposal, facts and assessment in; verdict, chain and reasons out.

- What is certainly wrong denies before any rule is read: an unknown target, a declared environment that is not the
  catalog's, an operation that nobody registered, an agent that nobody answers for, wrong parameters, a hold that the
  action does not remedy.
- A limit that matches any operation of the action denies. No rule can lift it.
- Then each operation, the undos too, is asked about as if it were proposed alone: of the rules that match it the
  strictest decides, and no rule denies. A mild step in the same proposal makes no other step milder.
- The strictest of those answers is the verdict. Where operations need different chains, all of them are asked, one
  after the other in the order of the document.
- A chain is part of the answer: what is asked of whom is fixed here, and kept.

Example: `restart` needs one of ops, `drop_index` one of ops and then one of dba. Proposed together, they need one of
ops, one of ops again (another person: `policy/duties.py`), and one of dba.
"""

from policy.base import Reason, RecordModel
from policy.catalog import normalize
from policy.document import MAX_STAGES, ApprovalChain, Match, PolicyDocument, Rule, Verdict
from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.operations import RegisteredOperation, RiskTier
from policy.proposal import ActionProposal


class Evaluation(RecordModel):
    """The answer of a policy. `matched` names every limit and rule that spoke, `decided_by` the first that decided.

    `chain_name` is the name of the chain in the document, or of several, joined by `+`.
    """

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
    tier = assessment.risk_tier
    operations = [facts.operation(name) for name in proposal.operations]
    limits = [item for item in document.limits if any(_matches(item.match, proposal, one, tier) for one in operations)]
    answers = {
        one.name: [rule for rule in document.rules if _matches(rule.match, proposal, one, tier)] for one in operations
    }
    spoke = {rule.id for rules in answers.values() for rule in rules}
    matched = (*(limit.id for limit in limits), *(rule.id for rule in document.rules if rule.id in spoke))
    if limits:
        reasons = tuple(Reason(code="limit", message=f"{limit.id}: {limit.reason}") for limit in limits)
        return Evaluation(verdict=Verdict.deny, reasons=reasons, matched=matched, decided_by=limits[0].id)
    if uncovered := [name for name, rules in answers.items() if not rules]:
        where = f"on {proposal.target} in {proposal.environment}"
        found = tuple(Reason(code="no_rule", message=f"no rule covers {name} {where}") for name in uncovered)
        return Evaluation(verdict=Verdict.deny, reasons=found, matched=matched)
    deciding = {_strictest(rules).id for rules in answers.values()}
    return _answer(document, [rule for rule in document.rules if rule.id in deciding], matched, facts)


def _answer(document: PolicyDocument, deciding: list[Rule], matched: tuple[str, ...], facts: Facts) -> Evaluation:
    """The answer of the rules that decided about an operation each, in document order."""
    first = _strictest(deciding)

    def deny(code: str, message: str) -> Evaluation:
        reasons = (Reason(code=code, message=message),)
        return Evaluation(verdict=Verdict.deny, reasons=reasons, matched=matched, decided_by=first.id)

    if first.verdict is Verdict.allow and facts.holds:
        return deny(
            "on_hold", f"{first.id} allows, but the target is under hold: an action that remedies a hold needs approval"
        )
    decisive = [rule for rule in deciding if rule.verdict is first.verdict]
    names = tuple(dict.fromkeys(rule.chain for rule in decisive if rule.chain is not None))
    stages = tuple(stage for name in names for stage in document.chains[name].stages)
    if len(stages) > MAX_STAGES:
        return deny("too_many_stages", f"chains {', '.join(names)} have {len(stages)} stages: propose the steps apart")
    return Evaluation(
        verdict=first.verdict,
        reasons=tuple(
            Reason(code=f"rule_{rule.verdict}", message=f"{rule.id}: {rule.reason or rule.verdict}")
            for rule in decisive
        ),
        matched=matched,
        decided_by=first.id,
        chain_name="+".join(names) or None,
        chain=ApprovalChain(stages=stages) if stages else None,
        permit_seconds=int(document.permit_ttl.total_seconds()),
    )


def _strictest(rules: list[Rule]) -> Rule:
    """The first of the strictest rules in document order."""
    return max(rules, key=lambda rule: rule.verdict.strictness)


def _matches(match: Match, proposal: ActionProposal, operation: RegisteredOperation, tier: RiskTier) -> bool:
    targets = None if match.targets is None else {normalize(target) for target in match.targets}
    return (
        (match.operations is None or operation.name in match.operations)
        and (match.environments is None or proposal.environment in match.environments)
        and (targets is None or proposal.target_ref in targets)
        and (match.tiers is None or tier in match.tiers)
        and (match.destructive is None or match.destructive == operation.destructive)
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
    for name in proposal.operations:
        if name in facts.unregistered or name not in facts.operations:
            say("unknown_operation", f"operation {name} is not in the operations registry")
    if facts.agent_owner is None:
        say("unknown_agent", f"agent {proposal.agent.id} has no owner in the directory")
    if facts.on_behalf_of is None:
        say("unknown_person", f"on_behalf_of {proposal.on_behalf_of} is nobody in the directory")
    found.extend(facts.bad_parameters)
    foreign = [hold for hold in facts.holds if hold.proposal_id is None or hold.proposal_id != proposal.remedies]
    for hold in foreign:
        say("on_hold", f"target {hold.target} is under hold: {hold.reason}; name its proposal in remedies to repair it")
    return tuple(found)
