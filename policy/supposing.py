"""What is supposed that executors would find, where nobody asks them: a test of a policy, a proposal never made.

Each step whose operation resolves is taken to touch one thing for each id that the catalog has of its target, in the
environment that is proposed. It is never used for an action of the record.
"""

from datetime import datetime

from policy.canonical import digest_of
from policy.catalog import Catalog
from policy.operations import OperationsRegistry
from policy.proposal import ActionProposal
from policy.targets import ResolvedStep, ResolvedTarget, TargetResolution


def supposed(
    proposal: ActionProposal, catalog: Catalog, registry: OperationsRegistry, at: datetime
) -> TargetResolution | None:
    """What would be found at an instant (UTC), if all is as the catalog says; None where no operation resolves."""
    steps = [
        ResolvedStep(
            step=number,
            operation=step.operation,
            executor=known.executor,
            targets=tuple(
                ResolvedTarget(id=resource, resource=resource, environment=proposal.environment)
                for resource in catalog.resolution(proposal.target).ids
            ),
        )
        for number, step in enumerate(proposal.steps, start=1)
        if (known := registry.find(step.operation)) is not None and known.resolves
    ]
    if not steps:
        return None
    return TargetResolution(
        action_digest=digest_of(proposal.proposal_id), at=at, resolved_by="supposed", steps=tuple(steps)
    )
