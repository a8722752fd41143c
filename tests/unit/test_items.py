"""Who says how an action ended: the policy's people, or whoever had to do with it, and never who asked for it."""

import re
from datetime import timedelta

import pytest

from policy.document import PolicySet, read_policy
from policy.findings import AMENDS, Amended, Finding, Found
from policy.items import Item, Said, amendment_item, item_id, settled, unresolved_item
from policy.observed import HoldFact
from policy.outcome import Outcome
from policy.proposal import receive
from policy.remedying import remedied, unremedied
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.risk.outcomes import change_score, failure_rate
from policy.rules.chains import Verdict
from tests.unit.builders import POLICY, T0, a_ballot, a_proposal, at, facts_of, proposal_json

CHAIN = b"""  finders:
    stages:
      - {name: finders, requirements: [{groups: [sre]}], deadline: 1h}
unresolved: {chain: finders, due: 2h, remind_every: 30m}
"""


DIGEST = "sha256:" + 64 * "0"


def _revision(rules: PolicySet) -> Revision:
    received = receive(proposal_json())
    documents = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)
    return assess_revision(
        received,
        facts_of(received.proposal),
        rules,
        documents,
        revision=1,
        assessed_at=T0,
        absolute_deadline=at(600),
    )


def _item(policy: bytes, outcome: Outcome = Outcome.outcome_unknown) -> Item | None:
    rules = read_policy(policy)
    return unresolved_item(a_proposal(), _revision(rules), DIGEST, rules, outcome=outcome, at=T0)


def _groups(item: Item | None) -> list[str]:
    assert item is not None
    return [group for stage in item.chain.stages for rule in stage.requirements for group in rule.groups]


def test_only_an_end_without_a_definite_state_is_an_item() -> None:
    """Three outcomes leave something to find out; the others do not."""
    assert {outcome for outcome in Outcome if _item(POLICY, outcome) is not None} == {
        *(Outcome.compensation_failed, Outcome.outcome_unknown, Outcome.inconclusive)
    }


def test_the_policy_names_who_finds_out_and_until_when() -> None:
    """Its chain, its due date, its reminders; who asked for the action is kept out."""
    item = _item(POLICY + CHAIN)
    assert (_groups(item), item and item.people) == (["sre"], ("ann",))
    assert item is not None
    assert (item.due_at, item.remind_seconds) == (T0 + timedelta(hours=2), 1800)
    assert [item.pages(at(minutes)) for minutes in (0, 120, 121, 149, 151)] == [0, 0, 1, 1, 2]
    assert item.looked_at_again(at(121)) == at(150)


def test_without_a_word_of_the_policy_it_is_whoever_had_to_do_with_it() -> None:
    """Whom the approval asked, and the group that owns the target; one of them is enough."""
    item = _item(POLICY)
    assert _groups(item) == ["ops", "dba", "team-orders"]
    assert item is not None
    assert item.chain.seats == 1


@pytest.mark.parametrize("asked", [True, False])
def test_who_wrote_the_policy_or_runs_the_executor_says_nothing_even_where_nobody_was_asked(asked: bool) -> None:
    """The owner of the target may say how it ended, but not where they wrote what let it through, or run what acted."""
    author = b'metadata: {name: house, version: "1", authors: [owen]}'
    rules = read_policy(re.sub(rb"metadata: .*", author, POLICY, count=1))
    revision = _revision(rules)
    facts = revision.facts.model_copy(update={"target_owner": "user:default/owen", "operators": ("olga",)})
    alone = revision.evaluation.model_copy(update={"chain": None, "excluded": (), "verdict": Verdict.allow})
    let = revision.model_copy(update={"facts": facts} | ({} if asked else {"evaluation": alone}))

    item = unresolved_item(a_proposal(), let, DIGEST, rules, outcome=Outcome.outcome_unknown, at=T0)
    later = amendment_item(a_proposal(), let, DIGEST, rules, outcome=Outcome.succeeded, at=T0, number=1)

    assert item is not None
    assert set(item.people) == set(later.people) == {"ann", "owen", "olga"}


