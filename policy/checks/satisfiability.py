"""Can anybody approve? A chain against the people of a directory.

- One person fills one seat of the whole chain (`policy/approval/duties.py`), so all seats of all stages are filled
  together, by the same matching that counts votes (`policy/approval/quorum.py`).
- Escalation adds groups only after a while: a chain that needs it to be filled can be satisfied, but late.
- Whoever wrote the document does not approve what it asks about.
- Whoever asks does not approve. For each person who may stand behind an action, the chain is asked without them.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from policy.approval.quorum import Tally, tally
from policy.people.directory import Directory, named
from policy.rules.chains import ApprovalChain, Requirement


class Satisfiability(NamedTuple):
    """What a directory says of a chain.

    Attributes:
        unknown_groups: groups that the chain names and nobody is in.
        missing: the seats that nobody can fill, whoever asks and however long one waits.
        late: the seats that only escalation can fill.
        without: the people of whom one, if they ask, leaves seats that nobody can fill.
        total: how many seats there are.
        people: how many people are in any of the groups.
    """

    unknown_groups: tuple[str, ...]
    missing: tuple[str, ...]
    late: tuple[str, ...]
    without: tuple[str, ...]
    total: int
    people: int


def satisfiability(chain: ApprovalChain, directory: Directory, authors: Collection[str] = ()) -> Satisfiability:
    """Who of a directory could satisfy a chain; pure.

    Args:
        chain: the stages.
        directory: the people.
        authors: identities of people who approve nothing here, because they wrote the document.
    """
    silent = {person for name in authors if (person := directory.resolve(name))}
    now, later = _seats(chain, escalated=False), _seats(chain, escalated=True)
    groups = dict.fromkeys(group for requirement in later for group in requirement.groups)
    total = sum(requirement.count for requirement in now)
    voters = _voters(directory, groups, total + 1 + len(silent), silent)
    filled = tally(later, voters)
    missing = filled.missing
    seated = sorted(_irreplaceable(filled, later, voters))
    return Satisfiability(
        unknown_groups=tuple(group for group in groups if not directory.members(group)),
        missing=missing,
        late=() if missing else _missing(now, voters),
        without=() if missing else tuple(name for name in seated if _missing(later, voters, name)),
        total=total,
        people=sum(
            1
            for person in directory.people
            if person.id not in silent and not set(groups).isdisjoint(map(named, person.groups))
        ),
    )


def _seats(chain: ApprovalChain, *, escalated: bool) -> tuple[Requirement, ...]:
    """The requirements of all stages, as they are at first or once every escalation step was taken."""
    return tuple(
        Requirement(
            groups=(*requirement.groups, *(group for step in stage.escalations for group in step.add_groups))
            if escalated
            else requirement.groups,
            count=requirement.count,
        )
        for stage in chain.stages
        for requirement in stage.requirements
    )


def _irreplaceable(
    filled: Tally, requirements: tuple[Requirement, ...], voters: list[tuple[str, frozenset[str]]]
) -> Iterator[str]:
    """Those on a seat that nobody without one may take. Without anybody else, all seats can still be filled."""
    taken = set(filled.seated.values())
    spare = {group for person, groups in voters if person not in taken for group in groups}
    for seat, person in filled.seated.items():
        if spare.isdisjoint(requirements[int(seat.split(".")[0])].groups):
            yield person


def _voters(
    directory: Directory, groups: Collection[str], enough: int, silent: Collection[str]
) -> list[tuple[str, frozenset[str]]]:
    """So many of each group as could sit on every seat: more of them change nothing and cost time."""
    kept = {person for group in groups for person in directory.members(group)[:enough]}
    return [
        (person.id, frozenset(map(named, person.groups)))
        for person in directory.people
        if person.id in kept - set(silent)
    ]


def _missing(
    requirements: tuple[Requirement, ...],
    voters: list[tuple[str, frozenset[str]]],
    excluded: str | None = None,
) -> tuple[str, ...]:
    return tally(requirements, [voter for voter in voters if voter[0] != excluded]).missing
