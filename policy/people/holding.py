"""What a person holds at an instant, and which conditions hold of a person.

- Nobody who has not come yet, or has left, is anybody.
- A group, role or qualification that is held in several periods is held in any of them; since when says the earliest
  of those that hold at the instant and say it.
- A condition that has no answer (a team or manager that nobody knows) does not hold.
"""

from collections.abc import Iterable
from datetime import datetime

from policy.errors import ConditionError, DocumentError
from policy.people.entries import Held, Person, named, within
from policy.people.facts import PersonFacts
from policy.rules.conditions import PersonCondition, PersonEnvironment


def facts_of(person: Person, managers: tuple[str, ...], at: datetime, conditions: Iterable[str]) -> PersonFacts | None:
    """The facts of a person at an instant (UTC), or None where the person is not there then.

    Args:
        person: as the directory has them.
        managers: person ids above the person, the nearest first.
        at: the instant.
        conditions: texts of `when`, of which `satisfies` keeps those that hold.
    """
    if not person.there(at):
        return None
    groups, roles = _held(person.groups, at), _held(person.roles, at)
    known = {
        "person": person.since,
        **{f"group {name}": since for name, since in groups.items()},
        **{f"role {name}": since for name, since in roles.items()},
    }
    found = PersonFacts(
        person_id=person.id,
        groups=tuple(groups),
        roles=tuple(roles),
        qualifications=tuple(_held(person.qualifications, at)),
        managers=managers,
        teams=(person.team,) if person.team else (),
        since={what: since for what, since in known.items() if since is not None},
    )
    return fitted(found, conditions)


def fitted(person: PersonFacts, conditions: Iterable[str]) -> PersonFacts:
    """The same facts, with those of the conditions that hold of them in `satisfies`."""
    wanted = dict.fromkeys(conditions)
    if not wanted:
        return person
    environment = PersonEnvironment(
        {
            "person.id": person.person_id,
            "person.groups": list(person.groups),
            "person.roles": list(person.roles),
            "person.qualifications": list(person.qualifications),
            **({"person.team": person.teams[0]} if person.teams else {}),
            **({"person.manager": person.managers[0]} if person.managers else {}),
        }
    )
    return person.model_copy(update={"satisfies": tuple(text for text in wanted if _holds(text, environment))})


def _holds(text: str, environment: PersonEnvironment) -> bool:
    try:
        return PersonCondition.compile(text).holds(environment)
    except (ConditionError, DocumentError):
        return False


def _held(items: Iterable[Held], at: datetime) -> dict[str, datetime | None]:
    """What is held at an instant, and since when; None where nobody knows."""
    found: dict[str, datetime | None] = {}
    for item in items:
        since, until = (None, None) if isinstance(item, str) else (item.since, item.until)
        if within(since, until, at):
            before = found.get(named(item))
            found[named(item)] = min((each for each in (before, since) if each is not None), default=None)
    return found
