"""What a policy asks of proofs that nobody of the directory can show, or that asks nothing.

- A stage that asks of its approvals what too few of those who may give them can show (`policy/people/abilities.py`) is
  an error: it could never be approved. Where a rule of the document asks it for some tiers or environments only, it is
  a warning: the stage may never be asked there.
- The same for denials, and for a release that nobody could give.
- Without an audience in the directory nothing that is signed counts, so nothing above a name can be shown: an error.
- A demand that a bare name meets asks nothing, and a rule for a stage that no chain has speaks of nothing: warnings.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policy.approval.eligibility import counts
from policy.approval.opening import could_ask
from policy.approval.quorum import tally
from policy.checks.findings import Finding, Severity
from policy.checks.satisfiability import asked_in
from policy.people.abilities import abilities
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.rules.chains import ApprovalChain, ExpiryVerb, Stage
from policy.rules.stepping_up import ProofDemand, said_of, wanted_of
from policy.subject import Subject, WrittenPolicy


class _Asked(NamedTuple):
    """A demand, the document that it stands in and where, and whether it is asked whatever the action is."""

    demand: ProofDemand
    written: WrittenPolicy
    path: tuple[str | int, ...]
    always: bool


def proof_findings(subject: Subject) -> Iterator[Finding]:
    """Findings about what is asked of proofs; who could show it is asked only of a directory."""
    general = [
        (
            rule.stages,
            _Asked(rule.demand, written, ("proofs", number), rule.tiers is None and rule.environments is None),
        )
        for written in subject.policies
        for number, rule in enumerate(written.document.proofs)
    ]
    every = [asked for _, asked in general]
    stages: list[tuple[ApprovalChain, Stage, list[_Asked]]] = []
    for written, name in subject.chains:
        chain = written.document.chains[name]
        for at, stage in enumerate(chain.stages):
            path = ("chains", name, "stages", at, "proofs")
            own = [_Asked(item, written, (*path, number), True) for number, item in enumerate(stage.proofs)]
            every += own
            stages.append((chain, stage, own + [item for names, item in general if not names or stage.name in names]))
    yield from _nothing(every)
    yield from _nowhere(subject)
    if (directory := subject.directory) is None:
        return
    if directory.audience is None:
        yield from _without_audience(every)
        return
    for chain, stage, asked in stages:
        there = could_ask(chain, directory, subject.now)
        for item in asked:
            yield from _unmet(stage, item, there, directory, subject)


def _nothing(every: Sequence[_Asked]) -> Iterator[Finding]:
    for item in every:
        if item.demand.assurance is Assurance.claimed and item.demand.max_age is None:
            message = "a proof of claimed is met by any name, so this asks nothing: ask for aal1, aal2 or aal3"
            yield item.written.say(Severity.warning, "proof_asks_nothing", message, *item.path)


def _nowhere(subject: Subject) -> Iterator[Finding]:
    """Rules for stages that no chain has."""
    known = {stage.name for written, name in subject.chains for stage in written.document.chains[name].stages}
    for written in subject.policies:
        for number, rule in enumerate(written.document.proofs):
            for at, name in enumerate(rule.stages or ()):
                if name not in known:
                    message = f"stage {name} is in no chain, so this asks nothing there: correct its name"
                    yield written.say(Severity.warning, "unknown_stage", message, "proofs", number, "stages", at)


def _without_audience(every: Sequence[_Asked]) -> Iterator[Finding]:
    strong = [item for item in every if item.demand.assurance is not Assurance.claimed or item.demand.max_age]
    for item in strong[:1]:
        message = (
            "the directory names no audience, so nothing that is signed counts and nobody can show what this asks:"
            " give the directory an audience"
        )
        yield item.written.say(Severity.error, "no_audience", message, *item.path)


def _unmet(
    stage: Stage, item: _Asked, there: Sequence[PersonFacts], directory: Directory, subject: Subject
) -> Iterator[Finding]:
    people = {person.id: person for person in directory.people}
    for vote in item.demand.votes:
        wanted = wanted_of([item.demand], vote)
        if wanted is None or vote == "revoke":
            continue
        able = [
            facts
            for facts in there
            if any(ability.meets(wanted) for ability in abilities(people[facts.person_id], directory, subject.now))
        ]
        if why := _too_few(stage, vote, able):
            yield item.written.say(
                Severity.error if item.always else Severity.warning,
                "proof_unmeetable",
                f"stage {stage.name} {why} who can show {said_of(wanted)}: register keys or an issuer that show it, or"
                f" ask for less",
                *item.path,
            )


def _too_few(stage: Stage, vote: str, able: Sequence[PersonFacts]) -> str:
    """What a stage lacks, of those who can show what is asked; empty where it lacks nothing."""
    asked = asked_in(stage, escalated=True)
    if vote == "approve":
        lacking = tally(asked, able, mode=stage.mode).missing
        return f"lacks {' and '.join(lacking)}" if lacking else ""
    if vote == "deny":
        found = sum(any(counts(rule, person, None, None) for rule in asked) for person in able)
        return f"is denied by {stage.deny_threshold} people and has {found}" if found < stage.deny_threshold else ""
    rules = (stage.release,) if stage.release is not None else asked
    released = stage.on_expiry is ExpiryVerb.hold
    return (
        "has nobody to release it"
        if released and not any(counts(rule, person, None, None) for rule in rules for person in able)
        else ""
    )
