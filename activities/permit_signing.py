"""Signing what the gate let through: in the permit role, with its private key, inside the transaction that issues.

1. Only what `policy/issuing.py` made is signed, with what the record says that it rests on.
2. What is high or critical and was asked of people carries their statements, as they were received and kept.
3. The entry keeps the signed permits and the public key, so that an audit verifies them when the key has gone. Whose
   key it was is not shown by that; `kid` says whom to ask.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.cases import CaseFile
from activities.tables import DecisionRow
from policy.approval.counting import approvals_at_dispatch
from policy.canonical import parse_canonical
from policy.gate import DispatchInputs
from policy.people.directory import Directory
from policy.permit import Permit
from policy.permit_claims import Grounds, approvals_of, claims_of, issuer_of, needs_approvals
from signing.keys import SigningKey
from signing.permits import sign_permit

_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_SAID = select(_DECISION.decision_id, _DECISION.body, _DECISION.received_at).where(
    _DECISION.proposal_id == bindparam("proposal_id"),
    _DECISION.decision_id == func.any(bindparam("decision_ids", type_=ARRAY(Text))),
)


class PermitSigner:
    """Signs permits.

    Args:
        key: the private key of the permit role.
    """

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    async def signed(
        self,
        connection: AsyncConnection,
        permits: Sequence[Permit],
        file: CaseFile,
        inputs: DispatchInputs,
        directory: Directory,
    ) -> tuple[Permit, ...]:
        """The same permits, each with its signature.

        Args:
            connection: the transaction that issues them.
            permits: of one step of the file's revision.
            file: what they rest on.
            inputs: with which the gate was asked; the approvals that it counted are carried.
            directory: in force.
        """
        assert file.revision is not None
        grounds = Grounds(
            issuer=issuer_of(directory.audience),
            risk_tier=file.revision.assessment.risk_tier,
            verdict=str(file.revision.evaluation.verdict),
            resolved_at=file.resolved_at,
            run_id=activity.info().workflow_run_id if activity.in_activity() else None,
            approvals=await _approvals(connection, inputs) if needs_approvals(file.revision) else (),
        )
        return tuple(
            permit.model_copy(update={"signed": sign_permit(claims_of(permit, grounds), self._key)})
            for permit in permits
        )

    def kept(self, permits: Sequence[Permit]) -> dict[str, Any]:
        """What the entry keeps of the signatures: one for each permit, and the public key."""
        return {"signed": {"jws": [item.signed for item in permits], "key": {**self._key.public, "kid": self._key.id}}}


async def _approvals(connection: AsyncConnection, inputs: DispatchInputs) -> tuple[dict[str, Any], ...]:
    counted = approvals_at_dispatch(inputs)
    wanted = {"proposal_id": inputs.proposal_id, "decision_ids": [item.decision_id for item in counted]}
    rows = await connection.execute(_SAID, wanted)
    return approvals_of(counted, {row.decision_id: (parse_canonical(row.body), row.received_at) for row in rows})
