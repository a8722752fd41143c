"""Publishing, by whoever would like to put in force what nobody approved, or approve it without being seen."""

import json
from typing import Any

import pytest
import yaml

from policy.builtin import TARGET
from policy.document import read_policy
from policy.draft import problems_of, publication, stranger
from policy.evaluation import Evaluation
from policy.facts import collect
from policy.judging import judge
from policy.observed import DraftFact, Observed
from policy.operations import builtin_operations
from policy.people.directory import read_directory
from policy.proposal import receive
from policy.rules.chains import Verdict
from signing.keys import generate
from tests.unit.builders import DIRECTORY, T0, a_catalog, a_directory

DRAFT, BEFORE, OTHER = (f"sha256:{digit * 64}" for digit in "abe")
ROOT = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: root, version: "1", scope: root}
unsigned: [{environments: [countersign]}]
rules:
  - {id: documents, match: {environments: [countersign]}, verdict: require_approval, chain: governors}
  - {id: rest, match: {environments: [production]}, verdict: require_approval, chain: anybody}
chains:
  governors: {stages: [{name: two, requirements: [{groups: [ops, dba], count: 2}], deadline: 1h}]}
  anybody: {stages: [{name: two, requirements: [{groups: [sre], count: 2}], deadline: 1h}]}
"""


def _ask(kind: str = "policy", undo: dict[str, str] | None = None, **changes: Any) -> Evaluation:
    """What is said of a proposal to publish a draft that is stored, with another undo or other fields."""
    value: dict[str, Any] = publication("p-1", {"kind": kind, "digest": DRAFT, "previous": BEFORE}, "dan", "why")
    if undo is not None:
        value["steps"][0]["undo"]["parameters"] = undo
    proposal = receive({**value, **changes}).proposal
    draft = DraftFact(kind=kind, digest=DRAFT, authors=("dan",), previous=BEFORE)
    facts = collect(
        proposal,
        catalog=a_catalog(),
        directory=a_directory(),
        registry=builtin_operations(),
        observed=Observed(at=T0, catalog_at=T0, directory_at=T0, draft=draft),
    )
    return judge(read_policy(ROOT.encode()), proposal, facts).evaluation


def test_a_draft_is_published_where_documents_are_and_nowhere_else() -> None:
    """On another target other people would be asked, who govern nothing."""
    assert _ask().chain_name == "governors"
    assert _ask(target=TARGET.upper()).chain_name == "governors"
    elsewhere = _ask(target="orders", environment="production")
    assert (elsewhere.verdict, elsewhere.reasons[0].code) == (Verdict.deny, "wrong_target")


@pytest.mark.parametrize(
    ("kind", "undo"),
    [
        ("policy", {"kind": "policy", "digest": OTHER, "previous": DRAFT}),
        ("catalog", {"kind": "directory", "digest": OTHER, "previous": BEFORE}),
        ("policy", {"kind": "policy", "digest": BEFORE, "previous": OTHER}),
    ],
    ids=["another document", "another kind", "over something else"],
)
def test_the_undo_of_a_publication_puts_back_what_was_in_force(kind: str, undo: dict[str, str]) -> None:
    """An undo needs no approval of its own, so that it publishes nothing that was not in force before."""
    said = _ask(kind, undo)
    assert (said.verdict, said.reasons[0].code) == (Verdict.deny, "undo_is_no_inverse")


def test_who_stores_a_draft_is_somebody() -> None:
    """A name that nobody has, or in other letters, keeps nobody from approving what they wrote."""
    assert stranger("ann@example.org", a_directory(), T0) == ()
    assert stranger("ANN", a_directory(), T0) == ("it was stored by ANN, who is not in the directory",)
    assert stranger("", a_directory(), T0) == ("it was stored by nobody, who is not in the directory",)


@pytest.mark.parametrize("name", ["ann@example.org", "Ann"])
def test_a_policy_names_its_authors_by_their_ids(name: str) -> None:
    """By an alias or in other letters the author would not be found among those who vote."""

    def problems(author: str) -> tuple[str, ...]:
        text = ROOT.replace("scope: root", f"scope: root, authors: [{author}]")
        policy = read_policy(text.encode())
        return problems_of(policy, policy=policy, directory=a_directory(), at=T0)

    assert problems("ann") == problems("who-left-long-ago") == ()
    said = f"root names {name}, who would not be kept from approving by that name: write ann"
    assert problems(name) == (said,)


def test_a_policy_whose_authors_are_all_who_could_approve_locks_the_door() -> None:
    """Who wrote the policy does not approve the next one, and neither does who proposes it."""
    text = ROOT.replace("scope: root", "scope: root, authors: [ann, bob]")
    policy = read_policy(text.encode())
    assert problems_of(policy, policy=policy, directory=a_directory(), at=T0)[0].startswith("nobody could publish")

    two = b"people: [{id: bob, groups: [ops]}, {id: cleo, groups: [dba]}]"
    head = b'apiVersion: countersign/v1\nkind: Directory\nmetadata: {name: people, version: "1"}\n'
    said = problems_of(read_directory(head + two), policy=read_policy(ROOT.encode()), directory=a_directory(), at=T0)
    assert said[0] == "nobody could propose the next policy: whoever does leaves a seat empty"


def test_a_policy_that_lets_nothing_come_unsigned_locks_the_door_where_nobody_can_sign() -> None:
    """Whoever proposes the next document has to sign: with a key that counts or by an issuer, for this installation."""
    policy = read_policy(ROOT.replace("unsigned: [{environments: [countersign]}]\n", "").encode())

    def locked(**changes: Any) -> bool:
        value = {**yaml.safe_load(DIRECTORY), **changes}
        directory = read_directory(json.dumps(value).encode())
        said = problems_of(directory, policy=policy, directory=a_directory(), at=T0)
        return any("does not let countersign.document.publish come unsigned" in line for line in said)

    def people(**of_ann: Any) -> list[Any]:
        key = {"id": "ann-1", "jwk": generate("ann-1").public, **of_ann}
        return [{**one, "keys": [key]} if one["id"] == "ann" else one for one in yaml.safe_load(DIRECTORY)["people"]]

    issuers = [{"issuer": "https://login.example", "client_ids": ["cli"]}]
    assert locked()
    assert locked(people=people())
    assert not locked(people=people(), audience="here")
    assert locked(people=people(revoked_at="2026-01-01T00:00:00Z"), audience="here")
    assert not locked(issuers=issuers, audience="here")
