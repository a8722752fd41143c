"""Who an audience is, by a directory, at an instant.

- Whoever fits a requirement's groups, roles or people, and has all of its qualifications. What lapsed does not count.
- Where one person of a group with a rotation is asked for, whoever is on call (`policy/people/rotations.py`) is told at
  once, and the others only a head start later, should it still wait then. If nobody on call can answer, or it ends
  before, all are told at once.
- A group that has a channel of its own is told there; besides, only who is on call or named is told alone.
- Who cannot answer, or did, is left out. Who is told for two reasons is told once, at the earlier instant.
- What asks, or is urgent, and reaches nobody is told to the operators: it must not ask in silence.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal

from policy.base import Instant, RecordModel
from policy.notices.notice import Asked, Notice, Urgency
from policy.people.directory import Directory
from policy.people.facts import PersonFacts

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


class _Room:
    """Who can be told at an instant."""

    def __init__(
        self, directory: Directory, with_channel: frozenset[str], without: frozenset[str], at: datetime
    ) -> None:
        self._directory = directory
        self._people = [person for person in directory.population(at) if person.person_id not in without]
        self._with_channel = with_channel
        self._at = at

    def on_call(self, asked: Asked) -> tuple[str, ...]:
        """Who of the groups that are asked is on call and can answer."""
        turns = {self._directory.on_call(group, self._at) for group in asked.groups}
        here = (person for person in self._people if person.person_id in turns)
        return tuple(person.person_id for person in here if _fits(person, asked, asked.groups))

    def fitting(self, asked: Asked) -> list[tuple[Kind, str]]:
        """The groups with a channel, and the people who fit without them."""
        found: list[tuple[Kind, str]] = [("group", group) for group in asked.groups if group in self._with_channel]
        alone = [group for group in asked.groups if group not in self._with_channel]
        return found + [("person", person.person_id) for person in self._people if _fits(person, asked, alone)]

    def known(self, names: Iterable[str]) -> list[tuple[Kind, str]]:
        """Those of these people who are there and can be told."""
        here = {person.person_id for person in self._people}
        return [("person", name) for name in names if name in here]

    def members(self, group: str) -> list[tuple[Kind, str]]:
        """A group's channel, or its people one by one."""
        if group in self._with_channel:
            return [("group", group)]
        return [("person", person.person_id) for person in self._people if group in person.groups]


def _fits(person: PersonFacts, asked: Asked, groups: Collection[str]) -> bool:
    """Whether somebody fits by one of these groups, by a role or by name, and has all qualifications."""
    anybody = not (asked.groups or asked.roles or asked.people) and bool(asked.qualifications)
    way = (
        anybody
        or person.person_id in asked.people
        or not set(groups).isdisjoint(person.groups)
        or not set(asked.roles).isdisjoint(person.roles)
    )
    return way and set(asked.qualifications).issubset(person.qualifications)
