"""Separation of duties."""

import pytest

from policy.approval.duties import conflict
from policy.decision import Refusal, Vote


@pytest.mark.parametrize("vote", Vote)
@pytest.mark.parametrize(
    ("person", "refusal"),
    [("ann", Refusal.self_approval), ("bob", Refusal.sod_conflict), ("cleo", None)],
    ids=["who asks", "who approved another stage", "somebody else"],
)
def test_conflict(vote: Vote, person: str, refusal: Refusal | None) -> None:
    """Only approving can conflict; stopping needs no second person."""
    found = conflict(person, vote, requesters=("ann",), approved_elsewhere=("bob", "ann"))
    assert (found[0] if found else None) == (refusal if vote is Vote.approve else None)
    assert found is None or person in found[1]
