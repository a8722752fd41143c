"""Quorum against brute force."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.approval.quorum import tally
from policy.document import Requirement

_GROUPS = st.sampled_from("abcd")
_REQUIREMENTS = st.lists(
    st.builds(Requirement, groups=st.lists(_GROUPS, min_size=1, max_size=3).map(tuple), count=st.integers(1, 2)),
    min_size=1,
    max_size=3,
)
_VOTERS = st.lists(st.frozensets(_GROUPS), max_size=6).map(
    lambda groups: [(f"person-{number}", found) for number, found in enumerate(groups)]
)
Voters = list[tuple[str, frozenset[str]]]


def _by_brute_force(requirements: list[Requirement], voters: Voters) -> bool:
    seats = [frozenset(item.groups) for item in requirements for _ in range(item.count)]
    return any(
        all(seat & groups for seat, (_, groups) in zip(seats, chosen, strict=True))
        for chosen in permutations(voters, len(seats))
    )


@given(_REQUIREMENTS, _VOTERS, st.randoms())
def test_if_some_assignment_satisfies_it_is_satisfied(
    requirements: list[Requirement], voters: Voters, random: object
) -> None:
    """Whatever the order of votes, the answer is that of trying every assignment."""
    expected = _by_brute_force(requirements, voters)
    random.shuffle(voters)  # type: ignore[attr-defined]
    found = tally(requirements, voters)
    assert found.met == expected
    assert bool(found.missing) != expected


@given(_REQUIREMENTS, _VOTERS)
def test_seats_are_taken_by_different_people_who_may(requirements: list[Requirement], voters: Voters) -> None:
    """Nobody sits twice, and everybody who sits is in a group that the seat asks for."""
    groups = dict(voters)
    seated = tally(requirements, voters).seated
    assert len(set(seated.values())) == len(seated)
    for seat, person in seated.items():
        assert groups[person] & set(requirements[int(seat.split(".")[0])].groups)


@given(_REQUIREMENTS, st.frozensets(_GROUPS))
def test_one_person_named_often_is_one_person(requirements: list[Requirement], groups: frozenset[str]) -> None:
    """A person who is named again does not fill a second seat."""
    found = tally(requirements, [("ann", groups), ("ann", frozenset("abcd")), ("ann", groups)])
    assert len(found.seated) <= 1
    assert found.met == _by_brute_force(requirements, [("ann", groups)])


CASES: dict[str, tuple[list[Requirement], str, tuple[str, ...]]] = {
    "the order is no matter": ([Requirement(groups=("a",)), Requirement(groups=("b",))], "ab a", ()),
    "nobody": ([Requirement(groups=("a", "b"), count=2)], "", ("2 of a or b",)),
    "one of two": ([Requirement(groups=("a",), count=2)], "a b", ("1 of a",)),
    "each requirement has its own people": (
        [Requirement(groups=("a",)), Requirement(groups=("b",))],
        "ab",
        ("1 of b",),
    ),
    "nobody is asked": ([], "a b", ("the stage asks for nobody, so nobody can satisfy it",)),
}


@pytest.mark.parametrize(("requirements", "voters", "missing"), CASES.values(), ids=CASES)
def test_missing(requirements: list[Requirement], voters: str, missing: tuple[str, ...]) -> None:
    """What is missing is said per requirement; asking nobody is never met."""
    found = tally(requirements, [(f"p{at}", frozenset(groups)) for at, groups in enumerate(voters.split())])
    assert (found.met, found.missing) == (not missing, missing)
