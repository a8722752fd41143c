"""The facts that an assessment rests on, collected once and kept in the ledger next to what was concluded from them.

- `observed` is what only the record and the world can say: other actions, measured SLOs, the age of the documents. It
  is read once, kept as it was read, and taken as recorded by an auditor. Everything else follows from the proposal and
  the governed documents, and is computed again.
- Every fact names its writer, so that nothing a proposer wrote can pass for something measured.
- What is missing is missing: no rule may read absence as good news.
"""

from datetime import datetime
from typing import Annotated, NamedTuple

from pydantic import Field

from policy.base import Instant, Reason, RecordModel
from policy.builtin import AGENT, PUBLISH
from policy.catalog import Catalog, Reach, SloObjective
from policy.criteria import guard_refusals, guards, minimum_refusals, probes_elsewhere
from policy.observed import DenialFact, HoldFact, Observed
from policy.operations import OperationsRegistry, Probe, RegisteredOperation, unknown
from policy.parameters import parameter_refusals
from policy.people.directory import Directory
from policy.people.facts import PersonFacts
from policy.proofs import Assurance
from policy.proposal import ActionProposal, ChangeType
from policy.resolving import is_fresh
from policy.rollback import mismatch
from policy.screens.safer import SaferOperation, safer_operations
from policy.signature import Signature
from policy.staging import staging_refusals
from policy.targets import Declared, ResolvedStep, ResolvedTarget, TargetResolution, objects_of


class PartFact(RecordModel):
    """Something that belongs to the target: what a policy can name it by."""

    ref: str
    system: str | None = None
    owner: str | None = None


class Facts(RecordModel):
    """What was known of one proposal at one instant. `operations` holds every operation of its steps and undos.

    `units_touched` of `units_total` is how much of the target's capacity the steps take at once, by what the operations
    registry counts and the catalog says there is; None where one of the two does not say. `unresolved` says why the
    target resolves to nothing. `teams` are those of who asks and of the agent; empty where nobody knows one of them.
    `behind` are the people who stand behind an emergency, with what the directory says of them: only the rules of
    break-glass ask for it. `operators` run the executors of the steps and undos, by the directory. `probes` are those
    of its criteria that another executor than the last step's reads, or that need the registry's text to be read.
    `guarded` are the ids of the entities that its guards are measured on, by reference as written.
    """

    target_known: bool
    target_ref: str = ""
    target_resource_id: str | None = None
    target_environment: str | None = None
    target_criticality: str | None = None
    target_owner: str | None = None
    target_system: str | None = None
    parts: tuple[PartFact, ...] = ()
    target_objectives: tuple[SloObjective, ...] = ()
    failure_domains: tuple[str, ...] = ()
    resolved_ids: tuple[str, ...] = ()
    unresolved: str = ""
    units_touched: float | None = None
    units_total: float | None = None
    reach: Reach = Reach()
    operations: dict[str, RegisteredOperation] = {}
    unregistered: tuple[str, ...] = ()
    agent_owner: str | None = None
    scheduled_by: tuple[str, ...] = ()
    on_behalf_of: str | None = None
    teams: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    safer: tuple[SaferOperation, ...] = ()
    observed: Observed = Observed()
    bad_parameters: tuple[Reason, ...] = ()
    behind: tuple[PersonFacts, ...] = ()
    operators: Annotated[tuple[str, ...], Field(exclude_if=lambda value: not value)] = ()
    probes: Annotated[dict[str, Probe], Field(exclude_if=lambda value: not value)] = {}
    guarded: Annotated[dict[str, tuple[str, ...]], Field(exclude_if=lambda value: not value)] = {}

    def operation(self, name: str) -> RegisteredOperation:
        """What is known of an operation; of one that was not looked up, the worst is assumed."""
        return self.operations.get(name) or unknown(name)

    @property
    def at(self) -> Instant | None:
        """When it was looked; None in records that did not say."""
        return self.observed.at

    @property
    def holds(self) -> tuple[HoldFact, ...]:
        return self.observed.holds

    @property
    def denials(self) -> tuple[DenialFact, ...]:
        return self.observed.denials

    @property
    def signature(self) -> Signature | None:
        """Whose word the proposal is; None where an earlier release did not look."""
        return self.observed.signature

    @property
    def proposed_with(self) -> Assurance:
        """How strongly it is shown who proposes; unsigned, and where nobody looked, it is only claimed."""
        return self.signature.assurance if self.signature is not None else Assurance.claimed

    @property
    def resolved(self) -> tuple[str, ...]:
        """The ids that an executor would act on. Empty means nothing, never everything."""
        return self.resolved_ids

    @property
    def resolution(self) -> TargetResolution | None:
        """What the executors found; None where nobody asked them, or it was too old when it was looked at."""
        found = self.observed.resolution
        return found if found is not None and self.at is not None and is_fresh(found, self.at) else None

    @property
    def found(self) -> tuple[ResolvedStep, ...]:
        """What the executors found of each step whose operation is resolved today."""
        steps = self.resolution.steps if self.resolution is not None else ()
        return tuple(item for item in steps if self.operation(item.operation).resolves)

    @property
    def touched(self) -> int:
        """How many things it acts on: ids of the catalog, or what executors found there, if that is more; never more
        than none where the catalog has no id.
        """
        if not self.resolved_ids:
            return 0
        return max(len(self.resolved_ids), len({(one.resource, one.id) for item in self.found for one in item.targets}))

    @property
    def objects(self) -> tuple[str, ...]:
        """The scopes of the objects that it would touch, under whatever ids of the catalog they were found."""
        return objects_of(one for item in self.found for one in item.targets)

    def acted_on(self, step: int) -> int:
        """How many targets a step acts on, from 1: what its executor found, or the ids of the catalog."""
        return len(self.targets_of(step)) or len(self.resolved)

    def targets_of(self, step: int) -> tuple[ResolvedTarget, ...]:
        """What a step would touch, from 1; nothing where nobody looks."""
        return next((item.targets for item in self.found if item.step == step), ())

    def declared_by(self, executor: str) -> Declared | None:
        """What an executor says that it can do; None where it said nothing."""
        newest = self.resolution.declared if self.resolution is not None else ()
        return next((item for item in (*newest, *self.observed.declared) if item.executor == executor), None)

    @property
    def share(self) -> float | None:
        """The share of the target's capacity that is taken at once, 0..1; None where nobody knows."""
        if self.units_touched is None or not self.units_total:
            return None
        return min(1.0, self.units_touched / self.units_total)

    @property
    def requesters(self) -> tuple[str, ...]:
        """The people who ask, so that none of them approves: the agent's owner, by whose schedule it runs, whom it acts
        for, and who wrote what it wants to publish.
        """
        named = (self.agent_owner, self.on_behalf_of, *self.scheduled_by, *self.authors)
        return tuple(sorted({person for person in named if person}))


