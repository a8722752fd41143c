"""Who an audience is, by a directory, at an instant.

- Whoever fits a requirement's groups, roles or people, and has all of its qualifications. What lapsed does not count.
- Where one person of a group with a rotation is asked for, whoever is on call is told at once, and the others only a
  head start later, should it still wait then. If nobody on call can answer, or it ends before, all are told at once.
- A group that has a channel of its own is told there; besides, only who is on call or named is told alone.
- Who cannot answer, or did, is left out. Who is told for two reasons is told once, at the earlier instant.
- What asks, or is urgent, and reaches nobody is told to the operators: it must not ask in silence.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal

from policy.base import Instant, RecordModel
from policy.notices.notice import Asked, Notice, Urgency
from policy.people.directory import Directory, Held, Person, Rotation

Kind = Literal["person", "group", "platform"]
PLATFORM: Literal["platform"] = "platform"


class Addressee(RecordModel):
    """Somebody who is told, and from when on."""

    kind: Kind
    name: str
    not_before: Instant


def addressees(
    notice: Notice,
    directory: Directory,
    *,
    with_channel: Collection[str],
    operators: str | None,
    head_start: timedelta,
    at: datetime,
) -> tuple[Addressee, ...]:
    """Everybody whom a notice is for.

    Args:
        notice: with its audience.
        directory: in force at that instant.
        with_channel: the groups that have a channel of their own.
        operators: the group that runs Countersign; None where nobody said.
        head_start: how long before the others whoever is on call is told.
        at: the instant (UTC).
    """
    audience = notice.audience
    room = _Room(directory, frozenset(with_channel), frozenset(audience.without), at)
    found: dict[tuple[Kind, str], datetime] = {}
    for asked in audience.asked:
        first = room.on_call(asked) if audience.on_call_first else ()
        later = at + head_start if first and asked.count == 1 else at
        if notice.deadline is not None and later >= notice.deadline:
            later = at
        _add(found, [("person", name) for name in first], at)
        _add(found, room.fitting(asked), later)
    _add(found, room.known(audience.people), at)
    run_it = (operators,) if operators else ()
    for group in (*audience.groups, *(run_it if audience.operators else ())):
        _add(found, room.members(group), at)
    if not found and (notice.kind.wants_answer or notice.urgency is Urgency.urgent):
        for group in run_it:
            _add(found, room.members(group), at)
    _add(found, [(PLATFORM, PLATFORM)] if audience.platform else [], at)
    return tuple(Addressee(kind=kind, name=name, not_before=since) for (kind, name), since in sorted(found.items()))


def _add(found: dict[tuple[Kind, str], datetime], names: Iterable[tuple[Kind, str]], since: datetime) -> None:
    for key in names:
        found[key] = min(since, found.get(key, since))


def on_call(rotation: Rotation, at: datetime) -> str | None:
    """Whose turn it is at an instant; None before the rotation began."""
    for override in rotation.overrides:
        if override.since <= at < override.until:
            return override.person
    if at < rotation.start:
        return None
    return rotation.order[(at - rotation.start) // rotation.every % len(rotation.order)]


class _Room:
    """Who can be told at an instant."""

    def __init__(
        self, directory: Directory, with_channel: frozenset[str], without: frozenset[str], at: datetime
    ) -> None:
        self._rotations = directory.rotations
        self._people = [person for person in directory.people if _is_there(person, at) and person.id not in without]
        self._with_channel = with_channel
        self._at = at

    def on_call(self, asked: Asked) -> tuple[str, ...]:
        """Who of the groups that are asked is on call and can answer."""
        turns = {on_call(rotation, self._at) for rotation in self._rotations if rotation.group in asked.groups}
        return tuple(person.id for person in self._people if person.id in turns and self._has(person, asked))

    def fitting(self, asked: Asked) -> list[tuple[Kind, str]]:
        """The groups with a channel, and the people who fit without them."""
        found: list[tuple[Kind, str]] = [("group", group) for group in asked.groups if group in self._with_channel]
        alone = set(asked.groups) - self._with_channel
        anybody = not (asked.groups or asked.roles or asked.people) and bool(asked.qualifications)
        for person in self._people:
            fits = (
                anybody
                or person.id in asked.people
                or not _names(person.groups, self._at).isdisjoint(alone)
                or not _names(person.roles, self._at).isdisjoint(asked.roles)
            )
            if fits and self._has(person, asked):
                found.append(("person", person.id))
        return found

    def known(self, names: Iterable[str]) -> list[tuple[Kind, str]]:
        """Those of these people who are there and can be told."""
        here = {person.id for person in self._people}
        return [("person", name) for name in names if name in here]

    def members(self, group: str) -> list[tuple[Kind, str]]:
        """A group's channel, or its people one by one."""
        if group in self._with_channel:
            return [("group", group)]
        return [("person", person.id) for person in self._people if group in _names(person.groups, self._at)]

    def _has(self, person: Person, asked: Asked) -> bool:
        return _names(person.qualifications, self._at).issuperset(asked.qualifications)


def _is_there(person: Person, at: datetime) -> bool:
    return (person.since is None or person.since <= at) and (person.until is None or at < person.until)


def _names(held: tuple[Held, ...], at: datetime) -> set[str]:
    """The names of what is held at an instant."""
    found = set()
    for item in held:
        if isinstance(item, str):
            found.add(item)
        elif (item.since is None or item.since <= at) and (item.until is None or at < item.until):
            found.add(item.name)
    return found
