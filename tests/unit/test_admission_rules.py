"""Who is admitted before anybody is asked: what counts together, how much, and what is checked of it afterwards."""

from typing import Any

import pytest

from policy.admission import KEPT, check_refused, effect_scopes, is_listed, limits_of, place_scopes, refusals
from policy.checks.effective import effective
from policy.checks.policy_diff import diff
from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.outcome import Outcome
from policy.proposal import ReceivedProposal, receive
from policy.result import next_action
from policy.revision import DocumentDigests, Revision, assess_revision
from policy.rollback import Rollback
from policy.rules.admission import AdmissionLimit, Counted, exceeded
from tests.unit.builders import POLICY, T0, facts_of, proposal_json, step_json

FIVE = AdmissionLimit(id="five", per="agent", max_pending=5, max_per_hour=10, reason="nobody reads more")
DOCUMENTS = DocumentDigests(policy="p", operations="o", catalog="c", directory="d")
_PER_OWNER = "admission:\n  - {id: owners, per: owner_group, max_pending: 2}\n"
_SETTINGS = "admission:\n  - {id: settings-only, per: target, match: {operations: [pg.set]}, max_per_hour: 3}\n"

# name: pending, in the last hour, what is said of it; nothing where it is admitted
COUNTS: dict[str, tuple[int, int, list[str]]] = {
    "the first": (0, 0, []),
    "the last that there is room for": (4, 9, []),
    "one more than may wait": (
        5,
        5,
        ["five: 5 of agent tuner wait or are under way, 5 are the most; nobody reads more"],
    ),
    "one more than an hour takes": (0, 10, ["five: 10 of agent tuner were asked in an hour, 10 are the most"]),
    "both": (7, 12, ["7 of agent tuner wait", "12 of agent tuner were asked"]),
}
# name: what another proposal changes, whether it asks for the same
SAME: dict[str, tuple[dict[str, Any], bool]] = {
    "another id and story": ({"proposal_id": "p-2", "rationale": "because"}, True),
    "another agent for another person": ({"agent": {"id": "other"}, "on_behalf_of": "bob"}, True),
    "another spelling of the target": ({"target": "component:default/orders"}, True),
    "another target": ({"target": "shop"}, False),
    "another parameter": ({"steps": [step_json(parameters={"name": "work_mem", "value": "9MB"})]}, False),
    "a dry run": ({"dry_run": True}, False),
    "what the record does not know as a rollback": ({"undoes": "p-0"}, True),
}


def policy(more: str = "") -> PolicySet:
    return read_policy(POLICY.replace(b"limits:", more.encode() + b"limits:", 1))


def assessed(**changes: Any) -> tuple[ReceivedProposal, Revision]:
    received = receive(proposal_json(**changes))
    facts = facts_of(received.proposal)
    args: dict[str, Any] = {"revision": 1, "assessed_at": T0, "absolute_deadline": T0}
    return received, assess_revision(received, facts, policy(), DOCUMENTS, **args)


def entry(**changes: Any) -> dict[str, Any]:
    """The content of a refusal by the limit of owners."""
    counted = Counted(id="owners", scope="owner_group team-orders", pending=2, last_hour=2)
    limits = {item.id: item for item in policy(_PER_OWNER).documents[0].admission}
    reasons = refusals(limits, [counted], None)
    content = {"counted": [counted.model_dump(mode="json")], "see": None, "number": 1}
    return {**content, "reasons": [reason.model_dump(mode="json") for reason in reasons], **changes}


@pytest.mark.parametrize("case", COUNTS)
def test_how_much_is_admitted(case: str) -> None:
    """What waits and what was asked in an hour are two bounds; the reason names the limit, the number and why."""
    pending, last_hour, said = COUNTS[case]
    found = exceeded(FIVE, Counted(id="five", scope="agent tuner", pending=pending, last_hour=last_hour))
    assert len(found) == len(said)
    assert all(text in reason.message for text, reason in zip(said, found, strict=True))
    assert {reason.code for reason in found} <= {"admission_limit"}


@pytest.mark.parametrize("case", SAME)
def test_what_asks_for_the_same(case: str) -> None:
    """The effect counts, not who asks for it, why, or under which id; and a dry run is none."""
    changes, same = SAME[case]
    assert (effect_scopes(*assessed()) == effect_scopes(*assessed(**changes))) is same


@pytest.mark.parametrize(("rollback", "same"), [({"verified": True}, False), ({}, False), ({"violation": True}, True)])
def test_a_rollback_stands_apart_where_the_record_agrees(rollback: dict[str, Any], same: bool) -> None:
    """A true rollback is no repetition, window or not; a label that the record contradicts sets nothing apart."""
    received, revision = assessed()
    label = Rollback(undoes="p-0", **{"verified": False, **rollback})
    labelled = revision.model_copy(update={"evaluation": revision.evaluation.model_copy(update={"rollback": label})})
    assert (effect_scopes(received, labelled) == effect_scopes(received, revision)) is same


