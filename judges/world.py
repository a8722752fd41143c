"""The world in which a situation is judged: a catalog, a directory and registries as documents, and the shipped policy.

Nothing is stubbed: documents are read, facts are collected and the gate is asked by the product's own pure functions.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from judges.situations import Situation
from policy.catalog import Catalog, read_catalog
from policy.document import PolicySet, read_policy
from policy.facts import collect
from policy.observed import Observed, UndoProof
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory, read_directory
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, assess_revision

ROOT = Path(__file__).parents[1]
_NIGHT = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)  # a Tuesday, 22:00 in Berlin: within the window of the policy
_MORNING = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
_FREEZE = datetime(2026, 12, 23, 21, 0, tzinfo=UTC)
_DIGESTS = DocumentDigests(policy="judged", operations="judged", catalog="judged", directory="judged")
_DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: people, version: "1"}
people:
  - {id: owner}
  - {id: omar, groups: [oncall]}
  - {id: lea, groups: [leads]}
agents: [{id: bot, owner: owner}]
"""
_UNITS = 1000


@cache
def directory() -> Directory:
    """Two groups of approvers, and an agent with an owner."""
    return read_directory(_DIRECTORY)


@cache
def policy() -> PolicySet:
    """The policy that is shipped for production."""
    return read_policy((ROOT / "examples/production/policy.yaml").read_bytes())


@cache
def registry(*names: str) -> OperationsRegistry:
    """The shipped registries of these names, together."""
    return read_operations(b"\n---\n".join((ROOT / f"operations/{name}.yaml").read_bytes() for name in names))


@cache
def catalog(environment: str, parts: int, domains: int, criticality: str = "critical") -> Catalog:
    """A target of so many parts in so many failure domains, with three services that depend on it."""
    one = (
        _entity("System", "target", environment, criticality)
        + f"    countersign/units: '{_UNITS}'\nspec: {{owner: team}}\n"
    )
    members = [
        _entity("Resource", f"part-{number}", environment, criticality)
        + f"    countersign/resource-id: id-{number}\n    countersign/failure-domains: zone-{number % domains}\n"
        + "spec: {type: part, owner: team, system: target}\n"
        for number in range(parts)
    ]
    users = [
        _entity("Component", f"user-{number}", environment, "medium")
        + "spec: {type: service, owner: team, lifecycle: production, dependsOn: ['system:target', 'resource:part-0']}\n"
        for number in range(3)
    ]
    return read_catalog("---\n".join([one, *members, *users]).encode())


def _entity(kind: str, name: str, environment: str, criticality: str) -> str:
    return (
        f"apiVersion: backstage.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\n  annotations:\n"
        f"    countersign/environment: {environment}\n    countersign/criticality: {criticality}\n"
    )


def judged(situation: Situation, names: tuple[str, ...] = ("infrastructure",)) -> Revision:
    """What the gate says of a situation."""
    known, at = registry(*names), _at(situation)
    targets = catalog(situation.environment, situation.resolved, situation.domains)
    received = receive(_proposal(situation, known, targets, at))
    proofs: tuple[UndoProof, ...] = ()
    if situation.undo_proved:
        undone = UndoProof(operation=situation.operation, kind="dry_run", at=at - timedelta(minutes=5))
        proofs = (undone, undone.model_copy(update={"direction": "do"}))
    observed = Observed(at=at, undo_proofs=proofs, catalog_at=at, directory_at=at)
    facts = collect(received.proposal, catalog=targets, directory=directory(), registry=known, observed=observed)
    return assess_revision(
        received,
        facts,
        policy(),
        _DIGESTS,
        revision=1,
        assessed_at=at,
        absolute_deadline=at + timedelta(days=1),
    )


def _at(situation: Situation) -> datetime:
    return _FREEZE if situation.frozen else _MORNING if situation.busy else _NIGHT


def _proposal(situation: Situation, known: OperationsRegistry, targets: Catalog, at: datetime) -> dict[str, Any]:
    operation = known.find(situation.operation)
    counted = operation is not None and "units" in operation.parameters
    parameters = {"units": round(situation.share * _UNITS)} if counted else {}
    step: dict[str, Any] = {"name": "act", "operation": situation.operation, "parameters": parameters}
    if operation is not None and operation.inverse:
        step["undo"] = {"operation": operation.inverse[0], "parameters": parameters}
    meant = targets.resolve("system:target") if situation.target_as_meant else ("id-of-another",)
    return {
        "api_version": "countersign/v1",
        "proposal_id": f"judged-{situation.name}",
        "operation": situation.operation,
        "target": "system:target",
        "environment": situation.declared_environment,
        "agent": {"id": "bot", "confidence": 0.9},
        "on_behalf_of": "owner",
        "rationale": "as it was told",
        "steps": [step],
        "success_criteria": [{"probe": "platform.healthy", "equals": True}],
        "produced_at": (at - timedelta(hours=30 if situation.stale else 0)).isoformat().replace("+00:00", "Z"),
        **({"expected_targets": list(meant)} if situation.names_targets else {}),
    }


def cured(situation: Situation, gate: str) -> Situation | None:
    """The situation after a proposer did what a gate asked for; None where nothing helps."""
    match gate:
        case "DENY_OVER_CAP":
            return replace(situation, share=0.01)
        case "STAGED":
            return replace(situation, resolved=1, domains=1)
        case "DENY_ENV_MISMATCH":
            return replace(situation, declared_environment=situation.environment)
        case "DENY_TARGET_MISMATCH":
            return replace(situation, target_as_meant=True)
        case "DENY_WITHOUT_EXPECTED_TARGETS":
            return replace(situation, names_targets=True)
        case "DENY_WITHOUT_DRY_RUN":
            return replace(situation, undo_proved=True)
        case "DENY_FREEZE":
            return replace(situation, frozen=False)
        case "DENY_STALE":
            return replace(situation, stale=False)
        case "WINDOW":
            return replace(situation, busy=False)
    return None
