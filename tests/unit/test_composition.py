"""Several documents in one text: the stricter answer wins, and no addition makes anything milder."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.document import PolicySet, Verdict, read_policy
from policy.errors import DocumentError
from policy.rules.calendars import timing_of
from tests.unit.asking import ask
from tests.unit.builders import T0, a_proposal, facts_of, step_json

_CHAINS = {
    name: {"stages": [{"name": name, "requirements": [{"groups": [name]}], "deadline": "1h"}]}
    for name in ("ops", "dba", "sre")
}


def _document(name: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A document; `covers` makes it a team's."""
    covers, scope = more.pop("covers", None), more.pop("scope", None)
    metadata = {"name": name, "version": "1", **({"scope": "team", "covers": covers} if covers else {})}
    if scope:
        metadata["scope"] = scope
    given = {"apiVersion": "countersign/v1", "kind": "PolicyDocument", "metadata": metadata, "chains": _CHAINS}
    return {**given, "rules": list(rules), **more}


def _policy(*documents: dict[str, Any]) -> PolicySet:
    # JSON is YAML, one document after the other.
    return read_policy("\n---\n".join(json.dumps(document) for document in documents).encode())


def _rule(name: str, verdict: str, chain: str | None = None, **more: Any) -> dict[str, Any]:
    given = {"id": name, "match": {"environments": ["production"]}, "verdict": verdict, **more}
    return given if chain is None else {**given, "chain": chain}


_ORG = _document("org", _rule("base", "require_approval", "ops"))

# name: the team's rule and what it covers; verdict, who decided, in which document, the stages in order
COMPOSED: dict[str, tuple[dict[str, Any], dict[str, Any], Verdict, str, str, list[str]]] = {
    "a team that allows changes nothing": (
        _rule("team", "allow"),
        {"environments": ["production"]},
        Verdict.require_approval,
        "base",
        "org",
        ["ops"],
    ),
    "a team that denies": (
        _rule("team", "deny"),
        {"environments": ["production"]},
        Verdict.deny,
        "team",
        "orders",
        [],
    ),
    "a team that denies elsewhere": (
        _rule("team", "deny"),
        {"targets": ["shop"]},
        Verdict.require_approval,
        "base",
        "org",
        ["ops"],
    ),
    "a team that asks, too": (
        _rule("team", "require_approval", "dba"),
        {"targets": ["orders"]},
        Verdict.require_approval,
        "base",
        "org",
        ["ops", "dba"],
    ),
    "a team that holds: both are asked": (
        _rule("team", "hold", "dba"),
        {"targets": ["orders"]},
        Verdict.hold,
        "team",
        "orders",
        ["ops", "dba"],
    ),
    "a team that asks the same": (
        _rule("team", "require_approval", "ops"),
        {"targets": ["orders"]},
        Verdict.require_approval,
        "base",
        "org",
        ["ops"],
    ),
}


@pytest.mark.parametrize(("rule", "covers", "verdict", "by", "where", "stages"), COMPOSED.values(), ids=COMPOSED)
def test_a_team(
    rule: dict[str, Any], covers: dict[str, Any], verdict: Verdict, by: str, where: str, stages: list[str]
) -> None:
    """A team's document can only make an answer stricter, for what it covers, and the reason names the document."""
    found = ask(_policy(_document("orders", rule, covers=covers), _ORG))

    assert (found.verdict, found.decided_by, found.decided_in) == (verdict, by, where), found.reasons
    assert ([stage.name for stage in found.chain.stages] if found.chain else []) == stages
    assert found.reasons[0].message.startswith(f"{where}: {by}: ")


def test_one_document_covers_what_another_does_not() -> None:
    """An operation needs a rule in one of the documents; a document without one is silent."""
    only_set = _document("a", _rule("set", "allow", match={"operations": ["pg.set"]}))
    only_reset = _document("b", _rule("reset", "allow", match={"operations": ["pg.reset"]}))

    assert ask(_policy(only_set, only_reset)).verdict is Verdict.allow
    assert [reason.message for reason in ask(_policy(only_set)).reasons] == [
        "no rule covers pg.reset on orders in production"
    ]


def test_limits_freezes_and_deadlines_of_all_documents_apply() -> None:
    """What any document forbids is forbidden, and the shortest times count."""
    limit = {"id": "few", "max_share": 0.5, "reason": "the rest serves"}
    freeze = {"id": "still", "kind": "freeze", "zone": "UTC", "start": "2030-01-01", "duration": "1d"}
    team = {"covers": {"environments": ["production"]}}
    limited = _policy(_ORG, _document("t", _rule("r", "allow"), limits=[limit], permit_ttl="1m", **team))
    frozen = _policy(_ORG, _document("t", _rule("r", "allow"), calendars=[freeze], absolute_deadline="1h", **team))
    elsewhere = _policy(_ORG, _document("t", _rule("r", "allow"), calendars=[freeze], covers={"targets": ["shop"]}))

    assert (ask(limited).decided_by, ask(limited).decided_in) == ("few", "t")
    assert (ask(frozen).decided_by, ask(frozen).decided_in) == ("still", "t")
    assert ask(elsewhere).verdict is Verdict.require_approval
    assert (limited.permit_ttl, limited.absolute_deadline) == (timedelta(minutes=1), timedelta(days=7))
    assert (frozen.permit_ttl, frozen.absolute_deadline) == (timedelta(minutes=5), timedelta(hours=1))


