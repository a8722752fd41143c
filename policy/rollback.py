"""The emergency rollback: the recorded undo of a named action, asked of a faster chain.

- A proposal that names in `undoes` what it undoes is a rollback where the record agrees: that action succeeded; target,
  environment and resolved ids are the same; the steps are exactly the undos that were approved with it, in reverse
  order, and are themselves undone by those steps or by nothing; nobody has undone it or is about to; and it is asked
  for within `revocation.after.window` of its end.
- Then `revocation.after.chain` is asked in place of the rule's, and a freeze does not stop it: a freeze keeps the world
  as it is known, and so does an undo. Where a freeze would have stopped it, the chain is asked even if the rule would
  have allowed. Rules that deny, limits and holds still do, and the tier and its floors are what they would be.
- What is so labelled and is not so is a normal proposal: the usual chain is asked, a reason says why, and where the
  record contradicts the label it is a violation. A policy without a window makes no honest proposal a violation.
- The window counts to when the rollback was first proposed, so that approving in time is enough.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from policy.base import RecordModel, instant_text
from policy.canonical import canonical
from policy.observed import RecordedOrder, UndoneFact
from policy.proposal import ActionProposal, Step, Undo
from policy.rules.durations import written

NOT_VERIFIED = "rollback_not_verified"
VIOLATED = "the record contradicts the label that it undoes another action"


class Rollback(RecordModel):
    """What became of the label `undoes`.

    Attributes:
        undoes: the proposal id that it names.
        verified: whether a chain of `revocation.after` was asked, or would have been.
        why: why not; empty where it is verified.
        violation: whether the record contradicts the label.
    """

    undoes: str
    verified: bool
    why: str = ""
    violation: bool = False


def mismatch(proposal: ActionProposal, undone: UndoneFact | None, resolved: Sequence[str]) -> str | None:
    """Why a proposal is not the recorded undo of what it names, whatever the window; None where it is. Pure.

    Args:
        proposal: with `undoes`.
        undone: what the record has of the action that it names.
        resolved: the ids that the proposal's target resolves to.
    """
    if undone is None:
        return f"the record has no action {proposal.undoes}"
    name = undone.proposal_id
    if undone.outcome != "succeeded" or undone.ended_at is None:
        return f"{name} ended as {undone.outcome or 'nothing yet'}: only what succeeded is rolled back"
    if (proposal.target_ref, proposal.environment) != (undone.target, undone.environment):
        where = f"{proposal.target_ref} in {proposal.environment}"
        return f"{name} acted on {undone.target} in {undone.environment}, not on {where}"
    if tuple(resolved) != undone.resolved:
        return f"{name} acted on {', '.join(undone.resolved)}, the target resolves to {', '.join(resolved)} now"
    if (why := _other_steps(proposal, undone)) is not None:
        return why
    if undone.undone_by:
        return f"{name} is undone by {', '.join(undone.undone_by)} already"
    return None


def _other_steps(proposal: ActionProposal, undone: UndoneFact) -> str | None:
    """Whether its steps are others than the recorded undos, or would be undone by something else than the steps."""
    name, steps = undone.proposal_id, tuple(reversed(undone.steps))
    if bare := [str(number) for number, step in enumerate(undone.steps, start=1) if step.undo is None]:
        return f"step {', '.join(bare)} of {name} has no undo"
    wanted = [_order(step.undo) for step in steps]
    if canonical([_order(step) for step in proposal.steps]) != canonical(wanted):
        return f"its steps are not the undos of {name} in reverse order"
    for step, done in zip(proposal.steps, steps, strict=True):
        if step.undo is not None and canonical(_order(step.undo)) != canonical(_order(done)):
            return f"step {step.name} would be undone by something else than the step of {name} that it undoes"
    return None


def _order(item: Step | Undo | RecordedOrder | None) -> list[Any]:
    return [item.operation, item.parameters] if item is not None else []


def checked(
    proposal: ActionProposal,
    undone: UndoneFact | None,
    resolved: Sequence[str],
    windows: Sequence[timedelta],
) -> Rollback | None:
    """What becomes of the label; None where a proposal has none. Pure.

    Args:
        proposal: what is asked for.
        undone: what the record has of the action that it names.
        resolved: the ids that the proposal's target resolves to.
        windows: of the documents that give one.
    """
    if proposal.undoes is None:
        return None
    if (why := mismatch(proposal, undone, resolved)) is not None:
        return Rollback(undoes=proposal.undoes, verified=False, why=why, violation=True)
    assert undone is not None
    if not windows:
        return Rollback(undoes=proposal.undoes, verified=False, why="the policy has no window for it")
    longest = max(windows)
    if not within(undone, longest):
        ended = instant_text(undone.ended_at) if undone.ended_at else "never"
        why = f"{undone.proposal_id} ended at {ended}, it could be rolled back for {written(longest)}"
        return Rollback(undoes=proposal.undoes, verified=False, why=why, violation=True)
    return Rollback(undoes=proposal.undoes, verified=True)


def within(undone: UndoneFact | None, window: timedelta) -> bool:
    """Whether the rollback was asked for while a window lasted; an instant that nobody knows is not within."""
    if undone is None or undone.ended_at is None or undone.asked_at is None:
        return False
    return undone.ended_at <= undone.asked_at <= undone.ended_at + window


def label_violation(rollback: Rollback | None, revision: int) -> dict[str, Any] | None:
    """What the ledger keeps of a label that the record contradicts; None where it does not. Pure."""
    if rollback is None or not rollback.violation:
        return None
    return {"what": VIOLATED, "undoes": rollback.undoes, "why": rollback.why, "revision": revision}


def rollback_of(
    proposal: ActionProposal,
    *,
    proposal_id: str,
    agent: str,
    on_behalf_of: str,
    because: str,
    criterion: dict[str, Any],
    redo: Sequence[bool],
) -> dict[str, Any]:
    """The proposal that undoes a proposal, as the JSON value that is sent; pure.

    Args:
        proposal: what is undone; every step has an undo.
        proposal_id: of the new proposal.
        agent: who proposes it.
        on_behalf_of: the person who asks.
        because: why.
        criterion: what it is measured by, besides the minimum of its operations.
        redo: for each step of what is undone, whether its operation is an inverse of its undo: only then the rollback
            can be undone itself.
    """
    pairs = list(enumerate(zip(proposal.steps, redo, strict=True), start=1))
    steps = [_undoing(number, step, again=again) for number, (step, again) in reversed(pairs)]
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": steps[0]["operation"],
        "target": proposal.target,
        "environment": proposal.environment,
        "agent": {"id": agent},
        "on_behalf_of": on_behalf_of,
        "rationale": because,
        "steps": steps,
        "success_criteria": [criterion],
        "undoes": proposal.proposal_id,
    }


def _undoing(number: int, step: Step, *, again: bool) -> dict[str, Any]:
    assert step.undo is not None
    undo = {"undo": {"operation": step.operation, "parameters": step.parameters}}
    return {
        "name": f"undo-{number}",
        "operation": step.undo.operation,
        "parameters": step.undo.parameters,
        "timeout_seconds": step.undo.timeout_seconds,
        **(undo if again else {}),
    }
