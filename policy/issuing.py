"""Which permits a step gets: one to do it and, where the step has an undo, one to undo it.

- Both are made from the approved proposal and its revision alone; nothing that a caller says is in them.
- The ids to act on and the executor are those that were assessed. The criteria belong to the last step, the minimum of
  every operation with them.
- What a criterion compares with what was before is read under the permit of the first step, before anything is done.
- Each criterion says which executor measures it and with which text of the registry, as it was assessed.
- The permits of a dry run say so, and have no criteria: nothing is changed that could be measured.
- The permit to do expires by the policy in force when it is issued, and with the window that lets it run; the permit to
  undo never does.
"""

from datetime import UTC, datetime
from typing import Any

from policy.canonical import digest_of
from policy.criteria import effective
from policy.document import PolicySet
from policy.permit import Direction, Permit, PermitCriterion, permit_id
from policy.proofs import Assurance
from policy.proposal import ActionProposal, Criterion, Step, Undo
from policy.revision import Revision


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
    """
    planned = proposal.steps[step - 1]

    def permit(direction: Direction, operation: str, **rest: Any) -> Permit:
        return Permit(
            permit_id=permit_id(revision.proposal_id, revision.revision, step, direction),
            proposal_id=revision.proposal_id,
            revision=revision.revision,
            step=step,
            direction=direction,
            executor=revision.facts.operation(operation).executor,
            operation=operation,
            environment=proposal.environment,
            resolved=revision.facts.resolved,
            action_digest=revision.action_digest,
            assessment_digest=assessment_digest,
            policy_digest=revision.documents.policy,
            resolved_digest=digest_of(list(revision.facts.resolved)),
            assurance=assurance,
            issued_at=now,
            dry_run=proposal.dry_run,
            **rest,
        )

    ends = min(now + document.permit_ttl, until or datetime.max.replace(tzinfo=UTC))
    forward = permit(Direction.do, planned.operation, **_doing(proposal, revision, step), expires_at=ends)
    if planned.undo is None:
        return (forward,)
    return forward, permit(Direction.undo, planned.undo.operation, **_undoing(planned, planned.undo), expires_at=None)


def _doing(proposal: ActionProposal, revision: Revision, step: int) -> dict[str, Any]:
    """What is done, and what is read before the first step and after the last."""
    planned, real = proposal.steps[step - 1], not proposal.dry_run
    return {
        "parameters": planned.parameters,
        "timeout_seconds": planned.timeout_seconds,
        "criteria": _criteria(proposal, revision) if real and step == len(proposal.steps) else (),
        "baselines": _baselines(proposal, revision) if real and step == 1 else (),
        "one_by_one": planned.one_by_one,
    }


def _undoing(planned: Step, undo: Undo) -> dict[str, Any]:
    return {
        "parameters": undo.parameters,
        "timeout_seconds": undo.timeout_seconds,
        "one_by_one": planned.one_by_one,
    }


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
