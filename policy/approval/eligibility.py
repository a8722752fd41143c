"""Eligibility: does a person fit what a requirement asks, and since when?

- Groups, roles and people are ways to fit: any one of them will do. Where a requirement names none, everybody has one.
- Qualifications are all needed, and where there is a condition (`when`), it must hold.
- A delegate fits as the delegator does: the facts of the ballot are the delegator's, and so is the name that `people`
  is compared with. Who acts by a delegation of groups fits by a group only.
- Newcomers wait: the person must have been there for so long, and must for so long have held one of the groups or roles
  by which they fit. Since when somebody is named under `people` is when the person is there. Nobody knows since when:
  that is new.
- The answer says by what somebody fits, or what is lacking, so that it can be told.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from policy.approval.ballot import Ballot
from policy.base import instant_text
from policy.decision import Refusal, Vote
from policy.people.facts import PersonFacts
from policy.rules.chains import Requirement
from policy.rules.durations import written

PERSON = "person"


class Fit(NamedTuple):
    """How a person fits a requirement. `by` names the ways as `PersonFacts.since` does, `lacking` what is missing."""

    by: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.lacking


def stands_for(person: PersonFacts) -> str:
    """Whose eligibility it is: the delegator's where somebody acts for one, else the person's own."""
    return person.delegator or person.person_id


def identities(person: PersonFacts) -> frozenset[str]:
    """The people in it: who acts and for whom."""
    return frozenset((person.person_id, stands_for(person)))


def fit(requirement: Requirement, person: PersonFacts) -> Fit:
    """How a person fits a requirement, whatever their age; pure."""
    by = (
        *(f"group {name}" for name in requirement.groups if name in person.groups),
        *(f"role {name}" for name in requirement.roles if name in person.roles),
        *((PERSON,) if _by_name(requirement, person) else ()),
    )
    lacking = () if by else (" or ".join(requirement.named) or "a delegation of more than groups",)
    unqualified = tuple(name for name in requirement.qualifications if name not in person.qualifications)
    unfitting = (requirement.when,) if requirement.when and requirement.when not in person.satisfies else ()
    return Fit(by, (*lacking, *unqualified, *unfitting))


def too_new(found: Fit, person: PersonFacts, wait: timedelta | None, at: datetime) -> str | None:
    """Why somebody who fits is too new to count at an instant, in words; None where they are not.

    Args:
        found: by what they fit.
        person: since when they hold it.
        wait: for how long they must have held it; None asks for nothing.
        at: the instant (UTC).
    """
    if wait is None:
        return None
    newest = {key: person.since.get(key) for key in (PERSON, *found.by)}
    old = {key for key, since in newest.items() if since is not None and since <= at - wait}
    if PERSON in old and old.intersection(found.by):
        return None
    key = PERSON if PERSON not in old else found.by[0] if found.by else PERSON
    since = newest[key]
    held = "is there" if key == PERSON else f"holds {key}"
    known = f"since {instant_text(since)}" if since is not None else "since nobody knows when"
    return f"{person.person_id} {held} {known}: what makes somebody eligible must be {written(wait)} old here"


def unfit(
    ballot: Ballot, asked: Sequence[Requirement], stage: int, wait: timedelta | None
) -> tuple[Refusal, str] | None:
    """Why a stage does not ask the author of a ballot, or not yet, with its refusal code; None where it does.

    Args:
        ballot: what arrived; its instant is asked about.
        asked: whom the stage asks for such a vote.
        stage: its number.
        wait: for how long newcomers wait to approve, or to release.
    """
    person, found = ballot.person_id, [fit(item, ballot) for item in asked]
    fitting = [item for item in found if item.fits]
    if not fitting and all(item.wanted == " or ".join(item.groups) for item in asked):
        groups = ", ".join(dict.fromkeys(group for item in asked for group in item.groups))
        return Refusal.not_eligible, f"{person} is in none of the groups that stage {stage} asks: {groups}"
    if not fitting:
        wanted = "; ".join(item.wanted for item in asked)
        lacking = " and ".join(min(found, key=lambda item: len(item.lacking)).lacking)
        return Refusal.not_eligible, f"stage {stage} asks {wanted}: {person} lacks {lacking}"
    new = [too_new(item, ballot, wait, ballot.received_at) for item in fitting]
    if ballot.vote in (Vote.approve, Vote.release) and new[0] is not None and all(new):
        return Refusal.newcomer, new[0]
    return None


def counts(requirement: Requirement, person: PersonFacts, wait: timedelta | None, at: datetime | None) -> bool:
    """Whether a person may fill a seat of a requirement; `at` may be None where nobody waits.

    It is asked of everybody for every requirement, so it looks no further than it must.
    """
    if not _has_way(requirement, person):
        return False
    for name in requirement.qualifications:
        if name not in person.qualifications:
            return False
    if requirement.when and requirement.when not in person.satisfies:
        return False
    if wait is None:
        return True
    assert at is not None
    return too_new(fit(requirement, person), person, wait, at) is None


def _has_way(requirement: Requirement, person: PersonFacts) -> bool:
    held = person.groups
    for name in requirement.groups:
        if name in held:
            return True
    for name in requirement.roles:
        if name in person.roles:
            return True
    return _by_name(requirement, person)


def _by_name(requirement: Requirement, person: PersonFacts) -> bool:
    if person.groups_only:
        return False
    if requirement.people:
        return stands_for(person) in requirement.people
    return not requirement.groups and not requirement.roles
