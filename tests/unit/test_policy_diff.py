"""What changes in meaning: nothing where only the text changes, and every probe that is answered otherwise."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import read_catalog
from policy.checks.policy_diff import diff
from policy.document import PolicySet, read_policy
from policy.errors import DocumentError
from policy.judging import judge
from policy.operations import read_operations
from tests.unit.builders import CATALOG, OPERATIONS, a_proposal, facts_of, step_json

NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)
BASE = """\
apiVersion: countersign/v1
kind: PolicyDocument
metadata: {name: house, version: "1"}
limits:
  - {id: wall, match: {operations: [pg.drop], environments: [production]}, reason: never}
  - {id: cap, match: {environments: [production]}, max_resolved: 5, reason: few}
calendars:
  - {id: nights, kind: window, zone: UTC, start: 2030-01-01T22:00, duration: 4h, rrule: FREQ=DAILY}
  - {id: winter, kind: freeze, match: {environments: [production]}, zone: UTC, start: 2030-12-24, duration: 3d}
rules:
  - {id: read, match: {operations: [pg.end_session]}, verdict: allow}
  - {id: set, match: {operations: [pg.set, pg.reset]}, verdict: require_approval, chain: one}
  - {id: high, match: {operations: [pg.set], tiers: [high, critical]}, when: "risk.score > 60", verdict: deny}
exceptions:
  - id: week
    match: {operations: [pg.set]}
    lifts: [high]
    approved_by: [ann]
    reason: agreed
    granted_at: 2030-01-10T00:00:00Z
    expires_at: 2030-02-01T00:00:00Z
chains:
  one:
    stages: [{name: ops, requirements: [{groups: [ops]}], deadline: 1h}]
  two:
    stages:
      - {name: ops, requirements: [{groups: [ops]}], deadline: 1h}
      - {name: dba, requirements: [{groups: [dba]}], deadline: 1h}
