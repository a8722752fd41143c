"""What a directory says that cannot be so: whoever reads it could not say who somebody is, or who is above whom.

- An identity belongs to one person, agent or service account; letters' case makes no difference.
- Whoever is named as manager, owner, scheduler, operator, on call, delegator or delegate is a person of the directory,
  by id.
- Nobody is above themselves, no group either, over any number of steps.
- What ends before it begins, overrides of one rotation that overlap, and two rotations of one group are refused.
- A delegation is between two people and lasts 90 days at most. One that is signed says when it was.
- A key belongs to one person or agent, under one id; one issuer is named once.
- An account as which a platform runs belongs to one agent, and its issuer is named.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from policy.people.entries import MAX_DELEGATION, Delegation, Membership, Person, Rotation

if TYPE_CHECKING:
    from policy.people.directory import Directory


def contradictions(directory: "Directory") -> Iterator[str]:
    """Why a directory cannot be used, a sentence each; nothing where it can."""
    people = {person.id for person in directory.people}
    yield from _identities(directory)
    for agent in directory.agents:
        yield from _strangers(people, f"agent {agent.id}", [("owner", agent.owner)])
        yield from _strangers(people, f"agent {agent.id}", [("scheduled_by", name) for name in agent.scheduled_by])
    for account in directory.service_accounts:
        yield from _strangers(people, f"service account {account.id}", [("owner", account.owner)])
    for executor in directory.executors:
        yield from _strangers(people, f"executor {executor.name}", [("operator", name) for name in executor.operators])
    if len({executor.name for executor in directory.executors}) != len(directory.executors):
        yield "two executors have the same name"
    for person in directory.people:
        yield from _strangers(people, f"person {person.id}", [("manager", person.manager)] if person.manager else [])
        yield from _periods(person)
    yield from _circles("person", "manager", {person.id: person.manager for person in directory.people})
    yield from _groups(directory)
    yield from _keys(directory)
    for rotation in directory.rotations:
        yield from _rotation(rotation, people)
    for delegation in directory.delegations:
        yield from _delegation(delegation, people)


def _keys(directory: "Directory") -> Iterator[str]:
    seen: dict[str, str] = {}
    holders = [(f"person {item.id}", item.keys) for item in directory.people]
    holders += [(f"agent {item.id}", item.keys) for item in directory.agents]
    for holder, key in ((name, key) for name, keys in holders for key in keys):
        for name in (f"id {key.id}", key.material):
            if name in seen:
                yield f"key {key.id} of {holder} is also one of {seen[name]}"
            seen[name] = holder
        if key.since is not None and key.until is not None and key.until <= key.since:
            yield f"key {key.id} of {holder} ends before it begins"
    if len({item.issuer for item in directory.issuers}) != len(directory.issuers):
        yield "two issuers have the same name"
    yield from _workloads(directory)


def _workloads(directory: "Directory") -> Iterator[str]:
    issuers = {item.issuer for item in directory.issuers}
    seen: dict[tuple[str, str], str] = {}
    for agent in (item for item in directory.agents if item.workload is not None):
        assert agent.workload is not None
        account = (agent.workload.issuer, agent.workload.subject)
        if agent.workload.issuer not in issuers:
            yield f"agent {agent.id}: issuer {agent.workload.issuer} of its workload is not one of issuers"
        if (owner := seen.setdefault(account, agent.id)) != agent.id:
            yield f"agent {agent.id} runs as the same workload as {owner}: give each its own"


def _identities(directory: "Directory") -> Iterator[str]:
    seen: dict[str, str] = {}
    for person in directory.people:
        for identity in (person.id, *person.aliases):
            if (owner := seen.setdefault(identity.lower(), person.id)) != person.id:
                yield f"identity {identity} belongs to {owner} and to {person.id}"
    if len({person.id for person in directory.people}) != len(directory.people):
        yield "two people have the same id"
    others = [("agent", item.id) for item in directory.agents]
    others += [("service account", item.id) for item in directory.service_accounts]
    for what, identity in others:
        if identity.lower() in seen:
            yield f"{what} {identity} has the identity of {seen[identity.lower()]}"
        seen[identity.lower()] = f"{what} {identity}"


def _strangers(people: Collection[str], who: str, named: Iterable[tuple[str, str]]) -> Iterator[str]:
    for role, name in named:
        if name not in people:
            yield f"{who}: {role} {name} is not the id of a person"


def _periods(person: Person) -> Iterator[str]:
    if _backwards(person.since, person.until):
        yield f"person {person.id}: until is not after since"
    for item in (*person.groups, *person.roles, *person.qualifications):
        if isinstance(item, Membership) and _backwards(item.since, item.until):
            yield f"person {person.id}: {item.name} ends before it begins, write an until after its since"


def _backwards(since: datetime | None, until: datetime | None) -> bool:
    return since is not None and until is not None and until <= since


def _circles(what: str, above: str, parents: Mapping[str, str | None]) -> Iterator[str]:
    """Who comes to themselves on the way up. Each is walked once, whatever the depth."""
    clear: set[str] = set()
    for start in parents:
        way: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in clear and at not in way:
            way[at] = None
            at = parents.get(at)
        if at is not None and at in way:
            yield f"{what} {at} is above itself: {above} leads from it back to it"
            return
        clear.update(way)


def _groups(directory: "Directory") -> Iterator[str]:
    for what, names in (
        ("group", [item.name for item in directory.groups]),
        ("rotation of group", [item.group for item in directory.rotations]),
        ("delegation", [item.id for item in directory.delegations]),
    ):
        seen: set[str] = set()
        for name in names:
            if name in seen:
                yield f"{what} {name} is there twice, keep one"
            seen.add(name)
    yield from _circles("group", "parent", {item.name: item.parent for item in directory.groups})


def _rotation(rotation: Rotation, people: Collection[str]) -> Iterator[str]:
    where = f"rotation of group {rotation.group}"
    yield from _strangers(people, where, [("order", name) for name in rotation.order])
    yield from _strangers(people, where, [("override", item.person) for item in rotation.overrides])
    for item in rotation.overrides:
        if _backwards(item.since, item.until):
            yield f"{where}: an override of {item.person} ends before it begins"
    spans = sorted((item.since, item.until) for item in rotation.overrides)
    if any(later[0] < earlier[1] for earlier, later in pairwise(spans)):
        yield f"{where}: two overrides overlap, so that two people would be on call"


def _delegation(item: Delegation, people: Collection[str]) -> Iterator[str]:
    where = f"delegation {item.id}"
    yield from _strangers(people, where, [("delegator", item.delegator), ("delegate", item.delegate)])
    if item.delegator == item.delegate:
        yield f"{where}: {item.delegator} delegates to themselves"
    if _backwards(item.since, item.until):
        yield f"{where}: until is not after since"
    elif item.until - item.since > MAX_DELEGATION:
        yield f"{where}: lasts longer than {MAX_DELEGATION.days} days, end it earlier and give it again"
    if item.proof is not None and item.issued_at is None:
        yield f"{where}: it has a proof and no issued_at, by which its key is looked up"
