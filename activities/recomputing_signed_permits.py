"""Computing again what a ledger says that was signed: each permit of an entry, claim by claim, and its signature.

- The claims follow from the permit, the directory of then and what people said before; only the run that asked is taken
  as it was recorded.
- The signature is verified with the key that the entry keeps. That the key was the permit role's is not shown here:
  compare its `kid` with the keys that executors were given then.
- Entries of releases that signed nothing keep nothing, and nothing is looked for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from activities.cases import CaseFile
from policy.approval.counting import approvals_at_dispatch
from policy.audit import GovernedDocuments, ReadEntry
from policy.audit_evaluations import difference
from policy.gate import DispatchInputs
from policy.ledger import EntryKind
from policy.permit import Permit
from policy.permit_claims import Grounds, approvals_of, claims_of, issuer_of, needs_approvals
from policy.revision import Revision
from signing.permits import PermitKeys, PermitRefusedError, verify_permit


def said_before(entries: Sequence[ReadEntry]) -> dict[str, tuple[Mapping[str, Any], datetime]]:
    """The decisions that were counted, as received, and when, by id."""
    counted = ((entry.content["submission"], entry.at) for entry in entries if entry.kind is EntryKind.decision_counted)
    return {submission["decision_id"]: (submission, at) for submission, at in counted}


def check_signed(
    content: Mapping[str, Any],
    case: CaseFile,
    revision: Revision,
    documents: GovernedDocuments,
    said: Mapping[str, tuple[Mapping[str, Any], datetime]],
) -> list[str]:
    """What differs in the signed permits of an entry that says what is about to happen.

    Args:
        content: of the entry.
        case: before it.
        revision: that acts.
        documents: which directory was in force then.
        said: `said_before`.
    """
    if (signed := content.get("signed")) is None:
        return []
    permits = [Permit.model_validate(item) for item in content["permits"]]
    if len(signed["jws"]) != len(permits):
        return [f"{len(permits)} permits were issued and {len(signed['jws'])} are signed"]
    counted = approvals_at_dispatch(DispatchInputs.model_validate(content["inputs"]))
    grounds = Grounds(
        issuer=issuer_of(documents.directory(content["documents"]["directory"]).audience),
        risk_tier=revision.assessment.risk_tier,
        verdict=str(revision.evaluation.verdict),
        resolved_at=case.resolved_at,
        approvals=approvals_of(counted, said) if needs_approvals(revision) else (),
    )
    keys, found = PermitKeys.read_value({"keys": [signed["key"]]}), []
    for permit, token in zip(permits, signed["jws"], strict=True):
        try:
            claims = verify_permit(token, keys)
        except PermitRefusedError as error:
            found.append(f"the signature of permit {permit.permit_id} does not hold: {error}")
            continue
        run_id = claims.get("run_id")
        again = claims_of(permit, grounds.model_copy(update={"run_id": run_id}))
        if (differs := difference(claims, again)) is not None:
            found.append(f"signed permit {permit.permit_id}: {differs}")
    return found
