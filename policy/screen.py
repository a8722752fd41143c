"""What an approver sees, before anything else: the same facts in the CLI, the Temporal UI, notifications and exports.

- A screen is data: what is known of one revision, in the order in which it is shown. `policy/screens/screen_text.py`
  says it in words, once, for every medium.
- Measured facts come first, the proposer's words last, labelled as such. The recommended path and the safer operations
  are ours, never quoted from the proposal.
- `presented_digest` is the digest of the screen as JSON: a decision says what its author had in front of them. It is
  sealed with the assessment (`policy/sealing.py`), so fields are only ever added, with defaults that never change.
- What people and proposers wrote is kept with everything that does not show written out (`policy/screens/neutral.py`),
  and cut.
- Parameters are kept whole: they are what would run. Of lists that could be endless the first are kept, and the count.
"""

import json
import re
from typing import Annotated, Any

from pydantic import Field

from policy.base import Instant, RecordModel, instant_text
from policy.canonical import digest_of
from policy.catalog import Dependent, SloObjective
from policy.criteria import effective, minimum
from policy.evaluation import AppliedException, Excluded, ObservedAnswer
from policy.observed import DenialFact, DraftFact, HoldFact, LastActions, SloState, UndoProof
from policy.operations import RiskTier
from policy.proposal import ActionProposal, ChangeType, Evidence, Parameters, Step, StopVerb
from policy.remedying import remedied
from policy.revision import Revision
from policy.risk.indicators import Indicator
from policy.risk.reversal import leaves_nothing
from policy.rules.chains import Verdict
from policy.screens.neutral import WORDS_LIMIT, cut
from policy.screens.presenting import Advice, Ending, advise, endings, proof_of
from policy.screens.safer import SaferOperation
from policy.screens.screen_criteria import criterion_words
from policy.screens.screen_found import ScreenFound, found_of
from policy.undecided import Judging

FIRST = 10
# How everything that is shown of a dry run is marked.
DRY_RUN = "dry run: nothing is changed"
_SENTENCE, _REASONS = 200, 5
_CHANGE = 300
# How the one sentence begins where a draft is too different to compare (`activities/drafts.py`).
UNSAID = "what it changes cannot be said"
_MORE = re.compile(r"and ([0-9]{1,9}) changes more")


class ScreenStep(RecordModel):
    """A step and its undo: how long it takes (`undo_seconds`, by the operations registry), and when it last worked."""

    name: str
    operation: str
    parameters: Parameters
    undo: str | None
    undo_parameters: Parameters = {}
    needs_no_undo: bool = False
    undo_seconds: int | None = None
    proof: UndoProof | None = None
    one_by_one: Annotated[bool, Field(exclude_if=lambda value: not value)] = False


class ScreenDraft(RecordModel):
    """A draft of a governed document that would be put in force: who wrote it, and what it changes in meaning.

    `compared` is whether its changes in meaning are known, `uncompared` why they are not; `changes` holds the first of
    `change_count`.
    """

    kind: str
    digest: str
    previous: str | None = None
    authors: tuple[str, ...] = ()
    compared: bool = False
    uncompared: str = ""
    changes: tuple[str, ...] = ()
    change_count: int = 0
    problems: tuple[str, ...] = ()


class Screen(RecordModel):
    """The facts of one revision as shown. `words`, `evidence`, `alternatives` and `agent_says` are the proposer's.

    `target` is the catalog's reference, `spelled` how the proposal wrote it where that differs. `holds` are those that
    the action repairs. `follows` is the revision before, `changed` what changed since then, `voided` the people whose
    votes are void. `judging` is how people judge what nobody could measure. `found` is what executors found that each
    step would touch. Where a count is not 0, the list beside it holds the first of so many.
    """

    proposal_id: str
    revision: int
    operation: str
    target: str
    spelled: str | None = None
    resolved: tuple[str, ...]
    resolved_count: int = 0
    unresolved: str = ""
    environment: str
    failure_domains: tuple[str, ...] = ()
    failure_domain_count: int = 0
    units_touched: float | None = None
    units_total: float | None = None
    dry_run: bool = False
    draft: ScreenDraft | None = None
    denials: tuple[DenialFact, ...] = ()
    denial_count: int = 0
    risk_tier: RiskTier
    risk_score: int
    impact: float
    likelihood: float
    floor: RiskTier = RiskTier.low
    floor_reason: str = ""
    worst_state: str = ""
    indicators: tuple[Indicator, ...]
    holds: tuple[HoldFact, ...] = ()
    in_flight: tuple[str, ...] = ()
    in_flight_count: int = 0
    dependents: tuple[Dependent, ...]
    dependent_count: int = 0
    dependents_hard: int = 0
    dangling: int = 0
    slo_states: tuple[SloState, ...] = ()
    objectives: tuple[SloObjective, ...] = ()
    catalog_at: Instant | None = None
    stale: tuple[str, ...] = ()
    steps: tuple[ScreenStep, ...]
    on_stop: StopVerb = StopVerb.compensate
    criteria: tuple[str, ...]
    criteria_count: int = 0
    criteria_registered: int = 0
    judging: Annotated[Judging | None, Field(exclude_if=lambda value: value is None)] = None
    endings: tuple[Ending, ...] = ()
    similar: tuple[LastActions, ...] = ()
    recommended: tuple[Advice, ...] = ()
    safer: tuple[SaferOperation, ...] = ()
    verdict: Verdict = Verdict.require_approval
    policy: tuple[str, ...]
    decided_by: str | None = None
    decided_in: str | None = None
    noted: tuple[ObservedAnswer, ...] = ()
    noted_count: int = 0
    exceptions: tuple[str, ...] = ()
    applied: tuple[AppliedException, ...] = ()
    break_glass: str | None = None
    review_seconds: int | None = None
    undoes: str | None = None
    takes_over: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    permit_until: Instant | None = None
    excluded: tuple[Excluded, ...] = ()
    action_digest: str
    assessment_digest: str
    policy_digest: str
    assessed_at: Instant
    absolute_deadline: Instant
    agent: str
    signature: str = ""
    agent_says: tuple[str, ...] = ()
    requesters: tuple[str, ...]
    words: str
    evidence: tuple[str, ...] = ()
    evidence_count: int = 0
    alternatives: tuple[str, ...] = ()
    follows: int | None = None
    changed: tuple[str, ...] = ()
    changed_count: int = 0
    voided: tuple[str, ...] = ()
    voided_count: int = 0
    kept_count: int = 0
    held: bool = False
    found: tuple[ScreenFound, ...] = ()

    @property
    def sealed_value(self) -> Any:
        """The JSON value whose digest a decision names, as `policy/sealing.py` keeps it."""
        # Without defaults, so that a field which a later release adds does not change the digest of this screen.
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def presented_digest(self) -> str:
        """The digest of this screen as this release reads it; what is decided by is the sealed one."""
        return digest_of(self.sealed_value)


