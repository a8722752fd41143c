"""Where a proposal may come unsigned: what the rules let through, the strictest of several documents, the downgrade."""

from typing import Any

import pytest

from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.evaluation import evaluate
from policy.facts import Facts
from policy.impact import assess
from policy.proofs import Assurance
from policy.rules.chains import Verdict
from policy.signature import Signature
from tests.unit.builders import POLICY, a_proposal, facts_of, step_json

END = step_json("pg.end_session", undo=None)
BODY: dict[str, Any] = {"operation": "pg.end_session", "steps": [END]}
BOTH: dict[str, Any] = {"operation": "pg.end_session", "steps": [END, step_json(name="second")]}
KEYLESS, EXPECTED = (Signature(kind="unsigned", expected=expected) for expected in (False, True))
SIGNED = Signature(kind="key", assurance=Assurance.aal1, signer="tuner", key_id="k")
TEAM = b"""---
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: team, version: "1", scope: team, covers: {targets: [TARGET]}}
UNSIGNED
rules: [{id: team-sessions, match: {operations: [pg.end_session]}, verdict: allow}]
"""


def _policy(rules: str | None, team: str | None = None, target: str = "orders") -> PolicySet:
    body = POLICY if rules is None else POLICY.replace(b"rules:\n", f"unsigned: [{rules}]\nrules:\n".encode(), 1)
    if team is not None:
        mine = TEAM.replace(b"TARGET", target.encode())
        body += mine.replace(b"UNSIGNED", f"unsigned: [{team}]".encode() if team else b"")
    return read_policy(body)


def _reasons(policy: PolicySet, signature: Signature | None, **changes: Any) -> list[str]:
    proposal = a_proposal(**{**BODY, **changes})
    facts: Facts = facts_of(proposal, signature=signature)
    found = evaluate(policy, proposal, facts, assess(proposal, facts))
    wrong = [reason.message for reason in found.reasons if reason.code == "unsigned"]
    assert not wrong or found.verdict is Verdict.deny
    return wrong


RULES: dict[str, tuple[str | None, dict[str, Any], bool]] = {
    "nothing said": (None, {}, False),
    "everything": ("{}", {}, True),
    "this environment": ("{environments: [production]}", {}, True),
    "another environment": ("{environments: [staging]}", {}, False),
    "this operation": ("{operations: [pg.end_session]}", {}, True),
    "another operation": ("{operations: [pg.set]}", {}, False),
    "one of its two operations": ("{operations: [pg.end_session]}", BOTH, False),
    "all of them, the undos too": ("{operations: [pg.end_session, pg.set, pg.reset]}", BOTH, True),
    "all but the undos": ("{operations: [pg.end_session, pg.set]}", BOTH, False),
    "by two rules": ("{operations: [pg.end_session]}, {operations: [pg.set, pg.reset]}", BOTH, True),
    "this tier": ("{tiers: [low, medium]}", {}, True),
    "another tier": ("{tiers: [critical]}", {}, False),
    "this agent": ("{agents: [tuner]}", {}, True),
    "another agent": ("{agents: [mover]}", {}, False),
    "one list of two": ("{agents: [tuner], environments: [staging]}", {}, False),
    "a target that nobody knows, everywhere": ("{}", {"target": "nowhere"}, True),
    "a target that nobody knows, in an environment": ("{environments: [production]}", {"target": "nowhere"}, False),
    "an operation of which no rule speaks": ("{}", {"operation": "x.y", "steps": [step_json("x.y", undo=None)]}, True),
    "the same, and nothing said": (None, {"operation": "x.y", "steps": [step_json("x.y", undo=None)]}, False),
}


@pytest.mark.parametrize(("rules", "changes", "lets"), RULES.values(), ids=RULES)
def test_what_may_come_unsigned(rules: str | None, changes: dict[str, Any], lets: bool) -> None:
    """Nothing, unless a rule fits in all its lists; every operation has to be let through."""
    assert (not _reasons(_policy(rules), KEYLESS, **changes)) is lets


DOWNGRADES = {
    "everything": ("{}", False),
    "its environment": ("{environments: [production]}", False),
    "the agent by name": ("{agents: [tuner]}", True),
    "the agent by name, elsewhere": ("{agents: [tuner], environments: [staging]}", False),
}


@pytest.mark.parametrize(("rules", "lets"), DOWNGRADES.values(), ids=DOWNGRADES)
def test_leaving_the_signature_out_is_no_way_around_it(rules: str, lets: bool) -> None:
    """Whoever has a key is expected to sign, also where others need not, unless the agent itself is listed."""
    found = _reasons(_policy(rules), EXPECTED)
    assert (not found) is lets
    assert lets or "is expected to sign" in found[0]


SEVERAL = {
    "both say so": ("{}", "{}", "orders", True),
    "only the first": ("{}", "", "orders", False),
    "only the team": (None, "{}", "orders", False),
    "a team that covers something else": ("{}", "", "shop", True),
}


@pytest.mark.parametrize(("first", "team", "target", "lets"), SEVERAL.values(), ids=SEVERAL)
def test_of_several_documents_the_strictest_counts(first: str | None, team: str, target: str, lets: bool) -> None:
    """Every document that speaks of the action has to let it through."""
    assert (not _reasons(_policy(first, team, target), KEYLESS)) is lets


def test_what_is_signed_and_what_nobody_looked_at_is_asked_nothing() -> None:
    """The rules are about unsigned proposals; facts of earlier releases are judged as they were."""
    assert _reasons(_policy(None), SIGNED) == []
    assert _reasons(_policy(None), None) == []


def test_a_lapsed_signature_denies() -> None:
    """Nobody stands behind it any more; that unsigned would be possible does not help."""
    proposal = a_proposal(**BODY)
    lapsed = SIGNED.model_copy(update={"lapsed": "revoked_key: key k was revoked"})
    facts = facts_of(proposal, signature=lapsed)
    found = evaluate(_policy("{agents: [tuner]}"), proposal, facts, assess(proposal, facts))
    assert found.verdict is Verdict.deny
    assert [reason.code for reason in found.reasons] == ["signature_lapsed"]


def test_a_rule_that_lists_nobody_is_refused() -> None:
    """An empty list would fit nothing and is a slip."""
    with pytest.raises(DocumentError, match="agents"):
        _policy("{agents: []}")


def test_what_nobody_looked_at_leaves_no_trace_in_stored_bytes() -> None:
    """Facts of earlier releases keep their bytes, and so their digests."""
    assert "signature" not in facts_of(a_proposal()).model_dump(mode="json")["observed"]
    assert "unsigned" not in {item.name for item in assess(a_proposal(), facts_of(a_proposal())).indicators}
