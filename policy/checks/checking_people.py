"""What a directory says of a policy: chains that nobody can satisfy, and names that nobody has.

- A chain that cannot be filled by the people of the directory is an error: it would ask in vain.
- One that can be filled only after an escalation, or not while one of its people asks, is a warning.
- A denial that needs more people than there are to deny is a warning.
- So is a group of nobody, and a name of nobody, wherever a document asks for people.
"""

from collections.abc import Iterator
from datetime import datetime

from policy.approval.eligibility import counts
from policy.approval.opening import could_ask
from policy.checks.findings import Finding, Severity
from policy.checks.satisfiability import asked_in, satisfiability
from policy.people.directory import Directory
from policy.rules.chains import ApprovalChain, Requirement
from policy.subject import Subject, WrittenPolicy

_SHOWN = 5


def people_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about who is asked; none without a directory."""
    if subject.directory is None:
        return
    for written, name in subject.chains:
        yield from _chain(written, name, subject.directory, subject.now)
        yield from _denials(written, name, written.document.chains[name], subject.directory, subject.now)
    for written in subject.policies:
        yield from _nobody(written, subject.directory)
        yield from _empty_groups(written, subject.directory)


def _chain(written: WrittenPolicy, name: str, directory: Directory, now: datetime) -> Iterator[Finding]:
    path = ("chains", name)
    authors = written.document.metadata.authors
    found = satisfiability(written.document.chains[name], directory, now, authors)
    for group in found.unknown_groups:
        yield written.say(
            Severity.warning,
            "unknown_group",
            f"chain {name} asks group {group}, in which the directory has nobody: correct its name or add people",
            *_where_group(written, name, group),
        )
    without = f" without {_listed(authors)}, who wrote this document" if authors else ""
    if found.missing:
        yield written.say(
            Severity.error,
            "chain_unsatisfiable",
            f"chain {name} needs {found.total} different people and the directory lacks"
            f" {_listed(found.missing)}{without}: add people to the groups, or ask for fewer",
            *path,
        )
    if found.late:
        yield written.say(
            Severity.warning,
            "chain_needs_escalation",
            f"chain {name} can only be satisfied after an escalation, until then the directory lacks"
            f" {_listed(found.late)}: add people to the groups of the stage itself",
            *path,
        )
    if found.without:
        yield written.say(
            Severity.warning,
            "chain_needs_requester",
            f"chain {name} cannot be satisfied when {_listed(found.without, 'or')} asks, who may not approve then:"
            f" add somebody to the groups",
            *path,
        )


def _denials(
    written: WrittenPolicy, name: str, chain: ApprovalChain, directory: Directory, now: datetime
) -> Iterator[Finding]:
    there = could_ask(chain, directory, now)
    for number, stage in enumerate(chain.stages):
        asked = asked_in(stage, escalated=True)
        people = sum(any(counts(item, person, None, None) for item in asked) for person in there)
        if 0 < people < stage.deny_threshold:
            yield written.say(
                Severity.warning,
                "denial_impossible",
                f"stage {stage.name} is denied by {stage.deny_threshold} people and only {people} could deny it:"
                f" lower deny_threshold",
                *("chains", name, "stages", number, "deny_threshold"),
            )


def _nobody(written: WrittenPolicy, directory: Directory) -> Iterator[Finding]:
    """People that a document names and the directory does not know."""
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("metadata", "authors", at), name) for at, name in enumerate(written.document.metadata.authors)
    ]
    for number, exception in enumerate(written.document.exceptions):
        named += [(("exceptions", number, "approved_by", at), name) for at, name in enumerate(exception.approved_by)]
    for path, rule in _asked_alone(written):
        named += [((*path, "people", at), name) for at, name in enumerate(rule.people)]
    for path, name in named:
        if directory.resolve(name) is None:
            yield written.say(
                Severity.warning, "unknown_person", f"{name} is nobody in the directory: correct the name", *path
            )


def _empty_groups(written: WrittenPolicy, directory: Directory) -> Iterator[Finding]:
    """Groups of nobody outside of chains; those of chains are found with their chain."""
    for path, rule in _asked_alone(written):
        for at, group in enumerate(rule.groups):
            if not directory.members(group):
                yield written.say(
                    Severity.warning,
                    "unknown_group",
                    f"{'.'.join(str(part) for part in path)} asks group {group}, in which the directory has nobody:"
                    f" correct its name or add people",
                    *(*path, "groups", at),
                )


def _asked_alone(written: WrittenPolicy) -> Iterator[tuple[tuple[str | int, ...], Requirement]]:
    """The requirements outside of chains: who may revoke, and who may break a glass."""
    for number, glass in enumerate(written.document.break_glass):
        if glass.who is not None:
            yield ("break_glass", number, "who"), glass.who
    if (revocation := written.document.revocation) is not None:
        for name, rule in (("before", revocation.before), ("during", revocation.during)):
            if rule is not None:
                yield ("revocation", name), rule


def _where_group(written: WrittenPolicy, name: str, group: str) -> tuple[str | int, ...]:
    """The first place at which a chain names a group."""
    for number, stage in enumerate(written.document.chains[name].stages):
        here = ("chains", name, "stages", number)
        for at, requirement in enumerate(stage.requirements):
            if group in requirement.groups:
                return (*here, "requirements", at, "groups", requirement.groups.index(group))
        for at, step in enumerate(stage.escalations):
            if group in step.add_groups:
                return (*here, "escalations", at, "add_groups", step.add_groups.index(group))
        if stage.expiry_escalation is not None and group in stage.expiry_escalation.add_groups:
            at = stage.expiry_escalation.add_groups.index(group)
            return (*here, "expiry_escalation", "add_groups", at)
        if stage.release is not None and group in stage.release.groups:
            return (*here, "release", "groups", stage.release.groups.index(group))
    return ("chains", name)


def _listed(names: tuple[str, ...], last: str = "and") -> str:
    shown = [*names[:_SHOWN], *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]
    return f" {last} ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
