"""Quorum: do these people satisfy these requirements?

- Every requirement of a stage must be met, each by its own people: one person fills one seat, once.
- People are assigned to seats by matching, not greedily: if some assignment satisfies the stage, it is satisfied,
  in whatever order the votes came. (Kuhn's augmenting paths; Kuhn 1955.)
- What is missing is said per requirement: how many seats of which groups are still empty.
"""

from collections.abc import Sequence

from policy.base import RecordModel
from policy.rules.chains import Requirement


class Tally(RecordModel):
    """The seats of a stage: who sits where (`seated`: person id by seat), and what is missing."""

    met: bool
    seated: dict[str, str]
    missing: tuple[str, ...]


def tally(requirements: Sequence[Requirement], voters: Sequence[tuple[str, frozenset[str]]]) -> Tally:
    """Assign voters to the seats of the requirements.

    Args:
        requirements: what the stage asks for; at least one.
        voters: person id and groups of everyone whose approval counts, in order of arrival; `by_name` of the id where
            a requirement may ask by it. A person who is named again is one person, with the groups of the first time.
    """
    first = dict(reversed(voters))
    voters = [(person, first[person]) for person in dict.fromkeys(person for person, _ in voters)]
    seats = [
        (f"{number}.{place}", frozenset((*requirement.groups, *map(by_name, requirement.people))))
        for number, requirement in enumerate(requirements)
        for place in range(requirement.count)
    ]
    holder: dict[int, int] = {}
    for voter in range(len(voters)):
        _seat(voter, seats, voters, holder, set())
    missing = []
    for number, requirement in enumerate(requirements):
        empty = [at for at, (name, _) in enumerate(seats) if name.startswith(f"{number}.") and at not in holder]
        if empty:
            missing.append(f"{len(empty)} of {requirement.wanted}")
    return Tally(
        met=bool(seats) and not missing,
        seated={seats[seat][0]: voters[voter][0] for seat, voter in sorted(holder.items())},
        missing=tuple(missing) if seats else ("the stage asks for nobody, so nobody can satisfy it",),
    )


def by_name(person_id: str) -> str:
    """Somebody's own name among the groups by which they may sit; no group has a space in its name."""
    return f"person {person_id}"


def _seat(
    voter: int,
    seats: list[tuple[str, frozenset[str]]],
    voters: Sequence[tuple[str, frozenset[str]]],
    holder: dict[int, int],
    tried: set[int],
) -> bool:
    """Find a seat for a voter, moving others to seats they may also take."""
    for at, (_, groups) in enumerate(seats):
        if at in tried or groups.isdisjoint(voters[voter][1]):
            continue
        tried.add(at)
        if at not in holder or _seat(holder[at], seats, voters, holder, tried):
            holder[at] = voter
            return True
    return False
