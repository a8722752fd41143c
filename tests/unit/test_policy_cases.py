"""Cases beside a policy: evaluated as real actions are, with a readable difference."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import starter
from cli.policy_cases import lines_of, run_file
from policy.catalog import read_catalog
from policy.checks.policy_tests import CaseResult, changed, read_policy_tests, run_case
from policy.document import read_policy
from policy.errors import DocumentError
from policy.operations import read_operations
from policy.people.directory import read_directory
from tests.unit.builders import CATALOG, DIRECTORY, OPERATIONS, POLICY, proposal_json

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2030, 1, 15, 12, tzinfo=UTC)


def _case(**fields: Any) -> CaseResult:
    """The result of one case in the small world of the unit tests."""
    value = {
        "apiVersion": "countersign/v1",
        "kind": "PolicyTests",
        "metadata": {"name": "tests", "version": "1"},
        "documents": {"policy": "p", "operations": "o", "catalog": "c", "directory": "d"},
        "now": "2030-01-15T12:00:00Z",
        "cases": [{"name": "one", "proposal": proposal_json(), **fields}],
    }
    (case,) = read_policy_tests(json.dumps(value).encode()).cases
    return run_case(
        case,
        case.proposal,
        policy=read_policy(POLICY),
        operations=read_operations(OPERATIONS),
        catalog=read_catalog(CATALOG),
        directory=read_directory(DIRECTORY),
        now=NOW,
    )


def test_the_examples_are_as_expected() -> None:
    """The policy of the examples answers what its cases say, and every example proposal is in one of them."""
    path = EXAMPLES / "policy.tests.yaml"
    assert [line for result in run_file(path) if result.differences for line in lines_of(result)] == []
    assert len(run_file(path)) == len(read_policy_tests(path.read_bytes()).cases)


def test_an_expectation_that_holds_has_no_difference() -> None:
    """Only what a case says is compared."""
    assert _case(expect={"verdict": "require_approval"}).differences == ()
    full = {"verdict": "require_approval", "chain": ["ops", "dba"], "decided_by": "settings"}
    assert _case(expect=full).differences == ()


def test_each_thing_that_is_not_as_expected_is_said() -> None:
    """A failing case shows what was expected, what was found, and why."""
    result = _case(
        expect={"verdict": "allow", "tier": "low", "chain": [], "decided_by": "sessions", "reasons": ["limit"]}
    )
    lines = lines_of(result)

    assert lines[:2] == ["FAIL  one", "      verdict     expected allow, found require_approval"]
    assert lines[2].startswith("      tier        expected low, found medium (score ")
    assert lines[3:5] == [
        "      chain       expected none, found ops, dba",
        "      decided_by  expected sessions, found settings",
    ]
    assert lines[5] == "      reasons     expected limit, found rule_require_approval"
    assert lines[6].startswith("      because rule_require_approval: settings")


def test_what_was_observed_and_when_is_part_of_a_case() -> None:
    """A hold, an instant and a changed proposal change the answer."""
    hold = {"hold_id": "h", "target": "component:default/orders", "proposal_id": "p-0", "reason": "broken"}
    held = _case(
        observed={"holds": [hold]}, now="2031-01-01T00:00:00Z", expect={"verdict": "deny", "reasons": ["on_hold"]}
    )
    assert held.differences == ()
    elsewhere = _case(
        changes={"environment": "staging"}, expect={"verdict": "deny", "reasons": ["environment_mismatch"]}
    )
    assert elsewhere.differences == ()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a change that leads nowhere": (
        {"changes": {"steps.3.parameters.name": "x"}},
        "case one: change steps.3.parameters.name: there is no 3 to change",
    ),
    "a misspelt observation": ({"observed": {"hold": []}}, "case one: observed.hold is nothing that is observed"),
    "a misspelt field of an observation": (
        {"observed": {"denials": [{"proposal_id": "p", "by": ["ann"]}]}},
        "case one: observed.denials.0.by is nothing that is observed",
    ),
    "an observation of another type": ({"observed": {"last_hour": 3}}, "case one: observed: last_hour"),
    "no proposal any more": ({"changes": {"steps": []}}, "case one: malformed proposal: steps"),
    "no expectation": ({"expect": {}}, "malformed PolicyTests: cases.0.expect.verdict"),
    "a misspelt expectation": ({"expect": {"verdict": "deny", "reason": "x"}}, "cases.0.expect.reason"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG)
def test_a_case_that_tests_something_else_than_it_says_is_refused(fields: dict[str, Any], message: str) -> None:
    """A path, an observation or an expectation that does not exist is an error, not a case that passes."""
    with pytest.raises(DocumentError, match=message):
        _case(**{"expect": {"verdict": "deny"}, **fields})


VALUE = {"a": [{"b": 1}, 2], "c": 3}
CHANGED: dict[str, tuple[dict[str, Any], Any]] = {
    "a field": ({"c": 4}, {"a": [{"b": 1}, 2], "c": 4}),
    "a new field": ({"d": 4}, {**VALUE, "d": 4}),
    "deep": ({"a.0.b": [5]}, {"a": [{"b": [5]}, 2], "c": 3}),
    "an item": ({"a.1": {"x": 1}}, {"a": [{"b": 1}, {"x": 1}], "c": 3}),
    "a field removed": ({"c": None}, {"a": [{"b": 1}, 2]}),
    "an item removed": ({"a.0": None}, {"a": [2], "c": 3}),
    "one after the other": ({"a.0": None, "a.0.x": 1}, None),
}


@pytest.mark.parametrize(("changes", "expected"), CHANGED.values(), ids=CHANGED)
def test_a_value_is_changed_by_path(changes: dict[str, Any], expected: Any) -> None:
    """Fields and items are replaced, added and removed; the value itself stays as it was."""
    before = json.dumps(VALUE)
    if expected is None:
        with pytest.raises(DocumentError, match="there is no x to change"):
            changed(VALUE, changes)
    else:
        assert changed(VALUE, changes) == expected
    assert json.dumps(VALUE) == before


def test_the_command_says_how_many_and_ends_with_one_where_a_case_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`policy test` prints a line a case; `--policy` tests another policy with the same cases."""
    tests = str(EXAMPLES / "policy.tests.yaml")
    assert starter.run(["policy", "test", tests]) == 0
    assert "7 cases as expected" in capsys.readouterr().out
    milder = tmp_path / "milder.yaml"
    milder.write_text((EXAMPLES / "policy.yaml").read_text().replace("destructive: true", "destructive: false"))

    assert starter.run(["policy", "test", tests, "--policy", str(milder)]) == 1
    said = capsys.readouterr().out
    assert "FAIL  ending an idle session is routine\n      verdict     expected allow, found deny" in said
    assert said.endswith("of 7 cases are not as expected\n")
    assert starter.run(["policy", "test", str(milder)]) == 1
    assert "malformed PolicyTests" in capsys.readouterr().err
