"""Which registered operations are a safer way to what a step does.

- They come from the operations registry, never from a proposal. Whether they serve its purpose is for people to judge.
- An operation is of the same family if one executor runs both and their names differ in the last part only
  (`postgres.index.drop`, `postgres.index.hide`), or if both have an inverse in common.
- It is safer if its severity is lower, its floor no higher, it harms nothing more, and it is neither destructive nor
  harder to undo than the other. What only reads, and what undoes the other, is no other way.
"""

from policy.base import RecordModel
from policy.operations import OperationsRegistry, RegisteredOperation
from policy.proposal import ActionProposal

MAX_SAFER = 3


class SaferOperation(RecordModel):
    """A safer operation instead of that of a step. The severities are 0..100, as registered."""

    name: str
    instead_of: str
    severity: int
    instead_of_severity: int
    undoable: bool = False
    description: str = ""


def safer_operations(proposal: ActionProposal, registry: OperationsRegistry) -> tuple[SaferOperation, ...]:
    """The safer operations for the steps of a proposal, the mildest first, three at most."""
    asked = {step.operation for step in proposal.steps}
    found = [
        _instead(other, known)
        for known in map(registry.find, sorted(asked))
        if known is not None
        for other in registry.operations
        if other.name not in asked and _same_family(known, other) and _safer(known, other)
    ]
    return tuple(sorted(found, key=lambda item: (item.severity, item.name))[:MAX_SAFER])


def _same_family(one: RegisteredOperation, other: RegisteredOperation) -> bool:
    if one.executor != other.executor or other.name in one.inverse:
        return False
    return one.name.rpartition(".")[0] == other.name.rpartition(".")[0] or bool(set(one.inverse) & set(other.inverse))


def _safer(one: RegisteredOperation, other: RegisteredOperation) -> bool:
    harms = one.effect_levels
    return (
        not other.read_only
        and not other.destructive
        and other.severity < one.severity
        and other.floor.rank <= one.floor.rank
        and all(level <= harms.get(effect, 0) for effect, level in other.effect_levels.items())
        and (other.reversible or not one.reversible)
    )


def _instead(other: RegisteredOperation, known: RegisteredOperation) -> SaferOperation:
    return SaferOperation(
        name=other.name,
        instead_of=known.name,
        severity=other.severity,
        instead_of_severity=known.severity,
        undoable=other.reversible,
        description=other.description[:200],
    )
