"""The stand-alone verifier: one file that proves issuer, audience, digest and expiry, and a store for single use."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policy.permit import Direction
from signing.keys import generate
from signing.permits import sign_permit
from tests.unit.permitted import (
    AT,
    EXECUTOR,
    EXECUTOR_FOLDER,
    FORGED,
    GOOD,
    KEY,
    KEYS,
    OLD,
    approval,
    carried,
    claims,
    standing_alone,
)
from tests.unit.signed import ANN, AUDIENCE, BEN, STRANGER, by_key, by_ssh, statement

alone = standing_alone("countersign_permit")
NOW = AT.timestamp() + 10
ANN_TOO, OVER = generate("ann-2"), generate("dan-old")
APPROVERS = {
    "keys": [
        {**ANN.public, "kid": "ann-1", "person": "ann"},
        {**ANN_TOO.public, "kid": "ann-2", "person": "ann"},
        {**BEN.public, "kid": "ben-1"},
        {**OVER.public, "kid": "dan-old", "until": "2029-12-31T00:00:00Z"},
    ]
}


def verifier(**options: Any) -> Any:
    """Verifies for the executor of these tests."""
    return alone.Verifier(KEYS, **{"issuer": AUDIENCE, "executor": EXECUTOR, **options})


def test_it_stands_alone() -> None:
    """It imports the standard library and joserfc, and nothing of ours."""
    tree = ast.parse((EXECUTOR_FOLDER / "countersign_permit.py").read_text())
    names = {item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"joserfc"}


@pytest.mark.parametrize("key", [KEY, OLD], ids=lambda key: key.id)
def test_a_good_permit_says_what_may_be_done(key: Any) -> None:
    """What the permit role signed verifies here, and gives the order."""
    permit = verifier().verify(sign_permit(claims(), key), now=NOW)

    assert (permit.id, permit.operation, permit.resolved) == (
        claims()["jti"],
        "orders.refund",
        ("orders/7", "orders/ü"),
    )
    assert permit.order == {
        "permit_id": claims()["jti"],
        "operation": "orders.refund",
        "direction": "do",
        "resolved": ["orders/7", "orders/ü"],
        "environment": "production",
        "parameters": {"amount": "12.50", "to": {"iban": "DE02"}},
        "criteria": [],
        "timeout_seconds": 30,
        "dry_run": False,
    }


@pytest.mark.parametrize(("_", "code", "forge"), FORGED.values(), ids=FORGED)
def test_what_no_believed_key_signed_is_no_permit(_: str, code: str, forge: Callable[[], str]) -> None:
    """Whatever our executors refuse, it refuses, too."""
    with pytest.raises(alone.PermitError) as refused:
        verifier().verify(forge(), now=NOW)

    assert refused.value.code == code, str(refused.value)


REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "for another executor": ("wrong_audience", {"aud": "countersign/prod/payroll"}, {}),
    "for all executors": ("wrong_audience", {"aud": ["countersign/prod/billing"]}, {}),
    "of another installation": ("wrong_audience", {"iss": "countersign/test", "aud": "countersign/test/billing"}, {}),
    "without an audience": ("wrong_audience", {"aud": None}, {}),
    "of another action": ("wrong_action", {}, {"action_digest": "sha256:" + "1" * 64}),
    "expired": ("expired", {}, {"now": claims()["exp"]}),
    "without an expiry": ("expired", {"exp": None}, {}),
    "with an expiry that is none": ("expired", {"exp": "never"}, {}),
    "before its time": ("not_yet", {}, {"now": claims()["nbf"] - 61}),
    "without a beginning": ("malformed", {"nbf": None}, {}),
    "with other ids than its digest says": ("malformed", {"resolved": ["orders/8"]}, {}),
    "without ids": ("malformed", {"resolved": []}, {}),
    "without an operation": ("malformed", {"operation": None}, {}),
    "claimed only": ("assurance_not_accepted", {"assurance": "claimed"}, {}),
    "without an assurance": ("malformed", {"assurance": None}, {}),
}


@pytest.mark.parametrize(("code", "change", "options"), REFUSED.values(), ids=REFUSED)
def test_a_permit_that_is_not_for_this_is_refused(code: str, change: dict[str, Any], options: dict[str, Any]) -> None:
    """Signed by the right key, and yet not for this executor, this action or this moment."""
    with pytest.raises(alone.PermitError) as refused:
        verifier().verify(sign_permit(claims(**change), KEY), **{"now": NOW, **options})

    assert refused.value.code == code, str(refused.value)


def test_clocks_may_differ_by_a_minute() -> None:
    """A clock that is a little behind refuses nothing; what has expired has no grace."""
    assert verifier().verify(GOOD, now=claims()["nbf"] - 59)
    assert verifier().verify(GOOD, now=claims()["exp"] - 1)


def test_an_undo_holds_for_ever() -> None:
    """Also long after its key was replaced by another."""
    assert verifier().verify(sign_permit(claims(Direction.undo), OLD), now=NOW + 10**9).direction == "undo"


def test_claimed_identities_are_enough_where_that_is_asked_for() -> None:
    """For tests and demonstrations."""
    assert verifier(accepts_claimed=True).verify(sign_permit(claims(assurance="claimed"), KEY), now=NOW)


APPROVED: dict[str, tuple[bool, list[dict[str, Any]], int]] = {
    "one approver": (True, [approval()], 1),
    "two approvers": (True, [approval(), carried(by_key(statement(decision_id="d-2"), BEN))], 2),
    "one approver twice": (False, [approval(), approval(decision_id="d-2")], 2),
    "one approver with two keys": (
        False,
        [approval(), carried(by_key(statement(decision_id="d-2"), ANN_TOO))],
        2,
    ),
    "a key whose time is over": (False, [carried(by_key(statement(), OVER))], 1),
    "nobody": (False, [], 1),
    "somebody whom nobody knows": (False, [carried(by_key(statement(), STRANGER))], 1),
    "a denial": (False, [approval(vote="deny")], 1),
    "of another action": (False, [approval(action_digest="sha256:" + "1" * 64)], 1),
    "of another proposal": (False, [approval(proposal_id="p-2")], 1),
    "for another installation": (False, [approval(audience="countersign/test")], 1),
    "edited": (False, [{**approval(), "signed": approval(vote="deny")["signed"]}], 1),
    "claimed": (False, [carried({**statement(), "proof": {"kind": "claimed", "identity": "ann"}})], 1),
    "in another way than by a key": (False, [carried(by_ssh(statement()))], 1),
    "malformed": (False, [{"signed": "x"}], 1),
}


@pytest.mark.parametrize("tier", ["high", "critical"])
@pytest.mark.parametrize(("good", "approvals", "least"), APPROVED.values(), ids=APPROVED)
def test_what_is_high_carries_approvals_that_hold(
    good: bool, approvals: list[dict[str, Any]], least: int, tier: str
) -> None:
    """Where the approvers' keys are given, so many of them must have signed that they approve this action."""
    token = sign_permit(claims(risk_tier=tier, approvals=approvals), KEY)
    strict = verifier(approvers=APPROVERS, least_approvals=least)

    if good:
        assert strict.verify(token, now=NOW)
        return
    with pytest.raises(alone.PermitError):
        strict.verify(token, now=NOW)


