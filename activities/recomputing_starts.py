"""Starts that were refused, computed again.

- What a platform may not choose, and another digest than the registered one, follow from the entry and the proposal.
- What was refused for its signature does not verify today either. One that may not come unsigned is refused by the
  rules of the policy again; which documents spoke of it, and its environment and tier, are taken as recorded: what was
  refused is not in the record.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from activities.signatures import refused_again
from activities.starting import start_refusals
from policy.audit import GovernedDocuments, ReadEntry
from policy.base import Reason
from policy.envelope import REFUSED, Proposed, is_expected
from policy.proposal import ReceivedProposal
from policy.rules.unsigned import AskedUnsigned, unsigned_refusals
from workflows.messages import StartFacts


def check_refused_start(
    entry: ReadEntry, proposal_id: str, received: ReceivedProposal | None, documents: GovernedDocuments
) -> list[str]:
    """Whether a start is refused for what its entry says; `received` is what is registered."""
    content = entry.content
    reasons: tuple[Reason, ...] = start_refusals(StartFacts.model_validate(content["start"]), proposal_id)
    if not reasons and "proposed" in content:
        reasons = _unshown(content, proposal_id, entry.at, documents)
    elif not reasons and received is not None and content["action_digest"] != received.action_digest:
        message = f"proposal {proposal_id} is registered with digest {received.action_digest}"
        reasons = (Reason(code="digest_conflict", message=message),)
    if not reasons:
        return ["nothing speaks against this start"]
    recorded, computed = content["reasons"], [reason.model_dump(mode="json") for reason in reasons]
    return [] if recorded == computed else [f"reasons: recorded as {recorded!r:.200}, computed as {computed!r:.200}"]


def _unshown(
    content: Mapping[str, Any], proposal_id: str, at: datetime, documents: GovernedDocuments
) -> tuple[Reason, ...]:
    """Why a start is refused for its signature, or for having none."""
    about = Proposed.model_validate(content["proposed"])
    if (about.proposal_id, about.action_digest) != (proposal_id, content["action_digest"]):
        return ()
    directory = documents.directory(content["documents"]["directory"])
    if "statement" in content:
        why = refused_again(content["statement"], about, directory, at, str(content["reasons"][0]["message"]))
        return (Reason(code=REFUSED, message=why),) if why is not None else ()
    asked = AskedUnsigned.model_validate(content["unsigned"])
    if (asked.agent, asked.expected) != (about.agent, is_expected(about, directory)):
        return ()
    return unsigned_refusals(documents.policy(content["documents"]["policy"]), asked)
