"""Whom an escalation finds in the directory when it comes, by whom the stage asks at that instant.

- `manager`: of each person who is asked by name, or is on call in a group that is asked, the nearest manager who is
  there.
- `next_on_call`: of each group that is asked, whoever is on call next.
- `parent_group`: of each group that is asked, the nearest group above it in which somebody is.
- Whoever is asked already is not found again. Whoever finds nobody says so (`nobody`): an escalation never looks as if
  it had asked somebody.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from policy.people.directory import Directory
from policy.rules.chains import Turn

_WHOSE = {
    Turn.manager: "no manager who is there is above",
    Turn.next_on_call: "nobody is on call next in",
    Turn.parent_group: "no group with anybody in it is above",
}


class Found(NamedTuple):
    """Groups and person ids to ask, too; both empty where nobody was found."""

    groups: tuple[str, ...]
    people: tuple[str, ...]


def found(directory: Directory, turn: Turn, groups: Collection[str], people: Collection[str], at: datetime) -> Found:
    """Whom a turn finds.

    Args:
        directory: as it is then.
        turn: whom to look for.
        groups: those that the stage asks.
        people: identities that it asks by name.
        at: the instant (UTC).
    """
    asked = [person for name in people if (person := directory.resolve(name))]
    if turn is Turn.parent_group:
        above = (_parent(directory, group, at) for group in groups)
        return Found(tuple(dict.fromkeys(name for name in above if name and name not in groups)), ())
    names = _managers(directory, groups, asked, at) if turn is Turn.manager else _next(directory, groups, at)
    return Found((), tuple(dict.fromkeys(name for name in names if name not in asked)))


def nobody(turn: Turn, groups: Collection[str], people: Collection[str]) -> str:
    """The sentence for a turn that found nobody."""
    return f"{_WHOSE[turn]} {', '.join((*groups, *people)) or 'anybody'}"


def _managers(directory: Directory, groups: Collection[str], asked: list[str], at: datetime) -> Iterator[str]:
    on_call = [person for group in groups if (person := directory.on_call(group, at))]
    for person in (*asked, *on_call):
        yield from directory.managers_of(person, at)[:1]


def _next(directory: Directory, groups: Collection[str], at: datetime) -> Iterator[str]:
    return (person for group in groups if (person := directory.next_on_call(group, at)))


def _parent(directory: Directory, group: str, at: datetime) -> str | None:
    parent = directory.parent_of(group)
    while parent is not None and not directory.members(parent, at):
        parent = directory.parent_of(parent)
    return parent
