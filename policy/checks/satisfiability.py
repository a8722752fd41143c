"""Can anybody approve? A chain against the people of a directory.

- One person fills one seat of the whole chain (`policy/approval/duties.py`), so all seats of all stages are filled
  together, by the eligibility and the matching that count votes (`policy/approval/eligibility.py`, `quorum.py`). Of a
  stage that asks for any of its requirements, the first that can be filled is taken.
- Escalation adds groups only after a while: a chain that needs it to be filled can be satisfied, but late.
- Whoever wrote the document does not approve what it asks about.
- Whoever asks does not approve. For each person who may stand behind an action, the chain is asked without them.
- Teams, reporting lines and newcomers depend on who asks and when; they are asked when an action is proposed
  (`policy/approval/feasibility.py`).
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from policy.approval.eligibility import counts
from policy.approval.escalation import asked_too
from policy.approval.opening import could_ask
from policy.approval.quorum import Tally, tally
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.rules.chains import ApprovalChain, Mode, Requirement, Stage


class Satisfiability(NamedTuple):
    """What a directory says of a chain.

    Attributes:
        unknown_groups: groups that the chain names and nobody is in.
        missing: the seats that nobody can fill, whoever asks and however long one waits.
        late: the seats that only escalation can fill.
        without: the people of whom one, if they ask, leaves seats that nobody can fill.
        total: how many seats there are.
        people: how many people fit any of the requirements.
    """

    unknown_groups: tuple[str, ...]
    missing: tuple[str, ...]
    late: tuple[str, ...]
    without: tuple[str, ...]
    total: int
    people: int


def satisfiability(
    chain: ApprovalChain, directory: Directory, at: datetime, authors: Collection[str] = ()
) -> Satisfiability:
    """Who of a directory could satisfy a chain; pure.

    Args:
        chain: the stages.
        directory: the people.
        at: the instant (UTC) as of which they are there.
        authors: identities of people who approve nothing here, because they wrote the document.
    """
    silent = {person for name in authors if (person := directory.resolve(name))}
    there = [person for person in could_ask(chain, directory, at) if person.person_id not in silent]
    later = _seats(chain, there, escalated=True)
    now = _seats(chain, there, escalated=False)
    groups = dict.fromkeys(group for stage in chain.stages for group in _groups(stage))
    total = sum(requirement.count for requirement in now)
    voters = _enough(there, (*now, *later), total + 1)
    filled = tally(later, voters)
    missing = filled.missing
    seated = sorted(_irreplaceable(filled, later, voters))
    return Satisfiability(
        unknown_groups=tuple(group for group in groups if not directory.members(group)),
        missing=missing,
        late=() if missing else tally(now, voters).missing,
        without=() if missing else tuple(name for name in seated if _missing_without(name, later, voters)),
        total=total,
        people=sum(any(counts(item, person, None, None) for item in later) for person in there),
    )


def _groups(stage: Stage) -> Iterator[str]:
    """Every group that a stage names: whom it asks at first, after its escalations, and to release it."""
    for requirement in (*asked_in(stage, escalated=True), *filter(None, (stage.release,))):
        yield from requirement.groups


def _seats(chain: ApprovalChain, people: list[PersonFacts], *, escalated: bool) -> tuple[Requirement, ...]:
    """The requirements of all stages, as they are at first or once every escalation step was taken."""
    found: tuple[Requirement, ...] = ()
    for stage in chain.stages:
        asked = asked_in(stage, escalated=escalated)
        if stage.mode is Mode.any_of:
            fillable = (item for item in asked if tally((*found, item), people).met)
            asked = (next(fillable, asked[0]),)
        found = (*found, *asked)
    return found


def asked_in(stage: Stage, *, escalated: bool) -> tuple[Requirement, ...]:
    """What a stage asks for as it opens, or once every escalation that names groups has come."""
    steps = (*stage.escalations, *((stage.expiry_escalation,) if stage.expiry_escalation else ()))
    groups = [group for step in steps for group in step.add_groups]
    return tuple(asked_too(item, groups) if escalated else item for item in stage.requirements)


def _irreplaceable(filled: Tally, requirements: tuple[Requirement, ...], voters: list[PersonFacts]) -> Iterator[str]:
    """Those on a seat that nobody without one may take. Without anybody else, all seats can still be filled."""
    taken = set(filled.seated.values())
    spare = [person for person in voters if person.person_id not in taken]
    for seat, person in filled.seated.items():
        requirement = requirements[int(seat.split(".")[0])]
        if not any(counts(requirement, other, None, None) for other in spare):
            yield person


def _enough(people: list[PersonFacts], requirements: tuple[Requirement, ...], enough: int) -> list[PersonFacts]:
    """So many for each requirement as could sit on every seat: more of them change nothing and cost time."""
    kept: set[str] = set()
    for requirement in dict.fromkeys(requirements):
        fitting = (person.person_id for person in people if counts(requirement, person, None, None))
        kept.update(name for name, _ in zip(fitting, range(enough), strict=False))
    return [person for person in people if person.person_id in kept]


def _missing_without(name: str, requirements: tuple[Requirement, ...], voters: list[PersonFacts]) -> tuple[str, ...]:
    return tally(requirements, [voter for voter in voters if voter.person_id != name]).missing
