"""What we advise an approver, and the figures that are summed up for them. Nothing here decides anything.

The advice is ours: computed from facts, assessment and evaluation, never quoted from the proposal. The rules, in the
order in which they speak; the first that does is the recommended path, and the next are shown beside it:

1. The policy denies: there is nothing to decide.
2. It is a dry run: approve.
3. A step is destructive, or nothing undoes it, and a safer operation is registered: deny.
4. People denied the same effect before: ask what has changed.
5. Less than a tenth of an error budget is left, and the action repairs nothing that is held: wait.
6. Another approved action is under way in the same failure domains: wait for it.
7. It is a time of peak load by the calendars of the policy: wait.
8. Nothing undoes a step: ask for a backup, or deny.
9. The undo of a step was never seen to work on this target, or not in the last 30 days: ask for a dry run first.
10. Several targets in several failure domains, or more than half of the capacity, at once: stage it.
11. What the assessment needs was not known (a dependent that nobody described, an SLO that was not measured, a fact
    that is older than the policy takes): look at it first.
12. Nothing measured speaks against it: approve.
"""

from datetime import datetime
from typing import Literal

from policy.base import Instant, RecordModel
from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.observed import SloState, Tally, UndoProof
from policy.proposal import ActionProposal, Step
from policy.risk.indicators_exposure import BUDGET_HOLDS
from policy.risk.reversal import is_stuck, leaves_nothing, proof_holds
from policy.rules.chains import Verdict
from policy.rules.timing import Timing

LOW_BUDGET = 0.1
LARGE_SHARE = 0.5
MAX_ADVICE = 3
_LONG_IN_MINUTES, _LONG_IN_HOURS = 120, 48


class Advice(RecordModel):
    """A recommended path: a code for programs, a sentence for people."""

    code: str
    text: str


class Ending(RecordModel):
    """How similar actions ended, summed over `agents` agents; `scope` as in `Tally`."""

    scope: Literal["target", "kind"]
    agents: int
    succeeded: int = 0
    compensated: int = 0
    failed: int = 0
    unknown: int = 0


def advise(
    proposal: ActionProposal, facts: Facts, evaluation: Evaluation, timing: Timing, now: datetime
) -> tuple[Advice, ...]:
    """The recommended path first, then up to two further things to think of; pure.

    Args:
        proposal: what is asked for.
        facts: what was known of it.
        evaluation: what the policy answered.
        timing: what the calendars of the policy say.
        now: when it was assessed (UTC).
    """
    if evaluation.verdict is Verdict.deny:
        return (Advice(code="nothing_to_decide", text="nothing is to be decided: the policy denies it"),)
    if proposal.dry_run:
        return (Advice(code="approve", text="approve: a dry run changes nothing"),)
    found = [
        *_safer(facts),
        *_denied(facts),
        *_budget(proposal, facts, now),
        *_in_flight(facts),
        *_peak(timing),
        *_not_undoable(proposal, facts),
        *_unproved(proposal, facts, now),
        *_at_once(facts),
        *_unknown(facts, timing, now),
    ]
    return tuple(found[:MAX_ADVICE]) or (Advice(code="approve", text="approve: nothing measured speaks against it"),)


def proof_of(step: Step, facts: Facts) -> UndoProof | None:
    """The newest proof of a step's undo on this target, however old, or None."""
    undone = [item for item in facts.observed.undo_proofs if item.direction == "undo"]
    proofs = [item for item in undone if step.undo and item.operation == step.undo.operation]
    return max(proofs, key=lambda item: item.at, default=None)


def endings(tallies: tuple[Tally, ...]) -> tuple[Ending, ...]:
    """How similar actions ended: on this target first, then on others of its kind."""
    found = []
    scopes: tuple[Literal["target", "kind"], ...] = ("target", "kind")
    for scope in scopes:
        rows = [item for item in tallies if item.scope == scope]
        if rows:
            sums = {
                name: sum(getattr(item, name) for item in rows)
                for name in ("succeeded", "compensated", "failed", "unknown")
            }
            found.append(Ending(scope=scope, agents=len({item.agent for item in rows}), **sums))
    return tuple(found)


def since(at: Instant | None, now: datetime) -> str:
    """How long before `now` something was so, in words: `5 min`, `3 h`, `12 days`; `an unknown time` without a date."""
    if at is None:
        return "an unknown time"
    minutes = max(0, int((now - at).total_seconds())) // 60
    if minutes < _LONG_IN_MINUTES:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < _LONG_IN_HOURS else f"{hours // 24} days"


