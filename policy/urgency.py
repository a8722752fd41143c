"""Which work overtakes which, where a worker has more to do than it can.

- 1: what broke a glass, or is a verified rollback. 2: what is critical. 3: everything else, Temporal's default.
- Among equals, agents take turns: the fairness key is the agent's id, so that a flood of one holds up nobody else. The
  server takes 64 bytes.
- It is about order alone. Nothing is decided by it, and the tier is what it would be.
"""

from policy.operations import RiskTier
from policy.proposal import ActionProposal
from policy.revision import Revision

URGENT, CRITICAL, ROUTINE = 1, 2, 3
_KEY_BYTES = 64


def urgency(proposal: ActionProposal, revision: Revision) -> int:
    """The priority key of an action's activities, 1 first; a dry run is never urgent."""
    evaluation = revision.evaluation
    rolls_back = evaluation.rollback is not None and evaluation.rollback.verified
    if (evaluation.break_glass is not None or rolls_back) and not proposal.dry_run:
        return URGENT
    return CRITICAL if revision.assessment.risk_tier is RiskTier.critical else ROUTINE


def fairness_key(agent: str) -> str:
    """The agent's id, cut to what the server takes."""
    return agent.encode()[:_KEY_BYTES].decode("utf-8", "ignore")