def test_an_emergency_by_break_glass_does_not_wait_for_the_usual_chain() -> None:
    """The same effect, asked of other people because it is urgent, is asked for apart."""
    received, revision = assessed()
    urgent = revision.model_copy(update={"evaluation": revision.evaluation.model_copy(update={"break_glass": "fire"})})
    assert effect_scopes(received, revision) != effect_scopes(received, urgent)


def test_each_limit_counts_from_its_own_place() -> None:
    """A limit without match counts all of its place, one with a match only what it covers; others do not speak."""
    found = list(limits_of(policy(_PER_OWNER + _SETTINGS.removeprefix("admission:\n")), *assessed()))
    assert [(limit.id, scope) for limit, scope in found] == [
        ("owners", "owner_group team-orders"),
        ("settings-only", "target component:default/orders by settings-only"),
    ]
    ending = assessed(operation="pg.end_session", steps=[step_json("pg.end_session", undo=None, parameters={"pid": 1})])
    assert list(limits_of(policy(_SETTINGS), *ending)) == []


def test_a_target_that_nobody_owns_is_counted_all_the_same() -> None:
    """Whatever has no owner counts together, and a dry run with dry runs."""
    assert place_scopes(*assessed(target="shop"))["owner_group"] == "owner_group nobody"
    assert place_scopes(*assessed(dry_run=True))["agent"] == "dry-run agent tuner"


def test_the_first_are_listed_and_then_every_power_of_two() -> None:
    """A thousand refusals of an hour are a few entries."""
    assert [number for number in range(1, 1001) if is_listed(number)] == [*range(1, KEPT + 1), 32, 64, 128, 256, 512]


# name: what an entry says instead, what is found
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another reason": ({"reasons": []}, "reasons: recorded as []"),
    "nothing against it": (
        {"counted": [{"id": "owners", "scope": "x", "pending": 1, "last_hour": 1}], "reasons": []},
        "nothing speaks against this start",
    ),
    "a limit that the policy has not": (
        {"counted": [{"id": "none", "scope": "x", "pending": 9, "last_hour": 1}]},
        "the policy has no admission limit none",
    ),
    "another effect without saying so": ({"see": "p-9"}, "computed as [{'code': 'same_effect_pending'"),
    "a number that is not listed": ({"number": 33}, "refusal 33 within an hour is not one that is listed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_entry_of_a_refusal_is_computed_again(case: str) -> None:
    """What is kept of a refusal is checked against the policy that it names."""
    assert check_refused(policy(_PER_OWNER), entry()) == []
    changes, said = WRONG[case]
    assert any(said in item for item in check_refused(policy(_PER_OWNER), entry(**changes)))


def test_a_platform_is_told_to_await_the_other() -> None:
    """With another action to wait for, proposing anew is no use."""
    assert next_action("refused", Outcome.not_executed, (), "p-1") == "await_other"
    assert next_action("refused", Outcome.not_executed) == "propose_anew"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("admission:\n  - {id: empty, per: agent}\n", "give it max_pending, max_per_hour or both"),
        ("admission:\n  - {id: none, per: agent, max_pending: 0}\n", "greater than or equal to 1"),
        ("admission:\n  - {id: who, per: person, max_pending: 1}\n", "per"),
        ("admission:\n  - {id: settings, per: agent, max_pending: 1}\n", "id settings is used twice"),
        ("admission:\n  - {id: all, per: agent, match: {}, max_pending: 1}\n", "match is empty"),
    ],
)
def test_what_is_no_admission_limit(text: str, said: str) -> None:
    """A limit that limits nothing, counts what nobody counts, or has somebody else's id is refused."""
    with pytest.raises(DocumentError, match=said):
        policy(text)


def test_a_difference_in_admission_is_said() -> None:
    """Two policies that admit different numbers differ in meaning, and more limits are stricter."""
    found = diff(policy(), policy(_PER_OWNER), now=T0).changes
    assert found
    assert all("admission max_pending 2 per owner_group" in change.after for change in found)
    assert {change.direction for change in found} == {"stricter"}


def test_admission_is_in_effect() -> None:
    """What a policy admits is listed with its other limits, where it can speak of what is asked about."""
    shown = [item for item in effective(policy(_SETTINGS), T0) if item.what == "admission"]
    assert [(item.id, item.says) for item in shown] == [("settings-only", "3 an hour per target")]
    assert not [item for item in effective(policy(_SETTINGS), T0, operation="pg.drop") if item.what == "admission"]
