"""One operation on one target, assessed: what the cases of the impact assessment have in common."""

from typing import Any

from policy.catalog import Reach
from policy.impact import ImpactAssessment, assess
from policy.observed import Observed
from policy.operations import RegisteredOperation
from policy.rules.timing import Timing
from tests.unit.builders import T0, a_proposal, facts_of, step_json

DO, UNDO = "x.do", "x.undo"
REPAIR: dict[str, Any] = {
    "severity": 30,
    "effects": ("availability", "performance"),
    "inverse": (UNDO,),
    "undo_seconds": 30,
}
RESTART: dict[str, Any] = {"severity": 20, "effects": ("availability",), "needs_no_undo": True}
DROP: dict[str, Any] = {"severity": 95, "destructive": True, "effects": ("availability", "data_access")}
READ: dict[str, Any] = {"severity": 10, "read_only": True, "needs_no_undo": True}
FRESH = Observed(at=T0, catalog_at=T0, directory_at=T0)


def reach_of(weight: float) -> Reach:
    return Reach(total=int(weight), hard=int(weight), weight=weight)


def assess_one(
    operation: dict[str, Any], *, timing: Timing | None = None, steps: Any = None, **facts: Any
) -> ImpactAssessment:
    known = RegisteredOperation(name=DO, executor="x", **operation)
    undo = RegisteredOperation(name=UNDO, executor="x", severity=min(known.severity, 20))
    proposal = a_proposal(operation=DO, steps=steps or [step_json(DO, undo=UNDO if known.inverse else None)])
    small = {
        "operations": {DO: known, UNDO: undo},
        "target_criticality": "high",
        "reach": reach_of(3),
        "observed": FRESH,
        "unregistered": (),
    }
    everything = facts_of(proposal).model_copy(update=small | facts)
    return assess(proposal, everything, timing or Timing(at=T0))


def value_of(found: ImpactAssessment, name: str) -> float:
    return next(item.value for item in found.indicators if item.name == name)


def evidence_of(found: ImpactAssessment, name: str) -> str:
    return next(item.evidence for item in found.indicators if item.name == name)
