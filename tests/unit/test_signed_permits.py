"""Signed permits: what they claim, by which keys they are believed, and what is no permit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from policy.base import instant_text
from policy.permit import Direction, Permit
from policy.permit_claims import approvals_of, claims_of, differing, permit_claims
from policy.proofs import Assurance
from signing.jws import sign
from signing.permits import PermitKeys, PermitRefusedError, sign_permit, verify_permit
from tests.unit.builders import a_ballot, at
from tests.unit.permitted import AT, FORGED, GOOD, KEY, KEYS, OLD, claims, grounds, permit
from tests.unit.signed import AUDIENCE, statement

BELIEVED = PermitKeys.read_value(KEYS)


def test_a_permit_says_everything_that_an_executor_needs() -> None:
    """The claims of the specification, and none that a registered name says already."""
    assert claims_of(permit(), grounds(resolved_at=AT - timedelta(hours=1), approvals=({"signed": "x"},))) == {
        "iss": "countersign/prod",
        "aud": "countersign/prod/billing",
        "jti": permit().permit_id,
        "iat": 1893499200,
        "nbf": 1893499200,
        "exp": 1893499500,
        "proposal_id": "p-1",
        "revision": 1,
        "step": 1,
        "direction": "do",
        "operation": "orders.refund",
        "parameters": {"amount": "12.50", "to": {"iban": "DE02"}},
        "environment": "production",
        "resolved": ["orders/7", "orders/ü"],
        "criteria": [],
        "timeout_seconds": 30,
        **{name: getattr(permit(), name) for name in ("action_digest", "assessment_digest", "policy_digest")},
        "resolved_digest": permit().resolved_digest,
        "assurance": "aal1",
        "dry_run": False,
        "risk_tier": "low",
        "resolution": {"kind": "approved", "verdict": "require_approval", "at": "2030-01-01T11:00:00Z"},
        "run_id": "run-1",
        "approvals": [{"signed": "x"}],
    }


def test_an_undo_has_no_expiry() -> None:
    """Compensation never waits; what was signed for it holds for ever."""
    assert "exp" not in permit_claims(permit(Direction.undo), AUDIENCE)


def test_a_signed_permit_never_lasts_longer_than_its_row() -> None:
    """Parts of a second are cut off."""
    said = permit_claims(permit(expires_at=AT + timedelta(seconds=9, microseconds=999_999)), AUDIENCE)

    assert said["exp"] == 1893499209


@pytest.mark.parametrize("key", [KEY, OLD], ids=lambda key: key.id)
def test_two_keys_sign_while_one_takes_over(key: Any) -> None:
    """Both are believed in the time of each, and what the old one signed is believed after it."""
    assert verify_permit(sign_permit(claims(), key), BELIEVED) == claims()


@pytest.mark.parametrize(("code", "_", "forge"), FORGED.values(), ids=FORGED)
def test_what_no_believed_key_signed_is_no_permit(code: str, _: str, forge: Callable[[], str]) -> None:
    """Each is refused with a code, whatever its header asks for."""
    with pytest.raises(PermitRefusedError) as refused:
        verify_permit(forge(), BELIEVED)

    assert refused.value.code == code, str(refused.value)


def test_what_is_not_in_its_canonical_form_is_no_permit() -> None:
    """Two texts of one value would be two permits."""
    with pytest.raises(PermitRefusedError, match="not in canonical form"):
        verify_permit(sign(b'{ "iat": 1893499200}', KEY, "countersign-permit+jws"), BELIEVED)


CHANGES: dict[str, dict[str, Any]] = {
    "aud": {"executor": "another"},
    "operation": {"operation": "orders.delete"},
    "parameters": {"parameters": {"amount": "99.00"}},
    "environment": {"environment": "test"},
    "resolved": {"resolved": ("orders/8",)},
    "timeout_seconds": {"timeout_seconds": 31},
    "assurance": {"assurance": Assurance.aal3},
    "dry_run": {"dry_run": True},
    "exp": {"expires_at": AT + timedelta(days=1)},
    "jti": {"permit_id": "another"},
}


@pytest.mark.parametrize(("named", "change"), CHANGES.items(), ids=CHANGES)
def test_what_differs_from_the_stored_permit_is_named(named: str, change: dict[str, Any]) -> None:
    """A row that was edited does not say what was signed."""
    said = verify_permit(GOOD, BELIEVED)

    assert differing(said, permit(), AUDIENCE) == []
    assert differing(said, permit(**change), AUDIENCE) == [named]


def test_a_permit_that_loses_its_expiry_is_another() -> None:
    """A forward permit without `exp` is not the stored one, and neither is an undo with one."""
    assert differing(claims(exp=None), permit(), AUDIENCE) == ["exp"]
    assert differing(claims(Direction.undo, exp=1), permit(Direction.undo), AUDIENCE) == ["exp"]


def test_the_signature_is_no_part_of_the_permit() -> None:
    """Neither its stored bytes nor a repr have it; what was recorded before is the same."""
    signed = permit(signed=GOOD)

    assert "signed" not in signed.model_dump(mode="json")
    assert GOOD not in repr(signed)
    assert Permit.model_validate(signed.model_dump(mode="json")) == permit()


def test_an_approval_that_a_revision_kept_is_dated_as_it_was_seen() -> None:
    """A kept ballot is dated anew; a token that has expired by then still verifies at its own instant."""
    said = {**statement(), "proof": {"kind": "claimed", "identity": "ann"}}
    kept = a_ballot("ann", "approve", 90).model_copy(update={"decision_id": "d-1", "kept_from": 1})
    (carried,) = approvals_of([kept], {"d-1": (said, at(1))})
    assert carried["seen_at"] == instant_text(at(1))