def collect(
    proposal: ActionProposal,
    *,
    catalog: Catalog,
    directory: Directory,
    registry: OperationsRegistry,
    observed: Observed,
) -> Facts:
    """Look up everything that the rules need to know about a proposal; pure.

    Args:
        proposal: what is asked for.
        catalog: the targets.
        directory: the people and agents.
        registry: the operations; wrong parameters and criteria that are too weak are found with it.
        observed: what the record and the world said at one instant.
    """
    entity = catalog.entity(proposal.target)
    resolution = catalog.resolution(proposal.target)
    asking = _asking(proposal, directory, observed, resolution.ids)
    operations = {name: registry.find(name) or unknown(name) for name in proposal.operations}
    guarded = {name: catalog.resolution(name).ids for name in guards(proposal, registry)}
    refusals = (
        *parameter_refusals(proposal, registry),
        *minimum_refusals(proposal, registry),
        *guard_refusals(guarded, resolution.ids),
        *staging_refusals(proposal, registry, _most(observed.resolution, resolution.ids)),
    )
    return Facts(
        target_known=entity is not None,
        target_ref=proposal.target_ref,
        target_resource_id=entity.resource_id if entity else None,
        target_environment=entity.environment if entity else None,
        target_criticality=entity.criticality if entity else None,
        target_owner=entity.owner if entity else None,
        target_system=catalog.system_of(proposal.target),
        parts=_parts(proposal, catalog),
        target_objectives=catalog.objectives_of(proposal.target),
        failure_domains=catalog.failure_domains_of(proposal.target),
        resolved_ids=resolution.ids,
        unresolved=resolution.reason,
        units_touched=registry.units_touched(proposal, entity.units if entity else None, _units_found(observed)),
        units_total=entity.units if entity else None,
        reach=catalog.reach(proposal.target) if entity else Reach(),
        operations=operations,
        unregistered=tuple(name for name in proposal.operations if registry.find(name) is None),
        agent_owner=asking.owner,
        scheduled_by=asking.scheduled_by,
        on_behalf_of=asking.on_behalf_of,
        teams=asking.teams(directory),
        authors=asking.authors,
        safer=safer_operations(proposal, registry),
        observed=observed,
        bad_parameters=tuple(dict.fromkeys(refusals)),
        behind=people_behind(proposal, directory, observed.at) if proposal.change_type is ChangeType.emergency else (),
        operators=directory.operators_of({operation.executor for operation in operations.values()}),
        probes=probes_elsewhere(proposal, registry),
        guarded=guarded,
    )


