"""Which criteria an action is measured by.

- The operations registry gives each operation its minimum criteria. A proposal may add others, and none that cannot
  fail; what it adds can only make success harder.
- The minimum comes first; history counts only what was measured by it (`policy/history.py`).
"""

from policy.base import Reason
from policy.operations import OperationsRegistry
from policy.proposal import ActionProposal


def minimum_refusals(_proposal: ActionProposal, _registry: OperationsRegistry) -> tuple[Reason, ...]:
    """What is wrong with the criteria of a proposal."""
    return ()
