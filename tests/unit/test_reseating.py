"""A vote is dropped, and somebody else of its stage can take the seat: unless they approved a later one meanwhile."""

import pytest

from policy.approval.standing import ApprovalCase, Ballot, CaseEvent, stand
from policy.document import Requirement
from tests.unit.builders import a_ballot, a_case, at, stage

FIRST = stage("sre", "dba", name="first")
SECOND = stage(requirements=(Requirement(groups=("ops",), count=2),), name="second")
LAST = stage("boss", name="last")
ANN, BEA, DAN = (
    a_ballot("ann", "approve", 1, "sre"),
    a_ballot("bea", "approve", 2, "sre ops"),
    a_ballot("dan", "approve", 3, "dba"),
)
AGAIN = a_ballot("bea", "approve", 4, "sre ops", number=2)


def _dropped(*ballots: Ballot) -> ApprovalCase:
    event = CaseEvent(kind="dropped", at=at(8), stage=1, decision_id=ANN.decision_id, reason="gone")
    return a_case(FIRST, SECOND, LAST, ballots=(ANN, BEA, DAN, *ballots), events=(event,))


def _in_second(person: str, minute: float) -> Ballot:
    return a_ballot(person, "approve", minute, "ops", number=2)


# the votes of later stages, and who approves each stage once ann's vote of the first one is dropped
RESEATED: dict[str, tuple[tuple[Ballot, ...], list[list[str]]]] = {
    "nobody voted since": ((), [["bea", "dan"], [], []]),
    "somebody else did": ((_in_second("eve", 5),), [["bea", "dan"], ["eve"], []]),
    "who takes the seat did": ((AGAIN,), [["bea", "dan"], [], []]),
    "who could take it stepped out": ((a_ballot("bea", "recuse", 4, "sre ops", number=2),), [["dan"], [], []]),
    "who takes it approved a stage that is resolved": (
        (AGAIN, _in_second("eve", 5)),
        [["bea", "dan"], ["eve"], []],
    ),
}


@pytest.mark.parametrize(("ballots", "approvals"), RESEATED.values(), ids=RESEATED)
def test_nobody_approves_two_stages(ballots: tuple[Ballot, ...], approvals: list[list[str]]) -> None:
    """Whoever takes a seat that became free gives up the one in a later stage, and that stage lacks somebody again."""
    found = stand(_dropped(*ballots), at(9), deadline_counts_as_passed=False)
    assert [sorted(item.approvals) for item in found.stages] == approvals
    assert found.resolution == "pending"
    assert found.stage == (1 if found.recused else 2)