def make_screen(proposal: ActionProposal, revision: Revision, assessment_digest: str) -> Screen:
    """Put together what is shown of a revision; pure."""
    return Screen(
        proposal_id=revision.proposal_id,
        revision=revision.revision,
        operation=proposal.operation,
        steps=tuple(_step(step, revision) for step in proposal.steps),
        on_stop=proposal.on_stop,
        dry_run=proposal.dry_run,
        draft=_draft(revision.facts.observed.draft) if len(proposal.steps) == 1 else None,
        **_targets(proposal, revision),
        found=found_of(revision),
        **_risk(revision),
        **_breaks(revision),
        **_past(proposal, revision),
        **_criteria(proposal, revision),
        **_said(proposal),
        signature=cut(revision.facts.signature.words, _SENTENCE) if revision.facts.signature is not None else "",
        **_policy(revision),
        **_followed(revision),
        action_digest=revision.action_digest,
        assessment_digest=assessment_digest,
        policy_digest=revision.documents.policy,
        assessed_at=revision.assessed_at,
        absolute_deadline=revision.absolute_deadline,
        requesters=revision.facts.requesters,
    )


def _step(step: Step, revision: Revision) -> ScreenStep:
    facts = revision.facts
    return ScreenStep(
        name=step.name,
        operation=step.operation,
        parameters=step.parameters,
        undo=step.undo.operation if step.undo else None,
        undo_parameters=step.undo.parameters if step.undo else {},
        needs_no_undo=leaves_nothing(facts.operation(step.operation)),
        undo_seconds=facts.operation(step.undo.operation).undo_seconds if step.undo else None,
        proof=proof_of(step, facts),
        one_by_one=step.one_by_one,
    )


def _draft(fact: DraftFact | None) -> ScreenDraft | None:
    """What is shown of a draft; its texts were written by its authors. One that is not published alone is denied."""
    if fact is None:
        return None
    unsaid = next((item for item in fact.changes if item.startswith(UNSAID)), "")
    changes = () if unsaid else fact.changes
    return ScreenDraft(
        kind=fact.kind,
        digest=fact.digest,
        previous=fact.previous,
        authors=fact.authors[:FIRST],
        compared=fact.kind == "policy" and not fact.problems and not unsaid,
        uncompared=cut(unsaid, _CHANGE),
        changes=tuple(cut(item, _CHANGE) for item in changes[:FIRST]),
        change_count=_count(changes),
        problems=tuple(cut(item, _CHANGE) for item in fact.problems[:_REASONS]),
    )


def _count(changes: tuple[str, ...]) -> int:
    """How many changes there are: the last sentence may say how many were left out (`activities/drafts.py`)."""
    more = _MORE.fullmatch(changes[-1]) if changes else None
    return len(changes) - 1 + int(more[1]) if more else len(changes)


def _targets(proposal: ActionProposal, revision: Revision) -> dict[str, Any]:
    facts = revision.facts
    return {
        "target": proposal.target_ref,
        "spelled": proposal.target if proposal.target != proposal.target_ref else None,
        "resolved": facts.resolved[:FIRST],
        "resolved_count": len(facts.resolved),
        "unresolved": cut(facts.unresolved, _SENTENCE),
        "environment": facts.target_environment or "unknown",
        "failure_domains": facts.failure_domains[:FIRST],
        "failure_domain_count": len(facts.failure_domains),
        "units_touched": facts.units_touched,
        "units_total": facts.units_total,
        "holds": tuple(item for item in facts.holds if item.hold_id in remedied(facts.holds, proposal.remedies)),
        "in_flight": facts.observed.in_flight[:FIRST],
        "in_flight_count": len(facts.observed.in_flight),
        "takes_over": proposal.takes_over,
    }


