"""Scenes about what a policy says: a draft that would be put in force, an action that is held, one that is denied."""

from datetime import timedelta
from typing import Any

from policy.base import Reason
from policy.builtin import ENVIRONMENT, TARGET
from policy.document import Enforcement
from policy.draft import publication
from policy.evaluation import Evaluation, Excluded, ObservedAnswer
from policy.observed import DraftFact, Observed
from policy.operations import builtin_operations
from policy.rules.chains import Verdict
from policy.rules.timing import Timing
from policy.screen import Screen
from tests.unit.screens import DATABASE, NOW, ago, proposal_of, revision_of, screen_of


def publish() -> Screen:
    """A draft of the policy in force, with more changes than are shown."""
    value = publication(
        "publish-policy-5",
        {"kind": "policy", "digest": "sha256:" + "5" * 64, "previous": "sha256:" + "4" * 64},
        "ana",
        "Fewer people for what is proved to be harmless.",
    )
    return screen_of(value, revision_of(value, publish_facts(), Observed(at=NOW, catalog_at=ago(days=2), draft=DRAFT)))


def publish_facts() -> dict[str, Any]:
    """What is known of the target that publishing has."""
    known: dict[str, Any] = {"target_ref": TARGET, "target_environment": ENVIRONMENT, "authors": ("cleo",)}
    known |= {"resolved_ids": ("countersign/documents",), "failure_domains": (), "units_touched": None}
    return {**DATABASE, **known, "operations": {item.name: item for item in builtin_operations().operations}}


DRAFT = DraftFact(
    kind="policy",
    digest="sha256:" + "5" * 64,
    previous="sha256:" + "4" * 64,
    authors=("cleo", "ana"),
    changes=(
        "absolute_deadline: 7d -> 14d (milder)",
        "postgres.index.drop in production: 2 of dba -> 1 of dba (milder)",
        *(f"service-{number}.restart in production: allow -> 1 of ops (stricter)" for number in range(18)),
        "and 12 changes more",
    ),
)


def held() -> Screen:
    """Outside of its window, so held, on facts that are old, by a rule of a team."""
    answer = Evaluation(
        verdict=Verdict.hold,
        reasons=(Reason(code="rule_hold", message="orders: nightly: parameters change at night (outside of night)"),),
        decided_by="nightly",
        decided_in="orders",
        observed=(
            ObservedAnswer(
                rule="four-eyes",
                document="root",
                enforcement=Enforcement.observe,
                verdict=Verdict.require_approval,
                message="two people for every database",
            ),
        ),
        permit_until=NOW + timedelta(hours=9),
        excluded=(Excluded(people=("cleo", "dan"), reason="wrote the policy orders"),),
    )
    timing = Timing(at=NOW, stale=("catalog", "slo"))
    proposal = proposal_of(proposal_id="orders-work-mem-8")
    known: dict[str, Any] = {"worst_state": "after step 1 of 1 was undone"}
    return screen_of(proposal, revision_of(proposal, DATABASE, Observed(at=NOW), answer, timing, **known))


def unresolved() -> Screen:
    """A target without ids, which the policy denies."""
    answer = Evaluation(
        verdict=Verdict.deny,
        reasons=(Reason(code="unresolved_target", message="target orders-db resolves to nothing: it has no id"),),
    )
    proposal = proposal_of(proposal_id="orders-work-mem-9")
    why = "part resource:default/orders-replica has no countersign/resource-id"
    facts = {**DATABASE, "resolved_ids": (), "failure_domains": (), "units_touched": None, "unresolved": why}
    return screen_of(proposal, revision_of(proposal, facts, Observed(at=NOW), answer))


GOVERNED = {"publish": publish, "held": held, "unresolved": unresolved}
