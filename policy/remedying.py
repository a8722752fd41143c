"""Which holds an action remedies: what it names, and what that was to remedy itself.

- A hold lets through the action that names, in `remedies`, the action which left it. Nobody else acts on its target.
- An action that was to remedy a hold may end without a definite state itself, and then leaves a second hold on the same
  target. Whoever repairs that repairs both: naming the newer action names all that it was to remedy in its turn.
- It needs approval in any case (`policy/evaluation.py`), and what it repairs is released once it has succeeded.
"""

from collections.abc import Iterable

from policy.observed import HoldFact


def remedied(holds: Iterable[HoldFact], named: str | None) -> frozenset[str]:
    """The ids of the holds that an action remedies which names another one, or none; pure."""
    if named is None:
        return frozenset()
    known = tuple(holds)
    left_by, more = {named}, True
    while more:
        found = {hold.remedies for hold in known if hold.proposal_id in left_by and hold.remedies is not None}
        more = not found <= left_by
        left_by |= found
    return frozenset(hold.hold_id for hold in known if hold.proposal_id in left_by)


def unremedied(holds: Iterable[HoldFact], named: str | None) -> tuple[HoldFact, ...]:
    """The holds that stand against an action which names another one, or none."""
    known = tuple(holds)
    through = remedied(known, named)
    return tuple(hold for hold in known if hold.hold_id not in through)
