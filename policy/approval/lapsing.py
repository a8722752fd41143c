"""Votes whose author lost what made them count.

- Asked of every approval that counts, in the open stage and in those before it, by what the directory says now.
- Whoever is there no more, or stands behind the proposal by now, has no approval. Nor has a key that was revoked, or
  taken out of the directory: nobody knows since when somebody else had it.
- A vote served every requirement of its stage that its author fitted when it was given. It is dropped once its author
  fits one of them no more: they may vote again by what they still have.
- Denials are never dropped: who could stop it, did.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from policy.approval.ballot import Ballot
from policy.approval.eligibility import fit, identities
from policy.approval.reading import Reading
from policy.decision import Vote
from policy.people.facts import PersonFacts


class Lapsed(NamedTuple):
    """A vote that counts no longer, in which stage, and why."""

    stage: int
    decision_id: str
    reason: str


def counted_approvals(reading: Reading) -> tuple[tuple[int, Ballot], ...]:
    """Every approval that counts so far, with its stage; none once the case is resolved."""
    if reading.resolution != "pending":
        return ()
    return tuple(
        (number, ballot)
        for number in range(1, reading.number + 1)
        for ballot in reading.sittings[number].votes.values()
        if ballot.vote is Vote.approve
    )


def lapsed(
    reading: Reading,
    people_now: Mapping[str, PersonFacts | None],
    requesters_now: Collection[str] = (),
    lost_keys: Mapping[str, str] | None = None,
) -> tuple[Lapsed, ...]:
    """The approvals that count no longer; pure.

    Args:
        reading: of the case, up to now.
        people_now: what the directory says now by decision id of each approval; None for who could not give it now.
        requesters_now: the people who stand behind the proposal now, besides those of the case.
        lost_keys: by decision id, what became of the key that signed it, where it proves nothing any more.
    """
    found = []
    for stage, ballot in counted_approvals(reading):
        person = people_now.get(ballot.decision_id)
        lost = (lost_keys or {}).get(ballot.decision_id)
        if reason := lost or _why(reading, stage, ballot, person, requesters_now):
            found.append(Lapsed(stage, ballot.decision_id, reason))
    return tuple(found)


def _why(
    reading: Reading, stage: int, ballot: Ballot, person: PersonFacts | None, requesters_now: Collection[str]
) -> str | None:
    who = ballot.person_id
    if person is None:
        if ballot.delegator is not None:
            return f"{who} may not decide for {ballot.delegator} any more"
        return f"{who} is nobody in the directory any more"
    if behind := sorted(identities(ballot).intersection(requesters_now)):
        return f"{behind[0]} stands behind the proposal by now"
    for requirement in reading.sittings[stage].asking.ever:
        if fit(requirement, ballot).fits and not fit(requirement, person).fits:
            return f"{who} does not fit {requirement.wanted} any more"
    return None
