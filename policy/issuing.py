"""Which permits a step gets: one to do it and, where the step has an undo, one to undo it.

- Both are made from the approved proposal and its revision alone; nothing that a caller says is in them.
- The ids to act on and the executor are those that were assessed. The criteria belong to the last step, the minimum of
  every operation with them.
- Each criterion says which executor measures it and with which text of the registry, as it was assessed.
- The permits of a dry run say so, and have no criteria: nothing is changed that could be measured.
- The permit to do expires by the policy in force when it is issued, and so long before the end of the window that lets
  it run that an effect which begins last, with all of its timeout, is over with the window; the permit to undo never
  does.
- What executors found that the step touches is in both.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from policy.canonical import digest_of
from policy.criteria import effective
from policy.document import PolicySet
from policy.permit import Direction, Permit, PermitCriterion, permit_id
from policy.proofs import Assurance
from policy.proposal import ActionProposal, Criterion, Step, Undo
from policy.revision import Revision
from policy.targets import ResolvedTarget, targets_digest, without_versions


def issue(
    proposal: ActionProposal,
    revision: Revision,
    assessment_digest: str,
    *,
    step: int,
    now: datetime,
    document: PolicySet,
    assurance: Assurance,
    until: datetime | None = None,
    targets: tuple[ResolvedTarget, ...] = (),
    runs_over: bool = False,
) -> tuple[Permit, ...]:
    """The permits of one step; pure.

    Args:
        proposal: what was approved.
        revision: its newest assessment.
        assessment_digest: of that revision.
        step: which one, from 1.
        now: the instant (UTC) at which they are issued.
        document: the policy in force now.
        assurance: the lowest that it rests on (`policy/approval/counting.py`).
        until: when the window closes that lets it run (UTC); None where there is none.
        targets: what its executor found that the step touches; none where it does not look.
        runs_over: the permit lasts to the end of the window, whatever the step takes, as in an earlier release.
    """
    planned = proposal.steps[step - 1]
    measured = step == len(proposal.steps) and not proposal.dry_run
    last = until if until is None or runs_over else latest_start(until, planned)
    both = _both(proposal, revision, step)
    both |= {"assessment_digest": assessment_digest, "assurance": assurance, "issued_at": now}
    forward = _permit(
        both,
        revision,
        Direction.do,
        planned,
        targets,
        criteria=_criteria(proposal, revision) if measured else (),
        expires_at=min(now + document.permit_ttl, last or datetime.max.replace(tzinfo=UTC)),
        over_by=None if runs_over else until,
    )
    if planned.undo is None:
        return (forward,)
    return forward, _permit(both, revision, Direction.undo, planned.undo, without_versions(targets), expires_at=None)


def _both(proposal: ActionProposal, revision: Revision, step: int) -> dict[str, Any]:
    """What both permits of a step say alike."""
    return {
        "proposal_id": revision.proposal_id,
        "revision": revision.revision,
        "step": step,
        "environment": proposal.environment,
        "resolved": revision.facts.resolved,
        "action_digest": revision.action_digest,
        "policy_digest": revision.documents.policy,
        "resolved_digest": digest_of(list(revision.facts.resolved)),
        "dry_run": proposal.dry_run,
    }


def _permit(
    both: dict[str, Any],
    revision: Revision,
    direction: Direction,
    planned: Step | Undo,
    targets: tuple[ResolvedTarget, ...],
    **rest: Any,
) -> Permit:
    return Permit(
        **both,
        permit_id=permit_id(revision.proposal_id, revision.revision, both["step"], direction),
        direction=direction,
        executor=revision.facts.operation(planned.operation).executor,
        operation=planned.operation,
        parameters=planned.parameters,
        timeout_seconds=planned.timeout_seconds,
        targets=targets,
        targets_digest=targets_digest(targets) if targets else None,
        **rest,
    )


def _criteria(proposal: ActionProposal, revision: Revision) -> tuple[PermitCriterion, ...]:
    return tuple(_measured(item, revision) for item in effective(proposal, revision.facts.operations))


def _measured(criterion: Criterion, revision: Revision) -> PermitCriterion:
    """A criterion with what the executor role needs to measure it."""
    said = criterion.model_dump(exclude_unset=True)
    probe = revision.facts.probes.get(criterion.probe)
    if probe is None:
        return PermitCriterion(**said)
    types = {name: declared.type for name, declared in probe.parameters.items()}
    return PermitCriterion(**said, executor=probe.executor, query=probe.query, types=types, reads=probe.type)


def latest_start(until: datetime, step: Step) -> datetime:
    """When a step has to begin at the latest, so that it is over at an instant (UTC)."""
    return until - timedelta(seconds=step.timeout_seconds)
