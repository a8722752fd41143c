"""The small world that the rules are asked about in unit tests: one of everything, with one thing changed at a time."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from policy.approval.standing import ApprovalCase, Ballot
from policy.catalog import Catalog, read_catalog
from policy.decision import Vote
from policy.document import ApprovalChain, EscalationStep, PolicySet, Requirement, Stage, read_policy
from policy.facts import Facts, collect
from policy.issuing import issue
from policy.observed import Observed
from policy.operations import OperationsRegistry, read_operations
from policy.people.directory import Directory, read_directory
from policy.permit import Permit
from policy.proofs import Assurance
from policy.proposal import ActionProposal, receive
from policy.revision import DocumentDigests, assess_revision, revision_digest

DIGEST = "sha256:" + "0" * 64
T0 = datetime(2030, 1, 1, 9, 0, tzinfo=UTC)

CATALOG = b"""
kind: Component
metadata: {name: orders, annotations: {countersign/environment: production, countersign/criticality: medium,
  countersign/resource-id: pg-orders}}
spec: {owner: team-orders}
---
kind: Component
metadata: {name: shop, annotations: {countersign/criticality: high}}
spec: {dependsOn: [orders]}
---
kind: Component
metadata: {name: nameless, annotations: {countersign/environment: production}}
spec: {}
"""

DIRECTORY = b"""
apiVersion: countersign/v1
kind: Directory
metadata: {name: people, version: "1"}
people:
  - {id: ann, aliases: [ann@example.org], groups: [ops]}
  - {id: bob, groups: [ops, dba]}
  - {id: cleo, groups: [dba]}
  - {id: dan, groups: [sre]}
agents:
  - {id: tuner, owner: ann}
"""

OPERATIONS = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: operations, version: "1"}
operations:
  - name: pg.set
    executor: postgres
    severity: 40
    floor: medium
    effects: [performance]
    inverse: [pg.set, pg.reset]
    parameters:
      name: {type: string, pattern: "[a-z_]+"}
      value: {type: string, required: false}
  - {name: pg.reset, executor: postgres, severity: 20, parameters: {name: {type: string}}}
  - {name: pg.end_session, executor: postgres, severity: 10, needs_no_undo: true, parameters: {pid: {type: integer}}}
  - {name: pg.drop, executor: postgres, severity: 90, floor: high, destructive: true, effects: [availability]}
"""

POLICY = b"""
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1"}
limits:
  - {id: no-drop, match: {destructive: true, environments: [production]}, reason: nothing is destroyed in production}
rules:
  - {id: sessions, match: {operations: [pg.end_session]}, verdict: allow}
  - {id: settings, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: pair}
chains:
  pair:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 1h}
      - {name: dba, requirements: [{groups: [dba]}], deadline: 1h}
"""


def proposal_json(**changes: Any) -> dict[str, Any]:
    """A proposal as a platform sends it; a change of None leaves the field out."""
    value = {
        "api_version": "countersign/v1",
        "proposal_id": "p-1",
        "operation": "pg.set",
        "target": "orders",
        "environment": "production",
        "agent": {"id": "tuner", "confidence": 0.9},
        "on_behalf_of": "ann",
        "rationale": "more memory",
        "steps": [step_json()],
        "success_criteria": [{"probe": "pg.setting", "parameters": {"name": "work_mem"}, "equals": "8MB"}],
        **changes,
    }
    return {name: item for name, item in value.items() if item is not None}


def step_json(operation: str = "pg.set", *, name: str = "set", undo: str | None = "pg.reset", **more: Any) -> Any:
    """A step with parameters that its operation takes."""
    parameters: dict[str, Any] = {
        "pg.set": {"name": "work_mem", "value": "8MB"},
        "pg.reset": {"name": "work_mem"},
        "pg.end_session": {"pid": 42},
    }
    step = {"name": name, "operation": operation, "parameters": parameters.get(operation, {}), **more}
    return step if undo is None else {**step, "undo": {"operation": undo, "parameters": parameters.get(undo, {})}}


def a_proposal(**changes: Any) -> ActionProposal:
    """The proposal, received."""
    return receive(proposal_json(**changes)).proposal


@cache
def a_catalog(body: bytes = CATALOG) -> Catalog:
    return read_catalog(body)


@cache
def a_directory() -> Directory:
    return read_directory(DIRECTORY)


@cache
def a_registry() -> OperationsRegistry:
    return read_operations(OPERATIONS)


@cache
def a_policy(body: bytes = POLICY) -> PolicySet:
    return read_policy(body)


def facts_of(proposal: ActionProposal, **changes: Any) -> Facts:
    """What the small world knows of a proposal; `changes` may name fields of what was observed, too."""
    seen = {name: changes.pop(name) for name in list(changes) if name in Observed.model_fields}
    observed = Observed(**{"at": T0, **seen})
    known = collect(proposal, catalog=a_catalog(), directory=a_directory(), registry=a_registry(), observed=observed)
    return known.model_copy(update=changes)


def at(minutes: float) -> datetime:
    """So many minutes after the case opened."""
    return T0 + timedelta(minutes=minutes)


def stage(*groups: str, name: str = "review", minutes: int = 60, **more: Any) -> Stage:
    """A stage that needs one person of each of these groups."""
    requirements = more.pop("requirements", tuple(Requirement(groups=(group,)) for group in groups))
    return Stage(name=name, requirements=requirements, deadline=timedelta(minutes=minutes), **more)


def escalation(minutes: int, *groups: str) -> EscalationStep:
    return EscalationStep(after=timedelta(minutes=minutes), add_groups=groups, reason="nobody answered")


def a_case(*stages: Stage, ballots: tuple[Ballot, ...] = (), absolute: float = 1000, **more: Any) -> ApprovalCase:
    """A case that opened at T0; ann and the agent's owner stand behind it unless told otherwise."""
    return ApprovalCase(
        chain=ApprovalChain(stages=stages),
        opened_at=T0,
        absolute_deadline=at(absolute),
        requesters=more.pop("requesters", ("rita",)),
        ballots=ballots,
        **more,
    )


def a_ballot(
    person: str, vote: str, minutes: float, groups: str = "ops", *, number: int = 1, why: str = "no"
) -> Ballot:
    """A vote; `groups` are separated by spaces."""
    return Ballot(
        decision_id=f"{person}-{vote}-{minutes}",
        person_id=person,
        groups=tuple(groups.split()),
        stage=number,
        vote=Vote(vote),
        received_at=at(minutes),
        assurance=Assurance.claimed,
        justification=why,
    )


def issued(step: int, **changes: Any) -> tuple[Permit, ...]:
    """The permits of one step of a proposal that was assessed as it is."""
    received = receive(proposal_json(**changes))
    documents = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)
    revision = assess_revision(
        received,
        facts_of(received.proposal),
        a_policy(),
        documents,
        revision=1,
        assessed_at=T0,
        absolute_deadline=at(60),
    )
    digest = revision_digest(revision.body())
    return issue(
        received.proposal, revision, digest, step=step, now=at(5), document=a_policy(), assurance=Assurance.aal1
    )
