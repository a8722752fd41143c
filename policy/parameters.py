"""Whether the parameters of a proposal are those that its operations declare, and its undos their inverses.

- A parameter that is not declared, is missing, or has another type or form is refused before anything is assessed. What
  was given for a secret is not repeated.
- An undo is one of the inverses that the operation declares. It acts on the same target, since a proposal has only one,
  and on the same object of it: the parameters that identify the object have the same values in both.
"""

from typing import Any

from policy.base import Reason
from policy.canonical import canonical
from policy.operations import MAX_REASONS, OperationsRegistry, RegisteredOperation
from policy.proposal import ActionProposal, Step, Undo


def parameter_refusals(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[Reason, ...]:
    """What is wrong with the parameters of the steps and of their undos, and with undos that are no inverse."""
    reasons: list[Reason] = []
    for step in proposal.steps:
        known = registry.find(step.operation)
        reasons += _refuse(f"step {step.name}", known, step.parameters)
        if step.undo is None:
            continue
        undoing = registry.find(step.undo.operation)
        if known is not None:
            reasons += _inverse(step, step.undo, known, undoing)
        reasons += _refuse(f"undo of step {step.name}", undoing, step.undo.parameters)
    return cut(reasons, "bad_parameter")


def cut(reasons: list[Reason], code: str) -> tuple[Reason, ...]:
    """The first reasons, and how many more there are."""
    if (more := len(reasons) - MAX_REASONS) <= 0:
        return tuple(reasons)
    return (*reasons[:MAX_REASONS], Reason(code=code, message=f"and {more} more like these"))


def _inverse(step: Step, undo: Undo, known: RegisteredOperation, undoing: RegisteredOperation | None) -> list[Reason]:
    if undo.operation not in known.inverse:
        allowed = ", ".join(known.inverse) or "none"
        message = f"step {step.name}: {undo.operation} is no inverse of {step.operation} (registered: {allowed})"
        return [Reason(code="undo_is_no_inverse", message=message)]
    if undoing is None:
        return []
    shared = [name for name in known.identifies if name in undoing.parameters]
    return [
        Reason(
            code="undo_is_no_inverse",
            message=f"step {step.name}: its undo has {name} = {_shown(undo, name)}, the step {_shown(step, name)}: "
            "an undo acts on the same object"[:300],
        )
        for name in shared
        if _value(undo, name) != _value(step, name)
    ]


def _value(of: Step | Undo, name: str) -> bytes | None:
    return canonical(of.parameters[name]) if name in of.parameters else None


def _shown(of: Step | Undo, name: str) -> str:
    value = _value(of, name)
    return "nothing" if value is None else value.decode()[:100]


def _refuse(where: str, known: RegisteredOperation | None, given: dict[str, Any]) -> list[Reason]:
    if known is None:
        return []
    found = []
    for name, parameter in known.parameters.items():
        if name not in given:
            if parameter.required:
                found.append(f"{where}: parameter {name} is missing")
        elif refusal := parameter.refusal(given[name]):
            shown = "" if parameter.secret else f" = {given[name]!r}"
            found.append(f"{where}: parameter {name}{shown} {refusal}")
    found += [
        f"{where}: parameter {name!r} is not declared by {known.name}" for name in given if name not in known.parameters
    ]
    return [Reason(code="bad_parameter", message=message[:300]) for message in found]
