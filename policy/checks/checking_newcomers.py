"""What newcomers' waiting does to a chain: people who would not be counted, although they are asked.

- With `newcomers` or `newcomer_wait` a stage counts only who is there, and holds what makes them eligible, for so long.
  Where the directory does not say since when, nobody can say that it is long enough.
- A requirement of which everybody who is asked would be new is a warning: it could not be met, whoever answers.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from policy.checks.findings import Finding, Severity
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.rules.chains import Requirement, Stage
from policy.rules.durations import written
from policy.subject import Subject, WrittenPolicy


def newcomer_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about requirements that only newcomers fit; none without a directory."""
    if subject.directory is None:
        return
    rules = [item.document.newcomers for item in subject.policies]
    waits = [rule.wait for rule in rules if rule is not None]
    for policy, name in subject.chains:
        for number, stage in enumerate(policy.document.chains[name].stages):
            own = [stage.newcomer_wait] if stage.newcomer_wait is not None else []
            if wait := max(waits + own, default=None):
                yield from _stage(policy, ("chains", name, "stages", number), stage, wait, subject)


def _stage(
    policy: WrittenPolicy, path: tuple[str | int, ...], stage: Stage, wait: timedelta, subject: Subject
) -> Iterator[Finding]:
    assert subject.directory is not None
    for number, requirement in enumerate(stage.requirements):
        people = _asked(subject.directory, requirement, subject.now)
        if people and not any(_long_enough(person, requirement, subject.now - wait) for person in people):
            message = (
                f"stage {stage.name} counts nobody who is there, or holds what it asks, for less than {written(wait)},"
                f" and the directory says of none of {len(people)} people that they do: add since to them and to groups"
            )
            yield policy.say(Severity.warning, "only_newcomers", message, *path, "requirements", number)


def _asked(directory: Directory, requirement: Requirement, now: datetime) -> list[PersonFacts]:
    """Who is there and is asked by a group, a role or a name."""
    named = {name for item in requirement.people if (name := directory.resolve(item))}
    found = directory.population(now, groups=requirement.groups, roles=requirement.roles, people=named)
    return [person for person in found if person.person_id in named or any(_reasons(person, requirement))]


def _reasons(person: PersonFacts, requirement: Requirement) -> Iterable[str]:
    """The keys of `since` that speak of what makes a person eligible."""
    yield from (f"group {name}" for name in requirement.groups if name in person.groups)
    yield from (f"role {name}" for name in requirement.roles if name in person.roles)


def _long_enough(person: PersonFacts, requirement: Requirement, latest: datetime) -> bool:
    known = {what for what, since in person.since.items() if since <= latest}
    held = set(_reasons(person, requirement))
    return "person" in known and (not held or not held.isdisjoint(known))
