"""The gate: may this step of this action run now?

It is asked where the permit is issued, with everything read from the record at that moment; what a workflow remembers
is not among its inputs. All of this must hold, each failure is a reason, and no reason at all is the only way through:

- the action is resolved as approved, is not stopped, has no result yet, and its absolute deadline has not passed;
- assessed again today, its verdict is not stricter, its tier is not higher, and where people are asked, they are asked
  the same: the same chain. An input that was left out is no answer;
- where people were asked, their recorded votes still approve every stage, with what they still hold today, outside of
  teams and lines then and today, and without whoever stands behind the proposal today; a vote that is not what
  somebody signed counts for nothing (`policy/approval/proved.py`);
- the directory is not older than the policy takes;
- what the target resolves to is what was assessed, and is not empty; where executors say what a step would touch, they
  said it lately, and it is what was approved;
- where a window closes or a freeze begins, the step with all of its timeout is over before;
- what a permit takes from the assessment is so today: who carries the operations out, and what success is. Whoever
  assesses is believed none of it;
- nothing changed that the policy in force lists as material (`policy/approval/drift.py`);
- no permit was issued of another revision;
- nobody halted everything, or the target's environment (`policy/halting.py`), and no action takes over its reservation;
- no hold lies on the target, but for one that this action remedies with somebody's approval;
- every earlier step ran and reported success, or in a dry run was rehearsed, and nothing has been undone.
"""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from policy.approval.standing import ApprovalCase, Ballot, stand
from policy.base import Instant, Reason, RecordModel
from policy.decision import Vote
from policy.observed import HoldFact
from policy.operations import RiskTier
from policy.outcome import EffectReport, StepRecord
from policy.people.age import stale_directory
from policy.people.facts import PersonFacts
from policy.remedying import unremedied
from policy.rules.chains import ApprovalChain, Verdict

# What makes a vote count, of what the directory says of its author.
_HELD = ("groups", "roles", "qualifications", "satisfies")
_SHOWN = 5
HALTED, TAKEN_OVER, ON_HOLD = "halted", "taken_over", "on_hold"
# What others do to an action that has begun: the verb that was approved for a stop applies to what was done.
_BY_OTHERS = frozenset({HALTED, TAKEN_OVER, ON_HOLD})
# What people can cure: they are asked again, about a new revision.
_CURABLE = frozenset(
    {
        "aggregate_hold",
        "policy_stricter",
        "chain_changed",
        "risk_higher",
        "material_change",
        "target_changed",
        "approval_lapsed",
    }
)
# Reasons that our workflow never meets: it asks once the action is approved, for the next step, while it is open.
_OUT_OF_TURN = frozenset({"unknown_step", "step_order", "compensating", "not_approved", "already_closed"})


class DispatchInputs(RecordModel):
    """What the gate looks at. `…_now` is what an assessment of today says, `assessed_…` what the approved one said.

    `people_now` holds what the directory says today of each person who voted, and of whoever they acted for, by id, and
    of a delegate by `acting_key`; absent means gone. In older records it is None, and `groups_now` has the groups.
    `requesters_now` are the people behind the proposal today, and those who may not approve it, besides those of the
    case. `permit_until_now` is when the window closes that lets it run; the permit ends there. `directory_at` is when
    the directory was true, and `directory_seconds` how old it may be; both are None where the policy does not say.
    `material_now` is what changed and is material because the policy in force lists it. `permitted_revisions` are the
    other revisions of which a permit was issued. `differing` are sentences about what the assessment says otherwise
    than today, `teams_now` the teams of who asks where those are others by now. `unfounded` says which escalations did
    not find whom they ask, and `unproven` by decision id why a vote is not what somebody signed. `moved` are sentences
    about what came and went of the targets that executors found for the approved assessment, and `unfound` about steps
    from this one on of which nobody said lately what they would touch. `latest_start_now` is when the step has to begin
    at the latest, so that it is over when `permit_until_now` comes; both are None where no window closes. `halted`
    says by whom everything is halted, or the target's environment, and `taken_over` which action takes over its
    reservation.
    """

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
    assessed_tier: RiskTier | None = None
    tier_now: RiskTier | None = None
    chain_now: ApprovalChain | None = None
    assessed_resolved: tuple[str, ...]
    resolved_now: tuple[str, ...]
    remedies: str | None = None
    holds: tuple[HoldFact, ...] = ()
    case: ApprovalCase | None = None
    groups_now: dict[str, tuple[str, ...]] = {}
    people_now: dict[str, PersonFacts] | None = None
    requesters_now: tuple[str, ...] = ()
    permit_until_now: Instant | None = None
    directory_at: Instant | None = None
    directory_seconds: int | None = None
    records: tuple[StepRecord, ...] = ()
    dry_run: bool = False
    material_now: tuple[str, ...] = ()
    permitted_revisions: tuple[int, ...] = ()
    differing: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    teams_now: Annotated[tuple[str, ...] | None, Field(exclude_if=lambda value: value is None)] = None
    unfounded: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    unproven: Annotated[dict[str, str], Field(exclude_if=lambda value: not value)] = {}
    moved: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    unfound: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    latest_start_now: Annotated[Instant | None, Field(exclude_if=lambda value: value is None)] = None
    halted: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    taken_over: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None


