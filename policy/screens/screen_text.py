"""The screen in words, once for every medium: sections of lines whose pieces say who wrote them.

- `policy/screens/screen_pieces.py` has the pieces. The writers (`screen_markdown.py`, `screen_plain.py`) neutralise
  every one that is not ours, and nothing else.
- The order is that of the questions of an approver: was it denied before; what changed since I answered; what will
  happen to what; what a draft would change; why; what breaks; how it is undone; what weighs most; how similar actions
  ended; what we recommend; what would be safer; what the policy says; and last, quoted, the proposer's words.
- What is not known is said, not left out. Ages are counted back from the assessment.
"""

from datetime import datetime

from policy.observed import DenialFact
from policy.operations import RiskTier
from policy.risk.indicators import Indicator
from policy.risk.indicators_exposure import BUDGET_HOLDS
from policy.screen import DRY_RUN, Screen, ScreenStep
from policy.screens.presenting import Ending, percent, since
from policy.screens.screen_changed import changed
from policy.screens.screen_draft import drafted
from policy.screens.screen_effects import breaks, undone
from policy.screens.screen_found import touches
from policy.screens.screen_pieces import (
    Line,
    Named,
    Noted,
    Said,
    Section,
    day_text,
    duration_text,
    names_of,
    parameters_of,
)
from policy.screens.screen_policy import answered
from policy.undecided import WORDS as WORDS_OF_VERBS

DENIED, CHANGED = "Denied before", "What changed since people were asked"
HAPPENS, DRAFT = "What will happen", "What the draft changes"
WHY, BREAKS = "Why", "What breaks if it goes wrong"
UNDONE, WEIGHS, ENDED = "How it is undone", "What weighs most", "How similar actions ended"
RECOMMENDED, POLICY = "Recommended path and safer ways", "What the policy says"
WORDS = "The proposer's words (not verified)"
TITLES = (DENIED, CHANGED, HAPPENS, DRAFT, WHY, BREAKS, UNDONE, WEIGHS, ENDED, RECOMMENDED, POLICY, WORDS)
SHOWN_CRITERIA = 3
# Where one step was done is no news.
ONLY_STATE = "after step 1 of 1"
_VALUE = 200


def headline(screen: Screen) -> Line:
    """What, on what, how bad: the first line."""
    dry = "dry run of " if screen.dry_run else ""
    bad = f": {screen.risk_tier}, {screen.risk_score} of 100"
    return (dry, Named(screen.operation), " on ", Named(screen.target), " in ", Named(screen.environment), bad)


def sections(screen: Screen) -> tuple[Section, ...]:
    """The whole screen, in order."""
    now = screen.assessed_at
    return (
        *_denied(screen),
        *((Section(CHANGED, found),) if (found := changed(screen)) else ()),
        Section(
            HAPPENS,
            (
                *_dry_run(screen),
                *_takes_over(screen),
                *_on(screen),
                *_steps(screen),
                *touches(screen.found),
                *_criteria(screen),
            ),
        ),
        *((Section(DRAFT, drafted(screen.draft)),) if screen.draft else ()),
        Section(WHY, _why(screen, now)),
        Section(BREAKS, breaks(screen, now)),
        Section(UNDONE, undone(screen, now)),
        _weighs(screen, now),
        Section(ENDED, _ended(screen)),
        Section(RECOMMENDED, (*((Noted(item.text),) for item in screen.recommended), *_safer(screen))),
        Section(POLICY, answered(screen)),
        Section(WORDS, _words(screen), quoted=True),
    )


def _denied(screen: Screen) -> tuple[Section, ...]:
    if not screen.denials:
        return ()
    more = screen.denial_count - len(screen.denials)
    lines = [line for item in screen.denials for line in _denial(item)]
    return (Section(DENIED, (*lines, *([(f"and {more} times more",)] if more > 0 else []))),)


def _denial(item: DenialFact) -> tuple[Line, ...]:
    when = f" on {day_text(item.at)}" if item.at else ""
    tier = f" ({item.tier})" if item.tier else ""
    by = (" by ", *names_of(item.denied_by, len(item.denied_by))) if item.denied_by else ()
    why: Line = (": ", Noted(item.reason)) if item.reason else ()
    return (("the same effect was denied", *by, f"{when} as ", Named(item.proposal_id), tier, *why),)


def _dry_run(screen: Screen) -> tuple[Line, ...]:
    return ((f"{DRY_RUN}, its steps are rehearsed",),) if screen.dry_run else ()


def _takes_over(screen: Screen) -> tuple[Line, ...]:
    if screen.takes_over is None:
        return ()
    return (("TAKES OVER from ", Named(screen.takes_over), ": that one is stopped, and this begins once it has ended"),)


def _on(screen: Screen) -> tuple[Line, ...]:
    count = screen.resolved_count
    targets = f"acts on {count} {'target' if count == 1 else 'targets'}"
    spelled: Line = (" (asked for as ", Named(screen.spelled), ")") if screen.spelled else ()
    domains = screen.failure_domain_count
    where = "not known" if not domains else f"{domains}: " if domains > 1 else ""
    return (
        (f"{targets}: " if count else "acts on nothing that is known", *names_of(screen.resolved, count), *spelled),
        *_unresolved(screen),
        (
            f"failure {'domain' if domains == 1 else 'domains'} {where}",
            *names_of(screen.failure_domains, domains),
            f"; {_share(screen)} at once",
        ),
        *_beside(screen),
    )


def _unresolved(screen: Screen) -> tuple[Line, ...]:
    """Why there is no id of the target."""
    return (("it resolves to nothing: ", Noted(screen.unresolved)),) if screen.unresolved else ()


