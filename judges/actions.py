"""What automation does all day, as proposals: tools that a server offers, and commands that repair.

- A tool is imported as anybody would import it (`policy/importing/mcp.py`), by name and description. The label that its
  authors gave it is what the gate is compared with, and nothing that the gate reads.
- A command is read into an operation of the shipped registries (`policy/importing/commands.py`). What it leaves out,
  such as the change that an editor would make, is filled in with a small change.
- Each is proposed in production, on one part of a critical target, by an agent without a history. Where its executor
  resolves, it finds the one thing that was named.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from judges.world import catalog, directory, policy, registry
from policy.criteria import minimum
from policy.facts import collect
from policy.importing.arguments import split_command
from policy.importing.commands import classify_command
from policy.importing.mcp import import_tools
from policy.judging import Judgement, judge
from policy.observed import Observed
from policy.operations import OperationsRegistry, RegisteredOperation, read_operations
from policy.parameter_types import Parameter
from policy.proposal import receive
from policy.targets import ResolvedStep, ResolvedTarget, TargetResolution

_AT = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
_NO_DIGEST = f"sha256:{'0' * 64}"
_SHIPPED = ("kubernetes", "kubernetes_objects", "helm", "postgres", "http", "command")
_FILLERS: Mapping[str, Any] = {"integer": 1, "number": 1, "boolean": True, "object": {"note": "small"}, "list": ["x"]}
_TEXTS = (
    "x",
    "x-1",
    "sha256:" + "0" * 64,
    "1",
    "kubernetes",
    "deployment",
    "https://example.org/x",
    "2026-01-01T00:00:00Z",
)
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Judged:
    """One action and what the gate said. `label` is read, routine, destructive or other, by whoever labelled it."""

    name: str
    label: str
    operation: str
    judgement: Judgement | None

    @property
    def verdict(self) -> str:
        """What the policy answered; `deny` where nobody can tell what the action does."""
        return str(self.judgement.evaluation.verdict) if self.judgement else "deny"

    @property
    def why(self) -> str:
        """The first reason."""
        return self.judgement.evaluation.reasons[0].message if self.judgement else "nobody can tell what it does"


def judge_tools(rows: Sequence[Mapping[str, str]]) -> list[Judged]:
    """Every row of a table of labelled tools."""
    tools = [
        {"name": row["action"], "description": row["description_excerpt"], **_annotations(row["author_flags"])}
        for row in rows
    ]
    imported = import_tools(json.dumps({"tools": tools}).encode(), "judged")
    known = read_operations(imported.text("tools").encode())
    by_tool = {item.operation.name.rpartition(".")[2]: item.operation for item in imported.entries}
    found = []
    for row in rows:
        operation = by_tool.get(row["action"])
        label = {"read": "read", "destructive": "destructive"}.get(row["author_label"], "other")
        judgement = _judge(known, operation, {}) if operation else None
        found.append(Judged(row["action"], label, operation.name if operation else "", judgement))
    return found


def judge_commands(lines: Sequence[str]) -> list[Judged]:
    """Every line of a table of commands."""
    known = registry(*_SHIPPED)
    found = []
    for line in lines:
        words = split_command(_PLACEHOLDER.sub("x", line))
        read = classify_command(words) if words else None
        operation = known.find(read.operation) if read else None
        judgement = _judge(known, operation, read.parameters) if read and operation else None
        found.append(Judged(line, command_label(line), read.operation if read else "", judgement))
    return found


def command_label(line: str) -> str:
    """What a person would call a kubectl line, by its verb alone; independent of the product's own reading."""
    words = [word for word in _PLACEHOLDER.sub("x", line).split() if not word.startswith("-")]
    verbs = set(words[1:8])
    if verbs & {"delete", "drain", "replace", "exec", "run"}:
        return "destructive"
    if verbs & {"get", "describe", "logs", "top", "events", "explain", "version"}:
        return "read"
    if verbs & {"rollout", "scale", "annotate", "label", "cordon", "uncordon", "edit", "patch", "set", "autoscale"}:
        touches = " ".join(words).lower()
        guarded = re.search(
            r"secret|networkpolic|authorizationpolic|role|serviceaccount|webhook|namespace|volume", touches
        )
        return "other" if guarded else "routine"
    return "other"