def _units_found(observed: Observed) -> dict[int, float]:
    """How many units the targets of each step are together; nothing of a step with one of which nobody says it."""
    steps = observed.resolution.steps if observed.resolution is not None else ()
    known = {item.step: [one.units for one in item.targets] for item in steps if item.targets}
    return {step: sum(filter(None, units)) for step, units in known.items() if None not in units}


def _most(found: TargetResolution | None, ids: tuple[str, ...]) -> int:
    """How many targets a step acts on at most."""
    steps = found.steps if found is not None else ()
    return max((len(ids), *(len(step.targets) for step in steps)))


def _parts(proposal: ActionProposal, catalog: Catalog) -> tuple[PartFact, ...]:
    members = (ref for ref in catalog.members_of(proposal.target) if ref != proposal.target_ref)
    found = ((ref, catalog.entities[ref].owner) for ref in members)
    return tuple(PartFact(ref=ref, system=catalog.system_of(ref), owner=owner) for ref, owner in found)


class _Asking(NamedTuple):
    """The people behind a proposal, by id, and the team that its agent names."""

    owner: str | None
    scheduled_by: tuple[str, ...]
    on_behalf_of: str | None
    authors: tuple[str, ...]
    agent_team: str

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who asks, sorted."""
        named = (self.owner, self.on_behalf_of, *self.scheduled_by, *self.authors)
        return tuple(sorted({person for person in named if person}))

    def teams(self, directory: Directory) -> tuple[str, ...]:
        """Their teams. Where one person's is not known, nobody can say who is of another team: then none is."""
        found = {directory.team_of(person) for person in self.people}
        return () if "" in found else tuple(sorted(found | ({self.agent_team} if self.agent_team else set())))


def _asking(proposal: ActionProposal, directory: Directory, observed: Observed, resolved: tuple[str, ...]) -> _Asking:
    """Who asks. An account that is no person stands for who answers for it."""
    agent = directory.agent(proposal.agent.id) if proposal.agent.id != AGENT else None
    return _Asking(
        owner=_owner(proposal, directory, observed, resolved),
        scheduled_by=agent.scheduled_by if agent else (),
        on_behalf_of=directory.behind(proposal.on_behalf_of),
        authors=_authors(observed, directory),
        agent_team=agent.team if agent else "",
    )


def requesters_of(
    proposal: ActionProposal, directory: Directory, observed: Observed, resolved: tuple[str, ...]
) -> tuple[str, ...]:
    """The people who ask by a directory, as `Facts.requesters` has them; pure."""
    return _asking(proposal, directory, observed, resolved).people


def people_behind(proposal: ActionProposal, directory: Directory, at: datetime | None) -> tuple[PersonFacts, ...]:
    """Whom it acts for, and the agent's owner, as of an instant (UTC); nobody where that is not known."""
    if at is None:
        return ()
    names = (directory.behind(proposal.on_behalf_of), directory.owner_of(proposal.agent.id))
    known = (directory.facts(name, at) for name in dict.fromkeys(names) if name)
    return tuple(person for person in known if person is not None)


def _owner(proposal: ActionProposal, directory: Directory, observed: Observed, resolved: tuple[str, ...]) -> str | None:
    """Who answers for the agent. Who proposes from the command line to publish a document, or to undo exactly what the
    record has, answers for that, and for nothing else: no platform's agent hides its owner behind it.
    """
    if proposal.agent.id != AGENT:
        return directory.owner_of(proposal.agent.id)
    undoes = proposal.undoes is not None and mismatch(proposal, observed.undone, resolved) is None
    if set(proposal.operations) != {PUBLISH} and not undoes:
        return None
    return directory.behind(proposal.on_behalf_of)


def _authors(observed: Observed, directory: Directory) -> tuple[str, ...]:
    """The people who wrote the draft that is to be published; an identity of nobody stays as it is written."""
    if observed.draft is None:
        return ()
    return tuple(sorted({directory.behind(name) or name for name in observed.draft.authors}))
