"""What a workflow is told of a case that goes on: enough to wait and to call, nothing to decide by."""

from activities.cases import REVOKED, CaseFile
from policy.approval.standing import Standing
from policy.staging import targets_of
from policy.urgency import fairness_key, urgency
from workflows.messages import PACE, Pace, Plan, StepPlan


def make_plan(
    file: CaseFile,
    standing: Standing | None,
    *,
    local_dispatch: bool,
    pace: Pace = PACE,
    unblock: tuple[tuple[str, ...], ...] = (),
    ranked: bool = True,
    accepts_claimed: bool = True,
    audience: str | None = None,
) -> Plan:
    """The plan of a case that is pending or approved; `unblock` are sets of people who could finish what is open.
    `ranked` is False for one of a release that ranked nothing. `accepts_claimed` is whether a name that nobody proves
    counts, and `audience` what signatures must name; where nobody is asked it is not told.
    """
    revision, proposal = file.revision, file.proposal
    assert revision is not None
    assert file.assessment_digest is not None
    pending = standing is not None and file.resolution is None
    shown = file.sealed if pending else None
    return Plan(
        proposal_id=proposal.proposal_id,
        halted=file.halted,
        revision=revision.revision,
        action_digest=revision.action_digest,
        assessment_digest=file.assessment_digest,
        policy_digest=revision.documents.policy,
        verdict=revision.evaluation.verdict,
        risk_tier=revision.assessment.risk_tier,
        risk_score=revision.assessment.risk_score,
        steps=_steps(file),
        on_stop=proposal.on_stop,
        permit_seconds=revision.evaluation.permit_seconds,
        local_dispatch=local_dispatch,
        resolution=file.resolution,
        standing=standing,
        screen=shown.screen if shown else None,
        presented_digest=shown.presented_digest if shown else None,
        stopped=file.stop is not None,
        dry_run=proposal.dry_run,
        pace=pace,
        unblock=unblock,
        min_interval_seconds=revision.min_interval_seconds if pending else 0,
        revoked=file.stop == REVOKED,
        priority=urgency(proposal, revision) if ranked else None,
        fairness_key=fairness_key(proposal.agent.id) if ranked else None,
        accepts_claimed=accepts_claimed,
        audience=audience if pending else None,
        resolves=any(revision.facts.operation(step.operation).resolves for step in proposal.steps),
        stops_at_failed_undo=revision.evaluation.stops_at_failed_undo,
        judging=file.judging,
    )


def _steps(file: CaseFile) -> tuple[StepPlan, ...]:
    steps = file.proposal.steps
    assert file.revision is not None
    facts = file.revision.facts
    observe = max(item.longest for item in file.criteria)
    return tuple(
        StepPlan(
            number=number,
            name=step.name,
            timeout_seconds=targets_of(step, facts.acted_on(number)) * step.timeout_seconds,
            undo_timeout_seconds=(
                targets_of(step, facts.acted_on(number)) * step.undo.timeout_seconds if step.undo else None
            ),
            observe_seconds=targets_of(step, facts.acted_on(number)) * observe if number == len(steps) else 0,
        )
        for number, step in enumerate(steps, start=1)
    )
