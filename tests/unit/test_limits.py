"""Limits: what each cap counts, what nobody knows, and what an operation requires of its proposals."""

from datetime import timedelta
from typing import Any

import pytest

from policy.document import Verdict
from policy.errors import DocumentError
from policy.observed import UndoProof
from policy.operations import Caps, RegisteredOperation
from tests.unit.asking import ask, policy_text, policy_with
from tests.unit.builders import POLICY, T0, a_policy, a_proposal, a_registry, facts_of, step_json

_TWO = {"steps": [step_json(), step_json(name="again")]}
_PROD = "match: {environments: [production]}"
_EIGHT = tuple(f"pg-{number}" for number in range(8))


def _made(**ago: float) -> dict[str, str]:
    return {"produced_at": (T0 - timedelta(**ago)).isoformat().replace("+00:00", "Z")}


# name: the limit, facts, changes of the proposal; what the reason says, or None where it holds
LIMITS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str | None]] = {
    "as many ids as are allowed": ("max_resolved: 8", {"resolved_ids": _EIGHT}, {}, None),
    "one more": ("max_resolved: 7", {"resolved_ids": _EIGHT}, {}, "the target resolves to 8, 7 at once are the most"),
    "the whole share": ("max_share: 0.5", {"units_touched": 4.0, "units_total": 8.0}, {}, None),
    "more than the share": ("max_share: 0.5", {"units_touched": 5.0, "units_total": 8.0}, {}, "62% of the target's"),
    "units that nobody counts": ("max_share: 1.0", {"units_total": 8.0}, {}, "nobody knows how much of the target's"),
    "a capacity that nobody wrote down": ("max_share: 1.0", {"units_touched": 1.0}, {}, "nobody knows how much"),
    "a capacity of nothing": ("max_share: 1.0", {"units_touched": 1.0, "units_total": 0.0}, {}, "nobody knows"),
    "one failure domain": ("max_failure_domains: 1", {"failure_domains": ("a",)}, {}, None),
    "two of them": ("max_failure_domains: 1", {"failure_domains": ("a", "b")}, {}, "it is in 2 failure domains (a, b)"),
    "failure domains that nobody knows": ("max_failure_domains: 1", {}, {}, "nobody knows in which failure domains"),
    "the last one of the hour": (
        "max_per_hour: 3, match: {operations: [pg.set]}",
        {"last_hour": {"pg.set": 2, "pg.drop": 50}},
        {},
        None,
    ),
    "one more than an hour takes": (
        "max_per_hour: 3, match: {operations: [pg.set]}",
        {"last_hour": {"pg.set": 2}},
        _TWO,
        "2 of these ran in the last hour and 2 are asked for, 3 are the most",
    ),
    "one of several operations": (
        "max_per_hour: 3, match: {operations: [pg.set, pg.drop, pg.reset]}",
        {"last_hour": {"pg.set": 2, "pg.reset": 1, "pg.drop": 9}},
        {},
        "12 of these ran in the last hour and 1 are asked for",
    ),
    "an hour of another operation that it lists": (
        "max_per_hour: 3, match: {operations: [pg.set, pg.drop]}",
        {"last_hour": {"pg.drop": 3}},
        {},
        "3 of these ran in the last hour and 1 are asked for",
    ),
    "an hour of everything": ("max_per_hour: 3", {"last_hour": {"pg.drop": 3}}, {}, "3 of these ran in the last hour"),
    "an hour of what has an effect": (
        "max_per_hour: 3, match: {effects: [performance]}",
        {"last_hour": {"pg.drop": 3}},
        {},
        None,
    ),
    "an hour of an undo that is not proposed as a step": (
        "max_per_hour: 1, match: {operations: [pg.reset]}",
        {"last_hour": {"pg.reset": 9}},
        {},
        None,
    ),
    "a plan of now": ("max_plan_age: 30m", {}, _made(minutes=30), None),
    "an old plan": (
        "max_plan_age: 30m",
        {},
        _made(minutes=30, seconds=1),
        "the plan is 30 minutes old, 30m is the most",
    ),
    "a plan without a date": ("max_plan_age: 30m", {}, {}, "nobody knows how old the plan is: give produced_at"),
    "a plan of a clock that is ahead": ("max_plan_age: 30m", {}, _made(seconds=-60), None),
    "a plan of tomorrow": (
        "max_plan_age: 30m",
        {},
        _made(days=-1),
        "made at 2030-01-02T09:00:00Z, which is yet to come",
    ),
    "a cap for others": (f"max_resolved: 7, {_PROD[:-11]}staging]}}", {"resolved_ids": _EIGHT}, {}, None),
    "a condition that does not hold": ("max_resolved: 7, when: risk.score > 100", {"resolved_ids": _EIGHT}, {}, None),
    "a condition that holds": ("when: resolved.count > 7", {"resolved_ids": _EIGHT}, {}, "enough"),
    "a condition without an answer": (
        "when: resolved.share > 0.5",
        {},
        {},
        "`resolved.share > 0.5` has no answer: ",
    ),
    "a condition about the undo": ("when: operation.is_undo", {}, {}, "enough"),
}


