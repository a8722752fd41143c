"""The indicators: what each is, how much it weighs, and how they become one number.

- Three groups. `change`: what the act does. `exposure`: what it does it to. `likelihood`: how probable it is that it
  goes wrong. Change and exposure are the part `impact`.
- Within a group: noisy-or, `1 - product(1 - weight * value)` (Pearl 1988, section 4.3.2). More of anything bad never
  lowers it, and no single indicator but a worst one with weight 1 can fill it.
- `impact = change * (0.25 + 0.75 * exposure)`; `risk_score = 100 * impact * (0.6 + 0.4 * likelihood)`, rounded. What
  changes nothing has no impact, wherever it happens; what is done to something harmless still has a quarter of its own.
- Values are rounded to 4 digits before anything is computed from them, so that a reader computes the same from what is
  shown.
- The contribution of an indicator is what the risk score would lose without it, as a share of 100 points.

Example: change 0.4, exposure 0.6, likelihood 0.5 give an impact of 0.28 and a score of 22. `docs/impact.md` has the
whole table, with a source for each formula.
"""

from dataclasses import dataclass
from math import isnan, prod
from typing import Literal, NamedTuple

from policy.base import Instant, RecordModel

Group = Literal["change", "exposure", "likelihood"]
GROUPS: tuple[Group, ...] = ("change", "exposure", "likelihood")

# How much of the impact is there whatever it is done to, and of the score however probable it is.
OWN, SURE = 0.25, 0.6


class Indicator(RecordModel):
    """One reason for the score.

    Attributes:
        name: which one; `WEIGHTS` says what it weighs.
        part: what it speaks of.
        value: 0 is nothing, 1 the worst.
        weight: 0..1.
        contribution: what the risk score would lose without it: 0.12 is 12 of 100 points.
        evidence: a sentence with the numbers.
        writer: whose word it is.
        as_of: how old the fact is; None where it has no date.
    """

    name: str
    part: Literal["impact", "likelihood"]
    value: float
    weight: float
    contribution: float
    evidence: str
    writer: str
    as_of: Instant | None = None


@dataclass(frozen=True)
class Weight:
    """Where an indicator belongs, and the most that it can fill of its group."""

    group: Group
    weight: float


# No source publishes such weights. These were set so that the archetypes in docs/impact.md get the tier that they name.
WEIGHTS: dict[str, Weight] = {
    "change_severity": Weight("change", 0.95),
    "performance": Weight("change", 0.1),
    "security": Weight("change", 0.25),
    "data_access": Weight("change", 0.2),
    "availability": Weight("change", 0.2),
    "undo_difficulty": Weight("change", 0.35),
    "half_way": Weight("change", 0.2),
    "target_criticality": Weight("exposure", 0.5),
    "blast_radius": Weight("exposure", 0.6),
    "resolved_targets": Weight("exposure", 0.5),
    "capacity_share": Weight("exposure", 0.5),
    "failure_domains": Weight("exposure", 0.4),
    "error_budget": Weight("exposure", 0.25),
    "history": Weight("likelihood", 0.4),
    "past_failures": Weight("likelihood", 0.9),
    "stated_confidence": Weight("likelihood", 0.3),
    "peak_hours": Weight("likelihood", 0.2),
    "freeze_near": Weight("likelihood", 0.4),
    "in_flight": Weight("likelihood", 0.3),
    "stale_facts": Weight("likelihood", 0.25),
    "denied_before": Weight("likelihood", 0.6),
    "unsigned": Weight("likelihood", 0.25),
    "unrehearsed": Weight("likelihood", 0.1),
    "unobserved": Weight("likelihood", 0.15),
    "unstoppable": Weight("likelihood", 0.1),
}


class Reading(NamedTuple):
    """What one indicator reads; `value` is 0..1."""

    name: str
    value: float
    evidence: str
    writer: str
    as_of: Instant | None = None


class Sum(NamedTuple):
    """What the indicators come to. `impact` and `likelihood` are 0..1, `points` 0..100 and not yet rounded."""

    impact: float
    likelihood: float
    points: float


def value_of(value: float) -> float:
    """A value as it is shown and computed with: 0..1, 4 digits. What is no number is the worst."""
    return 1.0 if isnan(value) else round(min(1.0, max(0.0, value)), 4)


def share_of(amount: float, half: float) -> float:
    """An amount without an upper end as 0..1: `half` of it is one half (Michaelis and Menten 1913)."""
    return amount / (amount + half)


def filled(readings: tuple[Reading, ...], group: Group) -> float:
    """How much of a group its indicators fill, 0..1."""
    return _noisy_or([_part(item) for item in readings if WEIGHTS[item.name].group == group])


def weigh(readings: tuple[Reading, ...]) -> tuple[Sum, tuple[Indicator, ...]]:
    """What readings come to, and each with its weight and what it contributes."""
    parts: dict[Group, dict[str, float]] = {group: {} for group in GROUPS}
    for item in readings:
        parts[WEIGHTS[item.name].group][item.name] = _part(item)
    groups = {group: _noisy_or(list(found.values())) for group, found in parts.items()}
    total = _sum(groups)
    return total, tuple(_indicator(item, parts, groups, total.points) for item in readings)


def _part(item: Reading) -> float:
    return WEIGHTS[item.name].weight * value_of(item.value)


def _noisy_or(parts: list[float]) -> float:
    return 1 - prod([1 - part for part in parts])


def _sum(groups: dict[Group, float]) -> Sum:
    impact = round(groups["change"] * (OWN + (1 - OWN) * groups["exposure"]), 4)
    likelihood = round(groups["likelihood"], 4)
    return Sum(impact, likelihood, 100 * impact * (SURE + (1 - SURE) * likelihood))


def _indicator(
    item: Reading, parts: dict[Group, dict[str, float]], groups: dict[Group, float], points: float
) -> Indicator:
    kind, without = WEIGHTS[item.name], points
    if parts[kind.group][item.name]:
        rest = [part for name, part in parts[kind.group].items() if name != item.name]
        without = _sum({**groups, kind.group: _noisy_or(rest)}).points
    return Indicator(
        name=item.name,
        part="likelihood" if kind.group == "likelihood" else "impact",
        value=value_of(item.value),
        weight=kind.weight,
        contribution=round((points - without) / 100, 4),
        evidence=item.evidence,
        writer=item.writer,
        as_of=item.as_of,
    )