def percent(share: float) -> str:
    """A share in percent, with a decimal where little is left."""
    return f"{share * 100:.0f} %" if abs(share) >= LOW_BUDGET else f"{share * 100:.1f} %"


def _is_old(state: SloState, now: datetime) -> bool:
    return state.budget_left is None or now - state.at > BUDGET_HOLDS


def _stuck(proposal: ActionProposal, facts: Facts) -> list[int]:
    """The numbers of the steps that nothing undoes and that need it. Their names are the proposer's."""
    return [number for number, step in enumerate(proposal.steps, start=1) if is_stuck(step, facts)]


def _safer(facts: Facts) -> list[Advice]:
    severe = {name for name, known in facts.operations.items() if known.destructive or not known.reversible}
    names = [item.name for item in facts.safer if item.instead_of in severe]
    return [Advice(code="safer_way", text=f"deny: a safer registered operation exists, {names[0]}")] if names else []


def _denied(facts: Facts) -> list[Advice]:
    if not facts.denials:
        return []
    return [Advice(code="denied_before", text="ask what has changed: people denied the same effect before")]


def _budget(proposal: ActionProposal, facts: Facts, now: datetime) -> list[Advice]:
    known = [item for item in facts.observed.slo_states if not _is_old(item, now) and item.budget_left is not None]
    worst = min(known, key=lambda item: item.budget_left or 0.0, default=None)
    if worst is None or worst.budget_left is None or worst.budget_left >= LOW_BUDGET or proposal.remedies:
        return []
    left = "is spent" if worst.budget_left <= 0 else f"has {percent(worst.budget_left)} left"
    return [Advice(code="wait_for_budget", text=f"wait: the error budget of {worst.name} {left}")]


def _in_flight(facts: Facts) -> list[Advice]:
    others = facts.observed.in_flight
    if not others:
        return []
    who = "1 approved action is" if len(others) == 1 else f"{len(others)} approved actions are"
    return [Advice(code="wait_for_others", text=f"wait: {who} under way in the same failure domains")]


def _peak(timing: Timing) -> list[Advice]:
    if timing.peak is None:
        return []
    return [Advice(code="wait_for_calm", text=f"wait until the peak hours are over ({timing.peak})")]


def _not_undoable(proposal: ActionProposal, facts: Facts) -> list[Advice]:
    stuck = _stuck(proposal, facts)
    if not stuck:
        return []
    text = f"ask for a backup that was restored once, or deny: nothing undoes step {stuck[0]}"
    return [Advice(code="no_undo", text=text)]


def _unproved(proposal: ActionProposal, facts: Facts, now: datetime) -> list[Advice]:
    stuck = _stuck(proposal, facts)
    for number, step in enumerate(proposal.steps, start=1):
        if step.undo is None or number in stuck or leaves_nothing(facts.operation(step.operation)):
            continue
        proof = proof_of(step, facts)
        if proof is None or not proof_holds(proof, now):
            when = "was never proved here" if proof is None else f"was last proved {since(proof.at, now)} ago"
            return [Advice(code="dry_run_first", text=f"ask for a dry run first: the undo of step {number} {when}")]
    return []


def _at_once(facts: Facts) -> list[Advice]:
    targets, domains = facts.touched, len(facts.failure_domains)
    if targets > 1 and domains > 1:
        text = f"stage it: {targets} targets in {domains} failure domains at once"
        return [Advice(code="stage_it", text=text)]
    if facts.share is not None and facts.share > LARGE_SHARE:
        return [Advice(code="stage_it", text=f"stage it: {percent(facts.share)} of the capacity at once")]
    return []


def _unknown(facts: Facts, timing: Timing, now: datetime) -> list[Advice]:
    old = [item.name for item in facts.observed.slo_states if _is_old(item, now)]
    measured = {item.name for item in facts.observed.slo_states}
    unmeasured = [*old, *(item.name for item in facts.target_objectives if item.name not in measured)]
    if unmeasured:
        return [Advice(code="look_first", text=f"look first: {unmeasured[0]} has no measurement of the last hour")]
    if facts.reach.dangling:
        return [Advice(code="look_first", text=f"look first: {facts.reach.dangling} dependents are not in the catalog")]
    if timing.stale:
        text = f"look first: the {' and the '.join(timing.stale)} facts are missing or older than the policy takes"
        return [Advice(code="look_first", text=text)]
    return []
