"""Who may revoke an action, while it can still be stopped.

- Before anything was permitted, a revocation withdraws the action: nothing runs. From the first permit on it stops the
  running step and undoes what was done, whatever the proposal says of a stop that nobody verified. Once every step has
  succeeded there is nothing to stop: what was done is undone by an action of its own (`policy/rollback.py`).
- Who stands behind the proposal may always revoke it: stopping one's own action needs no second person.
- Besides them, those whom the policy names for that phase (`revocation.before`, `revocation.during`). Where it names
  nobody: whoever approved a stage, and whoever the chain asks or may escalate to. Nobody else.
- Whoever stepped out of the case may come back to stop it; a vote that was taken back gives no authority.
- The rule is fixed with the assessment, like the chain: a policy that changes meanwhile takes no authority away.
- A revocation says why.
"""

from collections.abc import Iterable
from typing import Literal

from policy.approval.eligibility import fit
from policy.approval.state import Standing
from policy.outcome import StepRecord
from policy.people.facts import PersonFacts
from policy.rules.chains import ApprovalChain, Requirement
from policy.rules.revocation import Revocation

Phase = Literal["before", "during", "over"]
WORDS = {"before": "before anything ran", "during": "while it runs"}


def phase_of(records: Iterable[StepRecord], steps: int) -> Phase:
    """How far an action is, by what became of its permits.

    Args:
        records: one per permit that was issued.
        steps: how many steps were approved.
    """
    forward = [item for item in records if item.direction == "do"]
    if not forward:
        return "before"
    succeeded = {item.step for item in forward if item.report is not None and item.report.succeeded}
    return "over" if len(succeeded) == steps else "during"


def why_not_authorized(
    person: PersonFacts,
    phase: Phase,
    *,
    behind: Iterable[str],
    rules: Iterable[Revocation],
    chain: ApprovalChain | None,
    standing: Standing | None,
) -> str | None:
    """Why a person may not revoke, with what is needed, or None where they may.

    Args:
        person: who asks, with what the directory says of them now.
        phase: how far the action is.
        behind: person ids of who stands behind the proposal.
        rules: of the documents that answered about the action.
        chain: what was asked of whom; None where nobody was.
        standing: how the case stands; None where nobody was asked.
    """
    if person.person_id in behind:
        return None
    named = [rule for each in rules if (rule := each.during if phase == "during" else each.before) is not None]
    if any(fit(rule, person).fits for rule in named):
        return None
    if named:
        wanted = " or ".join(dict.fromkeys(rule.wanted for rule in named))
    elif person.person_id in _approvers(standing) or any(fit(rule, person).fits for rule in _asked(chain)):
        return None
    else:
        asked = dict.fromkeys(rule.wanted for rule in _asked(chain))
        wanted = " or ".join(("whoever approved it", *asked)) if asked else "the policy names nobody else"
    return f"{person.person_id} may not revoke it {WORDS.get(phase, phase)}: that is for who asks for it, or {wanted}"


def _approvers(standing: Standing | None) -> set[str]:
    return {name for stage in standing.stages for name in stage.approvals} if standing is not None else set()


def _asked(chain: ApprovalChain | None) -> list[Requirement]:
    """Everybody whom a chain asks, or may ask later."""
    if chain is None:
        return []
    found = []
    for stage in chain.stages:
        steps = (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
        found += [*stage.requirements, *(Requirement(groups=step.add_groups) for step in steps if step.add_groups)]
    return found
