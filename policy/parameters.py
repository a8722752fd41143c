"""Whether the parameters of a proposal are those that its operations declare, and its undos their inverses.

- A parameter that is not declared, is missing, or has another type or form is refused before anything is assessed.
- An undo is one of the inverses that the operation declares. The undo acts on the same target: a proposal has only one.
"""

from typing import Any

from policy.base import Reason
from policy.operations import MAX_REASONS, OperationsRegistry, RegisteredOperation
from policy.proposal import ActionProposal


def parameter_refusals(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[Reason, ...]:
    """What is wrong with the parameters of the steps and of their undos, and with undos that are no inverse."""
    reasons: list[Reason] = []
    for step in proposal.steps:
        known = registry.find(step.operation)
        reasons += _refuse(f"step {step.name}", known, step.parameters)
        if step.undo is None:
            continue
        if known is not None and step.undo.operation not in known.inverse:
            allowed = ", ".join(known.inverse) or "none"
            message = (
                f"step {step.name}: {step.undo.operation} is no inverse of {step.operation} (registered: {allowed})"
            )
            reasons.append(Reason(code="undo_is_no_inverse", message=message))
        reasons += _refuse(f"undo of step {step.name}", registry.find(step.undo.operation), step.undo.parameters)
    if (more := len(reasons) - MAX_REASONS) <= 0:
        return tuple(reasons)
    return (*reasons[:MAX_REASONS], Reason(code="bad_parameter", message=f"and {more} more like these"))


def _refuse(where: str, known: RegisteredOperation | None, given: dict[str, Any]) -> list[Reason]:
    if known is None:
        return []
    found = []
    for name, parameter in known.parameters.items():
        if name not in given:
            if parameter.required:
                found.append(f"{where}: parameter {name} is missing")
        elif refusal := parameter.refusal(given[name]):
            found.append(f"{where}: parameter {name} = {given[name]!r} {refusal}")
    found += [
        f"{where}: parameter {name!r} is not declared by {known.name}" for name in given if name not in known.parameters
    ]
    return [Reason(code="bad_parameter", message=message[:300]) for message in found]
