"""Acknowledging that the record is behind: who may, what they sign, and what follows.

1. It takes `MINIMUM` distinct people, each by a statement of their own, whom the policy in force would ask before the
   next policy is published: whoever goes on with a record that forgot something decides as much as who changes the
   rules. Their proofs are as strong as it asks of that approval.
2. A statement names the installation, the copy by its digest, the proposals that the record forgot, and the newest
   entry that its author saw in the record. It says why, counts for a day at most, and once.
3. A copy changes when it is acknowledged, so a statement about it is about no other moment. Where the copy was lost
   there is no digest: then the day is the limit, and the ledger remembers which statements were used.
4. The person who restored the backup may be one of the two. Nobody can be kept out whom the record cannot name.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StringConstraints

from policy.anchoring import AnchorCopy, Known
from policy.approval.eligibility import counts
from policy.base import Digest, EdgeModel, Instant, Name, ProposalId
from policy.document import PolicySet
from policy.draft import next_publication
from policy.errors import CountersignError
from policy.evaluation import Evaluation
from policy.governance import MINIMUM
from policy.people.directory import Directory
from policy.proofs import Principal, Proof
from policy.receiving import receive_as
from policy.rules.chains import Verdict
from policy.rules.stepping_up import too_weak, wanted_of

MAX_VALIDITY = timedelta(days=1)
# What a clock of the author may be ahead.
_AHEAD = timedelta(minutes=1)
# The kind of document of which the next publication is asked about.
_KIND = "policy"


class AcknowledgementError(CountersignError):
    """A statement cannot be read, or does not count."""


class RecordHead(EdgeModel):
    """An entry of the record, by number and digest."""

    seq: Annotated[int, Field(ge=1)]
    digest: Digest


class Acknowledgement(EdgeModel):
    """What one person signs (`docs/spec/decision.md`). `known` and `record` are null where there is nothing."""

    acknowledgement_id: ProposalId
    audience: Name | None = None
    copy_digest: Digest | None
    known: Known | None
    record: RecordHead | None
    missing: Annotated[tuple[ProposalId, ...], Field(max_length=1000)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    issued_at: Instant
    expires_at: Instant
    proof: Proof


class Situation(NamedTuple):
    """What a statement must be about. `used` are the ids of those that counted before."""

    copy_digest: str | None
    known: Known | None
    missing: tuple[str, ...]
    used: frozenset[str] = frozenset()


class Said(NamedTuple):
    """A statement that was read, and whoever its proof shows."""

    statement: Acknowledgement
    principal: Principal


def receive_acknowledgement(value: Any) -> Acknowledgement:
    """Read a JSON value as a statement.

    Raises:
        AcknowledgementError: it is none.
    """
    return receive_as(Acknowledgement, value, "acknowledgement", AcknowledgementError)


def problem_of(said: Said, situation: Situation, policy: PolicySet, directory: Directory, at: datetime) -> str | None:
    """Why a statement does not count at an instant (UTC), in a sentence; None where it does."""
    statement, who = said.statement, said.principal.identity
    differing = (
        (statement.audience, directory.audience, "audience"),
        (statement.copy_digest, situation.copy_digest, "copy_digest"),
        (statement.known, situation.known, "known"),
        (statement.missing, situation.missing, "missing"),
    )
    for given, real, name in differing:
        if given != real:
            return f"the statement of {who} is about another {name}: {_short(given)}, it is {_short(real)}"
    if statement.acknowledgement_id in situation.used:
        return f"the statement {statement.acknowledgement_id} of {who} counted before: make another"
    if statement.issued_at > at + _AHEAD:
        return f"the statement of {who} is issued at {statement.issued_at.isoformat()}, which is yet to come"
    if at >= statement.expires_at:
        return f"the statement of {who} expired at {statement.expires_at.isoformat()}"
    if statement.expires_at - statement.issued_at > MAX_VALIDITY:
        return f"the statement of {who} says that it counts for longer than a day"
    return _not_asked(said.principal, next_publication(_KIND, policy, directory, at), directory, at)


def counted(
    said: Iterable[Said], situation: Situation, policy: PolicySet, directory: Directory, at: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The people whose statements count, sorted, and what is wrong with them together; nothing where they suffice.

    Args:
        said: every statement that was handed in.
        situation: what they must be about.
        policy: in force.
        directory: in force.
        at: when they are looked at (UTC).
    """
    people: set[str] = set()
    problems = []
    for item in said:
        if (problem := problem_of(item, situation, policy, directory, at)) is not None:
            problems.append(problem)
            continue
        person = directory.resolve(item.principal.identity)
        assert person is not None
        people.add(person)
    if len(people) < MINIMUM:
        named = ", ".join(sorted(people)) or "nobody"
        problems.append(f"it takes {MINIMUM} people, acknowledged is it by {named}")
    return tuple(sorted(people)), tuple(problems)


def acknowledged(copy: AnchorCopy | None, missing: Iterable[Known], lost: Iterable[str], entry: Known) -> AnchorCopy:
    """The copy to go on with.

    Args:
        copy: as it was; None where it was lost or could not be read.
        missing: what the record lacks of it.
        lost: the proposals of those.
        entry: the ledger entry that says that it was acknowledged.
    """
    before = copy or AnchorCopy()
    gone = set(missing)
    kept = tuple(item for item in before.entries if item not in gone)
    known = before.model_copy(update={"entries": kept, "lost": tuple(dict.fromkeys((*before.lost, *lost)))})
    return known.with_entry(entry)


def claims(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a statement claims, without who makes it and when, and what they saw last: two people say the same."""
    own = {"acknowledgement_id", "record", "reason", "issued_at", "expires_at", "proof"}
    return {name: item for name, item in value.items() if name not in own}


def _not_asked(principal: Principal, asked: Evaluation, directory: Directory, at: datetime) -> str | None:
    """Why somebody is not among those whom the next publication would be asked of, or not by such a proof."""
    if asked.verdict is Verdict.deny or asked.chain is None:
        why = asked.reasons[0].message if asked.reasons else "nobody is asked"
        return f"nobody may acknowledge it, because nobody may publish a policy: {why}"
    person = directory.facts(principal.identity, at, asked.chain.conditions)
    if person is None:
        return f"{principal.identity} is nobody in the directory"
    silent = {directory.resolve(name) or name for item in asked.excluded for name in item.people}
    if person.person_id in silent:
        return f"{person.person_id} wrote the policy in force, and is not asked before the next one is published"
    weak = None
    for stage in asked.chain.stages:
        if not any(counts(item, person, stage.newcomer_wait, at) for item in stage.requirements):
            continue
        weak = too_weak(principal, wanted_of(stage.proofs, "approve"), at)
        if weak is None:
            return None
    if weak is not None:
        return weak[1]
    return f"{person.person_id} is not among those who approve the next policy"


def _short(value: Any) -> str:
    return f"{value}"[:120]
