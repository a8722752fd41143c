"""Steps that act on one target after the other, and what keeps them bounded.

- The success criteria are the gate between two targets, so only the last step, which they are measured after, can be
  taken one by one.
- Each target has the step's time and the criteria's; together they take a day at most.
"""

from collections.abc import Iterator

from policy.base import Reason
from policy.criteria import effective
from policy.operations import OperationsRegistry
from policy.proposal import ActionProposal, Criterion, Step

# What acting and measuring may take, all targets together.
MAX_SECONDS = 86_400


def targets_of(step: Step, resolved: int) -> int:
    """How many targets a step acts on after one another: one where it acts on all at once."""
    return max(1, resolved) if step.one_by_one else 1


def step_seconds(step: Step, criteria: tuple[Criterion, ...], resolved: int) -> int:
    """How many seconds a step may take with its criteria measured; `resolved` is how many targets there are."""
    observing = max((item.longest for item in criteria), default=0)
    return targets_of(step, resolved) * (step.timeout_seconds + observing)


def acting_seconds(step: Step, criteria: tuple[Criterion, ...], resolved: int) -> int:
    """How many seconds may pass from its beginning to its last effect: taken one by one, it is measured in between."""
    return step_seconds(step, criteria, resolved) if step.one_by_one else step.timeout_seconds


def staging_refusals(proposal: ActionProposal, registry: OperationsRegistry, resolved: int) -> tuple[Reason, ...]:
    """What is wrong with the steps that are taken target by target.

    Args:
        proposal: what is asked for.
        registry: the operations; their minimum criteria take time.
        resolved: how many targets there are.
    """
    return tuple(Reason(code="bad_staging", message=message) for message in _wrong(proposal, registry, resolved))


def _wrong(proposal: ActionProposal, registry: OperationsRegistry, resolved: int) -> Iterator[str]:
    known = {name: item for name in proposal.operations if (item := registry.find(name)) is not None}
    for step in proposal.steps:
        if not step.one_by_one:
            continue
        if step is not proposal.steps[-1]:
            yield f"step {step.name} is one_by_one and not the last: nothing is measured between its targets"
            continue
        seconds = step_seconds(step, effective(proposal, known), resolved)
        if seconds > MAX_SECONDS:
            yield (
                f"step {step.name} takes up to {seconds} s for {resolved} targets one by one, at most {MAX_SECONDS}: "
                "name fewer targets, or observe for less"
            )