def may_dispatch(inputs: DispatchInputs) -> tuple[Reason, ...]:
    """Every reason against issuing the permit; empty when the gate holds."""
    if not 1 <= inputs.step <= inputs.steps:
        return (Reason(code="unknown_step", message=f"step {inputs.step} is none of {inputs.steps}"),)
    return (
        *_halted(inputs),
        *_resolved(inputs),
        *_same_policy(inputs),
        *_still_approved(inputs),
        *_fresh_directory(inputs),
        *_same_target(inputs),
        *_in_time(inputs),
        *_same_assessment(inputs),
        *_no_hold(inputs),
        *_earlier_steps(inputs),
    )


def _halted(inputs: DispatchInputs) -> list[Reason]:
    found = [Reason(code=HALTED, message=inputs.halted)] if inputs.halted is not None else []
    if inputs.taken_over is not None:
        message = f"action {inputs.taken_over} takes over its reservation"
        found.append(Reason(code=TAKEN_OVER, message=message))
    return found


def stopped_by_others(reasons: tuple[Reason, ...]) -> bool:
    """Whether a halt, a hold or another action ends what has begun, so that the verb for a stop applies."""
    return any(ended_by_others(reason.code) for reason in reasons)


def ended_by_others(code: str) -> bool:
    """Whether a reason or a refusal is that others hold, halt or take over what has begun."""
    return code in _BY_OTHERS


def only_halted(reasons: tuple[Reason, ...]) -> bool:
    """Whether nothing but a halt closes the gate: what has not begun waits for its end."""
    return bool(reasons) and all(reason.code == HALTED for reason in reasons)


def _resolved(inputs: DispatchInputs) -> list[Reason]:
    found = []
    if inputs.closed:
        found.append(Reason(code="already_closed", message="the action already has its result"))
    if inputs.resolution != "approved":
        found.append(Reason(code="not_approved", message=f"the action is {inputs.resolution or 'not resolved'}"))
    if inputs.permitted_revisions:
        message = f"a permit was issued of revision {', '.join(map(str, inputs.permitted_revisions))}"
        found.append(Reason(code="permitted_before", message=message))
    if inputs.stop is not None:
        found.append(Reason(code=inputs.stop, message=f"the action was {inputs.stop}"))
    if inputs.now > inputs.absolute_deadline:
        found.append(Reason(code="past_deadline", message="the absolute deadline has passed"))
    return found


def _same_policy(inputs: DispatchInputs) -> list[Reason]:
    found = []
    if inputs.verdict_now.strictness > inputs.assessed_verdict.strictness:
        why = "; ".join(reason.message for reason in inputs.reasons_now)
        message = f"assessed as {inputs.assessed_verdict}, the policy in force now says {inputs.verdict_now}: {why}"
        found.append(Reason(code="policy_stricter", message=message))
    elif inputs.verdict_now.asks and (inputs.case is None or inputs.chain_now != inputs.case.chain):
        message = "the policy in force now asks other people than those who were asked"
        found.append(Reason(code="chain_changed", message=message))
    before, now = inputs.assessed_tier, inputs.tier_now
    if before is None or now is None or now.rank > before.rank:
        message = f"assessed with tier {before or 'unknown'}, it has tier {now or 'unknown'} now"
        found.append(Reason(code="risk_higher", message=message))
    if inputs.material_now:
        found.append(Reason(code="material_change", message="; ".join(inputs.material_now)))
    return found


