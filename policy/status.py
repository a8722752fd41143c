"""The machine-readable state of an action: the fields of `status`, in one place for the workflow and for the record.

Both fill the same fields (`docs/spec/contract.md`); what neither knows is None, empty or 0.
"""

from collections.abc import Mapping
from typing import Any

from policy.decision import DecisionReceipt
from policy.result import ActionResult
from policy.screen import Screen
from policy.standing import Standing


def status_fields(
    *,
    proposal_id: str | None,
    revision: int,
    state: str | None,
    resolution: str | None,
    verdict: str | None,
    risk_tier: str | None,
    risk_score: int | None,
    action_digest: str | None,
    assessment_digest: str | None,
    policy_digest: str | None,
    screen: Screen | None,
    standing: Standing | None,
    receipts: Mapping[str, DecisionReceipt],
    result: ActionResult | None,
    refused_messages: int,
    dry_run: bool,
) -> dict[str, Any]:
    """The fields of `status` as JSON.

    Args:
        proposal_id: which action, or None where nothing is known of it yet.
        revision: the one that is open, from 1.
        state: of `policy.lifecycle.State`, or None where only the workflow knows it.
        resolution: how the case stands or ended.
        verdict: of the policy; `risk_tier` and `risk_score` (0..100) are as assessed.
        action_digest: of the proposal as received.
        assessment_digest: of the revision.
        policy_digest: of the policy that it was assessed under.
        screen: what an approver is shown, or None where nobody is asked.
        standing: the stages, or None where nobody is asked.
        receipts: the answers to decisions by their id; `refused_messages` of them did not count.
        result: once the action ended.
        dry_run: whether nothing is changed by it.
    """
    return {
        "proposal_id": proposal_id,
        "revision": revision,
        "state": state,
        "resolution": resolution,
        "outcome": str(result.outcome) if result else None,
        "verdict": _text(verdict),
        "risk_tier": _text(risk_tier),
        "risk_score": risk_score,
        "action_digest": action_digest,
        "assessment_digest": assessment_digest,
        "policy_digest": policy_digest,
        "presented_digest": screen.presented_digest if screen else None,
        "stage": standing.stage if standing else None,
        "stages": [stage.model_dump(mode="json") for stage in standing.stages] if standing else [],
        "due": [due.model_dump(mode="json") for due in standing.due] if standing else [],
        "receipts": {name: receipt.model_dump(mode="json") for name, receipt in receipts.items()},
        "screen": screen.model_dump(mode="json") if screen else None,
        "assurance": "claimed",
        "result": result.model_dump(mode="json") if result else None,
        "refused_messages": refused_messages,
        "dry_run": dry_run,
    }


def _text(value: str | None) -> str | None:
    """The plain text of an enumeration's member."""
    return None if value is None else str(value)
