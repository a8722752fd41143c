"""What puts documents in force past the gate: two people, the same words, exactly these texts."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from policy.ceremony import Replaced, receive_ceremony
from policy.errors import DocumentError
from policy.proofs import Domain, signed_bytes
from signing.ceremonies import ceremony_faults
from signing.keys import SigningKey
from tests.unit.signed import ANN, AUDIENCE, BEN, CAROL, DIGEST, NOW, PLATFORM, STRANGER, by_key, directory, ssh_signed

OTHER = "sha256:" + "1" * 64
POLICY = Replaced(kind="policy", digest=DIGEST)
CATALOG = Replaced(kind="catalog", digest=OTHER, previous=DIGEST)
TERMS: dict[str, Any] = {
    "audience": AUDIENCE,
    "documents": [CATALOG.model_dump(), POLICY.model_dump()],
    "reason": "the place begins",
    "issued_at": "2030-01-01T11:00:00Z",
    "expires_at": "2030-01-02T11:00:00Z",
    "nonce": "0123456789abcdef",
}


def _by(key: SigningKey, domain: Domain = Domain.ceremony, **changes: Any) -> dict[str, Any]:
    return by_key({**TERMS, **changes}, key, domain)


def _faults(*statements: Any, documents: tuple[Replaced, ...] = (POLICY, CATALOG), at: datetime = NOW) -> str:
    return "\n".join(ceremony_faults(statements, documents, directory(), at))


def test_two_people_put_in_force_what_both_signed() -> None:
    """By keys or by SSH; the order of the documents does not matter, that of the statements neither."""
    payload = signed_bytes(Domain.ceremony, TERMS)
    ssh = {**TERMS, "proof": ssh_signed(payload, "ann", Domain.ceremony.ssh_namespace)}
    for statements in ((_by(ANN), _by(BEN)), (_by(BEN), ssh)):
        assert _faults(*statements) == ""


# what is held, and what is said
DO_NOT_HOLD: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "nobody": ((), {}, "nobody signed it: at least 2 people"),
    "one person": ((_by(ANN),), {}, "signed by ann: at least 2 different people"),
    "one person twice": ((_by(ANN), _by(ANN)), {}, "signed by ann: at least 2 different people"),
    "an agent beside": ((_by(ANN), _by(PLATFORM)), {}, "of nobody who is there"),
    "an agent besides two": ((_by(ANN), _by(BEN), _by(PLATFORM)), {}, "of nobody who is there"),
    "a stranger under her key id": ((_by(STRANGER), _by(BEN)), {}, "bad_proof"),
    "a revoked key": ((_by(ANN), _by(CAROL)), {}, "revoked_key"),
    "two that say different things": ((_by(ANN), _by(BEN, reason="other")), {}, "say different things"),
    "two nonces": ((_by(ANN), _by(BEN, nonce="fedcba9876543210")), {}, "say different things"),
    "signed as a decision": ((_by(ANN), _by(BEN, Domain.decision)), {}, "typ of the signature"),
    "for another installation": ((_by(ANN, audience="x"), _by(BEN, audience="x")), {}, "wrong_audience"),
    "another document": ((_by(ANN), _by(BEN)), {"documents": (POLICY,)}, "what would come in force is policy"),
    "one document more": (
        (_by(ANN, documents=[POLICY.model_dump()]), _by(BEN, documents=[POLICY.model_dump()])),
        {},
        "signed is policy",
    ),
    "over another document": (
        (_by(ANN), _by(BEN)),
        {"documents": (POLICY.model_copy(update={"previous": OTHER}), CATALOG)},
        f"policy {DIGEST} over {OTHER}",
    ),
    "before it was signed": ((_by(ANN), _by(BEN)), {"at": NOW - timedelta(hours=2)}, "which is not yet"),
    "once it expired": ((_by(ANN), _by(BEN)), {"at": NOW + timedelta(days=1)}, "it expired at"),
    "no statement": (({**TERMS},), {}, "malformed ceremony: proof"),
    "a claimed name": (
        (_by(ANN), {**TERMS, "proof": {"kind": "claimed", "identity": "ben"}}),
        {},
        "malformed ceremony",
    ),
}


@pytest.mark.parametrize(("statements", "held", "said"), DO_NOT_HOLD.values(), ids=DO_NOT_HOLD)
def test_what_does_not_hold(statements: tuple[Any, ...], held: dict[str, Any], said: str) -> None:
    """Each is a sentence that says what is wrong."""
    assert said in _faults(*statements, **held)


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "longer than a week": ({"expires_at": "2030-02-01T00:00:00Z"}, "at most 7 days later"),
    "over before it begins": ({"expires_at": "2030-01-01T11:00:00Z"}, "after issued_at"),
    "one kind twice": ({"documents": [POLICY.model_dump(), POLICY.model_dump()]}, "one of each"),
    "out of order": ({"documents": [POLICY.model_dump(), CATALOG.model_dump()]}, "in the order of their kinds"),
    "nothing": ({"documents": []}, "documents"),
    "no reason": ({"reason": ""}, "reason"),
    "a short nonce": ({"nonce": "1"}, "nonce"),
    "a field more": ({"force": True}, "force"),
}


@pytest.mark.parametrize(("changes", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(changes: dict[str, Any], said: str) -> None:
    """A statement that could mean two things is none."""
    with pytest.raises(DocumentError, match=said):
        receive_ceremony(_by(ANN, **changes))