@pytest.mark.parametrize(
    ("owner", "asked"),
    [
        ("group:default/platform", ["platform"]),
        ("Platform Team", []),
        ("group:default/", []),
        ("plattform-süd", []),
        ("x" * 300, []),
        (None, []),
    ],
)
def test_an_owner_that_can_be_no_group_is_nobody_and_keeps_nothing_from_its_end(
    owner: str | None, asked: list[str]
) -> None:
    """An owner is what somebody wrote into a catalog."""
    rules = read_policy(POLICY)
    revision = _revision(rules)
    owned = revision.model_copy(update={"facts": revision.facts.model_copy(update={"target_owner": owner})})

    item = unresolved_item(a_proposal(), owned, DIGEST, rules, outcome=Outcome.outcome_unknown, at=T0)

    assert _groups(item) == ["ops", "dba", *asked]


def test_the_ids_of_items_are_apart() -> None:
    """No statement about one is about the other: their ids and digests differ."""
    rules = read_policy(POLICY)
    revision, ended = _revision(rules), Outcome.succeeded
    items = [
        amendment_item(a_proposal(), revision, DIGEST, rules, outcome=ended, at=T0, number=number) for number in (1, 2)
    ]
    assert (
        len({one.item_id for one in items} | {item_id("p-1", "unresolved")}) == len({one.digest for one in items}) + 1
    )


def test_those_who_agree_settle_it() -> None:
    """Two seats are filled by two who say the same; a third word, or one that was taken back, fills none."""
    both = POLICY + CHAIN.replace(b"[{groups: [sre]}]", b"[{groups: [ops]}, {groups: [dba]}]")
    item = _item(both)
    assert item is not None
    done, undone = (Finding(outcome=AMENDS[item.outcome, found], found=found) for found in (Found.done, Found.undone))
    bob, cleo = a_ballot("bob", "approve", 5, "ops"), a_ballot("cleo", "approve", 6, "dba")
    later = a_ballot("bob", "approve", 7, "ops")
    said = (Said(ballot=bob, finding=done), Said(ballot=cleo, finding=undone))
    assert settled(item, said, at(10)) is None
    assert settled(item, (*said, Said(ballot=later, finding=undone)), at(10)) == undone


def test_every_end_has_a_meaning_for_all_that_can_be_found() -> None:
    """No finding leaves open how the action ended; a failed undo is never made a success."""
    ends = [outcome for outcome in Outcome if outcome.needs_hold]
    assert set(AMENDS) == {(outcome, found) for outcome in ends for found in Found}
    assert Amended.succeeded not in {AMENDS[Outcome.compensation_failed, found] for found in Found}


def _hold(number: int, remedies: str | None = None) -> HoldFact:
    return HoldFact(hold_id=f"h-{number}", target="t", proposal_id=f"p-{number}", reason="", remedies=remedies)


HOLDS = (
    _hold(1),
    _hold(2, "p-1"),
    _hold(3, "p-2"),
    _hold(4),
    HoldFact(hold_id="h-5", target="t", proposal_id=None, reason=""),
)


@pytest.mark.parametrize(
    ("named", "through"),
    [(None, set()), ("p-1", {"h-1"}), ("p-2", {"h-1", "h-2"}), ("p-3", {"h-1", "h-2", "h-3"}), ("p-9", set())],
)
def test_who_repairs_a_repair_repairs_what_that_was_to_repair(named: str | None, through: set[str]) -> None:
    """Naming the newest names all before it; what nobody named, and what nobody left, stands against it."""
    assert remedied(HOLDS, named) == through
    assert {hold.hold_id for hold in unremedied(HOLDS, named)} == {hold.hold_id for hold in HOLDS} - through


def test_two_that_were_to_remedy_each_other_end() -> None:
    """A circle of remedies is walked once."""
    assert remedied((_hold(1, "p-2"), _hold(2, "p-1")), "p-1") == {"h-1", "h-2"}


SCORES = {
    "nothing": ([], None, None),
    "what did nothing": (["not_executed"], None, None),
    "all well": (["succeeded"] * 4, 100, 0.0),
    "as in the docstring": (["succeeded"] * 8 + ["compensated"], 81, 1 / 9),
    "an incident": (["succeeded"] * 4 + ["caused_incident"], 13, 0.2),
    "nobody knows": (["succeeded", "outcome_unknown"], 0, 0.5),
}


@pytest.mark.parametrize(("outcomes", "score", "rate"), SCORES.values(), ids=SCORES)
def test_the_change_score(outcomes: list[str], score: int | None, rate: float | None) -> None:
    """The mean of ServiceNow's points as a share of the best; DORA's failure rate beside it."""
    assert change_score(outcomes) == score
    assert failure_rate(outcomes) == (pytest.approx(rate) if rate is not None else None)