def _still_approved(inputs: DispatchInputs) -> list[Reason]:
    if inputs.assessed_verdict is Verdict.deny:
        return [Reason(code="denied", message="the action was assessed as denied")]
    if inputs.assessed_verdict is Verdict.allow:
        return []
    if inputs.case is None:
        return [Reason(code="no_case", message="approval was required and no case is recorded")]
    if inputs.unfounded:
        return [Reason(code="unfounded_escalation", message="; ".join(inputs.unfounded))]
    standing = stand(case_of_today(inputs), _last_vote(inputs), deadline_counts_as_passed=False)
    if standing.resolution == "approved":
        return []
    missing = ", ".join(standing.current.missing) or standing.resolution
    lost = "".join(f"; vote {name}: {why}" for name, why in list(inputs.unproven.items())[:_SHOWN])
    message = f"stage {standing.current.name} is not approved by people who may approve it today: {missing}{lost}"
    return [Reason(code="approval_lapsed", message=message)]


def acting_key(ballot: Ballot) -> str:
    """Where `people_now` has who makes a ballot count: by id, or as who acts for whom. No id has a space."""
    return f"{ballot.person_id} for {ballot.delegator}" if ballot.delegator else ballot.person_id


def case_of_today(inputs: DispatchInputs) -> ApprovalCase:
    """The case as the directory has its people today; there is one."""
    assert inputs.case is not None
    return inputs.case.model_copy(
        update={
            "ballots": tuple(
                _as_of_today(ballot, inputs)
                for ballot in inputs.case.ballots
                if ballot.decision_id not in inputs.unproven
            ),
            "requesters": tuple(sorted({*inputs.case.requesters, *inputs.requesters_now})),
            "teams": _teams(inputs.case.teams, inputs.teams_now),
        }
    )


def _teams(before: tuple[str, ...], now: tuple[str, ...] | None) -> tuple[str, ...]:
    """The teams of who asks then and today; where either is not known, none is, and everybody counts as inside."""
    if now is None:
        return before
    return tuple(sorted({*before, *now})) if before and now else ()


def _as_of_today(ballot: Ballot, inputs: DispatchInputs) -> Ballot:
    """An approval keeps what made it count when it was given and does so still; of whoever is nobody today, or may not
    act for the other any more, it is none. Other votes stay as they were.
    """
    if ballot.vote is not Vote.approve:
        return ballot
    if inputs.people_now is None:
        today = PersonFacts(person_id=ballot.person_id, groups=inputs.groups_now.get(ballot.person_id, ()))
    elif acting_key(ballot) in inputs.people_now:
        today = inputs.people_now[acting_key(ballot)]
    else:
        return ballot.model_copy(update={"vote": Vote.abstain})
    held = {name: _still(getattr(ballot, name), getattr(today, name)) for name in _HELD}
    near = {**_near(ballot, today), "since": _since(ballot, today)} if inputs.people_now is not None else {}
    return ballot.model_copy(update={**held, **near, "groups_only": ballot.groups_only or today.groups_only})


def _near(before: PersonFacts, today: PersonFacts) -> dict[str, tuple[str, ...]]:
    """Teams and lines then and today: what sets two people apart has to hold both times."""
    known = bool(before.teams and today.teams)
    return {
        "teams": tuple(dict.fromkeys((*before.teams, *today.teams))) if known else (),
        "managers": tuple(dict.fromkeys((*before.managers, *today.managers))),
    }


def _since(before: PersonFacts, today: PersonFacts) -> dict[str, datetime]:
    """Since when both then and today say so: whoever writes votes makes no newcomer an old hand."""
    return {key: max(since, today.since[key]) for key, since in before.since.items() if key in today.since}


def _still(before: tuple[str, ...], today: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in before if name in today)


def _last_vote(inputs: DispatchInputs) -> datetime:
    assert inputs.case is not None
    return max((ballot.received_at for ballot in inputs.case.ballots), default=inputs.case.opened_at)


def _fresh_directory(inputs: DispatchInputs) -> list[Reason]:
    most = timedelta(seconds=inputs.directory_seconds) if inputs.directory_seconds is not None else None
    stale = stale_directory(inputs.directory_at, most, inputs.now)
    return [stale] if stale is not None else []


def _same_target(inputs: DispatchInputs) -> list[Reason]:
    if not inputs.resolved_now:
        return [Reason(code="unresolved_target", message="the target resolves to nothing")]
    if inputs.resolved_now != inputs.assessed_resolved:
        message = f"assessed {', '.join(inputs.assessed_resolved)}, resolves to {', '.join(inputs.resolved_now)} now"
        return [Reason(code="target_changed", message=message)]
    if inputs.unfound:
        return [Reason(code="target_not_resolved", message="; ".join(inputs.unfound))]
    return [Reason(code="target_changed", message="; ".join(inputs.moved))] if inputs.moved else []


