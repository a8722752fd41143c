"""One source of people, joined with a directory that there is: what each of them is from now on.

- A person is known again by the source's own id, which is kept as an alias; without one, by account or mail address.
  Ids never change. An identity that the source gives to somebody else goes to them, unless it is a person's id.
- Groups, roles, teams and managers are the source's, as far as any file speaks of them; what it takes away ends, and
  what it gives begins, with the import. What was held before keeps its beginning.
- Entitlements are qualifications `entitlement:NAME`. All other qualifications, aliases, hours and contacts stay, and
  everybody whom the source never had.
- Whoever is not active, or was in the source and is not any more, leaves. Whoever comes back is new.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from policy.importing.people import SUBJECTS, FoundPerson, GatheredPeople, HeldKind, is_name, printable
from policy.importing.report import Skip
from policy.people.directory import Directory
from policy.people.entries import Held, Membership, Person, named, within

ENTITLEMENT = "entitlement:"
# Of the aliases that are a source's own ids: an account that is called so would be taken for somebody else.
PREFIXES = ("scim:", "oidc:")
NEW, KNOWN, BACK, LEFT = "people who are new", "people who are known", "people who come back", "people who have left"


class Joined:
    """Everybody, by id, and what was decided on the way."""

    def __init__(self, base: Directory | None) -> None:
        self.people = {person.id: person for person in base.people} if base else {}
        self.skips: list[Skip] = []
        self.notes: list[str] = []
        self.counts = dict.fromkeys((NEW, KNOWN, BACK, LEFT), 0)


def join(source: GatheredPeople, prefix: str, base: Directory | None, as_of: datetime) -> Joined:
    """Join what a source says with a directory; pure.

    Args:
        source: all of its files.
        prefix: of the aliases that are its ids, like `scim:`.
        base: the directory that there is.
        as_of: when the files were true (UTC).
    """
    joined = Joined(base)
    names = {subject: source.names(subject) for subject in SUBJECTS}
    pairs = _pairs(_distinct(source.people, joined), prefix, base, joined)
    identities = _identities(pairs, joined)
    managers = _called(pairs, prefix, joined)
    for person_id, found in pairs.items():
        before = joined.people.get(person_id)
        _count(joined, before, found, as_of)
        person = before or Person(id=person_id)
        changes = {**_presence(before, found, as_of), **_held(person, found, source, names, as_of)}
        if found.name:
            changes["name"] = found.name
        # Of whoever leaves a source often says no more than that; whom they stood above and below is still so.
        if found.team or (found.active and "teams" in source.speaks):
            changes["team"] = found.team
        if found.manager or (found.active and "managers" in source.speaks):
            changes["manager"] = _manager(found, person_id, managers, joined)
        joined.people[person_id] = person.model_copy(update=changes)
    _give(joined, identities)
    if source.whole:
        _gone(joined, pairs, prefix, as_of)
    return joined


def _distinct(people: Iterable[FoundPerson], joined: Joined) -> list[FoundPerson]:
    """Each of the source once, with the identities that nobody else of the source has."""
    found: dict[str, FoundPerson] = {}
    for number, person in enumerate(people):
        key = person.key.lower() or f"without {number}"
        if key in found:
            joined.skips.append(Skip(person.file, person.where, f"has the id of {found[key].where}"))
        else:
            found[key] = person
    times = Counter(name.lower() for person in found.values() for name in person.identities)
    return [replace(person, identities=tuple(_own(person, times, joined))) for person in found.values()]


def _own(person: FoundPerson, times: Mapping[str, int], joined: Joined) -> Iterator[str]:
    for name in person.identities:
        if times[name.lower()] > 1:
            joined.skips.append(Skip(person.file, person.where, f"{name} is the identity of several, so of nobody"))
        elif name.lower().startswith(PREFIXES):
            joined.skips.append(Skip(person.file, person.where, f"{name} could be taken for an id of a source"))
        else:
            yield name


def _pairs(
    people: Iterable[FoundPerson], prefix: str, base: Directory | None, joined: Joined
) -> dict[str, FoundPerson]:
    """Who of the source is who, by person id."""
    known = {name.lower(): p.id for p in joined.people.values() for name in (p.id, *p.aliases)}
    keyed = {p.id for p in joined.people.values() if _is_of(p, prefix)}
    accounts = {item.id.lower(): f"agent {item.id}" for item in (base.agents if base else ())}
    accounts |= {item.id.lower(): f"service account {item.id}" for item in (base.service_accounts if base else ())}
    pairs: dict[str, FoundPerson] = {}
    for found in people:
        mine = [name.lower() for name in found.identities]
        if account := next((accounts[name] for name in mine if name in accounts), None):
            joined.skips.append(Skip(found.file, found.where, f"is {account}, and no person", harmless=True))
            continue
        who = {known[found.key.lower()]} if found.key.lower() in known else set()
        # Whoever has another id at the source is somebody else, whatever account they use now.
        who = who or {known[name] for name in mine if name in known} - (keyed if found.key else set())
        free = (name for name in (*found.identities, found.key) if name and name.lower() not in known)
        person_id = next(iter(who), None) or next(free, None)
        if len(who) > 1:
            why = f"is {' and '.join(sorted(who))} in the directory: make one of them"
        elif person_id is None:
            why = "has no identity that is not somebody's"
        elif person_id in pairs:
            why = f"is {person_id}, as {pairs[person_id].where} is"
        else:
            pairs[person_id] = found
            continue
        joined.skips.append(Skip(found.file, found.where, why))
    return pairs


def _identities(pairs: Mapping[str, FoundPerson], joined: Joined) -> dict[str, tuple[str, str]]:
    """Whose each identity is that the source speaks of, by its lower case: person id and identity."""
    ids = {person_id.lower(): person_id for person_id in (*joined.people, *pairs)}
    result = {}
    for person_id, found in pairs.items():
        for identity in (*found.identities, *([found.key] if found.key else [])):
            if (owner := ids.get(identity.lower(), person_id)) != person_id:
                joined.skips.append(Skip(found.file, found.where, f"{identity} is the id of {owner}"))
            else:
                result[identity.lower()] = (person_id, identity)
    return result


def _called(pairs: Mapping[str, FoundPerson], prefix: str, joined: Joined) -> dict[str, str]:
    """Person ids by what the source may call a manager: its own id, or an identity in lower case."""
    known = {name.lower(): person.id for person in joined.people.values() for name in (person.id, *person.aliases)}
    known |= {name.lower(): person_id for person_id, found in pairs.items() for name in found.identities}
    return known | {found.key.removeprefix(prefix): person_id for person_id, found in pairs.items() if found.key}


def _count(joined: Joined, before: Person | None, found: FoundPerson, as_of: datetime) -> None:
    there = before is not None and before.there(as_of)
    if found.active:
        joined.counts[KNOWN if there else NEW if before is None else BACK] += 1
    elif there or before is None:
        joined.counts[LEFT] += 1


def _presence(before: Person | None, found: FoundPerson, as_of: datetime) -> dict[str, Any]:
    """Since and until of a person."""
    created = found.since if found.since is not None and found.since < as_of else None
    if found.active and (before is None or before.there(as_of)):
        known = before.since if before is not None else None
        return {"since": known or created or (as_of if before is None else None), "until": _later(before, as_of)}
    if found.active:
        return {"since": as_of, "until": None}
    return {"since": before.since if before else created, **_ended(before, created, as_of)}


def _later(before: Person | None, as_of: datetime) -> datetime | None:
    """An end that was set and has not come yet stays."""
    return before.until if before is not None and before.until is not None and before.until > as_of else None


def _ended(before: Person | None, since: datetime | None, as_of: datetime) -> dict[str, Any]:
    known = before.since if before is not None else since
    until = before.until if before is not None and before.until is not None and before.until <= as_of else as_of
    # Whoever was never there before the end has no beginning either.
    return {"until": until, "since": known if known is not None and known < until else None}


def _held(
    person: Person,
    found: FoundPerson,
    source: GatheredPeople,
    names: Mapping[HeldKind, Mapping[str, str]],
    as_of: datetime,
) -> dict[str, tuple[Held, ...]]:
    """Groups, roles and qualifications from now on."""
    changes: dict[str, tuple[Held, ...]] = {}
    of_person: tuple[tuple[HeldKind, tuple[str, ...]], ...] = (("groups", found.groups), ("roles", found.roles))
    for subject, keys in of_person:
        if subject in source.speaks:
            now = [names[subject][key] for key in keys if key in names[subject]]
            changes[subject] = tuple(_periods(getattr(person, subject), now, as_of))
    if "entitlements" in source.speaks:
        now = [
            f"{ENTITLEMENT}{names['entitlements'][key]}" for key in found.entitlements if key in names["entitlements"]
        ]
        own = [item for item in person.qualifications if not named(item).startswith(ENTITLEMENT)]
        given = [item for item in person.qualifications if named(item).startswith(ENTITLEMENT)]
        changes["qualifications"] = (*own, *_periods(given, [name for name in now if is_name(name)], as_of))
    return changes


def _periods(before: Iterable[Held], now: Iterable[str], as_of: datetime) -> Iterator[Held]:
    """What was held ends where it is not any more; what is held now and was not begins."""
    wanted = dict.fromkeys(now)
    for item in before:
        since, until = (None, None) if isinstance(item, str) else (item.since, item.until)
        over = until is not None and until <= as_of
        if over or named(item) in wanted:
            yield item
            if not over and within(since, until, as_of):
                wanted.pop(named(item), None)
        elif since is None or since < as_of:
            yield Membership(name=named(item), since=since, until=as_of)
    yield from (Membership(name=name, since=as_of) for name in wanted)


def _manager(found: FoundPerson, person_id: str, people: Mapping[str, str], joined: Joined) -> str | None:
    """The id of whom a person reports to: somebody of the source, by its id or by an identity."""
    if found.manager is None:
        return None
    manager = people.get(found.manager) or people.get(found.manager.lower())
    if manager is None or manager == person_id:
        why = "is nobody in these files" if manager is None else "is the same person"
        joined.skips.append(Skip(found.file, found.where, f"manager {printable(found.manager)} {why}"))
        return None
    return manager


def _give(joined: Joined, identities: Mapping[str, tuple[str, str]]) -> None:
    """Everybody has the identities that the source gives them, and none that it gives to somebody else."""
    mine: dict[str, list[str]] = {}
    for person_id, identity in identities.values():
        mine.setdefault(person_id, []).append(identity)
    for person_id, person in joined.people.items():
        kept = []
        for alias in person.aliases:
            owner = identities.get(alias.lower(), (person_id, alias))[0]
            if owner == person_id:
                kept.append(alias)
            else:
                joined.notes.append(f"{alias} was {person_id}'s and is {owner}'s now")
        known = {name.lower() for name in (person_id, *kept)}
        more = [name for name in mine.get(person_id, ()) if name.lower() not in known]
        if (*kept, *more) != person.aliases:
            joined.people[person_id] = person.model_copy(update={"aliases": (*kept, *more)})


def _is_of(person: Person, prefix: str) -> bool:
    """Whether a source had a person before."""
    return any(name.startswith(prefix) for name in (person.id, *person.aliases))


def _gone(joined: Joined, pairs: Mapping[str, FoundPerson], prefix: str, as_of: datetime) -> None:
    """Whoever was in the source and is not any more has left."""
    for person_id, person in joined.people.items():
        if _is_of(person, prefix) and person_id not in pairs and person.there(as_of):
            joined.people[person_id] = person.model_copy(update=_ended(person, None, as_of))
            joined.counts[LEFT] += 1
            joined.notes.append(f"{person_id} is not in these files any more, and has left")
