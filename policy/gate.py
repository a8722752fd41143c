"""The gate: may this step of this action run now?

It is asked where the permit is issued, with everything read from the record at that moment; what a workflow remembers is
not among its inputs. All of this must hold, each failure is a reason, and no reason at all is the only way through:

- the action is resolved as approved, is not stopped, has no result yet, and its absolute deadline has not passed;
- the policy in force today is not stricter than the one the action was assessed under;
- where people were asked, their recorded votes, with the groups they still have today, still approve every stage;
- what the target resolves to is what was assessed, and is not empty;
- no hold lies on the target, but for one that this action remedies;
- every earlier step ran and reported success.
"""

from datetime import datetime

from policy.base import Instant, Reason, RecordModel
from policy.document import Verdict
from policy.facts import HoldFact
from policy.outcome import StepRecord
from policy.standing import ApprovalCase, Ballot, stand


class DispatchInputs(RecordModel):
    """What the gate looks at. `groups_now` holds the groups today of each person who voted; absent means gone."""

    proposal_id: str
    revision: int
    step: int
    steps: int
    now: Instant
    absolute_deadline: Instant
    resolution: str | None
    stop: str | None = None
    closed: bool = False
    assessed_verdict: Verdict
    verdict_now: Verdict
    reasons_now: tuple[Reason, ...] = ()
    assessed_resolved: tuple[str, ...]
    resolved_now: tuple[str, ...]
    remedies: str | None = None
    holds: tuple[HoldFact, ...] = ()
    case: ApprovalCase | None = None
    groups_now: dict[str, tuple[str, ...]] = {}
    records: tuple[StepRecord, ...] = ()


def may_dispatch(inputs: DispatchInputs) -> tuple[Reason, ...]:
    """Every reason against issuing the permit; empty when the gate holds."""
    return (
        *_resolved(inputs),
        *_same_policy(inputs),
        *_still_approved(inputs),
        *_same_target(inputs),
        *_no_hold(inputs),
        *_earlier_steps(inputs),
    )


def _resolved(inputs: DispatchInputs) -> list[Reason]:
    found = []
    if not 1 <= inputs.step <= inputs.steps:
        found.append(Reason(code="unknown_step", message=f"step {inputs.step} is none of {inputs.steps}"))
    if inputs.closed:
        found.append(Reason(code="already_closed", message="the action already has its result"))
    if inputs.resolution != "approved":
        found.append(Reason(code="not_approved", message=f"the action is {inputs.resolution or 'not resolved'}"))
    if inputs.stop is not None:
        found.append(Reason(code=inputs.stop, message=f"the action was {inputs.stop}"))
    if inputs.now > inputs.absolute_deadline:
        found.append(Reason(code="past_deadline", message="the absolute deadline has passed"))
    return found


def _same_policy(inputs: DispatchInputs) -> list[Reason]:
    if inputs.verdict_now.strictness <= inputs.assessed_verdict.strictness:
        return []
    why = "; ".join(reason.message for reason in inputs.reasons_now)
    message = f"assessed as {inputs.assessed_verdict}, the policy in force now says {inputs.verdict_now}: {why}"
    return [Reason(code="policy_stricter", message=message)]


def _still_approved(inputs: DispatchInputs) -> list[Reason]:
    if inputs.assessed_verdict is Verdict.deny:
        return [Reason(code="denied", message="the action was assessed as denied")]
    if inputs.assessed_verdict is Verdict.allow:
        return []
    if inputs.case is None:
        return [Reason(code="no_case", message="approval was required and no case is recorded")]
    today = inputs.case.model_copy(
        update={"ballots": tuple(_as_of_today(ballot, inputs.groups_now) for ballot in inputs.case.ballots)}
    )
    standing = stand(today, _last_vote(inputs), deadline_counts_as_passed=False)
    if standing.resolution == "approved":
        return []
    missing = ", ".join(standing.current.missing) or standing.resolution
    message = f"stage {standing.current.name} is not approved by people who may approve it today: {missing}"
    return [Reason(code="approval_lapsed", message=message)]


def _as_of_today(ballot: Ballot, groups_now: dict[str, tuple[str, ...]]) -> Ballot:
    """A vote keeps the groups that its author had when voting and still has."""
    still = set(groups_now.get(ballot.person_id, ()))
    return ballot.model_copy(update={"groups": tuple(group for group in ballot.groups if group in still)})


def _last_vote(inputs: DispatchInputs) -> datetime:
    assert inputs.case is not None
    return max((ballot.received_at for ballot in inputs.case.ballots), default=inputs.case.opened_at)


def _same_target(inputs: DispatchInputs) -> list[Reason]:
    if not inputs.resolved_now:
        return [Reason(code="unresolved_target", message="the target resolves to nothing")]
    if inputs.resolved_now != inputs.assessed_resolved:
        message = f"assessed {', '.join(inputs.assessed_resolved)}, resolves to {', '.join(inputs.resolved_now)} now"
        return [Reason(code="target_changed", message=message)]
    return []


def _no_hold(inputs: DispatchInputs) -> list[Reason]:
    return [
        Reason(code="on_hold", message=f"target {hold.target} is under hold: {hold.reason}")
        for hold in inputs.holds
        if hold.proposal_id is None or hold.proposal_id != inputs.remedies
    ]


def _earlier_steps(inputs: DispatchInputs) -> list[Reason]:
    done = {
        item.step
        for item in inputs.records
        if item.direction == "do" and item.report is not None and item.report.status == "succeeded"
    }
    undone = any(item.direction == "undo" and item.use == "claimed" for item in inputs.records)
    missing = [str(step) for step in range(1, inputs.step) if step not in done]
    found = []
    if missing:
        found.append(Reason(code="step_order", message=f"step {', '.join(missing)} has not succeeded"))
    if undone:
        found.append(Reason(code="compensating", message="compensation has begun"))
    return found


def may_undo(
    step: int, records: tuple[StepRecord, ...], *, stopped: bool, dispatch_refused: bool
) -> tuple[Reason, ...]:
    """Every reason against claiming the undo permit of a step; empty when there is something to undo and a cause.

    Compensation needs no new approval, so it needs a cause that the record shows: a step that failed, a stop, or a gate
    that closed between two steps.
    """
    forward = {item.step: item.report for item in records if item.direction == "do"}
    report = forward.get(step)
    if report is None or report.effect != "done":
        return (Reason(code="nothing_to_undo", message=f"step {step} has not reported an effect"),)
    failed = any(item is not None and item.status == "failed" for item in forward.values())
    if not (failed or stopped or dispatch_refused):
        return (Reason(code="no_cause_to_undo", message="no step failed, nobody stopped the action, no gate closed"),)
    return ()
