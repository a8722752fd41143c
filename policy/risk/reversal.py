"""The states that an action can end in, and how each of them can be left again.

- An action of n steps can end after all of them, after k of them (stopped), or after the undos of those k. Each of
  these 2n states at most is assessed, and the worst counts: a half-way state that nobody can leave is a result, too.
- What acted until then counts in a state: the steps that were done, and in an undone state their undos. An undo counts
  as if it were proposed itself.
- A step is stuck if it changes something and has no undo that its operation declares as its inverse, on the same
  object; a step that only reads, or needs no undo by the registry, is never stuck. An undo that its executor says it
  does not have is none.
- The undos of a state run one after the other: their seconds add up. What was ever measured counts if it is longer than
  what the registry says, or if the registry says nothing. What nobody knows makes the sum unknown.
- That an undo works counts as proved for 30 days: an undo that was done, a restore, or less: a dry run.

Example: three steps, the first without an undo. After step 2 of 3 the target is half changed, step 2 can be undone and
step 1 cannot: `after step 2 of 3, step 1 cannot be undone`.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from policy.facts import Facts
from policy.observed import UndoProof
from policy.operations import RegisteredOperation
from policy.proposal import ActionProposal, Step

PROOF_HOLDS = timedelta(days=30)


class State(NamedTuple):
    """One state that an action can end in.

    Attributes:
        label: where it ended, in words.
        operations: what acted until then.
        stuck: the numbers of the steps that were done and cannot be undone, from 1.
        undo_seconds: how long it takes to leave the state; None where nobody knows. 0 where nothing is to be undone.
        half_way: whether it is neither the end nor the beginning.
        unproved: the undos that nobody has seen to work on this target.
        rehearsed: the undos that only a dry run has shown to work.
        proved_at: the oldest of the proofs that count.
    """

    label: str
    operations: tuple[str, ...]
    stuck: tuple[int, ...]
    undo_seconds: float | None
    half_way: bool
    unproved: tuple[str, ...]
    rehearsed: tuple[str, ...]
    proved_at: datetime | None

    @property
    def where(self) -> str:
        """The state and what is stuck in it, as evidence."""
        if not self.stuck:
            return self.label
        numbers = ", ".join(str(number) for number in self.stuck)
        return f"{self.label}, step {numbers} cannot be undone"


def states(proposal: ActionProposal, facts: Facts) -> tuple[State, ...]:
    """Every state that an action can end in: the end, those half-way, and those after undos."""
    proofs = best_proofs(facts)
    ways = [_way_back(number, step, facts) for number, step in enumerate(proposal.steps, start=1)]
    total = len(ways)
    stopped = [_state(ways[:done], total, proofs, undone=False) for done in range(total, 0, -1)]
    undone = [
        _state(ways[:done], total, proofs, undone=True)
        for done in range(total, 0, -1)
        if any(way.undo is not None for way in ways[:done])
    ]
    return (*stopped, *undone)


def can_be_undone(step: Step, known: RegisteredOperation) -> bool:
    """Whether a step leaves nothing, or has an undo that its operation declares, on the same object."""
    if leaves_nothing(known) or step.undo is None:
        return leaves_nothing(known)
    undone = step.undo.parameters
    same = all(undone.get(name, step.parameters.get(name)) == step.parameters.get(name) for name in known.identifies)
    return same and step.undo.operation in known.inverse


def leaves_nothing(known: RegisteredOperation) -> bool:
    """Whether there is nothing to undo. What is destructive always leaves something, whatever else is said of it."""
    return not known.destructive and (known.needs_no_undo or known.read_only)


def best_proofs(facts: Facts) -> dict[str, UndoProof]:
    """The proof of each undo that still holds: one that was done before one that was only tried dry, the newest."""
    undone = [proof for proof in facts.observed.undo_proofs if proof.direction == "undo"]
    held = [proof for proof in undone if proof_holds(proof, facts.at)]
    held.sort(key=lambda proof: (proof.kind != "dry_run", proof.at))
    return {proof.operation: proof for proof in held}


def proof_holds(proof: UndoProof, at: datetime | None) -> bool:
    """Whether a proof is young enough at an instant. Without an instant none is, nor is one from the future."""
    return at is not None and timedelta(0) <= at - proof.at <= PROOF_HOLDS


class _WayBack(NamedTuple):
    """What it takes to leave one step again. `seconds` is None where nobody knows."""

    number: int
    operation: str
    undo: str | None
    needed: bool
    stuck: bool
    seconds: float | None


def is_stuck(step: Step, facts: Facts) -> bool:
    """Whether a step that was done cannot be undone: nothing is registered for it, or its executor does not have it."""
    known = facts.operation(step.operation)
    return not can_be_undone(step, known) or not (leaves_nothing(known) or _is_carried_out(step, facts))


def _is_carried_out(step: Step, facts: Facts) -> bool:
    """Whether the executor of a step's undo has it; one that said nothing is believed."""
    if step.undo is None:
        return False
    declared = facts.declared_by(facts.operation(step.undo.operation).executor)
    return declared is None or declared.of(step.undo.operation) is not None


def _way_back(number: int, step: Step, facts: Facts) -> _WayBack:
    known, proofs = facts.operation(step.operation), facts.observed.undo_proofs
    undo = step.undo.operation if step.undo is not None else None
    needed = not leaves_nothing(known)
    # However old: that an undo once took an hour does not become less true.
    measured = [proof.seconds for proof in proofs if proof.operation == undo and proof.direction == "undo"]
    said = [item for item in (known.undo_seconds, *measured) if item is not None]
    seconds = max(said, default=None) if needed else 0.0
    return _WayBack(number, step.operation, undo, needed, is_stuck(step, facts), seconds)


def _state(ways: list[_WayBack], total: int, proofs: dict[str, UndoProof], *, undone: bool) -> State:
    operations = dict.fromkeys(way.operation for way in ways)
    undos = dict.fromkeys(way.undo for way in ways if way.undo is not None)
    needed = dict.fromkeys(way.undo for way in ways if way.needed and way.undo is not None)
    seconds = [way.seconds for way in ways if way.seconds is not None]
    return State(
        label=f"after step {len(ways)} of {total}{' was undone' if undone else ''}",
        operations=(*operations, *undos) if undone else tuple(operations),
        stuck=tuple(way.number for way in ways if way.stuck),
        undo_seconds=sum(seconds) if len(seconds) == len(ways) else None,
        half_way=undone or len(ways) < total,
        unproved=tuple(name for name in needed if name not in proofs),
        rehearsed=tuple(name for name in needed if name in proofs and proofs[name].kind == "dry_run"),
        proved_at=min((proofs[name].at for name in needed if name in proofs), default=None),
    )
