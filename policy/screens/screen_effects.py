"""What breaks if it goes wrong, and how it is undone: two sections of the screen in words (`screen_text.py`).

- Dependents by strength, distance and criticality, the worst first; SLOs with what is left of their error budget, the
  emptiest first, and how old the measurement is. What is too old to rely on is said to be.
- An undo is proved if it was seen to work on this target: undone, tried dry, or restored. What was never seen is said.
"""

from datetime import datetime

from policy.catalog import Dependent
from policy.observed import SloState
from policy.proposal import StopVerb
from policy.risk.indicators_exposure import BUDGET_HOLDS
from policy.risk.reversal import proof_holds
from policy.screen import Screen, ScreenStep
from policy.screens.presenting import percent, since
from policy.screens.screen_pieces import Line, Named, Noted, duration_text, names_of, parameters_of

SHOWN_DEPENDENTS, SHOWN_SLOS = 4, 3
_EFFECT_ON_DEPENDENT = {"hard": "breaks", "soft": "is degraded"}


def breaks(screen: Screen, now: datetime) -> tuple[Line, ...]:
    """What depends on the target, how strongly, and how much its SLOs may still break."""
    states = screen.slo_states[:SHOWN_SLOS]
    lines: list[Line] = [(_depends(screen, now),), *(_slo(item, screen.target, now) for item in states)]
    if len(screen.slo_states) > len(states):
        lines.append((f"and {len(screen.slo_states) - len(states)} SLOs more",))
    lines += _unmeasured(screen)
    if screen.stale:
        lines.append(("missing, or older than the policy takes: ", *names_of(screen.stale, len(screen.stale))))
    return (*lines, *map(_dependent, screen.dependents[:SHOWN_DEPENDENTS]))


def _depends(screen: Screen, now: datetime) -> str:
    count, hard = screen.dependent_count, screen.dependents_hard
    soft = count - hard
    age = f"{since(screen.catalog_at, now)} old" if screen.catalog_at else "without a date"
    absent = f", which does not have {screen.dangling} of them" if screen.dangling else ""
    known = f", by a catalog {age}{absent}"
    if not count:
        return f"nothing is known to depend on it{known}"
    if not soft:
        return f"{count} depend on it and break with it{known}"
    return f"{count} depend on it: {hard} break with it, {soft} {'is' if soft == 1 else 'are'} degraded{known}"


def _unmeasured(screen: Screen) -> list[Line]:
    """Objectives that nobody measured, or that there are none."""
    if not screen.slo_states and not screen.objectives:
        return [("no SLO is known of it",)]
    measured = {item.name for item in screen.slo_states}
    return [
        ("SLO ", Named(item.name), f": objective {item.objective * 100:g} %, never measured")
        for item in screen.objectives[:SHOWN_SLOS]
        if item.name not in measured
    ]


def _slo(item: SloState, target: str, now: datetime) -> Line:
    age = since(item.at, now)
    old = "" if now - item.at <= BUDGET_HOLDS else ": too old to rely on"
    if item.budget_left is None:
        left = "error budget not known"
    elif item.budget_left <= 0:
        left = f"error budget spent ({percent(item.budget_left)} left)"
    else:
        left = f"{percent(item.budget_left)} of the error budget left"
    whose: Line = () if item.target == target else (" of ", Named(item.target))
    return (
        "SLO ",
        Named(item.name),
        *whose,
        f": {left}, measured {age} ago by ",
        Noted(item.source, 60),
        old,
    )


def _dependent(item: Dependent) -> Line:
    away = "directly" if item.distance == 1 else f"{item.distance} steps away"
    criticality: Line = (
        (Noted(item.criticality, 40),) if item.criticality else ("no criticality given: taken as critical",)
    )
    return (f"{_EFFECT_ON_DEPENDENT[item.strength]}: ", Named(item.ref), f", {away}, ", *criticality)


def undone(screen: Screen, now: datetime) -> tuple[Line, ...]:
    """The undo of each step: which, how long it takes, and when it was last seen to work here."""
    lines = [line for number, step in enumerate(screen.steps, start=1) for line in _undo(number, step, now)]
    if not any(step.undo for step in screen.steps):
        return tuple(lines)
    stopped = "what was done is undone" if screen.on_stop is StopVerb.compensate else "people are asked"
    return (*lines, (f"stopped half-way: {stopped}",))


def _undo(number: int, step: ScreenStep, now: datetime) -> tuple[Line, ...]:
    if step.undo is None:
        return ((f"step {number}: {'needs none' if step.needs_no_undo else 'NOTHING undoes it'}",),)
    what: Line = (f"step {number}: ", Named(step.undo), " ", parameters_of(step.undo_parameters))
    takes = "" if step.undo_seconds is None else f", takes about {duration_text(step.undo_seconds)}"
    if step.proof is None:
        return ((*what, f"{takes}; never proved here"),)
    kind = {"undone": "it was undone", "dry_run": "a dry run", "restore": "a restore"}[step.proof.kind]
    took = "" if step.proof.seconds is None else f" in {duration_text(step.proof.seconds)}"
    old = "" if proof_holds(step.proof, now) else ": too long ago to rely on"
    return ((*what, f"{takes}; proved {since(step.proof.at, now)} ago ({kind}{took}){old}"),)