def test_what_is_low_needs_no_approval_of_its_own() -> None:
    """A policy may allow it without asking anybody."""
    assert verifier(approvers=APPROVERS).verify(GOOD, now=NOW)


def test_a_permit_is_used_once(tmp_path: Path) -> None:
    """The same attempt may take it again, another one may not, and the store remembers it over a restart."""
    permit = verifier().verify(GOOD, now=NOW)
    alone.SqliteStore(tmp_path / "used.db").claim(permit, "one")
    alone.SqliteStore(tmp_path / "used.db").claim(permit, "one")

    with pytest.raises(alone.PermitError, match="reused"):
        alone.SqliteStore(tmp_path / "used.db").claim(permit, "another")


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    """One kid is one key."""
    with pytest.raises(ValueError, match="occurs twice"):
        alone.Verifier({"keys": [KEYS["keys"][0], KEYS["keys"][0]]}, issuer=AUDIENCE, executor=EXECUTOR)


TARGETS = [{"id": name, "resource": "orders/7", "version": None} for name in ("a", "b")]
NAMED: dict[str, tuple[Any, list[str]]] = {
    "what the step touched": ({"resolved": ["orders/7"], "targets": TARGETS[:1]}, ["a"]),
    "more than was permitted": ({"resolved": ["orders/7", "x"], "targets": [*TARGETS[1:], {"id": "c"}, 3]}, ["b"]),
    "nothing said": (None, ["a", "b"]),
    "half of it said": ({"targets": TARGETS[:1]}, ["a", "b"]),
}


@pytest.mark.parametrize(("order", "left"), NAMED.values(), ids=NAMED)
def test_an_undo_is_for_what_its_order_names_of_the_permitted(order: Any, left: list[str]) -> None:
    undo, do = (
        verifier().verify(sign_permit(claims(way, targets=TARGETS), KEY), now=NOW) for way in reversed(Direction)
    )

    assert [item["id"] for item in undo.within(order).order["targets"]] == left
    assert undo.within(order).key == undo.key
    assert do.within(order) == do


def test_an_undo_of_nothing_that_was_permitted_is_refused() -> None:
    undo = verifier().verify(sign_permit(claims(Direction.undo, targets=TARGETS), KEY), now=NOW)

    orders: list[Any] = [{"resolved": [], "targets": []}, {"resolved": ["orders/7"], "targets": [{"id": "c"}]}]
    for order in orders:
        with pytest.raises(alone.PermitError, match="nothing_permitted"):
            undo.within(order)


def test_targets_taken_one_at_a_time_have_numbers_in_the_ids_of_their_runs() -> None:
    """Whatever they are called: `a` in two resources, or a name with a slash."""
    permit = verifier().verify(sign_permit(claims(targets=TARGETS, one_by_one=True), KEY), now=NOW)

    runs = [permit.of_run(f"permit/{permit.id}.{number}") for number in (1, 2)]

    assert [[item["id"] for item in run.order["targets"]] for run in runs] == [["a"], ["b"]]
    assert [run.key for run in runs] == [f"{permit.id}.1", f"{permit.id}.2"]
    for other in (permit.id, f"{permit.id}.3", f"{permit.id}.0", f"{permit.id}/a"):
        with pytest.raises(alone.PermitError, match="wrong_id"):
            permit.of_run(f"permit/{other}")