@pytest.mark.parametrize(("limit", "facts", "changes", "says"), LIMITS.values(), ids=LIMITS)
def test_limits(limit: str, facts: dict[str, Any], changes: dict[str, Any], says: str | None) -> None:
    """A limit that is crossed denies with a sentence; one whose fact is unknown is crossed."""
    policy = a_policy(
        policy_text().replace(b"limits:\n", f"limits:\n  - {{id: cap, reason: enough, {limit}}}\n".encode())
    )
    found = ask(policy, facts=facts, **changes)

    if says is None:
        assert found.verdict is Verdict.require_approval, found.reasons
    else:
        assert (found.verdict, found.decided_by) == (Verdict.deny, "cap")
        assert says in found.reasons[0].message
        assert found.reasons[0].message.startswith("cap: ")


def test_nothing_lifts_a_limit() -> None:
    """No exception, no emergency and no allowing rule gets past a limit."""
    more = (
        "exceptions: [{id: all, match: {environments: [production]}, lifts: [free], approved_by: [dora], reason: so,"
        " granted_at: 2029-12-31T00:00:00Z, expires_at: 2030-01-02T00:00:00Z}]\n"
        "break_glass: [{id: outage, match: {environments: [production]}, chain: one, review_within: 1d}]\n"
    )
    policy = policy_with(f"- {{id: free, {_PROD}, verdict: allow}}", more=more)
    drop: dict[str, Any] = {
        "operation": "pg.drop",
        "steps": [step_json("pg.drop", undo=None)],
        "change_type": "emergency",
    }

    assert ask(policy, **drop).decided_by == "no-drop"


CAPS: dict[str, tuple[Caps, dict[str, Any], dict[str, Any], str | None]] = {
    "none": (Caps(), {"resolved_ids": _EIGHT}, {}, None),
    "ids": (Caps(resolved=7), {"resolved_ids": _EIGHT}, {}, "pg.set: the target resolves to 8"),
    "share": (Caps(share=0.5), {}, {}, "pg.set: nobody knows how much"),
    "failure domains": (Caps(failure_domains=1), {"failure_domains": ("a", "b")}, {}, "pg.set: it is in 2"),
    "an hour": (Caps(per_hour=2), {"last_hour": {"pg.set": 2}}, {}, "pg.set: 2 of these ran"),
    "an hour of another operation": (Caps(per_hour=2), {"last_hour": {"pg.reset": 2}}, {}, None),
    "age": (Caps(max_age_seconds=60), {}, _made(seconds=61), "pg.set: the plan is 1 minutes old, 1m is the most"),
}


@pytest.mark.parametrize(("caps", "facts", "changes", "says"), CAPS.values(), ids=CAPS)
def test_caps_of_the_registry(caps: Caps, facts: dict[str, Any], changes: dict[str, Any], says: str | None) -> None:
    """What an operation's own entry caps is a limit of every policy."""
    found = ask(policy_with(), facts={**facts, "operations": _operations(caps=caps)}, **changes)

    if says is None:
        assert found.verdict is Verdict.require_approval, found.reasons
    else:
        assert (found.verdict, found.decided_by, found.decided_in) == (Verdict.deny, "pg.set", "operations registry")
        assert says in found.reasons[0].message


