"""What the proof of a delegation shows, and what one without gives: to a signed vote nothing."""

import json
from typing import Any

import pytest

from policy.errors import DocumentError
from policy.people.delegation import acting
from policy.people.directory import Directory, read_directory
from policy.people.entries import Delegation
from policy.people.facts import PersonFacts
from policy.proofs import Assurance, Domain, signed_bytes
from signing.delegations import read_proved_directory
from signing.jws import key_proof
from signing.keys import SigningKey
from tests.unit.signed import ANN, AUDIENCE, BEN, CAROL, NOW, STRANGER, directory, ssh_signed

TERMS: dict[str, Any] = {
    "id": "ann-ben",
    "delegator": "ann",
    "delegate": "ben",
    "since": "2030-01-01T00:00:00Z",
    "until": "2030-01-20T00:00:00Z",
    "groups": ["ops"],
    "tiers": ["low", "high"],
    "reason": "on leave",
    "issued_at": "2029-12-31T09:30:00.5Z",
}


def _statement(audience: str | None = AUDIENCE, **changes: Any) -> dict[str, Any]:
    return Delegation.model_validate_json(json.dumps({**TERMS, **changes})).statement(audience)


def _by(key: SigningKey = ANN, domain: Domain = Domain.delegation, **changes: Any) -> dict[str, Any]:
    """A proof of these terms, or of others."""
    audience = changes.pop("audience", AUDIENCE)
    return key_proof(_statement(audience, **changes), key, domain)


def _with(*delegations: dict[str, Any], **changes: Any) -> Directory:
    value = directory().model_dump(mode="json", by_alias=True, exclude_none=True)
    return read_proved_directory(json.dumps({**value, "delegations": delegations, **changes}).encode())


def _acts(found: Directory, *, signed: bool = True) -> PersonFacts | str:
    return acting(found, "ben", "ann", NOW, environment="production", tier="high", conditions=(), signed=signed)


def test_what_is_signed_is_every_field_and_the_audience() -> None:
    """As in docs/spec/decision.md: instants in UTC with a Z, what is not given left out."""
    assert _statement() == {**TERMS, "issued_at": "2029-12-31T09:30:00.500000Z", "audience": AUDIENCE}


def test_a_signed_delegation_counts_for_a_signed_vote() -> None:
    """It gives what the delegator holds, and says how strongly that is shown."""
    found = _acts(_with({**TERMS, "proof": _by()}))
    assert isinstance(found, PersonFacts)
    assert (found.person_id, found.delegator, found.delegated) == ("ben", "ann", Assurance.aal1)


def test_a_delegation_signed_by_ssh_counts() -> None:
    """An SSH signature for the namespace of delegations, made by OpenSSH."""
    proof = ssh_signed(signed_bytes(Domain.delegation, _statement()), "ann", Domain.delegation.ssh_namespace)
    assert isinstance(_acts(_with({**TERMS, "proof": proof})), PersonFacts)


# the entry in the directory, and why it gives a signed vote nothing
GIVES_NOTHING: dict[str, tuple[dict[str, Any], str]] = {
    "unsigned": (TERMS, "it has no proof"),
    "signed by the delegate": ({**TERMS, "proof": _by(BEN)}, "ben signed it"),
    "signed by a stranger under her key id": ({**TERMS, "proof": _by(STRANGER)}, "bad_proof"),
    "made longer": ({**TERMS, "until": "2030-02-20T00:00:00Z", "proof": _by()}, "bad_proof"),
    "made wider": ({**TERMS, "groups": ["ops", "dba"], "proof": _by()}, "bad_proof"),
    "no scope any more": ({name: TERMS[name] for name in TERMS if name != "tiers"} | {"proof": _by()}, "bad_proof"),
    "passed to somebody else": ({**TERMS, "proof": _by(delegate="carol")}, "bad_proof"),
    "for another installation": ({**TERMS, "proof": _by(audience="countersign/test")}, "bad_proof"),
    "signed as a decision": ({**TERMS, "proof": _by(domain=Domain.decision)}, "bad_proof"),
    "by a revoked key": ({**TERMS, "proof": _by(CAROL)}, "revoked_key"),
}


@pytest.mark.parametrize(("entry", "why"), GIVES_NOTHING.values(), ids=GIVES_NOTHING)
def test_gives_a_signed_vote_nothing(entry: dict[str, Any], why: str) -> None:
    """The refusal says why; whoever only claims to be Ben may still claim it."""
    found = _with(entry)
    refused = _acts(found)
    assert isinstance(refused, str)
    assert refused.startswith("ann did not sign the delegation ann-ben")
    assert why in refused
    assert isinstance(_acts(found, signed=False), PersonFacts)


def test_without_an_audience_nothing_is_shown() -> None:
    """What is signed for no installation could be for any."""
    assert "unverifiable" in str(_acts(_with({**TERMS, "proof": _by()}, audience=None)))


def test_a_directory_that_nobody_verified_shows_nothing() -> None:
    """Read without its proofs looked at, every delegation is as if it had none."""
    found = _with({**TERMS, "proof": _by()})
    assert "nobody verified it" in str(_acts(found.with_shown({})))


def test_of_two_delegations_only_the_signed_one_counts() -> None:
    """What is not signed adds nothing to what is."""
    wider = {**TERMS, "id": "wider", "groups": ["ops", "dba"]}
    found = _acts(_with({**TERMS, "proof": _by()}, wider))
    assert isinstance(found, PersonFacts)
    assert "dba" not in found.groups


def test_a_proof_without_its_instant_is_refused() -> None:
    """Nobody could say which key it was."""
    value = {name: item for name, item in {**TERMS, "proof": _by()}.items() if name != "issued_at"}
    with pytest.raises(DocumentError, match="delegation ann-ben: it has a proof and no issued_at"):
        _with(value)


def test_reading_a_directory_twice_shows_the_same() -> None:
    """The gate and an auditor read the same bytes."""
    body = json.dumps({**_document(), "delegations": [{**TERMS, "proof": _by()}]}).encode()
    first, second = read_proved_directory(body), read_proved_directory(body)
    assert first.shown(first.delegations[0]) == second.shown(second.delegations[0]) == Assurance.aal1
    assert read_directory(body).shown(first.delegations[0]) == "nobody verified it"


def _document() -> dict[str, Any]:
    return {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "audience": AUDIENCE,
        "people": [{"id": "ann", "keys": [{"id": "ann-1", "jwk": ANN.public}]}, {"id": "ben"}],
    }
