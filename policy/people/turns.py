"""Whom an escalation finds in the directory when it comes, by whom the stage asks at that instant."""

from collections.abc import Collection
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
    """Whom a turn finds at an instant (UTC), from the groups and people that a stage asks."""
    if turn is Turn.parent_group:
        above = (item.parent for item in directory.groups if item.name in groups and item.parent)
        return Found(tuple(name for name in above if directory.members(name)), ())
    if turn is Turn.manager:
        managers = (person.manager for person in directory.people if person.id in people)
        return Found((), tuple(name for name in managers if name and name not in people))
    turns = (item for item in directory.rotations if item.group in groups)
    later = (item.order[((at - item.start) // item.every + 1) % len(item.order)] for item in turns)
    return Found((), tuple(name for name in later if name not in people))


def nobody(turn: Turn, groups: Collection[str], people: Collection[str]) -> str:
    """The sentence for a turn that found nobody."""
    return f"{_WHOSE[turn]} {', '.join((*groups, *people)) or 'anybody'}"
