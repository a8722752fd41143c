"""What went wrong in other systems that ask people, played on our rules; the names say where it was reported.

A vote is `person vote minute [group,group [stage]]`: the group `ops` and stage 1 unless others are given.
"""

import pytest

from policy.approval.ballot import Ballot
from policy.approval.standing import refuse, stand
from policy.decision import Refusal
from policy.document import Requirement, Stage
from tests.unit.builders import a_ballot, a_case, at, stage

_TWO_OF_OPS = Requirement(groups=("ops",), count=2)
_TEAMS = (stage("red", "blue"),)
_PAIR = (stage(requirements=(_TWO_OF_OPS,)),)
_STAGES = (stage("ops", name="first"), stage("dba", name="second"))
_SPECIALIST_AND_ANYBODY = (stage(requirements=(Requirement(groups=("ops", "dba")), Requirement(groups=("dba",)))),)


def _ballots(text: str) -> tuple[Ballot, ...]:
    found = []
    for line in filter(None, (part.strip() for part in text.split(";"))):
        person, vote, minute, *rest = line.split()
        groups, number = [*rest, *("ops", "1")[len(rest) :]]
        found.append(a_ballot(person, vote, float(minute), groups.replace(",", " "), number=int(number)))
    return tuple(found)


CASES: dict[str, tuple[tuple[Stage, ...], str, float, str]] = {
    "teleport#36854: two people of two teams, and two of one team are not that": (
        _TEAMS,
        "ann approve 1 red; bob approve 2 red",
        3,
        "pending",
    ),
    "teleport#36854: two people of two teams": (_TEAMS, "ann approve 1 red; bob approve 2 blue", 3, "approved"),
    "agent-governance-toolkit#3126: one vote of two resolves nothing": (_PAIR, "ann approve 1", 3, "pending"),
    "agent-governance-toolkit#3126: two votes of two do": (_PAIR, "ann approve 1; bob approve 2", 3, "approved"),
    "keptn#3366: what was denied is not approved by who comes later": (
        (stage("ops"),),
        "ann deny 1; bob approve 2",
        3,
        "denied",
    ),
    "moneat#489: a vote for the first gate does not open the second": (
        _STAGES,
        "ann approve 1 ops; cleo approve 2 dba 1",
        3,
        "pending",
    ),
    "stackstorm#4135: answered in the very instant in which it was asked": (
        (stage("ops"),),
        "ann approve 0",
        0,
        "approved",
    ),
    "gitlab#425759: the specialist votes first and does not take the seat of anybody": (
        _SPECIALIST_AND_ANYBODY,
        "dora approve 1 dba; ann approve 2 ops",
        3,
        "approved",
    ),
    "gitlab#425759: nor when the specialist votes last": (
        _SPECIALIST_AND_ANYBODY,
        "ann approve 1 ops; dora approve 2 dba",
        3,
        "approved",
    ),
    "gitlab#457541: one person in many groups is one vote": (_TEAMS, "ann approve 1 red,blue", 3, "pending"),
    "openbao: one person does not count for two factors": (
        (stage("red", "blue", "ops"),),
        "ann approve 1 red,blue; bob approve 2 ops",
        3,
        "pending",
    ),
    "vault#19214: who asks does not approve, whatever groups they are in": (
        (stage("ops"),),
        "rita approve 1",
        3,
        "pending",
    ),
    "meho: nobody fills two stages": (_STAGES, "bob approve 1 ops,dba; bob approve 2 ops,dba 2", 3, "pending"),
    "spacelift: a newer vote takes the older back until it is resolved": (
        _PAIR,
        "ann approve 1; ann retract 2; bob approve 3",
        4,
        "pending",
    ),
    "keptn#4620: a wait is ended by its own deadline only": ((stage("ops", minutes=900),), "", 899, "pending"),
    "hoop#883: and it is ended by that": ((stage("ops", minutes=900),), "", 900.01, "expired"),
    "terraform-aws-sso-elevator#129: who is not asked cannot approve": (
        (stage("ops"),),
        "cleo approve 1 dba",
        3,
        "pending",
    ),
}


@pytest.mark.parametrize(("chain", "ballots", "minute", "resolution"), CASES.values(), ids=CASES)
def test_what_went_wrong_elsewhere(chain: tuple[Stage, ...], ballots: str, minute: float, resolution: str) -> None:
    """A case that another system answered wrongly stands as it should."""
    found = stand(a_case(*chain, ballots=_ballots(ballots)), at(minute), deadline_counts_as_passed=False)
    assert found.resolution == resolution


def test_a_late_answer_is_told_so() -> None:
    """argo-workflows#12863: what comes after the end is not answered as if it had done something."""
    found = refuse(a_case(stage("ops"), ballots=_ballots("ann approve 1")), _ballots("bob approve 2")[0])
    assert found is not None
    assert found[0] is Refusal.not_pending
