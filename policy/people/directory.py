"""Who is who, as of any instant: people and what they hold, who is above whom, on call, and behind an agent.

- A person has one immutable id. Every alias (account, mail address, login) belongs to exactly one person; two
  identities that differ in case only are refused, because nobody could say whose they are.
- An identity that resolves to no person never votes: no agent, whatever groups it is put in, and no service account.
- The people behind an agent are its owner here and those by whose schedule it runs, never who the proposal says it is.
- A person who has left is nobody from then on, and still whoever asked or wrote something before.
- A line upwards is as the document has it, whoever of it has left; whoever is asked for is somebody who is there.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Literal

from pydantic import Field, PrivateAttr, model_validator

from policy.base import EdgeModel, Instant, Name
from policy.catalogs.json_stream import read_stream
from policy.governed import Metadata, read_document
from policy.people import rotations
from policy.people.consistency import contradictions
from policy.people.entries import (
    Delegation,
    Executor,
    Group,
    Held,
    Membership,
    Override,
    Person,
    RegisteredAgent,
    Rotation,
    ServiceAccount,
    named,
)
from policy.people.facts import PersonFacts
from policy.people.holding import facts_of
from policy.people.keys import Issuer, RegisteredKey
from policy.proofs import Assurance

__all__ = [
    "Delegation",
    "Directory",
    "Executor",
    "Group",
    "Held",
    "Membership",
    "Override",
    "Person",
    "RegisteredAgent",
    "Rotation",
    "ServiceAccount",
    "named",
    "read_directory",
]


class Directory(EdgeModel):
    """The people and agents that a policy can speak of. `as_of` is when that was true at its source.

    `audience` is the name of the installation that it belongs to: what is signed names it, and counts nowhere else.
    """

    api_version: Literal["countersign/v1"] = Field(alias="apiVersion")
    kind: Literal["Directory"]
    metadata: Metadata
    as_of: Instant | None = None
    audience: Name | None = None
    issuers: tuple[Issuer, ...] = ()
    people: tuple[Person, ...]
    agents: tuple[RegisteredAgent, ...] = ()
    service_accounts: tuple[ServiceAccount, ...] = ()
    executors: tuple[Executor, ...] = ()
    groups: tuple[Group, ...] = ()
    rotations: tuple[Rotation, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    _shown: dict[str, Assurance | str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Directory":
        if wrong := next(contradictions(self), None):
            raise ValueError(wrong)
        return self

    def __copy__(self) -> "Directory":
        """A copy looks people up anew: it may be given others."""
        found = super().__copy__()
        for name in found.__dict__.keys() - type(self).model_fields.keys():
            del found.__dict__[name]
        return found

    # -- who somebody is --------------------------------------------------------------------------------------------

    def resolve(self, identity: str) -> str | None:
        """The id of the person that an identity belongs to, or None. It says nothing of whether they are there."""
        person = self._identities.get(identity)
        return person.id if person else None

    def behind(self, identity: str) -> str | None:
        """The id of the person that an identity belongs to, or who answers for a service account; or None."""
        return self.resolve(identity) or self._accounts.get(identity)

    def agent(self, agent_id: str) -> RegisteredAgent | None:
        """A registered agent, or None."""
        return self._agents.get(agent_id)

    def owner_of(self, agent_id: str) -> str | None:
        """The id of the person who answers for an agent, or None for an agent that is not registered."""
        agent = self.agent(agent_id)
        return agent.owner if agent else None

    def operators_of(self, executors: Collection[str]) -> tuple[str, ...]:
        """The ids of the people who run any of these executors, sorted; nobody where it does not say."""
        return tuple(sorted({name for executor in executors for name in self._operators.get(executor, ())}))

    @property
    def operators(self) -> tuple[str, ...]:
        """The ids of the people who run any executor, sorted."""
        return self.operators_of(tuple(self._operators))

    def team_of(self, person_id: str) -> str:
        """The team of a person; empty where nobody knows, or for nobody."""
        person = self._people.get(person_id)
        return person.team if person else ""

    # -- how they show it -------------------------------------------------------------------------------------------

    def key_of_person(self, key_id: str) -> tuple[Person, RegisteredKey] | None:
        """Whose key has an id, and the key; None for nobody's."""
        return self._person_keys.get(key_id)

    def key_of_agent(self, key_id: str) -> tuple[RegisteredAgent, RegisteredKey] | None:
        """The agent whose platform has a key of that id, and the key; None for nobody's."""
        return self._agent_keys.get(key_id)

    def keys_of_person(self, identity: str) -> tuple[RegisteredKey, ...]:
        """The keys of the person that an identity belongs to; none of nobody."""
        person = self._identities.get(identity)
        return person.keys if person else ()

    def agent_of_workload(self, issuer: str, subject: str) -> RegisteredAgent | None:
        """The agent whose platform runs as an account of an issuer; None for nobody's."""
        return self._workloads.get((issuer, subject))

    def ssh_key(self, material: str) -> tuple[Person, RegisteredKey] | None:
        """Whose SSH key it is (type and base64, as in a `.pub` file), and the key; None for nobody's."""
        return self._ssh_keys.get(material)

    def issuer(self, name: str) -> Issuer | None:
        """An issuer that is believed, or None."""
        return next((item for item in self.issuers if item.issuer == name), None)

    def with_shown(self, shown: Mapping[str, Assurance | str]) -> "Directory":
        """The same, with what the proofs of its delegations show, by id (`signing/delegations.py` verifies them)."""
        found = self.model_copy()
        found._shown = dict(shown)  # noqa: SLF001 - its own
        return found

    def shown(self, delegation: Delegation) -> Assurance | str:
        """How strongly a delegation is shown to be its delegator's, or why it is not."""
        return self._shown.get(delegation.id, "nobody verified it")

    # -- what they hold ---------------------------------------------------------------------------------------------

    def facts(self, identity: str, at: datetime, conditions: Iterable[str] = ()) -> PersonFacts | None:
        """What is known at an instant of the person that an identity belongs to.

        Args:
            identity: a person id or an alias.
            at: the instant (UTC).
            conditions: texts of `when`; `satisfies` keeps those that hold.

        Returns:
            None for an agent, a service account, nobody, and a person who has left or has not come yet.
        """
        person = self._identities.get(identity)
        return facts_of(person, self.line_of(person.id), at, conditions) if person else None

    def population(
        self,
        at: datetime,
        conditions: Collection[str] = (),
        *,
        groups: Iterable[str] | None = None,
        roles: Iterable[str] | None = None,
        people: Iterable[str] | None = None,
    ) -> tuple[PersonFacts, ...]:
        """Everybody who is there at an instant, sorted by id; or only those who ever hold any of what is named.

        Args:
            at: the instant (UTC).
            conditions: as for `facts`.
            groups: names of groups.
            roles: names of roles.
            people: person ids. Where none of the three is given, everybody is meant.
        """
        if groups is None and roles is None and people is None:
            chosen = self._people
        else:
            found = [person for name in groups or () for person in self._in_group.get(name, ())]
            found += [person for name in roles or () for person in self._in_role.get(name, ())]
            found += [person for name in people or () if (person := self._people.get(name))]
            chosen = {person.id: person for person in found}
        facts = (facts_of(person, self.line_of(name), at, conditions) for name, person in sorted(chosen.items()))
        return tuple(item for item in facts if item is not None)

    def members(self, group: str, at: datetime | None = None) -> tuple[str, ...]:
        """The ids of the people of a group, sorted: at an instant (UTC), or of whoever ever is in it."""
        if at is None:
            return tuple(sorted(person.id for person in self._in_group.get(group, ())))
        return tuple(item.person_id for item in self.population(at, groups=(group,)) if group in item.groups)

    # -- who is above, and who is on call ---------------------------------------------------------------------------

    def line_of(self, person_id: str) -> tuple[str, ...]:
        """The ids of everybody above a person, the nearest first, whether they are there or not."""
        found, person = [], self._people.get(person_id)
        while person is not None and person.manager is not None:
            found.append(person.manager)
            person = self._people[person.manager]
        return tuple(found)

    def managers_of(self, person_id: str, at: datetime) -> tuple[str, ...]:
        """Those above a person who are there at an instant (UTC), the nearest first."""
        return tuple(name for name in self.line_of(person_id) if self._people[name].there(at))

    def parent_of(self, group: str) -> str | None:
        """The group above a group, or None."""
        return self._parents.get(group)

    def on_call(self, group: str, at: datetime) -> str | None:
        """The id of who of a group is on call at an instant (UTC), or None (`policy/people/rotations.py`)."""
        rotation = self._rotations.get(group)
        return rotations.on_call(rotation, at, lambda name: self._people[name].there(at)) if rotation else None

    def next_on_call(self, group: str, at: datetime) -> str | None:
        """The id of who is on call next, and is not now, or None."""
        rotation = self._rotations.get(group)
        return rotations.next_on_call(rotation, at, lambda name: self._people[name].there(at)) if rotation else None

    # -- since when it is so ----------------------------------------------------------------------------------------

    def true_at(self, published_at: datetime | None) -> datetime | None:
        """When the directory was true: when it was published, or at its source, if that is longer ago."""
        known = [at for at in (published_at, self.as_of) if at is not None]
        return min(known, default=None) if published_at is not None else None

    # -- looked up by name, made once -------------------------------------------------------------------------------

    @cached_property
    def _people(self) -> dict[str, Person]:
        return {person.id: person for person in self.people}

    @cached_property
    def _identities(self) -> dict[str, Person]:
        return {identity: person for person in self.people for identity in (*person.aliases, person.id)}

    @cached_property
    def _accounts(self) -> dict[str, str]:
        return {account.id: account.owner for account in self.service_accounts}

    @cached_property
    def _operators(self) -> dict[str, tuple[str, ...]]:
        return {executor.name: executor.operators for executor in self.executors}

    @cached_property
    def _person_keys(self) -> dict[str, tuple[Person, RegisteredKey]]:
        return {key.id: (person, key) for person in self.people for key in person.keys}

    @cached_property
    def _agent_keys(self) -> dict[str, tuple[RegisteredAgent, RegisteredKey]]:
        return {key.id: (agent, key) for agent in self.agents for key in agent.keys}

    @cached_property
    def _ssh_keys(self) -> dict[str, tuple[Person, RegisteredKey]]:
        return {key.material: (person, key) for person, key in self._person_keys.values() if key.ssh is not None}

    @cached_property
    def _workloads(self) -> dict[tuple[str, str], RegisteredAgent]:
        return {(item.workload.issuer, item.workload.subject): item for item in self.agents if item.workload}

    @cached_property
    def _agents(self) -> dict[str, RegisteredAgent]:
        return {agent.id: agent for agent in self.agents}

    @cached_property
    def _in_group(self) -> dict[str, tuple[Person, ...]]:
        return _holders((name, person) for person in self.people for name in map(named, person.groups))

    @cached_property
    def _in_role(self) -> dict[str, tuple[Person, ...]]:
        return _holders((name, person) for person in self.people for name in map(named, person.roles))

    @cached_property
    def _parents(self) -> dict[str, str]:
        return {group.name: group.parent for group in self.groups if group.parent is not None}

    @cached_property
    def _rotations(self) -> dict[str, Rotation]:
        return {rotation.group: rotation for rotation in self.rotations}


def _holders(pairs: Iterable[tuple[str, Person]]) -> dict[str, tuple[Person, ...]]:
    found: dict[str, dict[str, Person]] = {}
    for name, person in pairs:
        found.setdefault(name, {})[person.id] = person
    return {name: tuple(people.values()) for name, people in found.items()}


def read_directory(body: bytes) -> Directory:
    """Read a directory document: YAML, or one JSON value, which may be larger (`policy/catalogs/json_stream.py`).

    Raises:
        DocumentError: names the place, the value and the fix.
    """
    return read_document(body, Directory, read_stream)
