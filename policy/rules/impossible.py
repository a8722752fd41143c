"""What is certainly wrong with an action, whatever a policy says: it is denied before any rule is read.

- Nobody knows the target, what it resolves to, the operation, the agent's owner or the person it acts for.
- The signature of its platform counts no longer.
- What the proposal declares is not what the catalog says, or what the executors found (`policy/rules/touched.py`):
  environment, resolved ids.
- Parameters, undos or criteria are not what the operations registry takes.
- A hold lies on the target that the action does not remedy.
- An operation requires something of its proposals (`required`), and this one does not have it.
"""

from collections.abc import Iterator

from policy.base import Reason
from policy.envelope import LAPSED
from policy.facts import Facts
from policy.observed import UndoProof
from policy.proposal import ActionProposal
from policy.remedying import unremedied
from policy.risk.reversal import proof_holds
from policy.rules.touched import expects, touched_refusals

_SHOWN = 5


def why_impossible(proposal: ActionProposal, facts: Facts) -> tuple[Reason, ...]:
    """Every reason for which no policy could let an action run; pure."""
    return (
        *_target(proposal, facts),
        *_parties(proposal, facts),
        *facts.bad_parameters,
        *_held(proposal, facts),
        *_missing(proposal, facts),
    )


def _target(proposal: ActionProposal, facts: Facts) -> Iterator[Reason]:
    if not facts.target_known:
        yield Reason(code="unknown_target", message=f"target {proposal.target} is not in the catalog")
    elif not facts.resolved:
        why = facts.unresolved or "the catalog has no id of it"
        message = f"target {proposal.target} resolves to nothing: {why}"
        yield Reason(code="unresolved_target", message=message)
    elif facts.target_environment != proposal.environment:
        message = f"environment {proposal.environment} is declared, the catalog says {facts.target_environment}"
        yield Reason(code="environment_mismatch", message=message)
    elif not facts.bad_parameters:
        yield from touched_refusals(proposal, facts)
    if proposal.expected_targets is not None and not expects(proposal, facts):
        expected, real = _listed(proposal.expected_targets), _listed(_real(facts))
        message = f"the proposal expects {expected}, the target resolves to {real}"
        yield Reason(code="target_mismatch", message=message)


def _real(facts: Facts) -> tuple[str, ...]:
    """What there is, as it may be named: what executors found, where they were asked."""
    found = {f"{item.resource}/{item.id}" for step in facts.found for item in step.targets}
    return tuple(found) or facts.resolved


def _parties(proposal: ActionProposal, facts: Facts) -> Iterator[Reason]:
    for name in proposal.operations:
        if name in facts.unregistered or name not in facts.operations:
            yield Reason(code="unknown_operation", message=f"operation {name} is not in the operations registry")
    if facts.agent_owner is None:
        yield Reason(code="unknown_agent", message=f"agent {proposal.agent.id} has no owner in the directory")
    if facts.on_behalf_of is None:
        yield Reason(code="unknown_person", message=f"on_behalf_of {proposal.on_behalf_of} is nobody in the directory")
    if facts.signature is not None and facts.signature.lapsed:
        yield Reason(code=LAPSED, message=f"its signature counts no longer: {facts.signature.lapsed}")


def _held(proposal: ActionProposal, facts: Facts) -> Iterator[Reason]:
    for hold in unremedied(facts.holds, proposal.remedies):
        message = f"target {hold.target} is under hold: {hold.reason}; name its proposal in remedies to repair it"
        yield Reason(code="on_hold", message=message)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN]) or "nothing"
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _missing(proposal: ActionProposal, facts: Facts) -> Iterator[Reason]:
    """What the operations of the steps require of a proposal and it does not have."""
    for name in dict.fromkeys(step.operation for step in proposal.steps):
        for what in facts.operation(name).required:
            if (why := _lack(what, name, proposal, facts)) is not None:
                yield Reason(code=f"missing_{what}", message=f"{name} requires {what}: {why}")


def _lack(what: str, name: str, proposal: ActionProposal, facts: Facts) -> str | None:
    """Why a requirement is not met, or None where it is."""
    match what:
        case "evidence":
            return None if proposal.evidence else "the proposal points to none"
        case "undo":
            bare = [step.name for step in proposal.steps if step.operation == name and step.undo is None]
            return f"step {', '.join(bare)} has none" if bare else None
        case "dry_run":
            proved = any(_rehearsed(item, name, facts) for item in facts.observed.undo_proofs)
            # A rehearsal is what makes the proof.
            return None if proved or proposal.dry_run else "none of it on this target is on record"
        case "expected_targets":
            return None if proposal.expected_targets else "the proposal does not say which ids it expects"
        case "produced_at":
            return None if proposal.produced_at else "the proposal does not say when its plan was made"
    return "nobody knows how to check that"


def _rehearsed(proof: UndoProof, operation: str, facts: Facts) -> bool:
    """Whether a proof is of a dry run of the steps with this operation, and young enough."""
    its = (proof.kind, proof.direction, proof.operation)
    return its == ("dry_run", "do", operation) and proof_holds(proof, facts.at)
