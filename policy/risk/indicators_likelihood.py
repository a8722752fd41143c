"""The indicators of how probable it is that an act goes wrong.

- History is that of the worst of the steps' operations; a step that only reads has none. Failures of the undos count,
  too. Its upper bound falls only with measured successes, and 20 of one agent at most (`policy/risk/history.py`).
- Peak hours, a freeze in force or within the hour, and other actions in flight on the same failure domains raise. Two
  in flight are one half.
- A fact that is missing or too old raises: what the policy calls stale, a calendar that nobody asked, a catalog or
  directory without a date or older than 90 days; older than 30 days counts half. Each further one takes half of what is
  left.
- Each earlier denial of the same effect raises: one is one half, two are two thirds.
- A proposal that nobody signed raises: who it came from is not known. Where an earlier release did not look, nothing is
  read.
"""

from datetime import datetime, timedelta

from policy.facts import Facts
from policy.proposal import ActionProposal
from policy.risk.calibration import confidence_value, overconfidence
from policy.risk.history import History, history_of
from policy.risk.indicators import Reading, share_of
from policy.rules.timing import Timing

HALF_OF_IN_FLIGHT = 2
HALF_OF_DENIALS = 1
FREEZE_IS_NEAR = timedelta(hours=1)
AGEING, OLD = timedelta(days=30), timedelta(days=90)
SIGNER = "signature of the proposal"
RECORD, CALENDARS = "record", "policy calendars"
_SHOWN = 3


def likelihood_readings(proposal: ActionProposal, facts: Facts, timing: Timing) -> tuple[Reading, ...]:
    """What is read of the chances."""
    return (
        *_histories(proposal, facts),
        _confidence(proposal, facts),
        _peak(timing),
        _freeze(facts, timing),
        _in_flight(facts),
        _stale(facts, timing),
        _denied(facts),
        *_unsigned(facts),
    )


def _histories(proposal: ActionProposal, facts: Facts) -> tuple[Reading, Reading]:
    acting = {step.operation for step in proposal.steps if not facts.operation(step.operation).read_only}
    found = {name: history_of(name, facts.observed.tallies) for name in proposal.operations}
    return _history({name: found[name] for name in sorted(acting)}, facts), _failures(found, facts)


def _history(found: dict[str, History], facts: Facts) -> Reading:
    if not found:
        return Reading("history", 0.0, "nothing is changed", RECORD, facts.at)
    name = max(found, key=lambda item: found[item].upper)
    worst = found[name]
    evidence = f"{name}: {_said(worst)}, so it fails in less than {worst.upper:.0%} of cases (95 % certain)"
    return Reading("history", worst.upper, evidence, RECORD, facts.at)


def _failures(found: dict[str, History], facts: Facts) -> Reading:
    failed = {name: item for name, item in found.items() if item.failed > 0}
    if not failed:
        return Reading("past_failures", 0.0, "no similar action is known to have failed", RECORD, facts.at)
    name = max(failed, key=lambda item: failed[item].lower)
    worst = failed[name]
    evidence = f"{name}: {_said(worst)}, so it fails in more than {worst.lower:.0%} of cases (95 % certain)"
    return Reading("past_failures", worst.lower, evidence, RECORD, facts.at)


def _said(history: History) -> str:
    if not history.succeeded and not history.failed:
        return "no measured outcome"
    return f"successes weigh {history.succeeded:g} and failures {history.failed:.3g}"


def _confidence(proposal: ActionProposal, facts: Facts) -> Reading:
    stated, measured = proposal.agent.confidence, facts.observed.calibration
    value = confidence_value(stated, measured)
    words = "states no confidence" if stated is None else f"states a confidence of {stated:g}"
    found = overconfidence(measured)
    if found is None or measured is None:
        return Reading("stated_confidence", value, f"the proposer {words}, none of it was measured before", "proposer")
    kept = f"said {found.stated:.2f} before and kept {measured.succeeded} of {measured.n}, at most {found.kept:.2f}"
    return Reading("stated_confidence", value, f"the proposer {words}; it {kept}", "proposer and record", facts.at)


def _peak(timing: Timing) -> Reading:
    evidence = f"it is in {timing.peak}" if timing.peak else "no peak hours are known now"
    return Reading("peak_hours", 1.0 if timing.peak else 0.0, evidence, CALENDARS, timing.at)


def _freeze(facts: Facts, timing: Timing) -> Reading:
    if timing.freezes:
        return Reading("freeze_near", 1.0, f"frozen by {', '.join(timing.freezes[:_SHOWN])}", CALENDARS, timing.at)
    now = timing.at or facts.at
    ends = min((at for at in (timing.window_ends, timing.next_freeze) if at is not None), default=None)
    if ends is None:
        return Reading("freeze_near", 0.0, "no end of a window and no freeze is known", CALENDARS, timing.at)
    left = timedelta(0) if now is None else max(timedelta(0), ends - now)
    value = max(0.0, 1 - left / FREEZE_IS_NEAR)
    evidence = f"{left.total_seconds() / 60:.0f} minutes are left before a window ends or a freeze begins"
    return Reading("freeze_near", value, evidence, CALENDARS, timing.at)


def _in_flight(facts: Facts) -> Reading:
    others = facts.observed.in_flight
    names = f": {', '.join(others[:_SHOWN])}" if others else ""
    evidence = f"{len(others)} in flight beside it on the same failure domains{names}"
    return Reading("in_flight", share_of(len(others), HALF_OF_IN_FLIGHT), evidence, RECORD, facts.at)


def _stale(facts: Facts, timing: Timing) -> Reading:
    found = dict.fromkeys(timing.stale, 1.0)
    if timing.at is None:
        found["calendars"] = 1.0
    for name, at in (("catalog", facts.observed.catalog_at), ("directory", facts.observed.directory_at)):
        found[name] = max(found.get(name, 0.0), _age(at, facts.at))
    bad = sorted(name for name, level in found.items() if level)
    left = 1.0
    for level in found.values():
        left *= 1 - level / 2
    evidence = f"missing or old: {', '.join(bad)}" if bad else "every fact is there and young enough"
    return Reading("stale_facts", 1 - left, evidence, RECORD, facts.at)


def _age(at: datetime | None, now: datetime | None) -> float:
    """How old a fact is: 0 young, one half over 30 days, 1 over 90 days or without a date."""
    if at is None or now is None or now - at > OLD:
        return 1.0
    return 0.5 if now - at > AGEING else 0.0


def _denied(facts: Facts) -> Reading:
    earlier = facts.denials
    names = ", ".join(item.proposal_id for item in earlier[:_SHOWN])
    evidence = f"the same effect was denied in {names}" if earlier else "the same effect was never denied"
    newest = earlier[0].at if earlier else None
    return Reading("denied_before", share_of(len(earlier), HALF_OF_DENIALS), evidence, RECORD, newest)


def _unsigned(facts: Facts) -> tuple[Reading, ...]:
    if (signature := facts.signature) is None:
        return ()
    value = 1.0 if signature.unsigned or signature.lapsed else 0.0
    return (Reading("unsigned", value, signature.lapsed or signature.words, SIGNER, signature.seen_at),)
