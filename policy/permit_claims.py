"""What a signed permit claims (`docs/spec/permit.md`): a JSON Web Token of everything that an executor needs.

- Its claims are those of the stored permit, under the registered names of RFC 7519 where there is one, and what the
  permit rests on: tier, resolution, the run that asked and, for what is high or critical, the approvers' statements.
- Instants are whole seconds, rounded down: a permit never lasts longer than its row says.
- `aud` is one executor of one installation, so that a permit is useless at every other.
- The run that asked is a fact about the permit. It is no part of what makes the permit this one.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from policy.approval.ballot import Ballot
from policy.base import Instant, RecordModel, instant_text
from policy.operations import RiskTier
from policy.permit import Permit
from policy.proofs import Domain, signed_bytes
from policy.revision import Revision

MEDIA_TYPE = "countersign-permit+jws"
UNNAMED = "unnamed"
WITH_APPROVALS = (RiskTier.high, RiskTier.critical)
# What the claims name as RFC 7519 does, and who acts, which is in `aud`.
_REGISTERED = {"permit_id", "issued_at", "expires_at", "executor"}


class Grounds(RecordModel):
    """What the permits of a step rest on.

    Attributes:
        issuer: the `audience` of the directory in force, or `unnamed`.
        risk_tier: that was assessed.
        verdict: of the policy.
        resolved_at: when people, or the policy alone, had approved; None where nobody noted it.
        run_id: of the activity that asked; None outside of one.
        approvals: the approvers' signed statements, as `approval_of` makes them.
    """

    issuer: str
    risk_tier: RiskTier
    verdict: str
    resolved_at: Instant | None = None
    run_id: str | None = None
    approvals: tuple[dict[str, Any], ...] = ()


def issuer_of(audience: str | None) -> str:
    """Who issues the permits of an installation."""
    return audience or UNNAMED


def audience_of(issuer: str, executor: str) -> str:
    """Whom a permit is for: one executor of one installation."""
    return f"{issuer}/{executor}"


def claims_of(permit: Permit, grounds: Grounds) -> dict[str, Any]:
    """The claims of a permit."""
    resolution: dict[str, Any] = {"kind": "approved", "verdict": grounds.verdict}
    if grounds.resolved_at is not None:
        resolution["at"] = instant_text(grounds.resolved_at)
    claims = {**permit_claims(permit, grounds.issuer), "risk_tier": str(grounds.risk_tier), "resolution": resolution}
    if grounds.run_id is not None:
        claims["run_id"] = grounds.run_id
    if grounds.approvals:
        claims["approvals"] = list(grounds.approvals)
    return claims


def permit_claims(permit: Permit, issuer: str) -> dict[str, Any]:
    """The claims that follow from the stored permit and from who issued it."""
    issued_at = int(permit.issued_at.timestamp())
    claims = {
        "iss": issuer,
        "aud": audience_of(issuer, permit.executor),
        "jti": permit.permit_id,
        "iat": issued_at,
        "nbf": issued_at,
        **permit.model_dump(mode="json", exclude=_REGISTERED),
    }
    return claims if permit.expires_at is None else {**claims, "exp": int(permit.expires_at.timestamp())}


def differing(claims: Mapping[str, Any], permit: Permit, issuer: str) -> list[str]:
    """The names of the claims that say something else than the stored permit."""
    wanted = permit_claims(permit, issuer)
    return [name for name in sorted({*wanted, "exp"}) if claims.get(name) != wanted.get(name)]


def needs_approvals(revision: Revision) -> bool:
    """Whether the permits of a revision carry the approvers' statements."""
    tier, evaluation = revision.assessment.risk_tier, revision.evaluation
    return tier in WITH_APPROVALS and evaluation.verdict.asks


def approval_of(submission: Mapping[str, Any], seen_at: datetime) -> dict[str, Any]:
    """An approver's statement as a permit carries it: the signed bytes in base64url, the proof, when it was first seen.

    Raises:
        CanonicalError: the statement has no canonical form.
    """
    signed = signed_bytes(Domain.decision, submission)
    text = urlsafe_b64encode(signed).rstrip(b"=").decode()
    return {"signed": text, "proof": submission["proof"], "seen_at": instant_text(seen_at)}


def approvals_of(
    approvals: Iterable[Ballot], submissions: Mapping[str, tuple[Mapping[str, Any], datetime]]
) -> tuple[dict[str, Any], ...]:
    """The statements behind some approvals.

    Args:
        approvals: which ones (`policy/approval/counting.py`); one that was kept is dated anew, its statement is not.
        submissions: by decision id, as received, and when (UTC).
    """
    return tuple(approval_of(*submissions[item.decision_id]) for item in approvals)
