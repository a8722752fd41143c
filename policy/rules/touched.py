"""Why an action may not run by what its executors found that it would touch.

- A step whose operation is resolved and of which nobody found a target lately is not let run: nothing is never
  everything, and what nobody looked at is nothing.
- A target that says of itself that it is in another environment than the action is for is not acted on.
- What a proposal expects is either the ids of the catalog or the targets that were found, all of them: as `id`, or as
  `resource/id`.
"""

from collections.abc import Iterator

from policy.base import Reason
from policy.facts import Facts
from policy.proposal import ActionProposal
from policy.resolving import problem_of

_SHOWN = 5


def touched_refusals(proposal: ActionProposal, facts: Facts) -> Iterator[Reason]:
    """Every reason for which what was found lets nothing run."""
    for number, step in enumerate(proposal.steps, start=1):
        if not facts.operation(step.operation).resolves:
            continue
        if why := unfound(number, facts):
            message = f"step {step.name} resolves to nothing: {why}"
            yield Reason(code="unresolved_target", message=message)
        elsewhere = [item for item in facts.targets_of(number) if item.environment not in (None, proposal.environment)]
        if elsewhere:
            named = ", ".join(f"{ascii(item.id)[:80]} ({ascii(item.environment)[:40]})" for item in elsewhere[:_SHOWN])
            more = f" and {len(elsewhere) - _SHOWN} more" if len(elsewhere) > _SHOWN else ""
            message = f"environment {proposal.environment} is declared, step {step.name} would touch {named}{more}"
            yield Reason(code="environment_mismatch", message=message)


def unfound(step: int, facts: Facts) -> str:
    """Why nobody knows what a step would touch; empty where it is known."""
    resolution = facts.resolution
    found = resolution.step(step) if resolution is not None else None
    if found is None:
        return "no executor said lately what it would touch"
    return found.problem or problem_of(found.targets, facts.resolved)


def expects(proposal: ActionProposal, facts: Facts) -> bool:
    """Whether what the proposal expects is what there is; also where it expects nothing in particular."""
    expected = set(proposal.expected_targets or ())
    found = [item for step in facts.found for item in step.targets]
    real = [set(facts.resolved)]
    if found:
        real += [{item.id for item in found}, {f"{item.resource}/{item.id}" for item in found}]
    return proposal.expected_targets is None or expected in real