def test_what_a_team_forbids_is_forbidden_where_it_speaks() -> None:
    """A team's limits, freezes and peaks say nothing of what it does not cover."""
    peak = {"id": "rush", "kind": "peak", "zone": "UTC", "start": "2030-01-01", "duration": "1d"}
    limit = {"id": "never", "match": {"environments": ["production"]}, "reason": "so"}
    team = _document("t", _rule("r", "allow"), limits=[limit], calendars=[peak], covers={"targets": ["shop"]})
    facts = facts_of(a_proposal())

    assert ask(_policy(_ORG, team)).verdict is Verdict.require_approval
    assert timing_of(_policy(_ORG, team), facts).peak is None
    assert timing_of(_policy(_ORG, {**team, "metadata": _ORG["metadata"] | {"name": "t"}}), facts).peak == "rush"


def test_the_order_of_documents_is_that_of_their_scopes() -> None:
    """The root comes first and teams last, however the text is ordered; its name is that of the whole."""
    root = _document("root", _rule("a", "require_approval", "sre"), scope="root")
    team = _document("t", _rule("b", "require_approval", "dba"), covers={"environments": ["production"]})
    found = ask(_policy(team, _ORG, root))

    assert [item.metadata.name for item in _policy(team, _ORG, root).documents] == ["root", "org", "t"]
    assert found.chain is not None
    assert [stage.name for stage in found.chain.stages] == ["sre", "ops", "dba"]
    assert ask(_policy(root, team, _ORG)) == found


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "two documents of one name": ([_ORG, _document("org", _rule("x", "allow"))], "document org occurs in two"),
    "one id in two documents": ([_ORG, _document("b", _rule("base", "allow"))], "id base occurs in two documents"),
    "two roots": (
        [_document(name, _rule(name, "allow"), scope="root") for name in ("a", "b")],
        "two documents have scope root",
    ),
    "a team that covers everything": ([_document("t", _rule("x", "allow"), scope="team")], "covers belongs to scope"),
    "covers without a team": (
        [_document("t", _rule("x", "allow"), covers={"targets": ["a"]}, scope="root")],
        "covers belongs to scope team",
    ),
    "a team that covers nothing": ([_document("t", _rule("x", "allow"), covers={"targets": []})], "at least 1 item"),
    "an exception from the rule of another document": (
        [
            _ORG,
            _document(
                "t",
                _rule("x", "allow"),
                exceptions=[
                    {
                        "id": "e",
                        "match": {"targets": ["a"]},
                        "lifts": ["base"],
                        "approved_by": ["t"],
                        "reason": "so",
                        "granted_at": "2030-01-01T00:00:00Z",
                        "expires_at": "2030-01-02T00:00:00Z",
                    }
                ],
            ),
        ],
        "rule or freeze base is named by exception e",
    ),
    "more calendars than are read": (
        [
            _document(
                "c",
                _rule("x", "allow"),
                calendars=[
                    {"id": f"c{n}", "kind": "peak", "zone": "UTC", "start": "2030-01-01", "duration": "1d"}
                    for n in range(101)
                ],
            )
        ],
        "calendars: .*at most 100",
    ),
    "no document": ([], "needs 1 to 50 yaml documents, got 0"),
    "too many": (
        [_document(f"d{n}", _rule(f"r{n}", "allow")) for n in range(51)],
        "needs 1 to 50 yaml documents, got 51",
    ),
}


