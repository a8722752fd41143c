"""A permit, its signature, and what an attacker makes of both: for the tests of everybody who verifies one."""

import base64
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from joserfc import jws
from joserfc.jwk import OctKey

from policy.canonical import canonical, digest, digest_of
from policy.operations import RiskTier
from policy.permit import Direction, Permit, permit_id
from policy.permit_claims import MEDIA_TYPE, Grounds, approval_of, claims_of
from policy.proofs import Assurance
from signing.jws import sign
from signing.keys import generate
from signing.permits import sign_permit
from tests.unit.signed import AUDIENCE, DIGEST, by_key, statement

EXECUTOR = "billing"
AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
KEY, OTHER, CONTROL = generate("permit-2"), generate("permit-2"), generate("control-1")
GONE, LATE = generate("permit-0"), generate("permit-9")
OLD = generate("permit-1", "p256")
KEYS: dict[str, Any] = {
    "keys": [
        {**KEY.public, "kid": KEY.id, "since": "2030-01-01T00:00:00Z"},
        {**OLD.public, "kid": OLD.id, "until": "2030-01-02T00:00:00Z"},
        {**GONE.public, "kid": GONE.id, "revoked_at": "2029-12-01T00:00:00Z"},
        {**LATE.public, "kid": LATE.id, "since": "2031-01-01T00:00:00Z"},
    ]
}
EXECUTOR_FOLDER = Path(__file__).parents[2] / "examples" / "executor"


def standing_alone(name: str) -> ModuleType:
    """A file of examples/executor, loaded as a platform does that copied it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXECUTOR_FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def permit(direction: Direction = Direction.do, **changes: Any) -> Permit:
    """A permit to refund an order, or what is changed of it."""
    made = Permit(
        permit_id=permit_id("p-1", 1, 1, direction),
        proposal_id="p-1",
        revision=1,
        step=1,
        direction=direction,
        executor=EXECUTOR,
        operation="orders.refund",
        parameters={"amount": "12.50", "to": {"iban": "DE02"}},
        environment="production",
        resolved=("orders/7", "orders/ü"),
        timeout_seconds=30,
        action_digest=DIGEST,
        assessment_digest=digest(b"assessment"),
        policy_digest=digest(b"policy"),
        resolved_digest=digest_of(["orders/7", "orders/ü"]),
        assurance=Assurance.aal1,
        issued_at=AT,
        expires_at=AT + timedelta(minutes=5) if direction is Direction.do else None,
    )
    return made.model_copy(update=changes)


def grounds(**changes: Any) -> Grounds:
    """What it rests on."""
    usual = {"issuer": AUDIENCE, "risk_tier": RiskTier.low, "verdict": "require_approval", "run_id": "run-1"}
    return Grounds(**{**usual, **changes})


def claims(direction: Direction = Direction.do, **changes: Any) -> dict[str, Any]:
    """Its claims, some of them changed; None leaves one out."""
    said = {**claims_of(permit(direction), grounds()), **changes}
    return {name: value for name, value in said.items() if value is not None}


GOOD = sign_permit(claims(), KEY)


def header(token: str, change: Mapping[str, Any]) -> str:
    """A token with another header, under the signature that it had."""
    head, payload, signature = token.split(".")
    value = {**json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), **change}
    return f"{encoded(json.dumps(value).encode())}.{payload}.{signature}"


def encoded(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _edited() -> str:
    head, _, signature = GOOD.split(".")
    return f"{head}.{encoded(canonical(claims(operation='orders.delete')))}.{signature}"


def _symmetric() -> str:
    """Signed with the public key, as if it were a shared secret."""
    secret = OctKey.import_key(json.dumps(KEY.public).encode().ljust(64))
    head = {"alg": "HS256", "kid": KEY.id, "typ": MEDIA_TYPE}
    return jws.serialize_compact(head, canonical(claims()), secret, algorithms=["HS256"])


def _spread(text: str) -> str:
    head, payload, signature = GOOD.split(".")
    return f"{head}.{payload}{text}.{signature}"


# What no believed key signed as a permit: the code of our executors, that of the stand-alone verifier, the token.
FORGED: dict[str, tuple[str, str, Callable[[], str]]] = {
    "edited": ("bad_permit_signature", "bad_signature", _edited),
    "signed by another key of that id": (
        "bad_permit_signature",
        "bad_signature",
        lambda: sign_permit(claims(), OTHER),
    ),
    "signed by the control role's key": ("unknown_permit_key", "unknown_key", lambda: sign_permit(claims(), CONTROL)),
    "signed by a revoked key": ("revoked_permit_key", "unknown_key", lambda: sign_permit(claims(), GONE)),
    "signed by a key before its time": ("unknown_permit_key", "unknown_key", lambda: sign_permit(claims(), LATE)),
    "signed by a key after its time": (
        "unknown_permit_key",
        "unknown_key",
        lambda: sign_permit(claims(iat=1900000000), OLD),
    ),
    "without a time": ("unknown_permit_key", "malformed", lambda: sign_permit(claims(iat=None), KEY)),
    "a time that is none": ("unknown_permit_key", "malformed", lambda: sign_permit(claims(iat="now"), KEY)),
    "alg none": ("bad_permit_signature", "unknown_key", lambda: header(GOOD, {"alg": "none"})),
    "alg of another kind of key": ("bad_permit_signature", "unknown_key", lambda: header(GOOD, {"alg": "ES256"})),
    "alg of a shared secret": ("bad_permit_signature", "unknown_key", _symmetric),
    "a critical header": ("bad_permit_signature", "malformed", lambda: header(GOOD, {"crit": ["exp"]})),
    "a key in the header": ("bad_permit_signature", "malformed", lambda: header(GOOD, {"jwk": OTHER.public})),
    "of another type": ("bad_permit_signature", "malformed", lambda: sign(canonical(claims()), KEY, "JWT")),
    "a decision": (
        "bad_permit_signature",
        "malformed",
        lambda: sign(canonical(claims()), KEY, "countersign-decision-v1+jws"),
    ),
    "no object": ("bad_permit_signature", "malformed", lambda: sign(b"[]", KEY, MEDIA_TYPE)),
    "no json": ("bad_permit_signature", "malformed", lambda: sign(b"permit", KEY, MEDIA_TYPE)),
    "a key twice": ("bad_permit_signature", "malformed", lambda: sign(b'{"iat":1,"iat":2}', KEY, MEDIA_TYPE)),
    "two parts": ("bad_permit_signature", "malformed", lambda: GOOD.rpartition(".")[0]),
    "padded": ("bad_permit_signature", "malformed", lambda: _spread("=")),
    "with a line end": ("bad_permit_signature", "malformed", lambda: _spread("\n")),
    "nothing": ("bad_permit_signature", "malformed", lambda: ""),
}


def approval(**changes: Any) -> dict[str, Any]:
    """Ann's statement that approves it, signed with her key, as a permit carries it."""
    return carried(by_key(statement(**changes)))


def carried(submission: Mapping[str, Any]) -> dict[str, Any]:
    """A statement as a permit carries it."""
    return approval_of(submission, AT)
