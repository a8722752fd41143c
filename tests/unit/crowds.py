"""People for the rules of the approval: facts in one line, and drawn at random."""

from datetime import datetime, timedelta

from hypothesis import strategies as st

from policy.approval.standing import ApprovalCase, Ballot, refuse, stand
from policy.decision import Vote
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.rules.chains import EscalationStep, Mode, Requirement, Stage
from tests.unit.builders import T0, a_case, at

NAMES = tuple("abcdef")


def a_person(
    name: str,
    groups: str = "",
    *,
    roles: str = "",
    skills: str = "",
    satisfies: tuple[str, ...] = (),
    managers: str = "",
    teams: str = "",
    since: dict[str, datetime] | None = None,
) -> PersonFacts:
    """A person; lists are separated by spaces."""
    return PersonFacts(
        person_id=name,
        groups=tuple(groups.split()),
        roles=tuple(roles.split()),
        qualifications=tuple(skills.split()),
        satisfies=satisfies,
        managers=tuple(managers.split()),
        teams=tuple(teams.split()),
        since=since or {},
    )


def approval(person: PersonFacts, *, delegator: str | None = None, minutes: float = 5, number: int = 1) -> Ballot:
    """An approval by somebody, with their facts."""
    return Ballot(
        **dict(person) | {"delegator": delegator},
        decision_id=f"{person.person_id}-{minutes}",
        stage=number,
        vote=Vote.approve,
        received_at=T0 + timedelta(minutes=minutes),
        assurance=Assurance.claimed,
    )


def some(letters: str, most: int, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    """A few different ones of these letters."""
    return st.lists(st.sampled_from(letters), min_size=least, max_size=most, unique=True).map(tuple)


@st.composite
def crowds(draw: st.DrawFn, most: int = 6, *, delegates: bool = False) -> list[PersonFacts]:
    """People with groups, teams and managers; the manager of each comes later in the alphabet. With `delegates`, some
    of them act for others.
    """
    names = draw(st.lists(st.sampled_from(NAMES), max_size=most, unique=True))
    people: list[PersonFacts] = []
    for name in names:
        above = [other for other in NAMES if other > name]
        managers = draw(st.lists(st.sampled_from(above), max_size=2, unique=True)) if above else []
        person = a_person(
            name,
            " ".join(draw(some("xyz", 2))),
            managers=" ".join(managers),
            teams=" ".join(draw(some("mn", 1))),
        )
        delegator = draw(st.sampled_from((None, None, *NAMES))) if delegates else None
        delegated = approval(person, delegator=delegator if delegator != name else None)
        people.append(delegated if delegates else person)
    return people


REQUIREMENTS = st.lists(
    st.builds(Requirement, groups=some("xyz", 2, 1), count=st.integers(1, 2)), min_size=1, max_size=3
)


@st.composite
def stages(draw: st.DrawFn, most: int = 2, *, escalating: bool = False) -> tuple[Stage, ...]:
    """Stages with the rules about who may sit together, some of them with an escalation."""
    found = []
    for number in range(draw(st.integers(1, most))):
        steps = draw(st.lists(some("xyz", 1, 1), max_size=1)) if escalating else []
        found.append(
            Stage(
                name=f"s{number + 1}",
                mode=draw(st.sampled_from(Mode)),
                requirements=tuple(draw(REQUIREMENTS.filter(lambda items: sum(item.count for item in items) < 4))),
                deadline=timedelta(hours=1),
                deny_threshold=9,
                outside_team=draw(st.sampled_from((0, 0, 1, 2))),
                separate_lines=draw(st.booleans()),
                escalations=tuple(
                    EscalationStep(after=timedelta(minutes=50), add_groups=groups, reason="nobody answered")
                    for groups in steps
                ),
            )
        )
    return tuple(found)


@st.composite
def played(draw: st.DrawFn, *, escalating: bool = False) -> tuple[list[ApprovalCase], list[PersonFacts]]:
    """A case as it stands after each vote that counts, a recusal often among them, and everybody there is."""
    people = draw(crowds(most=5))
    case = a_case(*draw(stages(escalating=escalating)), requesters=draw(some("abcdef", 1)), teams=("m",))
    cases = [case]
    for minute in range(1, 1 + draw(st.integers(0, 4))):
        if not people:
            break
        person, other = draw(st.sampled_from(people)), draw(st.sampled_from([None, None, *people]))
        vote = draw(st.sampled_from((Vote.approve, Vote.approve, Vote.recuse, Vote.deny, Vote.retract)))
        if other is not None and other is not person:
            acting = {"person_id": person.person_id, "managers": (*person.managers, *other.managers)}
            teams = (*person.teams, *other.teams) if person.teams and other.teams else ()
            person = other.model_copy(update={**acting, "teams": teams, "delegator": other.person_id})
        number = stand(case, at(minute), deadline_counts_as_passed=False).stage
        ballot = approval(person, delegator=person.delegator, minutes=minute, number=number)
        ballot = ballot.model_copy(update={"vote": vote, "justification": "no"})
        if refuse(case, ballot) is None:
            case = case.model_copy(update={"ballots": (*case.ballots, ballot)})
            cases.append(case)
    return cases, people
