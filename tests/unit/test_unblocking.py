"""Which people could finish the open stage, against trying every set."""

from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings

from policy.approval.candidates import Candidates
from policy.approval.quorum import tally_stage
from policy.approval.reading import read
from policy.approval.standing import ApprovalCase
from policy.approval.unblocking import unblocking
from policy.people.facts import PersonFacts
from policy.rules.chains import ExpiryVerb, Mode, Requirement, Stage
from tests.unit.builders import a_ballot, a_case, at, escalation, stage
from tests.unit.crowds import a_person, played

NOW = at(20)


def _unblocks(case: ApprovalCase, people: tuple[PersonFacts, ...]) -> bool:
    reading, names = read(case), {person.person_id for person in people}
    kept = [item for item in reading.approvals if item.person_id not in names]
    voters = (*kept, *people)
    found = tally_stage(
        reading.stage, reading.requirements, voters, teams=case.teams, elsewhere=reading.elsewhere, at=NOW
    )
    return found.met


@settings(max_examples=300)
@given(played())
def test_every_set_unblocks_and_no_part_of_it_does(game: tuple[list[ApprovalCase], list[PersonFacts]]) -> None:
    """The sets are the first of those that trying all of them finds, smallest first and then by the alphabet."""
    cases, people = game
    case = cases[-1]
    reading = read(case)
    found = unblocking(case, people, NOW)
    if reading.resolution != "pending":
        assert found == ()
        return
    candidates = Candidates(reading, people)
    able = [candidates.people[place] for place in candidates.new]
    able = [one for one in able if any(set(item.groups) & set(one.groups) for item in reading.requirements)]
    able.sort(key=lambda person: person.person_id)
    every = [chosen for size in range(len(able) + 1) for chosen in combinations(able, size) if _unblocks(case, chosen)]
    names = [tuple(person.person_id for person in chosen) for chosen in every]
    least = [one for one in names if not any(set(other) < set(one) for other in names)]
    assert list(found) == least[:5]


PEOPLE = (
    a_person("ann", "ops", teams="red"),
    a_person("bob", "ops dba", teams="blue"),
    a_person("cleo", "dba", teams="red", managers="dan"),
    a_person("dan", "dba", teams="blue"),
)
OPS = a_ballot("ann", "approve", 5)
# The stage, what happened, and the sets.
CASES: dict[str, tuple[Stage, dict[str, object], tuple[str, ...]]] = {
    "anybody of a group": (stage("dba"), {}, ("bob", "cleo", "dan")),
    "two of a group": (
        stage(requirements=(Requirement(groups=("dba",), count=2),)),
        {},
        ("bob cleo", "bob dan", "cleo dan"),
    ),
    "one of each": (stage("ops", "dba"), {}, ("ann bob", "ann cleo", "ann dan", "bob cleo", "bob dan")),
    "one has voted": (stage("ops", "dba"), {"ballots": (OPS,)}, ("bob", "cleo", "dan")),
    "who asks is no help": (stage("dba"), {"requesters": ("bob",)}, ("cleo", "dan")),
    "who stepped out is no help": (stage("dba"), {"ballots": (a_ballot("dan", "recuse", 5, "dba"),)}, ("bob", "cleo")),
    "any of two": (
        stage(requirements=(Requirement(groups=("ops",), count=2), Requirement(groups=("dba",))), mode=Mode.any_of),
        {},
        ("bob", "cleo", "dan"),
    ),
    "an outsider": (stage("dba", outside_team=1), {"teams": ("red",)}, ("bob", "dan")),
    "an outsider besides who has voted": (
        stage(requirements=(Requirement(groups=("ops", "dba"), count=2),), outside_team=1),
        {"teams": ("red",), "ballots": (OPS,)},
        ("bob", "dan"),
    ),
    "apart from who is above": (
        stage(requirements=(Requirement(groups=("dba",), count=2),), separate_lines=True),
        {},
        ("bob cleo", "bob dan"),
    ),
    "whom only an escalation would ask": (stage("sre", escalations=(escalation(30, "dba"),)), {}, ()),
    "newcomers": (stage("dba", newcomer_wait=timedelta(days=1)), {}, ()),
    "resolved": (stage("ops"), {"ballots": (OPS,)}, ()),
}


@pytest.mark.parametrize(("stages", "case", "sets"), CASES.values(), ids=CASES)
def test_unblocking(stages: Stage, case: dict[str, object], sets: tuple[str, ...]) -> None:
    """Who could finish the stage, all of them together and none of them to spare."""
    found = unblocking(a_case(stages, **case), PEOPLE, NOW)  # type: ignore[arg-type]
    assert tuple(" ".join(names) for names in found) == sets


def test_nobody_unblocks_what_is_held() -> None:
    """While a stage is held approvals do not count, so no set of people is named."""
    case = a_case(stage("ops", on_expiry=ExpiryVerb.hold))
    assert unblocking(case, PEOPLE, at(60)) == (("ann",), ("bob",))
    assert unblocking(case, PEOPLE, at(60.5)) == ()
