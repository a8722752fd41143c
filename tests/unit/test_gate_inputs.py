"""What the gate is told of those who voted."""

from policy.directory import Directory, Person
from policy.gate_inputs import gate_inputs
from policy.proposal import receive
from policy.revision import DocumentDigests, assess_revision
from tests.unit.builders import a_ballot, a_directory, a_policy, at, facts_of, proposal_json

DIGESTS = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")


def _groups(directory: Directory, *voters: str) -> dict[str, tuple[str, ...]]:
    received = receive(proposal_json())
    facts = facts_of(received.proposal)
    revision = assess_revision(
        received, facts, a_policy(), DIGESTS, revision=1, assessed_at=at(0), absolute_deadline=at(1000)
    )
    inputs = gate_inputs(
        received.proposal,
        revision,
        step=1,
        now=at(5),
        ballots=tuple(a_ballot(voter, "approve", 1) for voter in voters),
        resolution="approved",
        stop=None,
        closed=False,
        facts=facts,
        document=a_policy(),
        directory=directory,
        records=(),
    )
    return inputs.groups_now


def test_an_alias_of_a_voter_is_no_second_person() -> None:
    """A vote under an id that has become somebody's alias keeps no group: one person fills one seat."""
    one = Person(id="one", groups=("dba",), aliases=("two",))
    directory = a_directory().model_copy(update={"people": (one,), "agents": ()})

    assert _groups(directory, "one", "two") == {"one": ("dba",)}


def test_who_left_keeps_no_group() -> None:
    """Nobody in the directory, no entry."""
    directory = a_directory().model_copy(update={"people": (), "agents": ()})

    assert _groups(directory, "one") == {}
