"""Who is who: people, their aliases and groups, and the agents they own.

- A person has one immutable id. Every alias (account, mail address, login) belongs to exactly one person; two
  identities that differ in case only are refused, because nobody could say whose they are.
- An identity that resolves to no person never votes; an agent never votes, whatever groups it is put in.
- The person behind an agent is its owner here, never who the proposal says it is.
"""

from typing import Literal

from pydantic import Field, model_validator

from policy.base import EdgeModel, Name, RecordModel
from policy.governed import Metadata, read_document


class Person(EdgeModel):
    id: Name
    name: str = ""
    aliases: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class RegisteredAgent(EdgeModel):
    """An automation and the person who answers for it."""

    id: Name
    owner: Name


class PersonFacts(RecordModel):
    """What the directory said of one person at one instant; kept with the vote it was used for."""

    person_id: str
    groups: tuple[str, ...]


class Directory(EdgeModel):
    """The people and agents that a policy can speak of."""

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["Directory"]
    metadata: Metadata
    people: tuple[Person, ...]
    agents: tuple[RegisteredAgent, ...] = ()

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
                return PersonFacts(person_id=person.id, groups=person.groups)
        return None

    def owner_of(self, agent_id: str) -> str | None:
        """The id of the person who answers for an agent, or None for an agent that is not registered."""
        return next((agent.owner for agent in self.agents if agent.id == agent_id), None)

    def members(self, group: str) -> tuple[str, ...]:
        """The ids of the people of a group, sorted."""
        return tuple(sorted(person.id for person in self.people if group in person.groups))


def read_directory(body: bytes) -> Directory:
    """Read a directory document.

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, Directory)
