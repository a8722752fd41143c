"""The safer alternative that is offered where nobody answered in time (`on_expiry: offer_alternative`).

- The proposer's alternatives are asked in order; only one with steps and criteria can be offered. It becomes a proposal
  of its own: same target, environment, agent and person, its own operation, steps and criteria, and an id that follows
  from the proposal's. It says in `alternative_to` whose it is.
- It is judged like any proposal, by the facts of the same instant as the original is judged again. It is offered only
  where no indicator, nor score, tier or floor, is higher than the original's then, and the policy does not deny it.
- Offered is not started: the platform proposes it or does not, and then it is assessed and asked about like any other.
"""

from collections.abc import Sequence
from typing import Any

from policy.base import RecordModel
from policy.canonical import parse_canonical
from policy.errors import ProposalError
from policy.impact import ImpactAssessment
from policy.judging import Judgement
from policy.proposal import ReceivedProposal, receive
from policy.result import Offer
from policy.rules.chains import Verdict

OFFER = "expired_offer_alternative"
# What the alternative takes from the proposal as it was received, where that has it.
_TAKEN = (
    *("api_version", "target", "environment", "agent", "on_behalf_of", "evidence", "on_stop", "remedies"),
    *("expected_targets", "produced_at", "change_type", "dry_run"),
)


class Considered(RecordModel):
    """One alternative that could be offered: the offer, or why there is none."""

    number: int
    offer: Offer | None = None
    why: str = ""


def alternatives(received: ReceivedProposal) -> tuple[tuple[int, ReceivedProposal | str], ...]:
    """The alternatives of a proposal that have steps, by their number: each as a proposal, or why it is none. Pure."""
    value = parse_canonical(received.body)
    found = enumerate(zip(received.proposal.alternatives, value.get("alternatives", ()), strict=True), start=1)
    return tuple((number, _proposal(value, said, number)) for number, (known, said) in found if known.steps is not None)


def consider(number: int, alternative: ReceivedProposal, original: Judgement, judged: Judgement) -> Considered:
    """Whether an alternative may be offered; pure.

    Args:
        number: which one.
        alternative: as a proposal.
        original: the proposal as it is judged now.
        judged: the alternative, by the facts of the same instant.
    """
    assessment, evaluation = judged.assessment, judged.evaluation
    if higher := raised(original.assessment, assessment):
        return Considered(number=number, why=f"it is higher on {', '.join(higher)}")
    if evaluation.verdict is Verdict.deny:
        return Considered(number=number, why=f"it would be denied: {evaluation.reasons[0].message}"[:500])
    offer = Offer(
        proposal=parse_canonical(alternative.body),
        action_digest=alternative.action_digest,
        verdict=str(evaluation.verdict),
        risk_tier=assessment.risk_tier,
        risk_score=assessment.risk_score,
    )
    return Considered(number=number, offer=offer)


def raised(before: ImpactAssessment, after: ImpactAssessment) -> tuple[str, ...]:
    """On what an assessment is higher than another; what the other does not have counts as nothing."""
    values = {item.name: item.value for item in before.indicators}
    found = [item.name for item in after.indicators if item.value > values.get(item.name, 0.0)]
    pairs: Sequence[tuple[str, float, float]] = (
        ("risk_score", before.risk_score, after.risk_score),
        ("risk_tier", before.risk_tier.rank, after.risk_tier.rank),
        ("floor", before.floor.rank, after.floor.rank),
    )
    return (*found, *(name for name, one, other in pairs if other > one))


def _proposal(value: Any, said: Any, number: int) -> ReceivedProposal | str:
    taken = {name: value[name] for name in _TAKEN if name in value}
    own = {name: said[name] for name in ("operation", "steps", "success_criteria")}
    link = {"proposal_id": f"{value['proposal_id']}.alternative-{number}", "alternative_to": value["proposal_id"]}
    try:
        return receive({**taken, **own, **link, "rationale": said["summary"]})
    except ProposalError as error:
        return str(error)[:500]
