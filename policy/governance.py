"""Who governs the governors: a governed document changes by an action of its own, under a pinned minimum.

1. Publishing is the operation `countersign.document.publish` on the target `resource:countersign/documents`, and an
   action that publishes does nothing else. On another target other rules would speak, and other people be asked.
2. Whatever the policy in force asks for, it needs approval by at least `MINIMUM` distinct people, none of whom wrote
   the draft. A policy that asks for fewer is not followed: the action is denied.
3. What is published is a draft of that kind and digest, over the document that is in force: `previous` names it. Its
   undo puts back exactly that: whoever approves one document approves no second one that comes by way of the undo.
4. A policy that would leave nobody able to publish the next one, or would let fewer people than the minimum do it, is
   not published: the door is neither locked nor left open.

Two people and not the author: NIST SP 800-53 r5 CM-3, CM-5(1) and AC-5.
"""

from collections.abc import Sequence

from policy.base import Reason
from policy.builtin import PUBLISH, TARGET
from policy.document import Verdict
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.proposal import ActionProposal

# A catalog says which target is production and what its id is: as much as a policy does.
MINIMUM = 2


def pinned(proposal: ActionProposal, facts: Facts, evaluation: Evaluation) -> Evaluation:
    """The evaluation of a policy, and where documents are published, whether it is strict enough to be followed."""
    if PUBLISH not in proposal.operations:
        return evaluation
    refusals = (*_refusals(proposal, facts), *_weakness(evaluation))
    if not refusals:
        return evaluation
    denied = {"verdict": Verdict.deny, "chain": None, "chain_name": None, "decided_by": "governance"}
    return evaluation.model_copy(update={**denied, "reasons": (*refusals, *_denials(evaluation))})


def _refusals(proposal: ActionProposal, facts: Facts) -> Sequence[Reason]:
    if len(proposal.steps) != 1 or set(proposal.operations) != {PUBLISH}:
        return (Reason(code="not_alone", message="publishing is one step of its own: propose everything else apart"),)
    if facts.target_ref != TARGET:
        message = f"documents are published on target {TARGET}, not on {proposal.target}"
        return (Reason(code="wrong_target", message=message),)
    wanted, draft = proposal.steps[0].parameters, facts.observed.draft
    if draft is None or (draft.digest, draft.kind) != (wanted.get("digest"), wanted.get("kind")):
        message = f"there is no draft {wanted.get('digest')} of kind {wanted.get('kind')}: store it first"
        return (Reason(code="unknown_draft", message=message),)
    found = [Reason(code="unfit_draft", message=f"the draft cannot be published: {text}") for text in draft.problems]
    if draft.previous != wanted.get("previous"):
        message = f"in force is {draft.previous}, the proposal is a change of {wanted.get('previous')}: propose it anew"
        found.append(Reason(code="superseded", message=message))
    undo, back = proposal.steps[0].undo, {**wanted, "digest": wanted.get("previous"), "previous": wanted.get("digest")}
    if undo is not None and undo.parameters != back:
        message = (
            f"its undo puts back {wanted.get('kind')} {wanted.get('previous')} over what was published, or is left out"
        )
        found.append(Reason(code="undo_is_no_inverse", message=message))
    return found


def _weakness(evaluation: Evaluation) -> Sequence[Reason]:
    if evaluation.verdict is Verdict.deny:
        return ()
    asked = evaluation.chain.seats if evaluation.chain else 0
    if asked >= MINIMUM:
        return ()
    message = f"the policy asks {asked} people, at least {MINIMUM} must approve what is published: mend the root policy"
    return (Reason(code="root_chain_too_weak", message=message),)


def _denials(evaluation: Evaluation) -> tuple[Reason, ...]:
    return evaluation.reasons if evaluation.verdict is Verdict.deny else ()
