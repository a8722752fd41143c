"""The governed documents and proposals of the benchmarks: one target, one operation, one environment for each question.

`routine` is allowed, `two-stages` asks two people one after the other, `calm` and `impatient` ask one person each, the
latter with one reminder and one escalation before anybody can have answered.
"""

import json
from typing import Any

from activities.documents import Kind
from bench.target import DELETE, FOUND, FREE, NAME, OPERATION, PROBE, UNDOABLE
from signing.keys import generate

ENVIRONMENTS = ("routine", "two-stages", "calm", "impatient", "crowd")
FIRST, SECOND = "ann", "bob"
# What the first of them may sign with, and for which installation.
FIRST_KEYS = (generate("ann-ed25519"), generate("ann-p256", "p256"))
AUDIENCE = "countersign/bench"
# `crowd` asks all of them.
CROWD = tuple(f"p{number:02}" for number in range(1, 51))

_OPERATIONS = f"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {{name: operations, version: "1"}}
operations:
  - name: {OPERATION}
    executor: {NAME}
    severity: 10
    needs_no_undo: true
    parameters: {{what: {{type: string}}}}
  - name: {FOUND}
    executor: {NAME}
    severity: 10
    needs_no_undo: true
    resolves: true
    parameters: {{what: {{type: string}}}}
  - {{name: {FREE}, executor: {NAME}, severity: 10, read_only: true, parameters: {{what: {{type: string}}}}}}
  - {{name: {UNDOABLE}, executor: {NAME}, severity: 10, inverse: [{DELETE}], parameters: {{what: {{type: string}}}}}}
  - {{name: {DELETE}, executor: {NAME}, severity: 10, needs_no_undo: true, parameters: {{what: {{type: string}}}}}}
"""

_KEYS = json.dumps([{"id": key.id, "jwk": key.public} for key in FIRST_KEYS])
_PEOPLE = "\n".join(f"  - {{id: {person}, groups: [crowd]}}" for person in CROWD)
_DIRECTORY = f"""
apiVersion: countersign/v1
kind: Directory
metadata: {{name: people, version: "1"}}
audience: {AUDIENCE}
people:
  - {{id: ann, groups: [ops], keys: {_KEYS}}}
  - {{id: bob, groups: [dba]}}
  - {{id: olga, groups: []}}
{_PEOPLE}
agents:
  - {{id: bench-agent, owner: olga}}
"""

_POLICY = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1"}
unsigned: [{}]
aggregate:
  - {id: together, per: target, at_once: 100000, match: {operations: [bench.insert, bench.insert_found]}}
rules:
  - {id: routine, match: {environments: [routine]}, verdict: allow}
  - {id: two-stages, match: {environments: [two-stages]}, verdict: require_approval, chain: two-stages}
  - {id: calm, match: {environments: [calm]}, verdict: require_approval, chain: calm}
  - {id: crowd, match: {environments: [crowd]}, verdict: require_approval, chain: crowd}
  - {id: impatient, match: {environments: [impatient]}, verdict: require_approval, chain: impatient}
chains:
  two-stages:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 1h}
      - {name: dba, requirements: [{groups: [dba]}], deadline: 1h}
  calm:
    stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 1h}]
  crowd:
    stages: [{name: crowd, requirements: [{groups: [crowd], count: 50}], deadline: 1h}]
  impatient:
    stages:
      - name: ops
        requirements: [{groups: [ops]}]
        deadline: 1h
        reminders: [1s]
        escalations: [{after: 2s, add_groups: [dba], reason: nobody answered}]
"""


def documents() -> dict[Kind, bytes]:
    """What is published before anything is measured."""
    return {
        "policy": _POLICY.encode(),
        "operations": _OPERATIONS.encode(),
        "directory": _DIRECTORY.encode(),
        "catalog": "---".join(_entity(environment) for environment in ENVIRONMENTS).encode(),
    }


def _entity(environment: str) -> str:
    return f"""
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {environment}
  annotations:
    countersign/environment: {environment}
    countersign/criticality: low
    countersign/resource-id: bench/{environment}
spec: {{type: service, lifecycle: production, owner: team-bench}}
"""


def proposal(
    proposal_id: str, environment: str, operation: str = OPERATION, *, measured: int = 1, fails: bool = False
) -> dict[str, Any]:
    """A proposal as a platform sends it: one step, one criterion that reads the effect back.

    Args:
        proposal_id: its id, and what is inserted.
        environment: one of `ENVIRONMENTS`, which says what becomes of it.
        operation: of its step.
        measured: how many criteria it has; the others read rows that are not there.
        fails: whether the criterion expects what is not so, and the step has an undo.
    """
    step: dict[str, Any] = {"name": "insert", "operation": operation, "parameters": {"what": proposal_id}}
    if fails:
        step["undo"] = {"operation": DELETE, "parameters": {"what": proposal_id}}
    criterion = {"probe": PROBE, "parameters": {"what": proposal_id}, "equals": 9 if fails else 1}
    others = [{"probe": PROBE, "parameters": {"what": f"{proposal_id}/{n}"}, "equals": 0} for n in range(1, measured)]
    return {
        "api_version": "countersign/v1",
        "proposal_id": proposal_id,
        "operation": operation,
        "target": environment,
        "environment": environment,
        "agent": {"id": "bench-agent", "confidence": 0.9},
        "on_behalf_of": "olga",
        "rationale": "a row is missing in the table of effects",
        "steps": [step],
        "success_criteria": [criterion, *others],
    }
