"""When an action that waits is measured again, and which changes count: the part of a policy that says so.

- Without `drift` an action is measured when it is registered and at dispatch only, and nothing beyond what is always
  material counts (`policy/approval/drift.py`).
- `material` lists what else counts where it got worse. `score_step` is how many points of the risk score are a step.
- At most one measurement counts in each `min_interval` since the revision opened; the cadence is no faster.
- Of several documents the strictest counts: the shortest intervals, the smallest step, everything that any of them
  lists, the fewest voids.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from policy.base import EdgeModel
from policy.rules.durations import PositiveDuration, written


class MaterialFact(StrEnum):
    """What a policy may count as a material change where it got worse."""

    score = "score"
    dependents = "dependents"
    in_flight = "in_flight"
    holds = "holds"
    slo = "slo"
    stale = "stale"


class DriftRules(EdgeModel):
    """What a policy says of changes while people are asked; `docs/spec/policy-document.md` describes each field."""

    recheck_every: PositiveDuration | None = None
    min_interval: PositiveDuration = timedelta(minutes=5)
    score_step: Annotated[int, Field(ge=1, le=100)] = 10
    material: tuple[MaterialFact, ...] = (MaterialFact.score,)
    max_voids: Annotated[int, Field(ge=1, le=10)] = 2

    @model_validator(mode="after")
    def _no_faster(self) -> "DriftRules":
        if self.recheck_every is not None and self.recheck_every < self.min_interval:
            wanted, least = written(self.recheck_every), written(self.min_interval)
            raise ValueError(f"drift: recheck_every is {wanted}, min_interval {least}: make it no shorter than that")
        return self


# What counts where no document says anything.
UNSAID = DriftRules(material=())


def strictest(rules: Sequence[DriftRules]) -> DriftRules | None:
    """What several documents say together; None where none of them says anything."""
    if not rules:
        return None
    cadences = [item.recheck_every for item in rules if item.recheck_every is not None]
    return DriftRules(
        recheck_every=min(cadences, default=None),
        min_interval=min(item.min_interval for item in rules),
        score_step=min(item.score_step for item in rules),
        material=tuple(fact for fact in MaterialFact if any(fact in item.material for item in rules)),
        max_voids=min(item.max_voids for item in rules),
    )
