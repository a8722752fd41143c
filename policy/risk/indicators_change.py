"""The indicators of what an act does, read in one of the states that the action can end in.

- Severity and effects are those of the worst operation that acted until then. An effect has the level that the registry
  gives it, and 100 where it only names it.
- An operation that only reads counts 15 % of that, so that its score stays below 25 whatever it reads and wherever: its
  floor in the registry is what raises it. What is destructive never counts as reading.
- An undo that does not exist is the worst. One that exists is the harder the longer it takes (five minutes are one
  half; unknown is the worst), and the harder if nobody has seen it work here in 30 days; a dry run shows less than an
  undo that was done, or a restore.
- A state half-way with a step that cannot be undone is worse than the same step at the end of the action.
"""

from policy.facts import Facts
from policy.operations import EFFECTS, Effect, RegisteredOperation
from policy.proposal import ActionProposal
from policy.risk.indicators import Reading, filled, share_of
from policy.risk.reversal import State, states

READING_COUNTS = 0.15
UNPROVED, REHEARSED = 0.3, 0.1
SLOWNESS = 0.5
HALF_OF_SECONDS = 300
REGISTRY = "operations registry"
_SHOWN = 3


def worst_change(proposal: ActionProposal, facts: Facts) -> tuple[State, tuple[Reading, ...]]:
    """The worst state that the action can end in, and what is read there; the first of equals."""
    acts: dict[tuple[str, ...], tuple[Reading, ...]] = {}
    found = []
    for state in states(proposal, facts):
        # Most states differ in what is stuck only: what acted is read once.
        act = acts.get(state.operations) or _acts(state, facts)
        acts[state.operations] = act
        found.append((state, (*act, _undo(state), _half_way(state))))
    return max(found, key=lambda item: filled(item[1], "change"))


def change_readings(state: State, facts: Facts) -> tuple[Reading, ...]:
    """What an act does until it ends in a state."""
    return (*_acts(state, facts), _undo(state), _half_way(state))


def _acts(state: State, facts: Facts) -> tuple[Reading, ...]:
    operations = tuple(facts.operation(name) for name in state.operations)
    return (_severity(operations), *(_effect(effect, operations) for effect in EFFECTS))


def _counts(operation: RegisteredOperation) -> float:
    return READING_COUNTS if operation.read_only and not operation.destructive else 1.0


def _severity(operations: tuple[RegisteredOperation, ...]) -> Reading:
    worst = max(operations, key=lambda item: _counts(item) * item.severity)
    only = ", and only reads" if _counts(worst) < 1 else ""
    evidence = f"{worst.name} has severity {worst.severity} of 100{only}"
    return Reading("change_severity", _counts(worst) * worst.severity / 100, evidence, REGISTRY)


def _effect(effect: Effect, operations: tuple[RegisteredOperation, ...]) -> Reading:
    worst = max(operations, key=lambda item: _counts(item) * item.effect_levels.get(effect, 0))
    level = worst.effect_levels.get(effect, 0)
    evidence = f"{worst.name} touches it at {level} of 100" if level else "no operation touches it"
    return Reading(effect, _counts(worst) * level / 100, evidence, REGISTRY)


def _undo(state: State) -> Reading:
    if state.stuck:
        return Reading("undo_difficulty", 1.0, state.where, REGISTRY)
    if state.undo_seconds == 0 and not state.unproved and not state.rehearsed:
        return Reading("undo_difficulty", 0.0, "nothing to undo, or an undo that was seen to work", REGISTRY)
    seconds = state.undo_seconds
    doubt = UNPROVED if state.unproved else REHEARSED if state.rehearsed else 0.0
    slow = SLOWNESS * (1.0 if seconds is None else share_of(seconds, HALF_OF_SECONDS))
    takes = "takes nobody knows how long" if seconds is None else f"takes {seconds:g} s"
    evidence = f"{state.label}, the undo {takes} and {_proved(state)}"
    return Reading("undo_difficulty", 1 - (1 - doubt) * (1 - slow), evidence, REGISTRY, state.proved_at)


def _proved(state: State) -> str:
    if state.unproved:
        return f"{', '.join(state.unproved[:_SHOWN])} was not seen to work here in 30 days"
    if state.rehearsed:
        return f"{', '.join(state.rehearsed[:_SHOWN])} was only tried dry here"
    return "was seen to work here"


def _half_way(state: State) -> Reading:
    stands = state.half_way and bool(state.stuck)
    evidence = state.where if stands else "no state half-way is without a way back"
    return Reading("half_way", 1.0 if stands else 0.0, evidence, REGISTRY)
