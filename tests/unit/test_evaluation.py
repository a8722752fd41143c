"""What a policy answers."""

from typing import Any

import pytest

from policy.document import PolicySet, Verdict
from policy.evaluation import Evaluation, evaluate
from policy.impact import assess
from policy.observed import DenialFact, HoldFact
from tests.unit.builders import POLICY, a_policy, a_proposal, facts_of, step_json

_HOLD = HoldFact(hold_id="h", target="component:default/orders", proposal_id="p-0", reason="unknown outcome")
_SESSION = {"operation": "pg.end_session", "steps": [step_json("pg.end_session", name="end", undo=None)]}


def _ask(document: PolicySet, changes: dict[str, Any], facts: dict[str, Any] | None = None) -> Evaluation:
    proposal = a_proposal(**changes)
    known = facts_of(proposal, **(facts or {}))
    return evaluate(document, proposal, known, assess(proposal, known))


IMPOSSIBLE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an unknown target": ({"target": "nothing"}, {}, "unknown_target"),
    "a target without a resource id": ({"target": "nameless"}, {}, "unresolved_target"),
    "another environment than the catalog's": ({"environment": "staging"}, {}, "environment_mismatch"),
    "a target without an environment": ({}, {"target_environment": None}, "environment_mismatch"),
    "an operation that nobody registered": (
        {"operation": "pg.look", "steps": [step_json("pg.look", undo=None)]},
        {},
        "unknown_operation",
    ),
    "an undo that nobody registered": ({"steps": [step_json(undo="pg.look")]}, {}, "unknown_operation"),
    "an operation that was not looked up": ({}, {"operations": {}}, "unknown_operation"),
    "an agent that nobody answers for": ({"agent": {"id": "stray"}}, {}, "unknown_agent"),
    "a person whom nobody knows": ({"on_behalf_of": "eve"}, {}, "unknown_person"),
    "a wrong parameter": ({"steps": [step_json(parameters={"name": 5})]}, {}, "bad_parameter"),
    "a hold": ({}, {"holds": (_HOLD,)}, "on_hold"),
    "a hold of another action than the one it remedies": ({"remedies": "p-9"}, {"holds": (_HOLD,)}, "on_hold"),
    "a hold that no action left": (
        {"remedies": "p-0"},
        {"holds": (_HOLD.model_copy(update={"proposal_id": None}),)},
        "on_hold",
    ),
}


