"""The facts that an assessment rests on, collected once and kept in the ledger next to what was concluded from them.

Every fact names its writer, so that nothing a proposer wrote can pass for something measured.
"""

from policy.base import Reason, RecordModel
from policy.catalog import Catalog, Dependent
from policy.directory import Directory
from policy.operations import OperationsRegistry, RegisteredOperation, parameter_refusals, unknown
from policy.proposal import ActionProposal


class HoldFact(RecordModel):
    """A target under hold. `proposal_id` is the action that left it so."""

    hold_id: str
    target: str
    proposal_id: str | None
    reason: str


class Facts(RecordModel):
    """What was known of one proposal at one instant. `operations` holds every operation of its steps and undos."""

    target_known: bool
    target_resource_id: str | None = None
    target_environment: str | None = None
    target_criticality: str | None = None
    target_owner: str | None = None
    dependents: tuple[Dependent, ...] = ()
    operations: dict[str, RegisteredOperation] = {}
    unregistered: tuple[str, ...] = ()
    agent_owner: str | None = None
    on_behalf_of: str | None = None
    holds: tuple[HoldFact, ...] = ()
    earlier_denials: tuple[str, ...] = ()
    bad_parameters: tuple[Reason, ...] = ()

    def operation(self, name: str) -> RegisteredOperation:
        """What is known of an operation; of one that was not looked up, the worst is assumed."""
        return self.operations.get(name) or unknown(name)

    @property
    def resolved(self) -> tuple[str, ...]:
        """The ids that an executor would act on. Empty means nothing, never everything."""
        return (self.target_resource_id,) if self.target_resource_id else ()

    @property
    def requesters(self) -> tuple[str, ...]:
        """The people who ask, so that none of them approves: the agent's owner and whom it acts for."""
        return tuple(sorted({person for person in (self.agent_owner, self.on_behalf_of) if person}))


def collect(
    proposal: ActionProposal,
    *,
    catalog: Catalog,
    directory: Directory,
    registry: OperationsRegistry,
    holds: tuple[HoldFact, ...],
    earlier_denials: tuple[str, ...],
    bad_parameters: tuple[Reason, ...] = (),
) -> Facts:
    """Look up everything that the rules need to know about a proposal.

    Args:
        proposal: what is asked for.
        catalog: the targets.
        directory: the people and agents.
        registry: the operations; wrong parameters are found with it.
        holds: those on the target, found by its `target_ref` or its resource id.
        earlier_denials: ids of proposals with the same effect digest that were denied.
        bad_parameters: what an executor found wrong besides.
    """
    entity = catalog.entity(proposal.target)
    person = directory.person(proposal.on_behalf_of)
    return Facts(
        target_known=entity is not None,
        target_resource_id=entity.resource_id if entity else None,
        target_environment=entity.environment if entity else None,
        target_criticality=entity.criticality if entity else None,
        target_owner=entity.owner if entity else None,
        dependents=catalog.dependents_of(proposal.target) if entity else (),
        operations={name: registry.find(name) or unknown(name) for name in proposal.operations},
        unregistered=tuple(name for name in proposal.operations if registry.find(name) is None),
        agent_owner=directory.owner_of(proposal.agent.id),
        on_behalf_of=person.person_id if person else None,
        holds=holds,
        earlier_denials=earlier_denials,
        bad_parameters=tuple(dict.fromkeys((*parameter_refusals(proposal, registry), *bad_parameters))),
    )