"""
REGISTRY, TARGETS = read_operations(OPERATIONS), read_catalog(CATALOG)


def _changes(new: str, old: str = BASE) -> list[str]:
    found = diff(_read(old), _read(new), now=NOW, operations=REGISTRY, catalog=TARGETS)
    return [str(item) for item in found.changes]


def _read(text: str) -> PolicySet:
    return read_policy(text.encode())


def _with(old: str, new: str) -> str:
    assert old in BASE, old
    return BASE.replace(old, new)


SAME: dict[str, str] = {
    "nothing": BASE,
    "a comment": "# hello\n" + BASE,
    "another version and description": _with('version: "1"', 'version: "2", description: new, owners: [sam]'),
    "a reason": _with("reason: few", "reason: not too many"),
    "another id for a rule": _with("id: read", "id: sessions"),
    "another name for a chain": BASE.replace("chain: one", "chain: eins").replace("  one:", "  eins:"),
    "another name for a stage": _with("name: dba", "name: database"),
    "another order of operations": _with("[pg.set, pg.reset]", "[pg.reset, pg.set]"),
    "space in a condition": _with("risk.score > 60", " risk.score   > 60"),
    "a rule that is said twice": _with(
        "  - {id: read", "  - {id: again, match: {operations: [pg.end_session]}, verdict: allow}\n  - {id: read"
    ),
    "a chain that nobody asks": _with("  two:\n", "  three:\n"),
    "the default written out": _with("limits:", "absolute_deadline: 7d\nlimits:"),
    "hours as minutes": BASE.replace("deadline: 1h", "deadline: 60m"),
    "a control": _with("verdict: allow", "verdict: allow, controls: [cm-3], review_by: 2031-01-01"),
    "a rule split in two": _with(
        "{operations: [pg.set, pg.reset]}, verdict: require_approval, chain: one}",
        "{operations: [pg.set]}, verdict: require_approval, chain: one}\n"
        "  - {id: reset, match: {operations: [pg.reset]}, verdict: require_approval, chain: one}",
    ),
}


@pytest.mark.parametrize("new", SAME.values(), ids=SAME)
def test_what_means_the_same_is_no_change(new: str) -> None:
    """Names, comments, order and formatting change nothing, in either direction."""
    assert _changes(new) == []
    assert _changes(BASE, new) == []


CHANGED: dict[str, tuple[str, list[str]]] = {
    "one approval becomes two": (
        _with("chain: one}\n  - {id: high", "chain: two}\n  - {id: high"),
        [
            "pg.reset: 1 of ops -> 1 of ops, then 1 of dba (stricter)",
            "pg.set at low, medium: 1 of ops -> 1 of ops, then 1 of dba (stricter)",
            "pg.set at high, critical: denied if `risk.score > 60`, otherwise 1 of ops; exception until 2030-02-01: 1",
            "otherwise 1 of ops, then 1 of dba; exception until 2030-02-01: 1 of ops, then 1 of dba (stricter)",
        ],
    ),
    "a role in place of a group": (
        BASE.replace("requirements: [{groups: [ops]}]", "requirements: [{roles: [lead], qualifications: [backup]}]"),
        ["pg.reset: 1 of ops -> 1 of role lead with backup (different)"],
    ),
    "who may sit together": (
        BASE.replace("requirements: [{groups: [ops]}]", "outside_team: 1, requirements: [{groups: [ops]}]"),
        ["1 from outside the team of who asks"],
    ),
    "a rule goes": (
        _with("  - {id: read, match: {operations: [pg.end_session]}, verdict: allow}\n", ""),
        ["pg.end_session: allowed -> denied, no rule (stricter)"],
    ),
    "a deadline": (
        _with(
            "{name: ops, requirements: [{groups: [ops]}], deadline: 1h}]",
            "{name: o, requirements: [{groups: [ops]}], deadline: 2h}]",
        ),
        ["pg.reset: 1 of ops (within 1h, then deny; denied by 1) -> 1 of ops (within 2h, then deny; denied by 1) ("],
    ),
    "the whole time": (_with("limits:", "absolute_deadline: 1d\nlimits:"), ["absolute_deadline: 7d -> 1d (stricter)"]),
    "the age of the directory": (
        _with("limits:", "max_directory_age: 1d\nlimits:"),
        ["max_directory_age: any age -> 1d (stricter)"],
    ),
    "how long newcomers wait": (
        _with("limits:", "newcomers: {tiers: [high], wait: 14d}\nlimits:"),
        ["newcomers, who wait: none -> high 14d (stricter)"],
    ),
    "what counts as a change": (
        _with("limits:", "drift: {recheck_every: 1h}\nlimits:"),
        [
            "what counts as a change while people are asked: none -> material score; max_voids 2; min_interval 5m; rec",
        ],
    ),
    "a limit goes": (
        BASE.replace("environments: [production]}, reason: never", "environments: [staging]}, reason: never"),
        [
            "pg.drop in production: denied by a limit -> denied, no rule; limited to max_resolved 5; frozen in winter",
        ],
    ),
    "a cap": (
        _with("max_resolved: 5", "max_resolved: 9"),
        ["limited to max_resolved 5 -> limited to max_resolved 9 (different)"],
    ),
    "a freeze": (
        _with("zone: UTC, start: 2030-12-24", "zone: UTC, start: 2030-12-23"),
        ["in production: frozen in winter (2030-12-24 UTC for 3d) -> frozen in winter (2030-12-23 UTC for 3d) ("],
    ),
    "a condition": (
        _with("risk.score > 60", "risk.score > 70"),
        ["pg.set at high, critical: denied if `risk.score > 60`, otherwise 1 of ops -> denied if `risk.score > 70`, o"],
    ),
    "an exception goes": (
        BASE[: BASE.index("exceptions:")] + BASE[BASE.index("chains:") :],
        ["pg.set at high, critical: exception until 2030-02-01: 1 of ops -> nothing more"],
    ),
    "a window": (
        _with("verdict: allow}", "verdict: allow, windows: [nights], outside: deny}"),
        ["pg.end_session: allowed -> denied outside of nights, otherwise allowed inside of nights"],
    ),
    "only observed": (
        _with("verdict: allow}", "verdict: allow, enforcement: observe, enforce_from: 2030-03-01}"),
        ["pg.end_session: allowed -> denied, no rule; observe until 2030-03-01: allow (stricter)"],
    ),
    "an author": (
        _with('version: "1"', 'version: "1", authors: [ann]'),
        ["authors, who approve nothing: none -> ann (stricter)"],
    ),
    "a team speaks, too": (
        BASE + "---\napiVersion: countersign/v1\nkind: PolicyDocument\n"
        'metadata: {name: team, version: "1", scope: team, covers: {systems: [shop]}}\n'
        "rules:\n  - {id: team, match: {operations: [pg.end_session]}, verdict: require_approval, chain: t}\n"
        "chains:\n  t: {stages: [{name: t, requirements: [{groups: [sre]}], deadline: 1h}]}\n",
        ["pg.end_session of system:default/shop: allowed -> 1 of sre (stricter)"],
    ),
}


@pytest.mark.parametrize(("new", "expected"), CHANGED.values(), ids=CHANGED)
def test_a_change_is_said_where_it_is(new: str, expected: list[str]) -> None:
    """What is answered otherwise is said once, with where, from what to what, and whether it is stricter."""
    found = _changes(new)
    assert found
    for text in expected:
        assert any(text in line for line in found), found


_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "match": st.fixed_dictionaries(
                {
                    "operations": st.sets(st.sampled_from(["pg.set", "pg.reset", "pg.end_session"]), min_size=1).map(
                        sorted
                    )
                },
                optional={
                    "environments": st.just(["production"]),
                    "destructive": st.booleans(),
                    "tiers": st.sets(st.sampled_from(["low", "medium", "high"]), min_size=1).map(sorted),
                },
            )
        },
        optional={"when": st.sampled_from(["risk.score > 20", "agent.confidence > 0.5", "slo.budget_left > 0.5"])},
    ).flatmap(
        lambda rule: st.sampled_from(
            [{**rule, "verdict": "allow"}, {**rule, "verdict": "deny"}]
            + [{**rule, "verdict": "require_approval", "chain": name} for name in ("one", "two")]
        )
    ),
    min_size=1,
    max_size=4,
)
ACTIONS = [
    a_proposal(operation=name, steps=[step_json(name, undo=None)]) for name in ("pg.set", "pg.reset", "pg.end_session")
]


def _made(rules: list[dict[str, Any]]) -> PolicySet:
    chains = {
        name: {"stages": [{"name": "s", "requirements": [{"groups": [group]}], "deadline": "1h"}]}
        for name, group in (("one", "ops"), ("two", "dba"))
    }
    head = {"apiVersion": "countersign/v1", "kind": "PolicyDocument", "metadata": {"name": "made", "version": "1"}}
    numbered = [{"id": f"r{number}", **rule} for number, rule in enumerate(rules)]
    return read_policy(json.dumps({**head, "rules": numbered, "chains": chains}).encode())


def _answers(policy: PolicySet) -> list[tuple[str, object]]:
    judged = [judge(policy, action, facts_of(action)).evaluation for action in ACTIONS]
    return [(item.verdict, item.chain) for item in judged]


@settings(max_examples=150, deadline=None)
@given(old=_RULES, data=st.data())
def test_without_a_change_every_action_is_answered_alike(old: list[dict[str, Any]], data: st.DataObject) -> None:
    """Where nothing is said to change, the real evaluation of real actions gives the same verdicts and chains."""
    new = data.draw(_RULES | st.permutations(old) | st.just(old[:-1] or old))
    one, other = _made(old), _made(new)
    if not diff(one, other, now=NOW, operations=REGISTRY, catalog=TARGETS).changes:
        assert _answers(one) == _answers(other)


@settings(max_examples=100, deadline=None)
@given(rules=_RULES, shuffled=st.randoms(use_true_random=False))
def test_order_without_effect_is_no_change(rules: list[dict[str, Any]], shuffled: random.Random) -> None:
    """Rules of different strictness may change places, and a document is no change of itself."""
    verdicts = [rule["verdict"] for rule in rules]
    queues = {verdict: [rule for rule in rules if rule["verdict"] == verdict] for verdict in verdicts}
    shuffled.shuffle(verdicts)
    mixed = [queues[verdict].pop(0) for verdict in verdicts]

    assert diff(_made(rules), _made(mixed), now=NOW, operations=REGISTRY, catalog=TARGETS).changes == ()


def test_more_cases_than_can_be_asked_are_an_error() -> None:
    """Nothing is left out in silence: two policies that tell too much apart are not compared."""
    many = [
        {"match": {"operations": [f"x.n{at}"], "environments": [f"e{at}"], "targets": [f"t{at}"]}, "verdict": "deny"}
        for at in range(70)
    ]
    with pytest.raises(DocumentError, match="cases apart, at most 200000 can be asked"):
        diff(_made(many), _made(many), now=NOW)


def test_who_may_revoke_and_whom_a_glass_is_for_is_told() -> None:
    """A change of revocation, of the faster chain, or of who may break a glass is a change in meaning."""
    (told,) = _changes(BASE + "revocation: {during: {groups: [sre]}, after: {window: 1h, chain: two}}\n")
    assert told == (
        "revocation: none -> during: sre; for 1h after: 1 of ops (within 1h, then deny; denied by 1),"
        " then 1 of dba (within 1h, then deny; denied by 1) (different)"
    )
    glass = "break_glass:\n  - {id: out, match: {operations: [pg.set]}, chain: two, review_within: 1d}\n"
    more = "1d, who: {groups: [sre]}, budget: {count: 3, days: 30}, dual_control: two, lifts_freezes: [winter]}"
    (told,) = _changes(BASE + glass.replace("1d}", more).replace("chain: two", "chain: one"), BASE + glass)
    asked = " -> break-glass asks 1 of ops (within 1h, then deny; denied by 1) (different)"
    assert told.endswith(asked)
    (told,) = _changes(BASE + glass.replace("1d}", more), BASE + glass)
    assert "; denied by 1) (reviewed within 1d; with a reason) -> break-glass asks 1 of ops" in told
    assert "; denied by 1) (for sre; 3 times in 30 days; dual control by 1 of ops (within 1h" in told
    assert "; reviewed within 1d; with a reason; lifts winter (2030-12-24 UTC for 3d)) (different)" in told


def test_who_approved_an_exception_is_told_in_words() -> None:
    """An exception that differs only in who approved it says from when until when it lasts, and by whom."""
    (told,) = _changes(_with("approved_by: [ann]", "approved_by: [bob, ann]"))
    ends = "exception from 2030-01-10 00:00:00+00:00 until 2030-02-01 00:00:00+00:00 by"
    asks = "1 of ops (within 1h, then deny; denied by 1)"
    assert told == f"pg.set at high, critical: {ends} ann: {asks} -> {ends} ann, bob: {asks} (different)"


def test_a_glass_that_can_do_nothing_is_not_told() -> None:
    """Where no rule covers and where one denies, an emergency is denied all the same, and no change is said."""
    glass = "break_glass:\n  - {id: out, match: {operations: [pg.drop, pg.set]}, chain: two, review_within: 1d}\n"
    denied = BASE[: BASE.index("rules:")] + "rules:\n  - {id: no, match: {operations: [pg.set]}, verdict: deny}\n"
    denied += BASE[BASE.index("chains:") :]

    assert _changes(denied + glass, denied) == []
    told = _changes(BASE + glass)
    assert told
    assert all(line.startswith("pg.set") for line in told)


UNSIGNED = {
    "nothing more": ("", "[{environments: [staging]}]", "nothing -> environments staging (milder)"),
    "everything": ("", "[{}]", "nothing -> everything (milder)"),
    "no longer": ("[{environments: [staging]}]", "", "environments staging -> nothing (stricter)"),
    "fewer": (
        "[{environments: [staging]}, {agents: [tuner, mover]}]",
        "[{environments: [staging]}]",
        "agents tuner or mover; environments staging -> environments staging (stricter)",
    ),
    "something else": (
        "[{tiers: [low]}]",
        "[{operations: [pg.set]}]",
        "tiers low -> operations pg.set (different)",
    ),
}


@pytest.mark.parametrize(("before", "after", "said"), UNSIGNED.values(), ids=UNSIGNED)
def test_what_may_come_unsigned_is_told(before: str, after: str, said: str) -> None:
    """More that nobody signs is milder, and less is stricter."""
    old, new = (BASE.replace("limits:", f"unsigned: {item}\nlimits:") if item else BASE for item in (before, after))
    assert _changes(new, old) == [f"what may come unsigned: {said}"]
