"""What a directory lists: people and what they hold, agents, accounts, groups, rotations, delegations.

- What is held has a beginning and an end: it holds from `since` on and until just before `until`. So does a person.
- Where nobody says since when, it holds and counts as new (`newcomers` of a policy).
- Managers, owners, and whoever a rotation or a delegation names are person ids, never aliases.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from policy.base import EdgeModel, Instant, Name, Text, instant_text
from policy.operations import RiskTier
from policy.people.keys import RegisteredKey, Workload
from policy.proofs import OfflineProof
from policy.rules.durations import PositiveDuration
from policy.rules.hours import Hours

MAX_DELEGATION = timedelta(days=90)


class Membership(EdgeModel):
    """A group, role or qualification that is held from an instant on, or until one, which is not included."""

    name: Name
    since: Instant | None = None
    until: Instant | None = None


Held = Name | Membership


class Person(EdgeModel):
    """A person; `docs/spec/policy-document.md` describes each field."""

    id: Name
    name: str = ""
    aliases: tuple[Name, ...] = ()
    groups: tuple[Held, ...] = ()
    roles: tuple[Held, ...] = ()
    qualifications: tuple[Held, ...] = ()
    manager: Name | None = None
    team: str = ""
    since: Instant | None = None
    until: Instant | None = None
    hours: Hours | None = None
    contacts: dict[Name, str] = {}
    keys: tuple[RegisteredKey, ...] = ()

    def there(self, at: datetime) -> bool:
        """Whether the person has come and not left at an instant (UTC)."""
        return within(self.since, self.until, at)


class RegisteredAgent(EdgeModel):
    """An automation, the person who answers for it, and the people by whose schedule it runs: all of them ask.

    With `keys`, or as the `workload`, its platform signs what it proposes.
    """

    id: Name
    owner: Name
    scheduled_by: tuple[Name, ...] = ()
    team: str = ""
    keys: tuple[RegisteredKey, ...] = ()
    workload: Workload | None = None


class ServiceAccount(EdgeModel):
    """An account that is no person, and the person who answers for it. It never votes."""

    id: Name
    owner: Name


class Executor(EdgeModel):
    """An adapter that acts, by the name that the operations registry has for it, and the people who run it."""

    name: Name
    operators: Annotated[tuple[Name, ...], Field(min_length=1)]


class Group(EdgeModel):
    """What is known of a group besides its members: the group above it."""

    name: Name
    parent: Name | None = None


class Override(EdgeModel):
    """Somebody is on call out of turn."""

    person: Name
    since: Instant
    until: Instant


class Rotation(EdgeModel):
    """Who of a group is on call when: each in turn for `every`, from `start` on; `overrides` come first."""

    group: Name
    order: Annotated[tuple[Name, ...], Field(min_length=1)]
    start: Instant
    every: PositiveDuration
    overrides: tuple[Override, ...] = ()


class Delegation(EdgeModel):
    """Somebody lets another person decide for them, within a scope and until an instant. It cannot be passed on.

    With a `proof` its delegator signed it, at `issued_at`.
    """

    id: Name
    delegator: Name
    delegate: Name
    since: Instant
    until: Instant
    groups: tuple[Name, ...] | None = None
    environments: tuple[Name, ...] | None = None
    tiers: tuple[RiskTier, ...] | None = None
    reason: Annotated[Text, Field(min_length=1)]
    issued_at: Instant | None = None
    proof: OfflineProof | None = None

    def statement(self, audience: str | None) -> dict[str, Any]:
        """What its delegator signs: every field that it has, instants in UTC, and for which installation."""
        given = {name: value for name, value in self if name != "proof" and value is not None}
        fields = {name: instant_text(value) if isinstance(value, datetime) else value for name, value in given.items()}
        lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
        return {**fields, **lists, "audience": audience}


def within(since: datetime | None, until: datetime | None, at: datetime) -> bool:
    """Whether an instant is not before a beginning and before an end; what is not given bounds nothing."""
    return (since is None or since <= at) and (until is None or at < until)


def named(held: Held) -> str:
    """The name of what is held."""
    return held if isinstance(held, str) else held.name
