"""Who is who: people, their aliases and groups, and the agents they own.

- A person has one immutable id. Every alias (account, mail address, login) belongs to exactly one person; two
  identities that differ in case only are refused, because nobody could say whose they are.
- An identity that resolves to no person never votes; an agent never votes, whatever groups it is put in.
- The person behind an agent is its owner here, never who the proposal says it is.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policy.base import EdgeModel, Instant, Name, Text
from policy.governed import Metadata, read_document
from policy.people.facts import PersonFacts
from policy.rules.chains import PositiveDuration
from policy.rules.hours import Hours


def named(held: "Held") -> str:
    """The name of what is held."""
    return held if isinstance(held, str) else held.name


class Membership(EdgeModel):
    """A group, role or qualification that is held from a day on, or until one (UTC; the last day is not included)."""

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


class RegisteredAgent(EdgeModel):
    """An automation, the person who answers for it, and the people by whose schedule it runs: all of them ask."""

    id: Name
    owner: Name
    scheduled_by: tuple[Name, ...] = ()
    team: str = ""


class ServiceAccount(EdgeModel):
    """An account that is no person, and the person who answers for it. It never votes."""

    id: Name
    owner: Name


class Group(EdgeModel):
    """What is known of a group besides its members: the group above it."""

    name: Name
    parent: Name | None = None


class Rotation(EdgeModel):
    """Who of a group is on call when: each in turn for `every`, from `start` on; `overrides` come first."""

    group: Name
    order: Annotated[tuple[Name, ...], Field(min_length=1)]
    start: Instant
    every: PositiveDuration
    overrides: tuple["Override", ...] = ()


class Override(EdgeModel):
    """Somebody is on call out of turn."""

    person: Name
    since: Instant
    until: Instant


class Delegation(EdgeModel):
    """Somebody lets another person decide for them, within a scope and until an instant. It cannot be passed on."""

    id: Name
    delegator: Name
    delegate: Name
    since: Instant
    until: Instant
    groups: tuple[Name, ...] | None = None
    environments: tuple[Name, ...] | None = None
    tiers: tuple[str, ...] | None = None
    reason: Annotated[Text, Field(min_length=1)]


class Directory(EdgeModel):
    """The people and agents that a policy can speak of."""

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["Directory"]
    metadata: Metadata
    as_of: Instant | None = None
    people: tuple[Person, ...]
    agents: tuple[RegisteredAgent, ...] = ()
    service_accounts: tuple[ServiceAccount, ...] = ()
    groups: tuple[Group, ...] = ()
    rotations: tuple[Rotation, ...] = ()
    delegations: tuple[Delegation, ...] = ()

    @model_validator(mode="after")
    def _one_owner_each(self) -> "Directory":
        seen: dict[str, str] = {}
        for person in self.people:
            for identity in (person.id, *person.aliases):
                if (owner := seen.setdefault(identity.lower(), person.id)) != person.id:
                    raise ValueError(f"identity {identity} belongs to {owner} and to {person.id}")
        if len({person.id for person in self.people}) != len(self.people):
            raise ValueError("two people have the same id")
        for agent in self.agents:
            if agent.id.lower() in seen:
                raise ValueError(f"agent {agent.id} has the identity of {seen[agent.id.lower()]}")
            if agent.owner not in {person.id for person in self.people}:
                raise ValueError(f"agent {agent.id}: owner {agent.owner} is not the id of a person")
            seen[agent.id.lower()] = f"agent {agent.id}"
        return self

    def person(self, identity: str) -> PersonFacts | None:
        """The person that an identity belongs to, or None."""
        for person in self.people:
            if identity == person.id or identity in person.aliases:
                return PersonFacts(person_id=person.id, groups=tuple(map(named, person.groups)))
        return None

    def population(
        self,
        at: datetime,
        conditions: Collection[str] = (),
        *,
        groups: Iterable[str] | None = None,
        roles: Iterable[str] | None = None,
        people: Iterable[str] | None = None,
    ) -> tuple[PersonFacts, ...]:
        """Everybody who is there at an instant, sorted by id; or only those who ever hold any of what is named."""
        del at, conditions, groups, roles, people
        found = (self.person(name) for name in sorted(person.id for person in self.people))
        return tuple(person for person in found if person is not None)

    def owner_of(self, agent_id: str) -> str | None:
        """The id of the person who answers for an agent, or None for an agent that is not registered."""
        return next((agent.owner for agent in self.agents if agent.id == agent_id), None)

    def members(self, group: str) -> tuple[str, ...]:
        """The ids of the people of a group, sorted."""
        return tuple(sorted(person.id for person in self.people if group in map(named, person.groups)))


def read_directory(body: bytes) -> Directory:
    """Read a directory document.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, Directory)