def _in_time(inputs: DispatchInputs) -> list[Reason]:
    latest = inputs.latest_start_now
    if latest is None or inputs.now < latest:
        return []
    message = f"the window closes at {inputs.permit_until_now}: the step had to begin before {latest}"
    return [Reason(code="window_too_short", message=message)]


def _same_assessment(inputs: DispatchInputs) -> list[Reason]:
    return [Reason(code="assessment_differs", message="; ".join(inputs.differing))] if inputs.differing else []


def _no_hold(inputs: DispatchInputs) -> list[Reason]:
    against = unremedied(inputs.holds, inputs.remedies) if inputs.assessed_verdict.asks else inputs.holds
    return [Reason(code=ON_HOLD, message=f"target {hold.target} is under hold: {hold.reason}") for hold in against]


def _earlier_steps(inputs: DispatchInputs) -> list[Reason]:
    done = {
        item.step
        for item in inputs.records
        if item.direction == "do"
        and item.report is not None
        and (item.report.rehearsed if inputs.dry_run else item.report.succeeded)
    }
    undone = any(item.direction == "undo" and item.use == "claimed" for item in inputs.records)
    missing = [str(step) for step in range(1, inputs.step) if step not in done]
    found = []
    if missing:
        found.append(Reason(code="step_order", message=f"step {', '.join(missing)} has not succeeded"))
    if undone:
        found.append(Reason(code="compensating", message="compensation has begun"))
    return found


def curable(inputs: DispatchInputs, reasons: tuple[Reason, ...]) -> bool:
    """Whether people can cure what closed the gate: they are asked again, and no permit was ever issued.

    A verdict that asks nobody any more is not for people to cure: a denial of the policy ends the action.
    """
    untouched = inputs.step == 1 and not inputs.records and not inputs.permitted_revisions
    return untouched and inputs.verdict_now.asks and bool(reasons) and all(item.code in _CURABLE for item in reasons)


def out_of_turn(reasons: tuple[Reason, ...]) -> bool:
    """Whether a permit was asked for that was not due; such a refusal says nothing of the gate and is no cause."""
    return any(reason.code in _OUT_OF_TURN for reason in reasons)


def may_undo(
    step: int,
    records: tuple[StepRecord, ...],
    *,
    stopped: bool,
    dispatch_refused: bool,
    expired: bool = False,
    spared: bool = False,
) -> tuple[Reason, ...]:
    """Every reason against claiming the undo permit of a step; empty when there is something to undo and a cause.

    Compensation needs no new approval, so it needs a cause that the record shows: a step that failed or that an
    executor refused, a stop, a gate that closed between two steps, or a permit that nobody can claim any more. And it
    goes backwards: a step waits (`later_step_open`) for every later one that runs, or was done and is not undone. One
    whose effect is not known may be either, and nothing is undone below it.

    Args:
        step: whose undo is asked for.
        records: one per permit that was issued.
        stopped: whether a stop is on record whose verb is to compensate.
        dispatch_refused: whether the gate refused a later step.
        expired: whether the forward permit of a later step expired unclaimed.
        spared: whether people are asked about what nobody can tell: that is no cause then (`policy/undecided.py`).
    """
    forward = {item.step: item.report for item in records if item.direction == "do"}
    report = forward.get(step)
    if report is None or report.effect != "done":
        return (Reason(code="nothing_to_undo", message=f"step {step} has not reported an effect"),)
    reports = [item for item in forward.values() if item is not None and not (spared and item.inconclusive)]
    failed = any(item.failed or item.effect == "none" for item in reports)
    void = any(item.direction == "do" and item.use == "void" for item in records)
    if not (failed or void or stopped or dispatch_refused or expired):
        return (Reason(code="no_cause_to_undo", message="no step failed, nobody stopped the action, no gate closed"),)
    undo = {item.step: item.report for item in records if item.direction == "undo"}
    if waits := [later for later in forward if later > step and _is_open(later, records, forward[later], undo)]:
        message = f"step {max(waits)} runs, or was done and is not undone yet"
        return (Reason(code="later_step_open", message=message),)
    return ()


def _is_open(
    step: int, records: tuple[StepRecord, ...], done: EffectReport | None, undo: dict[int, EffectReport | None]
) -> bool:
    """Whether a step runs, or was done and has an undo that has not reported, or nobody knows."""
    claimed = any(item.step == step and item.direction == "do" and item.use == "claimed" for item in records)
    if done is None:
        return claimed
    return done.effect == "unknown" or (done.effect == "done" and step in undo and undo[step] is None)
