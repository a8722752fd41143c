"""The same thing under another name: a system is judged as its parts are, too."""

import pytest

from policy.catalog import read_catalog
from policy.evaluation import Evaluation
from policy.facts import collect
from policy.judging import judge
from policy.observed import Observed
from policy.rules.chains import Verdict
from tests.unit.builders import T0, a_directory, a_policy, a_proposal, a_registry, step_json

_PART = """
---
kind: Component
metadata: {name: %s, annotations: {countersign/resource-id: pg-%s, countersign/environment: production}}
spec: {owner: team-%s, %s}
"""
_TEXT = "".join(
    _PART % (name, name, name, belongs)
    for name, belongs in (
        ("orders", "system: shop"),
        ("cache", "system: shop"),
        ("replica", "subcomponentOf: orders"),
        ("alone", "type: service"),
    )
)
_TEXT += "---\nkind: System\nmetadata: {name: shop}\nspec: {owner: team-easy, domain: sales}\n"
_TEXT += "---\nkind: Domain\nmetadata: {name: sales}\nspec: {owner: team-easy}\n"
SESSIONS = [step_json("pg.end_session", undo=None)]
_POLICY = """
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1"}
%s
rules:
  - %s
chains:
  one: {stages: [{name: one, requirements: [{groups: [sre]}], deadline: 1h}]}
  two: {stages: [{name: two, requirements: [{groups: [dba]}], deadline: 1h}]}
"""
EASY = "{id: easy, match: {environments: [production]}, verdict: allow}\n  - "
DENIED = {
    "the part": "{id: strict, match: {targets: [orders]}, verdict: deny}",
    "its system by its short name": "{id: strict, match: {systems: [shop]}, verdict: deny}",
    "the part in a condition": "{id: strict, when: 'target.ref == \"component:default/orders\"', verdict: deny}",
    "its owner in a condition": "{id: strict, when: target.owner == 'team-orders', verdict: deny}",
}


def _ask(target: str, rules: str, more: str = "") -> Evaluation:
    """What is said of ending a session of a target."""
    proposal = a_proposal(operation="pg.end_session", target=target, steps=SESSIONS)
    facts = collect(
        proposal,
        catalog=read_catalog(_TEXT.encode()),
        directory=a_directory(),
        registry=a_registry(),
        observed=Observed(at=T0, catalog_at=T0, directory_at=T0),
    )
    return judge(a_policy((_POLICY % (more, rules)).encode()), proposal, facts).evaluation


@pytest.mark.parametrize("target", ["orders", "system:shop", "domain:sales"])
@pytest.mark.parametrize("rule", DENIED.values(), ids=DENIED)
def test_a_rule_about_a_part_speaks_of_whatever_holds_it(rule: str, target: str) -> None:
    """Whoever names the system, or the domain, does the same to the same ids, and is answered the same."""
    assert _ask("alone", EASY + rule).verdict is Verdict.allow
    said = _ask(target, EASY + rule)
    assert (said.verdict, said.decided_by) == (Verdict.deny, "strict")


@pytest.mark.parametrize("target", ["orders", "system:shop", "replica"])
def test_what_belongs_to_a_part_of_a_system_belongs_to_the_system(target: str) -> None:
    """The system itself, its components and their parts are all of it."""
    rule = EASY + "{id: strict, match: {systems: ['system:default/shop']}, verdict: deny}"
    assert _ask(target, rule).decided_by == "strict"
    assert _ask("alone", rule).verdict is Verdict.allow


@pytest.mark.parametrize(
    "more",
    [
        "limits: [{id: never, match: {targets: [cache]}, reason: never}]",
        "calendars: [{id: never, kind: freeze, match: {targets: [cache]}, zone: UTC, start: 2030-01-01, duration: 2d}]",
    ],
    ids=["limit", "freeze"],
)
def test_a_limit_and_a_freeze_of_a_part_are_those_of_the_whole(more: str) -> None:
    """What no approval lifts is not lifted by another name of the target."""
    said = _ask("system:shop", EASY.rstrip("- \n"), more)
    assert (said.verdict, said.decided_by, len(said.reasons)) == (Verdict.deny, "never", 1)
    assert _ask("alone", EASY.rstrip("- \n"), more).verdict is Verdict.allow


def test_what_is_allowed_of_a_part_is_not_allowed_of_the_whole() -> None:
    """A rule about the cache says nothing of the orders beside it, and neither does a window of the cache."""
    rule = "{id: easy, match: {targets: [cache]}, verdict: allow}"
    assert _ask("cache", rule).verdict is Verdict.allow
    assert _ask("system:shop", rule).reasons[0].code == "no_rule"
    open_now = (
        "calendars: [{id: w, kind: window, match: {targets: [cache]}, zone: UTC, start: '2030-01-01', duration: 2d}]"
    )
    timed = "{id: easy, match: {environments: [production]}, windows: [w], outside: deny, verdict: allow}"
    assert _ask("cache", timed, open_now).verdict is Verdict.allow
    assert _ask("system:shop", timed, open_now).verdict is Verdict.deny


def test_the_owners_of_the_parts_are_asked_beside_the_owner_of_the_whole() -> None:
    """Nobody chooses who is asked by naming a system that belongs to somebody else."""
    chains = "chain: [{owners: [team-easy], chain: one}, {owners: [team-orders, team-cache, team-replica], chain: two}]"
    rule = f"{{id: asks, match: {{environments: [production]}}, verdict: require_approval, {chains}}}"
    assert sorted(str(_ask("system:shop", rule).chain_name).split("+")) == ["one", "two"]
    assert _ask("orders", rule).chain_name == "two"
