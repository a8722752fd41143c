"""Simulation: a candidate policy against proposals and past actions, without touching anything."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.audit import AuditFile
from policy.checks.simulation import PastAction, past_action, simulate
from policy.document import read_policy
from policy.errors import AuditError
from starter import run
from tests.unit.builders import POLICY, T0, a_directory, a_policy, a_proposal, facts_of, step_json

EXAMPLES = Path(__file__).parents[2] / "examples"
_SESSION: dict[str, Any] = {
    "operation": "pg.end_session",
    "steps": [step_json("pg.end_session", parameters={"pid": 1}, undo=None)],
}
STRICT = POLICY.replace(
    b"match: {operations: [pg.end_session]}, verdict: allow", b"match: {operations: [pg.end_session]}, verdict: deny"
)
MILD = POLICY.replace(b"verdict: require_approval, chain: pair", b"verdict: allow")
LONELY = POLICY.replace(b"groups: [dba]", b"groups: [nobody]")
LONGER = POLICY.replace(
    b"      - {name: dba, requirements: [{groups: [dba]}], deadline: 1h}",
    b"      - {name: dba, requirements: [{groups: [dba]}], deadline: 1h}\n"
    b"      - {name: sre, requirements: [{groups: [sre]}], deadline: 1h}",
)


def _action(
    name: str, outcome: str = "", day: int = 0, directory_at: datetime | None = None, **changes: Any
) -> PastAction:
    proposal = a_proposal(**changes)
    at = T0 + timedelta(days=day)
    return PastAction(
        name, at, proposal, facts_of(proposal, at=at, directory_at=directory_at), a_policy(), a_directory(), outcome
    )


CASES: dict[str, tuple[bytes, list[PastAction], dict[str, Any]]] = {
    "the same policy": (POLICY, [_action("a"), _action("b", **_SESSION)], {"changed": [], "extra": {}}),
    "what was allowed is denied": (
        STRICT,
        [_action("a", "succeeded", **_SESSION), _action("b")],
        {"changed": ["a"], "stopped": ["a"], "verdicts": {("allow", "deny"): 1, ("require_approval",) * 2: 1}},
    ),
    "what was asked is allowed": (
        MILD,
        [_action("a")],
        {"changed": ["a"], "stopped": [], "extra": {("dba", "2030-01-01"): -1, ("ops", "2030-01-01"): -1}},
    ),
    "one more stage, on two days": (
        LONGER,
        [_action("a"), _action("b", day=1), _action("c", day=1)],
        {"changed": ["a", "b", "c"], "extra": {("sre", "2030-01-01"): 1, ("sre", "2030-01-02"): 2}},
    ),
    "a directory too old to issue by": (
        POLICY.replace(b"limits:", b"max_directory_age: 1d\nlimits:", 1),
        [
            _action("a", directory_at=T0 - timedelta(days=1)),
            _action("b", directory_at=T0 - timedelta(days=2)),
            _action("c"),
        ],
        {"changed": [], "stale": ["b", "c"]},
    ),
    "a stage of nobody": (
        LONELY,
        [_action("a"), _action("b", **_SESSION)],
        {"changed": ["a"], "stuck": ["a"], "extra": {("dba", "2030-01-01"): -1, ("nobody", "2030-01-01"): 1}},
    ),
}


@pytest.mark.parametrize(("candidate", "actions", "expected"), CASES.values(), ids=CASES)
def test_simulation(candidate: bytes, actions: list[PastAction], expected: dict[str, Any]) -> None:
    """What a candidate changes, what it would have stopped, whom it would have asked, and what nobody could approve."""
    found = simulate(read_policy(candidate), actions)
    said = {
        "changed": [item.name for item in found.changed],
        "stopped": [item.name for item in found.stopped],
        "stuck": [item.name for item in found.stuck],
        "stale": [item.name for item in found.actions if item.stale],
        "extra": dict(found.extra),
        "verdicts": {(str(before), str(after)): count for (before, after), count in found.verdicts.items()},
    }
    assert {name: said[name] for name in expected} == expected


def test_what_would_have_been_stopped_says_how_it_ended() -> None:
    """The price and the use of a rule are both shown."""
    found = simulate(
        read_policy(STRICT), [_action("good", "succeeded", **_SESSION), _action("bad", "compensated", **_SESSION)]
    )
    assert [(item.name, item.outcome) for item in found.stopped] == [("good", "succeeded"), ("bad", "compensated")]


@given(st.lists(st.sampled_from(["a", "b"]), max_size=5))
def test_a_policy_against_itself_changes_nothing(names: list[str]) -> None:
    """However many actions there are."""
    actions = [_action(name, **(_SESSION if name == "a" else {})) for name in names]
    found = simulate(a_policy(), actions)
    assert (found.changed, found.stopped, dict(found.extra)) == ((), (), {})
    assert all(before is after for before, after in found.verdicts)


HISTORIES = sorted((Path(__file__).parents[1] / "replay/histories").glob("*.json"))


def _exported(path: Path) -> AuditFile:
    return AuditFile.model_validate(json.loads(path.read_text()))


def test_past_actions_are_judged_by_the_facts_of_then() -> None:
    """The corpus, under the policy of then, answers what was recorded; and each says how it ended."""
    judged = []
    for path in HISTORIES:
        try:
            action = past_action(_exported(path))
        except AuditError:
            continue
        judged.append((action, simulate(action.before, [action]).actions[0]))
    assert len(judged) >= 15
    assert all(not item.changed for _, item in judged)
    assert {"succeeded", "not_executed"} <= {action.outcome for action, _ in judged}


def test_a_file_whose_ledger_is_broken_is_not_judged() -> None:
    """What may have been tampered with says nothing about a policy."""
    file = next(item for item in map(_exported, HISTORIES) if len(item.entries) > 2)
    with pytest.raises(AuditError, match="does not hold together"):
        past_action(file.model_copy(update={"entries": file.entries[1:]}))


def test_the_command_judges_proposals_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Files suffice: nothing is connected to, and the report says what it could not know."""
    documents = [
        item
        for kind in ("operations", "catalog", "directory")
        for item in (f"--{kind}", str(EXAMPLES / f"{kind}.yaml"))
    ]
    proposals = [str(path) for path in sorted((EXAMPLES / "proposals").glob("*.json"))]
    policy = str(EXAMPLES / "policy.yaml")
    asked = ["simulate", "--policy", policy, "--baseline", policy, *documents, "--actions", *proposals]
    assert run([*asked, "--at", "2026-11-24T12:00:00+00:00", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["actions"]) == 5
    assert not any(item["changed"] for item in said["actions"])
    assert run([*asked, "--at", "2026-11-24T12:00:00+00:00"]) == 0
    assert "no history, no holds, nothing in flight" in capsys.readouterr().out


def test_the_command_judges_a_folder_of_past_actions(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of audit files suffices; what cannot be judged is named."""
    production = str(EXAMPLES / "production/policy.yaml")
    assert run(["simulate", "--policy", production, "--history", str(HISTORIES[0].parent)]) == 0
    said = capsys.readouterr().out
    assert "another answer" in said
    assert "not judged:" in said


def test_a_proposal_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad line spoils nothing else."""
    good = json.loads((EXAMPLES / "proposals/1-routine.json").read_text())
    lines = tmp_path / "actions.jsonl"
    lines.write_text(f"{json.dumps(good)}\n{{}}\n")
    documents = [
        item
        for kind in ("operations", "catalog", "directory")
        for item in (f"--{kind}", str(EXAMPLES / f"{kind}.yaml"))
    ]
    policy = str(EXAMPLES / "policy.yaml")
    assert run(["simulate", "--policy", policy, "--baseline", policy, *documents, "--actions", str(lines)]) == 0
    said = capsys.readouterr().out
    assert "1 actions" in said
    assert "actions.jsonl:2: malformed proposal" in said


def test_an_instant_without_an_offset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """What means another instant on another machine is refused."""
    proposal, policy = str(EXAMPLES / "proposals/1-routine.json"), str(EXAMPLES / "policy.yaml")
    documents = [
        item
        for kind in ("operations", "catalog", "directory")
        for item in (f"--{kind}", str(EXAMPLES / f"{kind}.yaml"))
    ]
    asked = [
        "simulate",
        "--policy",
        policy,
        "--baseline",
        policy,
        *documents,
        "--actions",
        proposal,
        "--at",
        "2026-01-01",
    ]
    assert run(asked) != 0
    assert "has no offset" in capsys.readouterr().err