@pytest.mark.parametrize(("documents", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(documents: list[dict[str, Any]], message: str) -> None:
    """Documents that could not be told apart, or would reach into each other, are refused."""
    with pytest.raises(DocumentError, match=message):
        _policy(*documents)


_VERDICTS = st.sampled_from([("allow", None), ("require_approval", "ops"), ("hold", "dba"), ("deny", None)])
_MATCHES = st.sampled_from(
    [
        {"environments": ["production"]},
        {"environments": ["staging"]},
        {"operations": ["pg.set"]},
        {"operations": ["pg.reset", "pg.end_session"]},
        {"tiers": ["medium", "high", "critical"]},
        {"destructive": False},
    ]
)
_WHENS = st.sampled_from(
    [None, "risk.score > 30", "operation.is_undo", "parameters.name == 'work_mem'", "slo.budget_left > 0.5"]
)
_STEPS = st.sampled_from(
    [[step_json()], [step_json(), step_json("pg.end_session", name="end", undo=None)], [step_json(undo=None)]]
)
_INSTANTS = st.sampled_from([None, T0, T0 + timedelta(days=3)])


@st.composite
def _documents(draw: st.DrawFn, name: str) -> dict[str, Any]:
    rules = []
    for number in range(draw(st.integers(1, 4))):
        verdict, chain = draw(_VERDICTS)
        rule = _rule(f"{name}-r{number}", verdict, chain, match=draw(_MATCHES))
        if when := draw(_WHENS):
            rule["when"] = when
        if draw(st.integers(0, 4)) == 0:
            rule |= {"windows": [f"{name}-w"], "outside": draw(st.sampled_from(["hold", "deny"]))}
            rule.setdefault("chain", "sre") if rule["outside"] == "hold" else None
        if draw(st.integers(0, 5)) == 0:
            rule |= {"enforcement": "observe", "enforce_from": draw(st.sampled_from(["2030-01-02", "2029-01-01"]))}
        rules.append(rule)
    calendars = [
        {"id": f"{name}-w", "kind": "window", "zone": "UTC", "start": "2030-01-01T08:00", "duration": "2h"},
        {"id": f"{name}-f", "kind": "freeze", "zone": "UTC", "start": "2030-01-04", "duration": "1d"},
    ]
    return _document(name, *rules, calendars=calendars, exceptions=draw(_exceptions(name, len(rules))))


def _exceptions(name: str, rules: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    lifts = st.lists(
        st.sampled_from([f"{name}-f", *(f"{name}-r{number}" for number in range(rules))]), min_size=1, max_size=3
    )
    return st.lists(st.tuples(lifts, _MATCHES, _WHENS), max_size=3).map(
        lambda found: [
            {
                "id": f"{name}-e{number}",
                "match": match,
                "lifts": lifted,
                "approved_by": ["dora"],
                "reason": "so",
                "granted_at": "2029-12-31T00:00:00Z",
                "expires_at": "2030-02-01T00:00:00Z",
                **({"when": when} if when else {}),
            }
            for number, (lifted, match, when) in enumerate(found)
        ]
    )


def _strictness(documents: list[dict[str, Any]], steps: list[Any], at: datetime | None) -> int:
    return ask(_policy(*documents), at=at, steps=steps).verdict.strictness


@settings(max_examples=150, deadline=None)
@given(one=_documents("one"), two=_documents("two"), steps=_STEPS, at=_INSTANTS)
def test_a_further_document_never_makes_an_answer_milder(one: Any, two: Any, steps: Any, at: datetime | None) -> None:
    """Where one document answers alone, a second one beside it makes the answer no milder."""
    alone = ask(_policy(one), at=at, steps=steps)
    if "no_rule" not in {reason.code for reason in alone.reasons}:
        assert _strictness([one, two], steps, at) >= alone.verdict.strictness


@settings(max_examples=150, deadline=None)
@given(one=_documents("one"), match=_MATCHES, when=_WHENS, steps=_STEPS, at=_INSTANTS)
def test_a_further_limit_never_makes_an_answer_milder(
    one: Any, match: Any, when: str | None, steps: Any, at: datetime | None
) -> None:
    """A limit can only deny."""
    limit = {"id": "limit", "match": match, "reason": "so", **({"when": when} if when else {})}

    assert _strictness([{**one, "limits": [limit]}], steps, at) >= _strictness([one], steps, at)


@settings(max_examples=300, deadline=None)
@given(one=_documents("one"), steps=_STEPS, at=_INSTANTS, data=st.data())
def test_removing_an_exception_never_makes_an_answer_milder(
    one: Any, steps: Any, at: datetime | None, data: st.DataObject
) -> None:
    """An exception can only lift something."""
    if one["exceptions"]:
        gone = data.draw(st.sampled_from(one["exceptions"]))
        left = [item for item in one["exceptions"] if item is not gone]

        assert _strictness([{**one, "exceptions": left}], steps, at) >= _strictness([one], steps, at)


@settings(max_examples=100, deadline=None)
@given(one=_documents("one"), two=_documents("two"), steps=_STEPS, at=_INSTANTS)
def test_the_same_documents_have_the_same_answer(one: Any, two: Any, steps: Any, at: datetime | None) -> None:
    """An evaluation is the same to the byte whenever it is repeated, and people are asked where it says so."""
    first, again = (ask(_policy(one, two), at=at, steps=steps) for _ in range(2))

    assert first.model_dump_json() == again.model_dump_json()
    assert (first.chain is not None) == first.verdict.asks
    assert first.reasons
