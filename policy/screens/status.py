"""The machine-readable state of an action: the fields of `status`, in one place for the workflow and for the record.

Both fill the same fields (`docs/spec/contract.md`); what neither knows is None, empty or 0.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from policy.approval.standing import Standing
from policy.base import RecordModel
from policy.decision import DecisionReceipt
from policy.proofs import lowest
from policy.result import ActionResult
from policy.screen import Screen

_NAMED = ("action_digest", "assessment_digest", "policy_digest", "presented_digest")


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
    presented_digest: str | None,
    screen: Screen | None,
    standing: Standing | None,
    receipts: Mapping[str, DecisionReceipt],
    result: ActionResult | None,
    refused_messages: int,
    dry_run: bool,
    accepts_claimed: bool | None,
) -> dict[str, Any]:
    """The fields of `status`.

    Args:
        proposal_id: which action, or None where nothing is known of it yet.
        revision: the one that is open, from 1.
        state: of `policy.lifecycle.State`, or None where only the workflow knows it.
        resolution: how the case stands or ended.
        verdict: of the policy.
        risk_tier: as assessed.
        risk_score: as assessed, 0..100.
        action_digest: of the proposal as received.
        assessment_digest: of the revision.
        policy_digest: of the policy that it was assessed under.
        presented_digest: of the screen as sealed, or None where nobody is asked.
        screen: what an approver is shown, or would be.
        standing: the stages, or None where nobody is asked.
        receipts: the answers to decisions by their id.
        result: once the action ended.
        refused_messages: how many decisions did not count.
        dry_run: whether nothing is changed by it.
        accepts_claimed: whether a name that nobody proves counts for an identity; only the workflow is told that.
    """
    return {
        "proposal_id": proposal_id,
        "revision": revision,
        "state": state,
        "resolution": resolution,
        "verdict": _text(verdict),
        "risk_tier": _text(risk_tier),
        "risk_score": risk_score,
        **dict(zip(_NAMED, (action_digest, assessment_digest, policy_digest, presented_digest), strict=True)),
        **_waits(standing),
        "screen": _json(screen),
        "assurance": _assurance(receipts, result),
        "accepts_claimed": accepts_claimed,
        **_ended(result),
        **_answered(receipts, refused_messages),
        "dry_run": dry_run,
    }


def _assurance(receipts: Mapping[str, DecisionReceipt], result: ActionResult | None) -> str:
    """The lowest assurance that the result rests on, or the decisions that were counted so far."""
    if result is not None:
        return str(result.assurance)
    return str(lowest(receipt.assurance for receipt in receipts.values() if receipt.counted))


def _waits(standing: Standing | None) -> dict[str, Any]:
    """Which stage is open, all of them, what time will bring, what was asked and answered, and what was remarked."""
    if standing is None:
        return {"stage": None, "stages": [], "due": [], "questions": [], "feedback": []}
    return {
        "stage": standing.stage,
        "stages": _json_list(standing.stages),
        "due": _json_list(standing.due),
        "questions": _json_list(standing.questions),
        "feedback": _json_list(standing.feedback),
    }


def _ended(result: ActionResult | None) -> dict[str, Any]:
    """The result, and how it ended in one word."""
    return {"outcome": str(result.outcome) if result else None, "result": _json(result)}


def _answered(receipts: Mapping[str, DecisionReceipt], refused: int) -> dict[str, Any]:
    """What decisions were answered."""
    return {"receipts": {name: _json(receipt) for name, receipt in receipts.items()}, "refused_messages": refused}


def _json(value: RecordModel | None) -> Any:
    return value.model_dump(mode="json") if value else None


def _json_list(values: Iterable[RecordModel]) -> list[Any]:
    return [value.model_dump(mode="json") for value in values]


def _text(value: str | None) -> str | None:
    """The plain text of an enumeration's member."""
    return None if value is None else str(value)
