"""One operation of an action, as a policy asks about it: what lists match, and what conditions read.

- Each step and each undo is a question of its own, with its own parameters.
- What nobody knows is left out of the environment, so that a condition which reads it fails
  (`policy/rules/conditions.py`). Missing criticality is the worst one; a missing owner or system is an empty text.
- Nothing in the environment is free text of the proposer. `agent.confidence`, `action.change_type` and the counts of
  evidence and alternatives are the proposer's own statements, and so are parameters: a rule that lowers by them
  believes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.operations import RegisteredOperation, RiskTier
from policy.proposal import ActionProposal
from policy.rollback import mismatch, within
from policy.rules.conditions import Condition, Environment
from policy.rules.match import Scoped
from policy.rules.timing import Timing


@dataclass(frozen=True)
class Case:
    """An action, and what is known and concluded of it."""

    proposal: ActionProposal
    facts: Facts
    assessment: ImpactAssessment
    timing: Timing

    @property
    def tier(self) -> RiskTier:
        return self.assessment.risk_tier

    @cached_property
    def values(self) -> dict[str, Any]:
        """The part of the environment that is the same for all of its operations."""
        return {**_action(self.proposal, self.facts), **_target(self.facts), **_risk(self.assessment), **_time(self)}

    @cached_property
    def is_recorded_undo(self) -> bool:
        """Whether it is the undo of the action that it names, whatever the window."""
        undone, resolved = self.facts.observed.undone, self.facts.resolved
        return self.proposal.undoes is not None and mismatch(self.proposal, undone, resolved) is None

    def rolls_back(self, window: timedelta) -> bool:
        """Whether it is such an undo, and was asked for within a window."""
        return self.is_recorded_undo and within(self.facts.observed.undone, window)

    def questions(self) -> Iterator["Question"]:
        """Each operation with its parameters, steps first; the same one twice is one question."""
        seen = set()
        steps = [(step.operation, step.parameters, False, step.undo is not None) for step in self.proposal.steps]
        undos = [(item.undo.operation, item.undo.parameters, True, False) for item in self.proposal.steps if item.undo]
        for name, parameters, is_undo, has_undo in (*steps, *undos):
            # As text, because true and 1 are equal in Python and nowhere else.
            if (key := (name, repr(parameters), is_undo, has_undo)) not in seen:
                seen.add(key)
                yield Question(self, self.facts.operation(name), parameters, is_undo=is_undo, has_undo=has_undo)


@dataclass(frozen=True)
class Question:
    """One operation that a policy is asked about."""

    case: Case
    operation: RegisteredOperation
    parameters: Mapping[str, Any]
    is_undo: bool
    has_undo: bool

    def listed(self, scoped: Scoped) -> bool:
        """Whether the lists of something name it."""
        return scoped.match is None or scoped.match.matches(self.operation, self.case.facts, self.case.tier)

    def meant(self, scoped: Scoped) -> bool:
        """Whether something speaks of it: its lists name it and its condition holds.

        Raises:
            ConditionError: the condition has no answer.
        """
        if not self.listed(scoped):
            return False
        return scoped.when is None or Condition.compile(scoped.when).holds(self.environment)

    @cached_property
    def environment(self) -> Environment:
        """Made when the first condition asks for it."""
        return Environment({**self.case.values, **_operation(self)})


def _operation(asked: Question) -> dict[str, Any]:
    known, observed = asked.operation, asked.case.facts.observed
    values: dict[str, Any] = {
        "operation.name": known.name,
        "operation.executor": known.executor,
        "operation.severity": known.severity,
        "operation.floor": str(known.floor),
        "operation.effects": list(known.effects),
        "operation.destructive": known.destructive,
        "operation.read_only": known.read_only,
        "operation.is_undo": asked.is_undo,
        "operation.needs_no_undo": asked.operation.needs_no_undo,
        "parameters": dict(asked.parameters),
        "undo.declared": asked.has_undo,
        "undo.proved": any(
            item.operation in known.inverse and item.direction == "undo" for item in observed.undo_proofs
        ),
        "undo.seconds_known": known.undo_seconds is not None,
    }
    if known.undo_seconds is not None:
        values["undo.seconds"] = known.undo_seconds
    if observed.at is not None:
        tallies = [item for item in observed.tallies if item.operation == known.name]
        for name in ("succeeded", "compensated", "failed", "unknown"):
            values[f"history.{name}"] = sum(getattr(item, name) for item in tallies)
        values["history.last_hour"] = observed.last_hour.get(known.name, 0)
    return values


def _action(proposal: ActionProposal, facts: Facts) -> dict[str, Any]:
    confidence = proposal.agent.confidence
    values: dict[str, Any] = {
        "action.operation": proposal.operation,
        "action.operations": list(proposal.operations),
        "action.steps": len(proposal.steps),
        "action.change_type": str(proposal.change_type),
        "action.on_behalf_of": facts.on_behalf_of or "",
        "action.remedies_hold": proposal.remedies is not None,
        "action.takes_over": proposal.takes_over is not None,
        "action.dry_run": proposal.dry_run,
        "action.evidence": len(proposal.evidence),
        "action.alternatives": len(proposal.alternatives),
        "agent.id": proposal.agent.id,
        "agent.owner": facts.agent_owner or "",
        "agent.confidence_known": confidence is not None,
    }
    return values if confidence is None else {**values, "agent.confidence": confidence}


def _target(facts: Facts) -> dict[str, Any]:
    values: dict[str, Any] = {
        "target.ref": facts.target_ref,
        "target.environment": facts.target_environment or "",
        "target.criticality": facts.target_criticality or "critical",
        "target.owner": facts.target_owner or "",
        "target.system": facts.target_system or "",
        "target.dependents": facts.reach.total,
        "target.hard_dependents": facts.reach.hard,
        "target.failure_domains": list(facts.failure_domains),
        "target.holds": len(facts.holds),
        "resolved.count": facts.touched,
        "resolved.ids": list(facts.resolved),
        "resolved.share_known": facts.share is not None,
    }
    return values if facts.share is None else {**values, "resolved.share": facts.share}


def _risk(assessment: ImpactAssessment) -> dict[str, Any]:
    return {
        "risk.score": assessment.risk_score,
        "risk.tier": str(assessment.risk_tier),
        "risk.rank": assessment.risk_tier.rank,
        "risk.floor": str(assessment.floor),
        "risk.impact": float(assessment.impact),
        "risk.likelihood": float(assessment.likelihood),
        "indicators": {item.name: float(item.value) for item in assessment.indicators},
    }


def _time(case: Case) -> dict[str, Any]:
    facts, timing, made = case.facts, case.timing, case.proposal.produced_at
    budgets = [item.budget_left for item in facts.observed.slo_states if item.budget_left is not None]
    values: dict[str, Any] = {
        "time.peak": timing.peak is not None,
        "time.plan_age_known": made is not None and facts.at is not None,
        "windows": list(timing.windows),
        "freezes": list(timing.freezes),
        "stale": list(timing.stale),
        "slo.known": bool(budgets),
    }
    if facts.at is not None:
        values |= {"time.now": facts.at, "history.denials": len(facts.denials)}
        values["history.in_flight"] = len(facts.observed.in_flight)
        if made is not None:
            values["time.plan_age"] = facts.at - made
    if budgets:
        values["slo.budget_left"] = float(min(budgets))
    return values