@pytest.mark.parametrize(("changes", "facts", "code"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_denied_before_any_rule(changes: dict[str, Any], facts: dict[str, Any], code: str) -> None:
    """What is certainly wrong is denied with its reason, though a rule would allow it."""
    everything = a_policy(
        POLICY.replace(b"{operations: [pg.end_session]}", b"{environments: [production, staging]}").replace(
            b"  - {id: settings, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: pair}\n",
            b"",
        )
    )
    assert _ask(everything, {}).verdict is Verdict.allow
    found = _ask(everything, changes, facts)
    assert found.verdict is Verdict.deny
    assert code in {reason.code for reason in found.reasons}
    assert found.chain is None


RULES: dict[str, tuple[bytes, dict[str, Any], dict[str, Any], Verdict, str | None]] = {
    "allowed": (b"", _SESSION, {}, Verdict.allow, "sessions"),
    "needs approval": (b"", {}, {}, Verdict.require_approval, "settings"),
    "a limit": (
        b"",
        {"operation": "pg.drop", "steps": [step_json("pg.drop", undo=None)]},
        {},
        Verdict.deny,
        "no-drop",
    ),
    "a limit on one of several steps": (
        b"",
        {"steps": [step_json(), step_json("pg.drop", name="drop", undo=None)]},
        {},
        Verdict.deny,
        "no-drop",
    ),
    "a limit beats an allowing rule": (
        b"  - {id: all, match: {environments: [production]}, verdict: allow}\n",
        {"operation": "pg.drop", "steps": [step_json("pg.drop", undo=None)]},
        {},
        Verdict.deny,
        "no-drop",
    ),
    "the strictest of the matching rules": (
        b"  - {id: never, match: {targets: [orders]}, verdict: deny, reason: closed}\n",
        _SESSION,
        {},
        Verdict.deny,
        "never",
    ),
    "a target is matched however the proposer spells it": (
        b"  - {id: never, match: {targets: [orders]}, verdict: deny}\n",
        {**_SESSION, "target": "Component:default/Orders"},
        {},
        Verdict.deny,
        "never",
    ),
    "and however the policy spells it": (
        b"  - {id: never, match: {targets: ['component:default/ORDERS']}, verdict: deny}\n",
        _SESSION,
        {},
        Verdict.deny,
        "never",
    ),
    "a rule for another target": (
        b"  - {id: never, match: {targets: [shop]}, verdict: deny}\n",
        _SESSION,
        {},
        Verdict.allow,
        "sessions",
    ),
    "a rule by tier": (
        b"  - {id: risky, match: {tiers: [high, critical]}, verdict: deny}\n",
        _SESSION,
        {"denials": (DenialFact(proposal_id="p-0"),)},
        Verdict.deny,
        "risky",
    ),
    "a rule for what is not destructive": (
        b"  - {id: mild, match: {destructive: false}, verdict: deny}\n",
        _SESSION,
        {},
        Verdict.deny,
        "mild",
    ),
    "an allowed action does not touch what is held": (
        b"",
        {**_SESSION, "remedies": "p-0"},
        {"holds": (_HOLD,)},
        Verdict.deny,
        "sessions",
    ),
    "an approved one may repair it": (
        b"",
        {"remedies": "p-0"},
        {"holds": (_HOLD,)},
        Verdict.require_approval,
        "settings",
    ),
}


@pytest.mark.parametrize(("rule", "changes", "facts", "verdict", "by"), RULES.values(), ids=RULES)
def test_rules(rule: bytes, changes: dict[str, Any], facts: dict[str, Any], verdict: Verdict, by: str | None) -> None:
    """Limits first, then the strictest rule; the answer names who decided."""
    found = _ask(a_policy(POLICY.replace(b"rules:\n", b"rules:\n" + rule)), changes, facts)
    assert (found.verdict, found.decided_by) == (verdict, by)
    assert (found.chain is not None) == (verdict is Verdict.require_approval)
    assert found.reasons


def test_no_rule_denies() -> None:
    """What no rule covers is denied."""
    document = a_policy(POLICY.replace(b"operations: [pg.end_session]", b"operations: [pg.other]"))
    found = _ask(document, _SESSION)
    assert (found.verdict, found.decided_by) == (Verdict.deny, None)
    assert [reason.message for reason in found.reasons] == ["no rule covers pg.end_session on orders in production"]


def test_an_allowed_step_does_not_carry_another_through() -> None:
    """Each operation needs a rule of its own: one that is allowed covers no other."""
    document = a_policy(POLICY.replace(b"operations: [pg.set, pg.reset]", b"operations: [pg.other]"))
    steps = [step_json("pg.end_session", name="end", undo=None), step_json()]
    found = _ask(document, {"operation": "pg.end_session", "steps": steps})
    assert found.verdict is Verdict.deny
    assert found.matched == ("sessions",)
    assert {reason.message.split()[3] for reason in found.reasons} == {"pg.set", "pg.reset"}


def test_an_undo_is_asked_about_like_an_action() -> None:
    """An undo that the policy does not let anybody do is not approved by being an undo."""
    document = a_policy(POLICY.replace(b"[pg.set, pg.reset]", b"[pg.set]"))
    assert _ask(document, {}).verdict is Verdict.deny


_TWO_CHAINS = POLICY.replace(
    b"  - {id: settings, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: pair}\n",
    b"  - {id: weak, match: {operations: [pg.reset]}, verdict: require_approval, chain: one}\n"
    b"  - {id: strong, match: {operations: [pg.set]}, verdict: require_approval, chain: pair}\n",
).replace(b"chains:\n", b"chains:\n  one:\n    stages: [{name: sre, requirements: [{groups: [sre]}], deadline: 1h}]\n")


def test_operations_with_different_chains_need_them_all() -> None:
    """A step with a weak chain does not weaken the chain of another step, nor of its own undo."""
    found = _ask(a_policy(_TWO_CHAINS), {})
    assert found.chain is not None
    assert [stage.name for stage in found.chain.stages] == ["sre", "ops", "dba"]
    assert (found.chain_name, found.decided_by) == ("one+pair", "weak")
    assert [reason.code for reason in found.reasons] == ["rule_require_approval", "rule_require_approval"]


def test_too_many_stages_deny() -> None:
    """Chains that cannot be asked together deny, and say what to do."""
    stages = b",".join(b"{name: s%d, requirements: [{groups: [sre]}], deadline: 1h}" % number for number in range(9))
    one = b"stages: [{name: sre, requirements: [{groups: [sre]}], deadline: 1h}]"
    found = _ask(a_policy(_TWO_CHAINS.replace(one, b"stages: [" + stages + b"]")), {})
    assert found.verdict is Verdict.deny
    assert [reason.code for reason in found.reasons] == ["too_many_stages"]


def test_first_rule_of_the_document_decides_among_equals() -> None:
    """The order of the document decides between rules of one strictness, whatever the proposer writes first."""
    document = a_policy(
        POLICY.replace(b"rules:\n", b"rules:\n  - {id: first, match: {environments: [production]}, verdict: allow}\n")
    )
    assert _ask(document, _SESSION).decided_by == "first"
    assert _ask(document, _SESSION).permit_seconds == 300