def _annotations(flags: str) -> dict[str, Any]:
    given = dict(item.split("=", 1) for item in flags.replace(";", ",").split(",") if "=" in item)
    hints = {f"{name.strip()}Hint": value.strip() == "true" for name, value in given.items()}
    return {"annotations": hints} if hints else {}


def _judge(known: OperationsRegistry, operation: RegisteredOperation, given: Mapping[str, Any]) -> Judgement:
    step: dict[str, Any] = {
        "name": "act",
        "operation": operation.name,
        "parameters": _fill(operation.parameters, given),
    }
    if operation.inverse and (back := known.find(operation.inverse[0])) is not None:
        step["undo"] = {"operation": back.name, "parameters": _fill(back.parameters, step["parameters"])}
    proposal = receive(_value(operation, step, [{"probe": "platform.healthy", "equals": True}])).proposal
    wanted = [item.model_dump(mode="json") for item in minimum(proposal, {operation.name: operation})]
    proposal = receive(_value(operation, step, wanted or [_criterion(known, operation, step)])).proposal
    facts = collect(
        proposal,
        catalog=_target(),
        directory=directory(),
        registry=known,
        observed=Observed(at=_AT, catalog_at=_AT, directory_at=_AT, resolution=_found(operation, proposal.target)),
    )
    return judge(policy(), proposal, facts)


def _found(operation: RegisteredOperation, target: str) -> TargetResolution | None:
    """What its executor would find, where it resolves: the one thing that the command names, of one unit."""
    if not operation.resolves:
        return None
    there = tuple(ResolvedTarget(id="x", resource=resource, units=1) for resource in _target().resolve(target)[:1])
    step = ResolvedStep(step=1, operation=operation.name, executor=operation.executor, targets=there)
    return TargetResolution(action_digest=_NO_DIGEST, at=_AT, resolved_by="judges", steps=(step,))


@cache
def _target() -> Any:
    return catalog("production", 1, 1, "high")


def _criterion(known: OperationsRegistry, operation: RegisteredOperation, step: Mapping[str, Any]) -> dict[str, Any]:
    """A criterion that fits an operation which brings none: the first probe of its executor that can fail."""
    for probe in known.probes:
        if probe.executor == operation.executor and not probe.constant:
            parameters = _fill(probe.parameters, step["parameters"])
            return {
                "probe": probe.name,
                "parameters": parameters,
                "equals": {"boolean": True, "string": "x"}.get(probe.type, 1),
            }
    return {"probe": "platform.healthy", "equals": True}


def _value(operation: RegisteredOperation, step: Mapping[str, Any], criteria: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "api_version": "countersign/v1",
        "proposal_id": "judged",
        "operation": operation.name,
        "target": "system:target",
        "environment": "production",
        "agent": {"id": "bot", "confidence": 0.9},
        "on_behalf_of": "owner",
        "rationale": "as it was told",
        "steps": [step],
        "success_criteria": criteria,
        "produced_at": _AT.isoformat().replace("+00:00", "Z"),
    }


def _fill(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as far as it is declared, and something small for what is missing."""
    known = {name: value for name, value in given.items() if name in parameters}
    missing = {name: item for name, item in parameters.items() if item.required and name not in known}
    return known | {name: _example(item) for name, item in missing.items()}


def _example(parameter: Parameter) -> Any:
    candidates = [*(parameter.enum or ()), _FILLERS.get(parameter.type), *_TEXTS]
    return next((value for value in candidates if value is not None and parameter.refusal(value) is None), "x")
