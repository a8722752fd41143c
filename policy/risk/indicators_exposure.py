"""The indicators of what an act is done to: what breaks with it, how much of it, and how much more it may break.

- Nothing here is believed: targets are counted by what the name resolves to and what executors find there, dependents
  by the graph, capacity by what the operations registry counts. What the target's owner wrote (criticality, units,
  objectives) may lower a score, and never a tier below its floor.
- A target that is not known is the worst case in every one of them. So is one that resolves to nothing: nobody knows
  how much it stands for.
- What an operation takes of the capacity, and nobody can say of how much, is all of it. Failure domains that nobody
  gave are as many as there are targets.
- An error budget that is missing or older than an hour where there is an objective counts as spent. Without any
  objective nobody knows, and one half is assumed.
- Half-way points (5 dependents of full weight, 10 further targets, 1 further failure domain) are ours.
"""

from datetime import timedelta
from math import isfinite

from policy.catalog import CRITICALITY_WEIGHT, normalize
from policy.facts import Facts
from policy.observed import SloState
from policy.proposal import ActionProposal
from policy.risk.indicators import Reading, share_of

HALF_OF_DEPENDENTS = 5
HALF_OF_TARGETS = 10
HALF_OF_DOMAINS = 1
BUDGET_HOLDS = timedelta(hours=1)
NO_OBJECTIVE = 0.5
CATALOG = "catalog"
_NAMES = ("target_criticality", "blast_radius", "resolved_targets", "capacity_share", "failure_domains", "error_budget")
_SHOWN = 3


def exposure_readings(proposal: ActionProposal, facts: Facts) -> tuple[Reading, ...]:
    """What is read of the target."""
    if not facts.target_known:
        return tuple(Reading(name, 1.0, "the target is unknown: worst case", CATALOG) for name in _NAMES)
    return (
        _criticality(facts),
        _blast_radius(facts),
        _resolved(facts),
        _share(proposal, facts),
        _domains(facts),
        _budget(facts),
    )


def _criticality(facts: Facts) -> Reading:
    level = facts.target_criticality
    evidence = f"the target's criticality is {level or 'not given: worst case'}"
    value = CRITICALITY_WEIGHT.get(level, 1.0)
    return Reading("target_criticality", value, evidence, CATALOG, facts.observed.catalog_at)


def _blast_radius(facts: Facts) -> Reading:
    reach = facts.reach
    # Dependents that the catalog does not have weigh 1 each, whoever added them up.
    weight = max(reach.weight, float(reach.dangling))
    value = share_of(weight, HALF_OF_DEPENDENTS) if isfinite(weight) else 1.0
    names = ", ".join(item.ref for item in reach.nearest[:_SHOWN]) or "none"
    unknown = f", {reach.dangling} not in the catalog" if reach.dangling else ""
    evidence = f"{reach.total} dependents ({reach.hard} break{unknown}), together {weight:.2f}: {names}"
    return Reading("blast_radius", value, evidence, CATALOG, facts.observed.catalog_at)


def _resolved(facts: Facts) -> Reading:
    count = facts.touched
    value = share_of(count - 1, HALF_OF_TARGETS) if count else 1.0
    evidence = f"the target resolves to {count}" if count else "the target resolves to nothing: worst case"
    return Reading("resolved_targets", value, evidence, CATALOG, facts.observed.catalog_at)


def _share(proposal: ActionProposal, facts: Facts) -> Reading:
    if facts.share is not None:
        evidence = f"{facts.units_touched:g} of {facts.units_total:g} units at once"
        return Reading("capacity_share", facts.share, evidence, CATALOG, facts.observed.catalog_at)
    taking = [name for name in proposal.operations if _may_take_capacity(name, facts)]
    if not taking:
        return Reading("capacity_share", 0.0, "no operation takes capacity", "operations registry")
    evidence = f"{taking[0]} may take capacity, and nobody knows how much of it: worst case"
    return Reading("capacity_share", 1.0, evidence, CATALOG, facts.observed.catalog_at)


def _may_take_capacity(name: str, facts: Facts) -> bool:
    known = facts.operations.get(name)
    return known is None or name in facts.unregistered or known.counts is not None


def _domains(facts: Facts) -> Reading:
    given, targets = len(facts.failure_domains), len(facts.resolved)
    count = given or targets
    value = share_of(count - 1, HALF_OF_DOMAINS) if count else 1.0
    evidence = f"{given} failure domains at once" if given else f"no failure domain is given: {targets} are assumed"
    return Reading("failure_domains", value, evidence, CATALOG, facts.observed.catalog_at)


def _budget(facts: Facts) -> Reading:
    measured = facts.observed.slo_states
    covered = {state.name for state in measured if normalize(state.target) == facts.target_ref}
    missing = [item.name for item in facts.target_objectives if item.name not in covered]
    if missing:
        evidence = f"nobody measured the error budget of {', '.join(missing[:_SHOWN])}: as good as spent"
        return Reading("error_budget", 1.0, evidence, "SLO source")
    if not measured:
        evidence = "the target has no objective, so that nobody knows how much it bears"
        return Reading("error_budget", NO_OBJECTIVE, evidence, CATALOG, facts.observed.catalog_at)
    worst = max(measured, key=lambda state: (_spent(state, facts), state.name))
    evidence = f"{worst.name} of {worst.target} has {_left(worst, facts)}"
    return Reading("error_budget", _spent(worst, facts), evidence, worst.source, worst.at)


def _is_old(state: SloState, facts: Facts) -> bool:
    return facts.at is None or facts.at - state.at > BUDGET_HOLDS


def _spent(state: SloState, facts: Facts) -> float:
    """How much of an error budget is gone, 0..1."""
    left = state.budget_left
    if left is None or not isfinite(left) or _is_old(state, facts):
        return 1.0
    return min(1.0, max(0.0, 1 - left))


def _left(state: SloState, facts: Facts) -> str:
    if state.budget_left is None:
        return "no reading: as good as spent"
    if _is_old(state, facts):
        return f"{state.budget_left:.0%} of its error budget left more than an hour ago: as good as spent"
    return f"{state.budget_left:.0%} of its error budget left"
