"""Which permits a step gets: one to do it and, where the step has an undo, one to undo it.

- Both are made from the approved proposal and its revision alone; nothing that a caller says is in them.
- The ids to act on and the executor are those that were assessed. The criteria belong to the last step, the minimum of
  every operation with them.
- What a criterion compares with what was before is read under the permit of the first step, before anything is done.
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
from policy.staging import acting_seconds
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
    last = until if until is None or runs_over else latest_start(proposal, revision, step, until, len(targets))
    both = _both(proposal, revision, step)
    both |= {"assessment_digest": assessment_digest, "assurance": assurance, "issued_at": now}
    forward = _permit(
        both,
        revision,
        Direction.do,
        planned,
        targets,
        **_measuring(proposal, revision, step),
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
        "one_by_one": proposal.steps[step - 1].one_by_one,
        "judging": None if proposal.dry_run else revision.evaluation.judging,
    }


def _measuring(proposal: ActionProposal, revision: Revision, step: int) -> dict[str, Any]:
    """What is read before the first step and after the last."""
    real = not proposal.dry_run
    return {
        "criteria": _criteria(proposal, revision) if real and step == len(proposal.steps) else (),
        "baselines": _baselines(proposal, revision) if real and step == 1 else (),
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


def _baselines(proposal: ActionProposal, revision: Revision) -> tuple[PermitCriterion, ...]:
    """What is read before the first step, so that no step has changed it yet."""
    return tuple(item for item in _criteria(proposal, revision) if item.needs_baseline)


def _measured(criterion: Criterion, revision: Revision) -> PermitCriterion:
    """A criterion with what the executor role needs to measure it."""
    said = criterion.model_dump(exclude_unset=True)
    if criterion.of is not None:
        said["resources"] = revision.facts.guarded.get(criterion.of, ())
    probe = revision.facts.probes.get(criterion.probe)
    if probe is None:
        return PermitCriterion(**said)
    types = {name: declared.type for name, declared in probe.parameters.items()}
    return PermitCriterion(**said, executor=probe.executor, query=probe.query, types=types, reads=probe.type)


def latest_start(proposal: ActionProposal, revision: Revision, step: int, until: datetime, found: int = 0) -> datetime:
    """When a step has to begin at the latest, so that its effect is over at an instant (UTC).

    Args:
        proposal: what was approved.
        revision: its assessment.
        step: which one, from 1.
        until: the instant.
        found: how many targets its executor found; 0 where it does not look.
    """
    planned, ids = proposal.steps[step - 1], found or len(revision.facts.resolved)
    return until - timedelta(seconds=acting_seconds(planned, _criteria(proposal, revision), ids))