def _beside(screen: Screen) -> tuple[Line, ...]:
    """What else is under way there."""
    if not screen.in_flight:
        return ()
    return (("under way in the same failure domains: ", *names_of(screen.in_flight, screen.in_flight_count)),)


def _share(screen: Screen) -> str:
    touched, total = screen.units_touched, screen.units_total
    if touched is None or not total:
        return "an unknown share of the capacity"
    share = percent(min(1.0, touched / total)) if touched else "nothing"
    return f"{share} of the capacity ({touched:g} of {total:g} units)"


def _steps(screen: Screen) -> list[Line]:
    return [
        (f"step {number}: ", Named(step.operation), " ", parameters_of(step.parameters), *_staged(step))
        for number, step in enumerate(screen.steps, start=1)
    ]


def _staged(step: ScreenStep) -> tuple[str, ...]:
    return (", one target after the other, each measured before the next",) if step.one_by_one else ()


def _criteria(screen: Screen) -> list[Line]:
    return [*_measured_by(screen), *_undecided(screen)]


def _undecided(screen: Screen) -> list[Line]:
    """What becomes of it where nobody can tell whether it succeeded."""
    if screen.judging is None:
        return []
    time = duration_text(screen.judging.within_seconds)
    then = WORDS_OF_VERBS[screen.judging.on_expiry]
    return [(f"if nobody can tell, people have {time} to accept or revoke it; then {then}",)]


def _measured_by(screen: Screen) -> list[Line]:
    more = screen.criteria_count - len(screen.criteria[:SHOWN_CRITERIA])
    lines: list[Line] = [
        ("succeeds if ", Named(item, _VALUE), " (registered)" if at < screen.criteria_registered else " (proposed)")
        for at, item in enumerate(screen.criteria[:SHOWN_CRITERIA])
    ]
    return [*lines, (f"and {more} more criteria",)] if more > 0 else lines


def _why(screen: Screen, now: datetime) -> tuple[Line, ...]:
    """What was measured comes first; a proposer's reason is no measurement."""
    lines: list[Line] = [("repairs what is held: ", Noted(item.reason)) for item in screen.holds[:3]]
    lines += [
        ("measured: the error budget of ", Named(item.name), " is spent")
        for item in screen.slo_states
        if item.target == screen.target
        and item.budget_left is not None
        and item.budget_left <= 0
        and now - item.at <= BUDGET_HOLDS
    ]
    reason = "the proposer's reason is below" if lines else "nothing was measured that asks for it: see its words below"
    return (*lines, (reason,))


def _weighs(screen: Screen, now: datetime) -> Section:
    score = f"impact {screen.impact:.2f} and likelihood {screen.likelihood:.2f} make {screen.risk_score} of 100"
    raised = screen.floor is not RiskTier.low and screen.floor_reason
    floor: Line = (f"; its floor is {screen.floor}: ", Noted(screen.floor_reason)) if raised else ()
    tells = screen.worst_state not in ("", ONLY_STATE)
    worst: tuple[Line, ...] = (("worst state: ", Noted(screen.worst_state)),) if tells else ()
    return Section(WEIGHS, ((score, *floor), *worst, *(_indicator(item, now) for item in screen.indicators)))


def _indicator(item: Indicator, now: datetime) -> Line:
    age = f"{since(item.as_of, now)} old" if item.as_of else "without a date"
    points = f"{item.contribution * 100:.0f} points: "
    name = Noted(item.name.replace("_", " "), 40)
    return (points, name, f" {item.value:.2f} (", Noted(item.writer, 40), f", {age}): ", Noted(item.evidence))


def _ended(screen: Screen) -> tuple[Line, ...]:
    lines: list[Line] = [_sum(item) for item in screen.endings]
    lines += [
        (
            f"{day_text(item.at)}: ",
            Named(item.operation),
            " ",
            Noted(item.outcome, 40),
            " (",
            Named(item.proposal_id),
            ")",
        )
        for item in screen.similar[:3]
    ]
    return tuple(lines) or (("no similar action has ended yet",),)


def _sum(item: Ending) -> Line:
    where = "on this target" if item.scope == "target" else "on others of its kind"
    figures = f"{item.succeeded} succeeded, {item.compensated} undone, {item.failed} failed, {item.unknown} unknown"
    return (f"{where}: {figures} ({item.agents} {'agent' if item.agents == 1 else 'agents'})",)


def _safer(screen: Screen) -> tuple[Line, ...]:
    lines: list[Line] = [
        (
            "safer: ",
            Named(item.name),
            " instead of ",
            Named(item.instead_of),
            f": severity {item.severity} and not {item.instead_of_severity}",
            ", can be undone" if item.undoable else "",
            *((". ", Noted(item.description, 120)) if item.description else ()),
        )
        for item in screen.safer
    ]
    own = f"; the proposer names {len(screen.alternatives)} of its own, below" if screen.alternatives else ""
    return tuple(lines) or ((f"safer: no registered operation of the same family{own}",),)


def _words(screen: Screen) -> tuple[Line, ...]:
    says: Line = (
        (Named(screen.agent), " says of itself: ", Said(", ".join(screen.agent_says))) if screen.agent_says else ()
    )
    more = screen.evidence_count - len(screen.evidence)
    return (
        ("says: ", Said(screen.words)),
        *(("points to ", Said(item, 400)) for item in screen.evidence),
        *([(f"and to {more} things more",)] if more > 0 else []),
        *(("offers instead ", Said(item, 240)) for item in screen.alternatives),
        *([says] if says else []),
    )