def _operations(**changes: Any) -> dict[str, RegisteredOperation]:
    """The operations of the small world, with pg.set changed."""
    known = {name: item for name in ("pg.set", "pg.reset") if (item := a_registry().find(name)) is not None}
    return {**known, "pg.set": known["pg.set"].model_copy(update=changes)}


_PROOF = UndoProof(operation="pg.set", kind="dry_run", at=T0, direction="do")
REQUIRED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str | None]] = {
    "evidence": ("evidence", {}, {}, "pg.set requires evidence: the proposal points to none"),
    "evidence that is there": ("evidence", {}, {"evidence": [{"kind": "graph", "text": "up"}]}, None),
    "an undo": ("undo", {}, {"steps": [step_json(undo=None)]}, "pg.set requires undo: step set has none"),
    "an undo that is there": ("undo", {}, {}, None),
    "a dry run": ("dry_run", {}, {}, "pg.set requires dry_run: none of it on this target is on record"),
    "a dry run that is on record": ("dry_run", {"undo_proofs": (_PROOF,)}, {}, None),
    "an undo is no dry run": (
        "dry_run",
        {"undo_proofs": (_PROOF.model_copy(update={"kind": "undone"}),)},
        {},
        "pg.set requires dry_run",
    ),
    "a dry run itself": ("dry_run", {}, {"dry_run": True}, None),
    "expected targets": ("expected_targets", {}, {}, "pg.set requires expected_targets"),
    "expected targets that are there": ("expected_targets", {}, {"expected_targets": ["pg-orders"]}, None),
    "a date": ("produced_at", {}, {}, "pg.set requires produced_at"),
    "a date that is there": ("produced_at", {}, _made(days=400), None),
}


@pytest.mark.parametrize(("what", "facts", "changes", "says"), REQUIRED.values(), ids=REQUIRED)
def test_what_an_operation_requires(
    what: str, facts: dict[str, Any], changes: dict[str, Any], says: str | None
) -> None:
    """A proposal without what its operation requires is denied, and told what is missing."""
    found = ask(policy_with(), facts={**facts, "operations": _operations(required=(what,))}, **changes)

    assert found.verdict is (Verdict.require_approval if says is None else Verdict.deny), found.reasons
    if says is not None:
        assert [reason.code for reason in found.reasons] == [f"missing_{what}"]
        assert says in found.reasons[0].message


TARGETS: dict[str, tuple[list[str], bool]] = {
    "what it resolves to": (["pg-orders"], True),
    "the same one twice": (["pg-orders", "pg-orders"], True),
    "something else": (["pg-shop"], False),
    "something more": (["pg-orders", "pg-shop"], False),
}


@pytest.mark.parametrize(("expected", "fits"), TARGETS.values(), ids=TARGETS)
def test_expected_targets(expected: list[str], fits: bool) -> None:
    """A proposer who believes that the target is something else is denied, and shown both."""
    found = ask(policy_with(), expected_targets=expected)

    assert (found.verdict is not Verdict.deny) is fits
    if not fits:
        assert found.reasons[0].code == "target_mismatch"
        assert found.reasons[0].message.endswith("the target resolves to pg-orders")


def test_many_expected_targets_are_shown_in_short() -> None:
    """A thousand ids do not make a reason that nobody reads."""
    found = ask(policy_with(), expected_targets=[f"pg-{number:04}" for number in range(1000)])

    assert "pg-0000, pg-0001, pg-0002, pg-0003, pg-0004 and 995 more" in found.reasons[0].message


def test_a_limit_of_nothing_is_refused() -> None:
    """A limit without match, condition and cap would deny everything."""
    with pytest.raises(DocumentError, match="limit all: give it match, when or a cap"):
        a_policy(POLICY.replace(b"limits:\n", b"limits:\n  - {id: all, reason: so}\n"))


def test_the_facts_of_the_small_world_cross_no_limit() -> None:
    """What the tables above change is what decides them."""
    assert facts_of(a_proposal()).resolved == ("pg-orders",)
    assert ask(policy_with()).verdict is Verdict.require_approval
