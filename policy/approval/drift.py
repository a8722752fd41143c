"""What changed while an action waited, and whether that is material.

- Compared is always with the revision that people vote on, never with the last measurement: many small steps become
  material once they are one large one together.
- Always material: it resolves to other ids, or executors find other targets there; the verdict is stricter; people are
  asked, and other ones or in another way; the tier is higher.
- Material, too: it was approved, and a limit on all actions together had no room for it and says `hold`.
- Material where the policy lists it (`policy/rules/drifting.py`), and only where it got worse: the score by a step or
  more; more dependents; another action under way in the same failure domains; another hold; less of an error budget
  (from enough to less than a tenth, to none, to unknown); a fact that is stale by now.
- Everything else that people are shown is a change that is not material: it is recorded, and votes stay.
- The effect has vanished where the target is in the catalog no more, or the draft that was to be published is in force
  by now, or another one is.
- `effect` is the digest of all that is compared. Two measurements with the same one say the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from policy.approval.ballot import ApprovalCase, Ballot
from policy.approval.reading import Reading
from policy.base import RecordModel
from policy.canonical import digest_of
from policy.observed import SloState
from policy.resolving import moved
from policy.revision import Revision
from policy.rules.drifting import DriftRules, MaterialFact
from policy.screens.presenting import LOW_BUDGET

DriftKind = Literal["same", "immaterial", "material", "vanished"]
LAPSED = "approval_lapsed"
_TICK = timedelta(microseconds=1)
_SHOWN = 5


class Drift(RecordModel):
    """How a measurement compares with a revision.

    Attributes:
        kind: whether anything changed, and whether that is material.
        rule: the code of what decided so.
        changes: each change as a sentence, the material ones first.
        listed: those of them that are material only because the policy lists them.
        effect: the digest of what was compared.
    """

    kind: DriftKind
    rule: str
    changes: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    effect: str


@dataclass(frozen=True)
class _Change:
    rule: str
    text: str
    material: bool = False
    listed: bool = False


def compare(base: Revision, measured: Revision, rules: DriftRules) -> Drift:
    """Compare what was measured with the revision that people vote on; pure.

    Args:
        base: the revision that people vote on, or voted on.
        measured: the same proposal, assessed again.
        rules: of the policy under which it was assessed again.
    """
    effect = digest_of(_compared(measured))
    if vanished := _vanished(base, measured):
        return Drift(kind="vanished", rule=vanished.rule, changes=(vanished.text,), effect=effect)
    found = sorted((*_always(base, measured), *_listed(base, measured, rules), *_noted(base, measured)), key=_last)
    if not found:
        return Drift(kind="same", rule="same", effect=effect)
    return Drift(
        kind="material" if found[0].material else "immaterial",
        rule=found[0].rule if found[0].material else "not_worse",
        changes=tuple(item.text for item in found),
        listed=tuple(item.text for item in found if item.listed),
        effect=effect,
    )


def effect_of(revision: Revision) -> str:
    """The digest of what is compared of a revision."""
    return digest_of(_compared(revision))


def keep(case: ApprovalCase, ballots: Sequence[Ballot], revision: int) -> tuple[Ballot, ...]:
    """The ballots that still count in the next revision, dated anew to its opening, in the same order; pure.

    A vote that counted by an escalation only is given again: the stage of the new revision opens without it.

    Args:
        case: the question of the next revision, without ballots.
        ballots: those of the revision before, with what the directory says of their authors today.
        revision: the number of the revision before.
    """
    reading, kept = Reading(case), []
    for number, ballot in enumerate(ballots, start=1):
        at, given_in = case.opened_at + number * _TICK, ballot.kept_from or revision
        again = ballot.model_copy(update={"received_at": at, "kept_from": given_in})
        if reading.take(again) is None:
            kept.append(again)
    return tuple(kept)


def _last(change: _Change) -> bool:
    return not change.material


def _compared(revision: Revision) -> dict[str, Any]:
    facts, seen, answer = revision.facts, revision.facts.observed, revision.evaluation
    return {
        "resolved": list(facts.resolved),
        "verdict": str(answer.verdict),
        "chain": answer.chain.model_dump(mode="json") if answer.chain else None,
        "tier": str(revision.assessment.risk_tier),
        "score": revision.assessment.risk_score,
        "dependents": [facts.reach.total, facts.reach.hard],
        "in_flight": sorted(seen.in_flight),
        "holds": sorted(item.hold_id for item in facts.holds),
        "budgets": {f"{item.target} {item.name}": _band(item) for item in seen.slo_states},
        "stale": sorted(revision.timing.stale),
        "denials": sorted(item.proposal_id for item in facts.denials),
        "requesters": list(facts.requesters),
        "policy": revision.documents.policy,
        **_found(revision),
    }


def _found(revision: Revision) -> dict[str, Any]:
    """What executors found, by what makes a target what it is; nothing where none was asked."""
    names = {
        str(step.step): [[item.resource, item.id, item.environment] for item in step.targets]
        for step in revision.facts.found
    }
    return {"targets": names} if names else {}


def _vanished(base: Revision, measured: Revision) -> _Change | None:
    if base.facts.target_known and not measured.facts.target_known:
        return _Change("target_gone", f"target {base.facts.target_ref} is not in the catalog any more")
    draft, before = measured.facts.observed.draft, base.facts.observed.draft
    if before is None or draft is None:
        return None
    if draft.digest == draft.previous != before.previous:
        return _Change("draft_in_force", f"the {draft.kind} that it would put in force is in force")
    if draft.previous != before.previous:
        return _Change("draft_superseded", f"the {draft.kind} that it would change is not in force any more")
    return None


def _always(base: Revision, measured: Revision) -> Iterator[_Change]:
    before, now = base.facts.resolved, measured.facts.resolved
    if now != before:
        text = f"it resolved to {_names(before)}, and resolves to {_names(now)} now"
        yield _Change("target_changed", text, material=True)
    for text in measured.facts.observed.crowded:
        yield _Change("aggregate_hold", text, material=True)
    for text in moved(base.facts.found, measured.facts.found):
        yield _Change("target_changed", text, material=True)
    old, new = base.evaluation, measured.evaluation
    if new.verdict is not old.verdict:
        stricter = new.verdict.strictness > old.verdict.strictness
        why = "; ".join(reason.message for reason in new.reasons)
        text = f"the policy said {old.verdict}, and says {new.verdict} now: {why}"
        yield _Change("policy_stricter" if stricter else "policy_milder", text, material=stricter)
    if new.verdict.asks and old.verdict.asks and new.chain != old.chain:
        text = f"the policy asks other people, or in another way: {new.chain_name or 'a chain'}"
        yield _Change("chain_changed", text, material=True)
    one, other = base.assessment.risk_tier, measured.assessment.risk_tier
    if other is not one:
        higher = other.rank > one.rank
        text = f"the risk tier was {one}, and is {other} now"
        yield _Change("risk_higher" if higher else "risk_lower", text, material=higher)


def _listed(base: Revision, measured: Revision, rules: DriftRules) -> Iterator[_Change]:
    """What is material where the policy lists it and where it got worse."""

    def change(fact: MaterialFact, text: str, *, worse: bool) -> _Change:
        material = worse and fact in rules.material
        return _Change(f"more_{fact}" if material else str(fact), text, material=material, listed=material)

    score, now = base.assessment.risk_score, measured.assessment.risk_score
    if now != score:
        text = f"the risk score was {score}, and is {now} now"
        yield change(MaterialFact.score, text, worse=now - score >= rules.score_step)
    reach, reached = base.facts.reach, measured.facts.reach
    if (reached.total, reached.hard) != (reach.total, reach.hard):
        text = f"{reach.total} depended on it ({reach.hard} hard), and {reached.total} do now ({reached.hard} hard)"
        worse = reached.total > reach.total or reached.hard > reach.hard
        yield change(MaterialFact.dependents, text, worse=worse)
    for fact, what, old, new in _names_of(base, measured):
        if more := [name for name in new if name not in old]:
            yield change(fact, f"{what}: {_names(more)}", worse=True)
        if less := [name for name in old if name not in new]:
            yield change(fact, f"not any more {what}: {_names(less)}", worse=False)
    yield from (change(MaterialFact.slo, text, worse=worse) for text, worse in _budgets(base, measured))


def _names_of(base: Revision, measured: Revision) -> Iterator[tuple[MaterialFact, str, Sequence[str], Sequence[str]]]:
    def holds(revision: Revision) -> list[str]:
        return [f"{item.target} ({item.hold_id})" for item in revision.facts.holds]

    one, other = base.facts.observed, measured.facts.observed
    yield MaterialFact.in_flight, "under way in the same failure domains", one.in_flight, other.in_flight
    yield MaterialFact.holds, "under hold", holds(base), holds(measured)
    yield MaterialFact.stale, "missing or too old", base.timing.stale, measured.timing.stale


def _budgets(base: Revision, measured: Revision) -> Iterator[tuple[str, bool]]:
    """How each error budget moved from one band to another, and whether that is worse."""
    before, now = ({(item.target, item.name): _band(item) for item in _slos(one)} for one in (base, measured))
    for key in sorted({*before, *now}):
        one, other = before.get(key, 0), now.get(key, 0)
        if one != other:
            yield f"error budget {key[1]} of {key[0]} was {_BANDS[one]}, and is {_BANDS[other]} now", other < one


def _slos(revision: Revision) -> tuple[SloState, ...]:
    return revision.facts.observed.slo_states


_BANDS = ("unknown", "spent", "nearly spent", "there")


def _band(state: SloState) -> int:
    left = state.budget_left
    return 0 if left is None else 1 if left <= 0 else 2 if left < LOW_BUDGET else 3


def _noted(base: Revision, measured: Revision) -> Iterator[_Change]:
    """What else people are told of."""
    before, now = ([item.proposal_id for item in one.facts.denials] for one in (base, measured))
    if more := [name for name in now if name not in before]:
        yield _Change("denied_elsewhere", f"people denied the same effect meanwhile: {_names(more)}")
    if measured.facts.requesters != base.facts.requesters:
        who = _names(measured.facts.requesters)
        yield _Change("requesters_changed", f"it is asked by {who} now: none of them approves")
    if measured.documents.policy != base.documents.policy:
        yield _Change("policy_changed", "another version of the policy is in force")


def _names(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(every[:_SHOWN]) or "nothing") + more
