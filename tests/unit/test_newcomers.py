"""How long newcomers wait, and what the age of a directory may be: what several documents say together."""

from datetime import timedelta

import pytest

from policy.document import PolicySet
from policy.errors import DocumentError
from policy.rules.chains import Stage
from tests.unit.asking import ask, policy_with
from tests.unit.builders import POLICY, a_policy

_TIERS = "newcomers: {tiers: [%s], wait: %s}\n"
_TEAM = b"""---
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: team, version: "1", scope: team, covers: {%s: [%s]}}
%s
rules: [{id: other, match: {operations: [pg.drop]}, verdict: deny}]
"""


def _waits(policy: PolicySet) -> list[timedelta | None]:
    """How long newcomers wait in each stage of an action of tier medium."""
    found = ask(policy)
    assert found.chain is not None
    return [stage.newcomer_wait for stage in found.chain.stages]


def _policy(line: str, chains: bytes = b"") -> bytes:
    text = POLICY.replace(b"limits:", line.encode() + b"limits:", 1)
    return text.replace(b"{name: dba, ", b"{name: dba, " + chains, 1)


WAITS: dict[str, tuple[bytes, list[int | None]]] = {
    "nothing is said": (_policy(""), [None, None]),
    "another tier": (_policy(_TIERS % ("critical", "14d")), [None, None]),
    "this tier": (_policy(_TIERS % ("medium, high", "14d")), [14, 14]),
    "a stage waits longer": (_policy(_TIERS % ("medium", "14d"), b"newcomer_wait: 30d, "), [14, 30]),
    "a stage waits shorter": (_policy(_TIERS % ("medium", "14d"), b"newcomer_wait: 1d, "), [14, 14]),
    "a stage alone": (_policy("", b"newcomer_wait: 1d, "), [None, 1]),
    "a team that speaks of it waits longer": (
        _policy(_TIERS % ("medium", "14d"))
        + _TEAM % (b"environments", b"production", (_TIERS % ("medium", "20d")).encode()),
        [20, 20],
    ),
    "a team that does not speak of it": (
        _policy("") + _TEAM % (b"environments", b"staging", (_TIERS % ("medium", "20d")).encode()),
        [None, None],
    ),
}


@pytest.mark.parametrize(("text", "days"), WAITS.values(), ids=WAITS)
def test_waits(text: bytes, days: list[int | None]) -> None:
    """The longest wait of the documents that speak of the action, in its tier, and of the stage counts."""
    assert _waits(a_policy(text)) == [timedelta(days=item) if item is not None else None for item in days]


def test_the_chain_in_the_document_stays_as_it_is() -> None:
    """Only what is asked of people has the wait, so that the same chain may serve other tiers."""
    policy = a_policy(_policy(_TIERS % ("medium", "14d")))
    stages: tuple[Stage, ...] = policy.documents[0].chains["pair"].stages
    assert [stage.newcomer_wait for stage in stages] == [None, None]


AGES = {
    "none says one": ("", b"", None),
    "one says one": ("max_directory_age: 2d\n", b"", 2),
    "the shorter of two": ("max_directory_age: 2d\n", b"max_directory_age: 1d", 1),
    "the other alone": ("", b"max_directory_age: 1d", 1),
}


@pytest.mark.parametrize(("mine", "team", "days"), AGES.values(), ids=AGES)
def test_the_shortest_age_counts(mine: str, team: bytes, days: int | None) -> None:
    """Of several documents the shortest age is the policy's, and is kept with the answer."""
    policy = a_policy(_policy(mine) + _TEAM % (b"environments", b"production", team))
    seconds = days * 86_400 if days is not None else None
    assert (policy.directory_seconds, ask(policy).directory_seconds) == (seconds, seconds)


def test_a_wait_needs_tiers() -> None:
    """A wait that is meant for no tier is refused."""
    with pytest.raises(DocumentError, match=r"newcomers\.tiers"):
        policy_with(more="newcomers: {tiers: [], wait: 1d}\n")
