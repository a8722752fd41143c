"""What the rules of one policy answer: conditions, holds, choices of chains, windows, and what is refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from policy.document import Verdict
from policy.errors import DocumentError
from policy.observed import HoldFact
from tests.unit.asking import ask, policy_with
from tests.unit.builders import T0, step_json

_ALL = "match: {environments: [production]}"
_HOLD = HoldFact(hold_id="h", target="component:default/orders", proposal_id="p-0", reason="unknown outcome")

# name: rules (beside those that ask `pair` about pg.set and pg.reset), verdict, who decided
RULES: dict[str, tuple[str, Verdict, str]] = {
    "a condition that holds": (
        f"- {{id: risky, {_ALL}, when: 'risk.score >= 0', verdict: deny}}",
        Verdict.deny,
        "risky",
    ),
    "a condition that does not hold": (
        f"- {{id: risky, {_ALL}, when: 'risk.score > 100', verdict: deny}}",
        Verdict.require_approval,
        "settings",
    ),
    "a condition without a match": ("- {id: risky, when: 'operation.is_undo', verdict: deny}", Verdict.deny, "risky"),
    "a condition on a parameter of one step": (
        "- {id: memory, when: 'has(parameters.value)', verdict: deny}",
        Verdict.deny,
        "memory",
    ),
    "a condition without an answer": (
        f"- {{id: broken, {_ALL}, when: 'parameters.nothing == 1', verdict: allow}}",
        Verdict.deny,
        "broken",
    ),
    "a condition without an answer where the match says no": (
        "- {id: broken, match: {environments: [staging]}, when: 'parameters.nothing == 1', verdict: allow}",
        Verdict.require_approval,
        "settings",
    ),
    "a hold is stricter than approval": (
        f"- {{id: wait, {_ALL}, verdict: hold, chain: one}}",
        Verdict.hold,
        "wait",
    ),
    "a denial is stricter than a hold": (
        f"- {{id: wait, {_ALL}, verdict: hold, chain: one}}\n  - {{id: never, {_ALL}, verdict: deny}}",
        Verdict.deny,
        "never",
    ),
    "outside of its window": (
        f"- {{id: wait, {_ALL}, verdict: allow, windows: [evenings], outside: hold, chain: one}}",
        Verdict.hold,
        "wait",
    ),
    "outside of its window, denied": (
        f"- {{id: wait, {_ALL}, verdict: allow, windows: [evenings], outside: deny}}",
        Verdict.deny,
        "wait",
    ),
    "within one of its windows": (
        f"- {{id: wait, {_ALL}, verdict: allow, windows: [evenings, mornings], outside: deny}}",
        Verdict.require_approval,
        "settings",
    ),
    "observing": (
        f"- {{id: watch, {_ALL}, verdict: deny, enforcement: observe, enforce_from: 2030-01-02}}",
        Verdict.require_approval,
        "settings",
    ),
    "no longer observing": (
        f"- {{id: watch, {_ALL}, verdict: deny, enforcement: observe, enforce_from: 2030-01-01}}",
        Verdict.deny,
        "watch",
    ),
    "warning": (
        f"- {{id: watch, {_ALL}, verdict: deny, enforcement: warn, enforce_from: 2030-01-02}}",
        Verdict.require_approval,
        "settings",
    ),
    "no choice fits": (
        f"- {{id: who, {_ALL}, verdict: require_approval, chain: [{{tiers: [critical], chain: one}}]}}",
        Verdict.deny,
        "who",
    ),
}


@pytest.mark.parametrize(("rules", "verdict", "by"), RULES.values(), ids=RULES)
def test_rules(rules: str, verdict: Verdict, by: str) -> None:
    """The strictest rule that speaks decides, and its reason says so."""
    found = ask(policy_with(rules))

    assert (found.verdict, found.decided_by, found.decided_in) == (verdict, by, "house"), found.reasons
    assert (found.chain is not None) == verdict.asks
    assert found.reasons[0].message.startswith(f"{by}: ")


def test_what_has_no_answer_is_named() -> None:
    """The reason of a failed evaluation names the rule, the expression and why."""
    found = ask(policy_with("- {id: broken, when: 'parameters.nothing == 1', verdict: allow}"))

    assert {reason.code for reason in found.reasons} == {"evaluation_error"}
    assert found.reasons[0].message == (
        'broken: `parameters.nothing == 1` has no answer: Key not found in map : "nothing"'
    )


def test_what_an_observing_rule_would_have_asked_is_recorded() -> None:
    """A rule that observes or warns covers nothing and decides nothing, and what it would have said is kept."""
    watching = (
        f"- {{id: watch, {_ALL}, verdict: hold, chain: one, enforcement: observe, enforce_from: 2030-02-01}}\n"
        f"  - {{id: shout, {_ALL}, verdict: deny, reason: soon, enforcement: warn, enforce_from: 2030-02-01}}\n"
        "  - {id: torn, when: 'parameters.nothing == 1', verdict: deny, enforcement: warn, enforce_from: 2030-02-01}"
    )
    found = ask(policy_with(watching))
    told = {(item.rule, str(item.enforcement), item.verdict, item.chain_name) for item in found.observed}

    assert found.verdict is Verdict.require_approval
    assert told == {
        ("watch", "observe", Verdict.hold, "one"),
        ("shout", "warn", Verdict.deny, None),
        ("torn", "warn", Verdict.deny, None),
    }
    assert "watch" not in found.matched
    uncovered = ask(policy_with(watching, settings=False))
    assert [reason.code for reason in uncovered.reasons] == ["no_rule", "no_rule"]


def test_each_step_is_asked_about_with_its_own_parameters() -> None:
    """A harmless step first does not hide a second one of the same operation."""
    rules = "- {id: pid, match: {operations: [pg.end_session]}, when: parameters.pid == 43, verdict: deny}"
    steps = [step_json("pg.end_session", name=f"s{pid}", undo=None, parameters={"pid": pid}) for pid in (42, 43)]

    assert ask(policy_with(rules), operation="pg.end_session", steps=steps).decided_by == "pid"
    assert ask(policy_with(rules), operation="pg.end_session", steps=steps[:1]).verdict is Verdict.allow


def test_a_rule_enforces_from_the_beginning_of_its_day() -> None:
    """`enforce_from` is the first day, in UTC, on which the answer counts."""
    rule = f"- {{id: watch, {_ALL}, verdict: deny, enforcement: warn, enforce_from: 2030-01-02}}"
    midnight = T0 + timedelta(hours=15)

    assert ask(policy_with(rule), at=midnight - timedelta(microseconds=1)).verdict is Verdict.require_approval
    assert ask(policy_with(rule), at=midnight).decided_by == "watch"


def test_where_nobody_knows_the_time_a_rule_enforces() -> None:
    """No rule goes on observing because an instant is missing."""
    rule = f"- {{id: watch, {_ALL}, verdict: deny, enforcement: observe, enforce_from: 2099-01-01}}"

    assert ask(policy_with(rule), at=None).decided_by == "watch"


_BY_OWNER = "[{owners: [team-orders], chain: one}, {chain: pair}]"
# name: the choices of the rule, facts; the stages that are asked
CHOICES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "by tier": ("[{tiers: [critical], chain: pair}, {tiers: [low, medium, high], chain: one}]", {}, ["one"]),
    "by owner": (_BY_OWNER, {"target_owner": "team-orders"}, ["one"]),
    "by another owner": (_BY_OWNER, {"target_owner": "x"}, ["ops", "dba"]),
    "without an owner": (
        _BY_OWNER,
        {"target_owner": None},
        ["ops", "dba"],
    ),
    "by environment": (
        "[{environments: [staging], chain: pair}, {environments: [production], chain: one}]",
        {},
        ["one"],
    ),
    "the first that fits": ("[{chain: one}, {chain: pair}]", {}, ["one"]),
    "by effect: of the step, and not of its undo": (
        "[{effects: [performance], chain: pair}, {chain: one}]",
        {},
        ["ops", "dba", "one"],
    ),
}


@pytest.mark.parametrize(("choices", "facts", "stages"), CHOICES.values(), ids=CHOICES)
def test_choices_of_chains(choices: str, facts: dict[str, Any], stages: list[str]) -> None:
    """A rule asks the first of its chains that fits the operation and its target."""
    rules = f"- {{id: who, {_ALL}, verdict: require_approval, chain: {choices}}}"
    found = ask(policy_with(rules, settings=False), facts=facts)

    assert found.chain is not None
    assert sorted(stage.name for stage in found.chain.stages) == sorted(stages)


def test_a_mild_chain_does_not_replace_that_of_a_held_step() -> None:
    """Where one step is held and another needs approval, the people of both are asked."""
    rules = (
        "- {id: wait, match: {operations: [pg.end_session]}, verdict: hold, chain: one}\n"
        "  - {id: free, match: {operations: [pg.other]}, verdict: allow}"
    )
    steps = [step_json(), step_json("pg.end_session", name="end", undo=None)]
    found = ask(policy_with(rules), steps=steps)

    assert found.verdict is Verdict.hold
    assert found.chain is not None
    assert [stage.name for stage in found.chain.stages] == ["one", "ops", "dba"]


def test_a_hold_may_repair_what_is_held() -> None:
    """What people release by a hold was approved, too: it may repair what is under hold."""
    rules = f"- {{id: wait, {_ALL}, verdict: hold, chain: one}}"

    assert ask(policy_with(rules), facts={"holds": (_HOLD,)}, remedies="p-0").verdict is Verdict.hold


def test_controls_of_what_decided() -> None:
    """The answer carries the controls of the rules that decided and of their document."""
    found = ask(
        policy_with(f"- {{id: never, {_ALL}, verdict: deny, controls: [ac-3, cm-3]}}", metadata="controls: [cm-3, iso]")
    )

    assert found.controls == ("ac-3", "cm-3", "iso")


REFUSED = {
    "a rule of everything": ("- {id: all, verdict: deny}", "rule all: give it match, when or both"),
    "a condition with a typo": ("- {id: r, when: 'risk.skore > 1', verdict: deny}", "rules.0.when: .*risk.skore"),
    "a hold without a chain": ("- {id: r, when: 'true', verdict: hold}", "rule r: a chain belongs to require_app"),
    "a hold outside without a chain": (
        "- {id: r, when: 'true', verdict: allow, windows: [mornings], outside: hold}",
        "rule r: a chain belongs",
    ),
    "windows without an outside": (
        "- {id: r, when: 'true', verdict: allow, windows: [mornings]}",
        "rule r: windows and outside belong together",
    ),
    "outside is milder": (
        "- {id: r, when: 'true', verdict: deny, windows: [mornings], outside: allow}",
        "outside: input should be",
    ),
    "observing for ever": ("- {id: r, when: 'true', verdict: deny, enforcement: observe}", "rule r: enforce_from"),
    "enforcing from a day": ("- {id: r, when: 'true', verdict: deny, enforce_from: 2030-01-01}", "rule r: enforce_"),
    "a choice of a chain that is not there": (
        "- {id: r, when: 'true', verdict: hold, chain: [{chain: trio}]}",
        "chain trio is named by a rule",
    ),
    "no choices": ("- {id: r, when: 'true', verdict: hold, chain: []}", "chain"),
    "a calendar named like a rule": ("- {id: mornings, when: 'true', verdict: deny}", "id mornings is used twice"),
}


@pytest.mark.parametrize(("rules", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(rules: str, message: str) -> None:
    """What would mean nothing, or more than it says, is refused when the document is read."""
    with pytest.raises(DocumentError, match=message):
        policy_with(rules)


def test_an_instant_is_an_argument() -> None:
    """The same document answers for the instant that it is asked about."""
    rule = f"- {{id: wait, {_ALL}, verdict: hold, chain: one, windows: [mornings], outside: deny}}"
    noon: datetime = T0 + timedelta(hours=1)

    assert ask(policy_with(rule)).verdict is Verdict.hold
    assert ask(policy_with(rule), at=noon).verdict is Verdict.deny