def _risk(revision: Revision) -> dict[str, Any]:
    assessment = revision.assessment
    return {
        "risk_tier": assessment.risk_tier,
        "risk_score": assessment.risk_score,
        "impact": assessment.impact,
        "likelihood": assessment.likelihood,
        "floor": assessment.floor,
        "floor_reason": assessment.floor_reason,
        "worst_state": assessment.worst_state,
        "indicators": tuple(sorted(assessment.indicators, key=lambda item: -item.contribution)[:3]),
    }


def _breaks(revision: Revision) -> dict[str, Any]:
    facts = revision.facts
    states = sorted(facts.observed.slo_states, key=lambda item: (item.budget_left is not None, item.budget_left or 0.0))
    return {
        "dependents": facts.reach.nearest[:FIRST],
        "dependent_count": facts.reach.total,
        "dependents_hard": facts.reach.hard,
        "dangling": facts.reach.dangling,
        "slo_states": tuple(states[:FIRST]),
        "objectives": facts.target_objectives[:FIRST],
        "catalog_at": facts.observed.catalog_at,
        "stale": revision.timing.stale,
    }


def _policy(revision: Revision) -> dict[str, Any]:
    answer = revision.evaluation
    return {
        "verdict": answer.verdict,
        "policy": tuple(cut(reason.message, _SENTENCE) for reason in answer.reasons[:_REASONS]),
        "decided_by": answer.decided_by,
        "decided_in": answer.decided_in,
        "noted": answer.observed[:_REASONS],
        "noted_count": len(answer.observed),
        "exceptions": answer.exceptions[:FIRST],
        "applied": answer.applied[:FIRST],
        "break_glass": answer.break_glass,
        "review_seconds": answer.review_seconds,
        "undoes": answer.rollback.undoes if answer.rollback is not None and answer.rollback.verified else None,
        "permit_until": answer.permit_until,
        "excluded": answer.excluded[:_REASONS],
    }


def _followed(revision: Revision) -> dict[str, Any]:
    """What changed since the revision before, and what became of its votes."""
    before = revision.superseded
    if before is None:
        return {}
    voided = tuple(dict.fromkeys(item.person_id for item in before.voided))
    return {
        "follows": before.revision,
        "changed": tuple(cut(item, _CHANGE) for item in before.changes[:FIRST]),
        "changed_count": len(before.changes),
        "voided": voided[:FIRST],
        "voided_count": len(voided),
        "kept_count": len(before.kept),
        "held": revision.held,
    }


def _past(proposal: ActionProposal, revision: Revision) -> dict[str, Any]:
    facts, observed = revision.facts, revision.facts.observed
    denials = [item.model_copy(update={"reason": cut(item.reason, _SENTENCE)}) for item in facts.denials[:3]]
    return {
        "denials": tuple(denials),
        "denial_count": len(facts.denials),
        "endings": endings(observed.tallies),
        "similar": observed.similar[:5],
        "recommended": advise(proposal, facts, revision.evaluation, revision.timing, revision.assessed_at),
        "safer": facts.safer,
    }


def _criteria(proposal: ActionProposal, revision: Revision) -> dict[str, Any]:
    """What it is measured by: what the operations registry asks comes first."""
    found, registered = effective(proposal, revision.facts.operations), minimum(proposal, revision.facts.operations)
    return {
        "criteria": tuple(cut(criterion_words(item), _SENTENCE) for item in found[:FIRST]),
        "criteria_count": len(found),
        "criteria_registered": len(registered),
        "judging": None if proposal.dry_run else revision.evaluation.judging,
    }


def _said(proposal: ActionProposal) -> dict[str, Any]:
    """What the proposer wrote, and everything that it says of itself."""
    agent, normal = proposal.agent, proposal.change_type is ChangeType.normal
    says = {
        "model": agent.model,
        "version": agent.version,
        "confidence": agent.confidence,
        "type of change": None if normal else str(proposal.change_type),
        "planned at": instant_text(proposal.produced_at) if proposal.produced_at else None,
    }
    return {
        "agent": agent.id,
        "agent_says": tuple(f"{name} {cut(str(value), 60)}" for name, value in says.items() if value is not None),
        "words": cut(proposal.rationale, WORDS_LIMIT),
        "evidence": tuple(_evidence(item) for item in proposal.evidence[:3]),
        "evidence_count": len(proposal.evidence),
        "alternatives": tuple(f"{item.operation}: {cut(item.summary, 120)}" for item in proposal.alternatives[:3]),
    }


def _evidence(item: Evidence) -> str:
    url = f" ({cut(item.url, 120)})" if item.url else ""
    return f"{item.kind}: {cut(item.text, _SENTENCE)}{url}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
