"""Scenes that an approver could be in, built from proposals and facts, without any rule between.

`screen_of` gives the scene to `make_screen` as a revision; what assessment and policy concluded is written here: a
change of weights or rules does not change what is tested: the text.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from policy.base import Reason
from policy.catalog import Dependent, Reach, SloObjective
from policy.document import Enforcement
from policy.evaluation import AppliedException, Evaluation, Excluded, ObservedAnswer
from policy.facts import Facts
from policy.impact import ImpactAssessment
from policy.observed import DenialFact, HoldFact, LastActions, Observed, SloState, Tally, UndoProof
from policy.operations import RegisteredOperation, RiskTier
from policy.proposal import receive
from policy.revision import DocumentDigests, Revision, Superseded, VoidedVote
from policy.risk.indicators import Indicator
from policy.rules.chains import Verdict
from policy.rules.timing import Timing
from policy.screen import Screen, make_screen
from policy.screens.safer import SaferOperation

NOW = datetime(2030, 1, 31, 9, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
DOCUMENTS = DocumentDigests(policy=DIGEST, operations=DIGEST, catalog=DIGEST, directory=DIGEST)


TWO_PEOPLE = Reason(
    code="rule_require_approval", message="production-parameters: a parameter of a production database needs two people"
)


def ago(**passed: float) -> datetime:
    """So long before the assessment."""
    return NOW - timedelta(**passed)


def proposal_of(**changes: Any) -> dict[str, Any]:
    """A proposal as a platform sends it."""
    return {
        "api_version": "countersign/v1",
        "proposal_id": "orders-work-mem-7",
        "operation": "postgres.parameter.set",
        "target": "resource:default/orders-db",
        "environment": "production",
        "agent": {"id": "tuning-agent", "model": "tuner-2", "confidence": 0.8},
        "on_behalf_of": "ana",
        "rationale": "Sorts of the nightly report spill to disk; 64MB keeps them in memory.",
        "steps": [
            {
                "name": "raise-work-mem",
                "operation": "postgres.parameter.set",
                "parameters": {"name": "work_mem", "value": "64MB", "expected": "4MB"},
                "undo": {"operation": "postgres.parameter.reset", "parameters": {"name": "work_mem"}},
            }
        ],
        "success_criteria": [
            {"probe": "postgres.parameter.value", "parameters": {"name": "work_mem"}, "equals": "64MB"}
        ],
        **changes,
    }


def registered(name: str, **known: Any) -> RegisteredOperation:
    """A registered operation."""
    return RegisteredOperation(name=name, executor=name.partition(".")[0], **{"severity": 50, **known})


SET = registered("postgres.parameter.set", inverse=("postgres.parameter.reset",), undo_seconds=5)
RESET = registered("postgres.parameter.reset", severity=40)
DATABASE = {
    "target_known": True,
    "target_ref": "resource:default/orders-db",
    "target_environment": "production",
    "target_criticality": "critical",
    "resolved_ids": ("postgres/orders",),
    "failure_domains": ("zone-a",),
    "units_touched": 1.0,
    "units_total": 1.0,
    "operations": {SET.name: SET, RESET.name: RESET},
    "agent_owner": "otto",
    "on_behalf_of": "ana",
}


def indicator(name: str, contribution: float, evidence: str, **more: Any) -> Indicator:
    """An indicator with a value of its own."""
    known = {"part": "impact", "value": 0.6, "weight": 0.5, "writer": "catalog", "as_of": ago(days=2), **more}
    return Indicator(name=name, contribution=contribution, evidence=evidence, **known)


def revision_of(
    proposal: dict[str, Any],
    facts: dict[str, Any],
    observed: Observed = Observed(at=NOW),  # noqa: B008
    answer: Evaluation | None = None,
    timing: Timing = Timing(),  # noqa: B008
    **assessed: Any,
) -> Revision:
    """A revision with this conclusion."""
    received = receive(proposal)
    conclusion = {
        "impact": 0.71,
        "likelihood": 0.74,
        "risk_score": 62,
        "risk_tier": RiskTier.high,
        "floor": RiskTier.high,
        "floor_reason": "postgres.parameter.set is high at least",
        "worst_state": "after step 1 of 1",
        "indicators": (
            indicator("change_severity", 0.4, "postgres.parameter.set has severity 50 of 100", as_of=None),
            indicator("blast_radius", 0.22, "3 dependents: component:default/checkout", value=0.4),
            indicator("stated_confidence", 0.05, "the proposer states a confidence of 0.8", writer="proposer"),
            indicator("performance", 0.01, "an effect on performance"),
        ),
        **assessed,
    }
    return Revision(
        proposal_id=received.proposal.proposal_id,
        revision=1,
        action_digest=received.action_digest,
        effect_digest=received.effect_digest,
        documents=DOCUMENTS,
        assessed_at=NOW,
        absolute_deadline=NOW + timedelta(days=7),
        facts=Facts(**facts, observed=observed),
        timing=timing,
        assessment=ImpactAssessment(**conclusion),
        evaluation=answer or Evaluation(verdict=Verdict.require_approval, reasons=(TWO_PEOPLE,)),
    )


def screen_of(proposal: dict[str, Any], revision: Revision) -> Screen:
    """What an approver of this revision is shown."""
    return make_screen(receive(proposal).proposal, revision, DIGEST)


def routine() -> Screen:
    """A reversible change, its undo proved, with a good history and nobody depending on it."""
    observed = Observed(
        at=NOW,
        catalog_at=ago(days=2),
        tallies=(Tally(scope="target", operation=SET.name, agent="tuning-agent", succeeded=9, compensated=1),),
        undo_proofs=(UndoProof(operation=RESET.name, kind="undone", at=ago(days=3), seconds=4.2),),
        similar=(LastActions(proposal_id="orders-6", operation=SET.name, outcome="succeeded", at=ago(days=3)),),
        slo_states=(slo("orders-latency", 0.82, ago(minutes=4)),),
    )
    proposal = proposal_of()
    return screen_of(proposal, revision_of(proposal, {**DATABASE, "units_touched": 0.0}, observed))


def high_impact() -> Screen:
    """A destructive step that was denied before, on a target whose error budgets are spent."""
    drop = registered("postgres.index.drop", severity=80, destructive=True)
    proposal = proposal_of(
        proposal_id="orders-index-3",
        operation=drop.name,
        target="resource:orders-db",
        rationale="The index is unused. @dba please approve, see https://wiki.example/ok",
        evidence=[
            {"kind": "metric", "text": "0 scans in 30 days", "url": "https://grafana.example/d/1"},
            {"kind": "ticket", "text": "OPS-12 asks for it"},
        ],
        steps=[{"name": "drop", "operation": drop.name, "parameters": {"index": "orders_by_day"}}],
        alternatives=[{"operation": "postgres.index.hide", "summary": "hide it for a week"}],
    )
    facts = {
        **DATABASE,
        "operations": {drop.name: drop},
        "reach": Reach(total=17, hard=9, weight=8.5, dangling=1, nearest=dependents(10)),
        "target_objectives": (SloObjective(name="orders-latency", objective=0.999),),
        "safer": (
            SaferOperation(
                name="postgres.index.hide",
                instead_of=drop.name,
                severity=20,
                instead_of_severity=80,
                undoable=True,
                description="Tells the planner not to use an index.",
            ),
        ),
    }
    floor = {"floor": RiskTier.critical, "floor_reason": "the same effect was denied in orders-index-2"}
    critical: dict[str, Any] = {
        "risk_tier": RiskTier.critical,
        "risk_score": 88,
        "impact": 0.93,
        "likelihood": 0.86,
        **floor,
    }
    return screen_of(proposal, revision_of(proposal, facts, _a_bad_record(drop.name), _two_documents(), **critical))


def _a_bad_record(operation: str) -> Observed:
    """Denials, failures, spent error budgets, and another action under way."""
    return Observed(
        at=NOW,
        catalog_at=ago(days=40),
        denials=(
            DenialFact(
                proposal_id="orders-index-2",
                denied_by=("ben", "cleo"),
                at=ago(days=6),
                tier=RiskTier.critical,
                reason="the monthly report needs it",
            ),
            DenialFact(proposal_id="orders-index-1", denied_by=("ben",), at=ago(days=20)),
        ),
        in_flight=("checkout-scale-4",),
        tallies=(
            Tally(scope="target", operation=operation, agent="tuning-agent", failed=1, unknown=1),
            Tally(scope="kind", operation=operation, agent="tuning-agent", succeeded=3, failed=1),
            Tally(scope="kind", operation=operation, agent="other-agent", succeeded=2),
        ),
        similar=(
            LastActions(
                proposal_id="stock-index-9", operation=operation, outcome="compensation_failed", at=ago(days=5)
            ),
            LastActions(proposal_id="orders-index-0", operation=operation, outcome="succeeded", at=ago(days=90)),
        ),
        slo_states=(
            slo("orders-latency", -0.2, ago(minutes=4)),
            slo("checkout-success", 0.031, ago(minutes=6), target="component:default/checkout"),
            slo("invoices-daily", 0.5, ago(hours=30), target="component:default/invoices"),
        ),
    )


def _two_documents() -> Evaluation:
    """An answer by an exception, with a rule that only warns, and somebody who may not answer."""
    warned = ObservedAnswer(
        rule="no-drops-before-report",
        document="team-orders",
        enforcement=Enforcement.warn,
        verdict=Verdict.deny,
        message="the monthly report runs on the 1st",
    )
    return Evaluation(
        verdict=Verdict.require_approval,
        reasons=(
            Reason(code="rule_require_approval", message="root: destructive: what is lost needs three people"),
            TWO_PEOPLE,
        ),
        decided_by="destructive",
        decided_in="root",
        observed=(warned,),
        exceptions=("report-freeze-7",),
        applied=(
            AppliedException(
                id="report-freeze-7",
                approved_by=("dan",),
                expires_at=NOW + timedelta(hours=13),
                reason="the report of January is done",
            ),
        ),
        permit_until=NOW + timedelta(hours=13),
        excluded=(Excluded(people=("dan",), reason="approved the exception report-freeze-7"),),
    )


def multi_target() -> Screen:
    """Many targets in several failure domains, in three steps, and hardly anything known of them."""
    restart = registered("kubernetes.deployment.restart", severity=30, needs_no_undo=True)
    scale = registered("kubernetes.deployment.scale", severity=45, inverse=("kubernetes.deployment.scale",))
    proposal = proposal_of(
        proposal_id="fleet-restart-12",
        operation=restart.name,
        target="system:default/shop",
        steps=[
            {
                "name": "scale",
                "operation": scale.name,
                "parameters": {"replicas": 3},
                "undo": {"operation": scale.name, "parameters": {"replicas": 6}},
            },
            {"name": "restart", "operation": restart.name, "parameters": {"grace_seconds": 30}},
            {"name": "look", "operation": restart.name, "parameters": {}},
        ],
        success_criteria=[{"probe": "kubernetes.ready", "equals": number} for number in range(7)],
        rationale="Rolls out the new base image.",
        on_stop="ask",
    )
    facts = {
        **DATABASE,
        "target_ref": "system:default/shop",
        "operations": {restart.name: restart, scale.name: scale},
        "resolved_ids": tuple(f"cluster-{number % 3}/shop-{number:02}" for number in range(24)),
        "failure_domains": ("zone-a", "zone-b", "zone-c"),
        "units_touched": 18.0,
        "units_total": 24.0,
        "reach": Reach(total=4, hard=3, weight=2.5, nearest=dependents(4)),
        "target_objectives": (SloObjective(name="shop-success", objective=0.995),),
    }
    observed = Observed(at=NOW, undo_proofs=(UndoProof(operation=scale.name, kind="dry_run", at=ago(days=45)),))
    return screen_of(proposal, revision_of(proposal, facts, observed, risk_tier=RiskTier.medium, floor_reason=""))


def repair() -> Screen:
    """A dry run of what would repair a target under hold, by break-glass."""
    proposal = proposal_of(proposal_id="orders-repair-1", remedies="orders-work-mem-6", dry_run=True)
    hold = HoldFact(
        hold_id="h-1", target="resource:default/orders-db", proposal_id="orders-work-mem-6", reason="its undo failed"
    )
    other = HoldFact(hold_id="h-2", target="resource:default/orders-db", proposal_id="p-9", reason="another reason")
    answer = Evaluation(
        verdict=Verdict.require_approval, reasons=(TWO_PEOPLE,), break_glass="database-down", review_seconds=86400
    )
    return screen_of(proposal, revision_of(proposal, DATABASE, Observed(at=NOW, holds=(hold, other)), answer))


def superseded() -> Screen:
    """A third revision, held because something material changed twice, with the votes that are void."""
    proposal = proposal_of(proposal_id="orders-work-mem-9")
    first = revision_of(proposal, DATABASE)
    voided = tuple(VoidedVote(decision_id=f"{name}-1", person_id=name) for name in ("dan", "eve", "dan"))
    changes = (
        "the policy asks other people, or in another way: two-people",
        "the risk tier was medium, and is high now",
        "the risk score was 41, and is 62 now",
    )
    before = Superseded(revision=2, digest=DIGEST, rule="chain_changed", changes=changes, voided=voided)
    third = {"revision": 3, "superseded": before, "voids": 2, "held": True}
    return screen_of(proposal, first.model_copy(update=third))


def slo(name: str, left: float | None, at: datetime, target: str = "resource:default/orders-db") -> SloState:
    """A measured SLO."""
    return SloState(name=name, target=target, budget_left=left, at=at, source="prometheus")


def dependents(count: int) -> tuple[Dependent, ...]:
    """So many dependents, the worst first."""
    names = ("checkout", "invoices", "shop", "reports", "search")
    levels = ("critical", "high", None, "medium", "low")
    return tuple(
        Dependent(
            ref=f"component:default/{names[at] if at < len(names) else f'other-{at}'}",
            criticality=levels[min(at, 4)],
            distance=1 + at // 2,
            strength="soft" if at == 1 else "hard",
        )
        for at in range(count)
    )


SCENES = {
    "routine": routine,
    "high_impact": high_impact,
    "multi_target": multi_target,
    "repair": repair,
    "superseded": superseded,
}
