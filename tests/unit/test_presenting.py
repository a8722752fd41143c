"""What we recommend to an approver, rule by rule, and which registered operations are safer."""

from typing import Any

import pytest

from policy.evaluation import Evaluation
from policy.facts import Facts
from policy.observed import DenialFact, Observed, Tally, UndoProof
from policy.operations import read_operations
from policy.proposal import receive
from policy.rules.chains import Verdict
from policy.rules.timing import Timing
from policy.screens.presenting import advise, endings, percent, since
from policy.screens.safer import SaferOperation, safer_operations
from tests.unit.screens import DATABASE, NOW, RESET, SET, ago, proposal_of, registered, slo

_PROVED = UndoProof(operation=RESET.name, kind="undone", at=ago(days=3))
_QUIET: dict[str, Any] = {"at": NOW, "undo_proofs": (_PROVED,)}
_SHARE = {"units_touched": 0.2}
_DROP = registered("postgres.index.drop", severity=80, destructive=True)
_HIDE = SaferOperation(name="postgres.index.hide", instead_of=_DROP.name, severity=20, instead_of_severity=80)


def _advice(
    proposal: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    observed: dict[str, Any] | None = None,
    verdict: Verdict = Verdict.require_approval,
    timing: Timing = Timing(),  # noqa: B008
) -> list[str]:
    known = Facts(**{**DATABASE, **_SHARE, **(facts or {})}, observed=Observed(**{**_QUIET, **(observed or {})}))
    asked = receive(proposal_of(**(proposal or {}))).proposal
    return [item.code for item in advise(asked, known, Evaluation(verdict=verdict, reasons=()), timing, NOW)]


def test_facts_that_the_policy_takes_for_stale_are_looked_at_first() -> None:
    """By the calendars of the policy, whatever was measured of them."""
    assert _advice(timing=Timing(at=NOW, stale=("catalog",))) == ["look_first"]


def test_nothing_measured_speaks_against_it() -> None:
    """Approve is what is left once every rule was asked."""
    assert _advice() == ["approve"]


def test_a_denial_by_policy_leaves_nothing_to_decide() -> None:
    """Where nobody can say yes, nothing is recommended."""
    assert _advice(verdict=Verdict.deny, observed={"undo_proofs": ()}) == ["nothing_to_decide"]


def test_a_dry_run_is_approved() -> None:
    """It changes nothing, whatever else is known."""
    assert _advice({"dry_run": True}, observed={"undo_proofs": ()}) == ["approve"]


@pytest.mark.parametrize(
    ("facts", "observed", "code"),
    [
        ({}, {"denials": (DenialFact(proposal_id="p-0"),)}, "denied_before"),
        ({}, {"slo_states": (slo("latency", 0.05, ago(minutes=5)),)}, "wait_for_budget"),
        ({}, {"slo_states": (slo("latency", -1.0, ago(minutes=5)),)}, "wait_for_budget"),
        ({}, {"slo_states": (slo("latency", 0.05, ago(hours=2)),)}, "look_first"),
        ({}, {"slo_states": (slo("latency", None, ago(minutes=5)),)}, "look_first"),
        ({}, {"slo_states": (slo("latency", 0.5, ago(minutes=5)),)}, "approve"),
        ({}, {"in_flight": ("p-9",)}, "wait_for_others"),
        ({"operations": {SET.name: SET.model_copy(update={"inverse": ()})}}, {}, "no_undo"),
        ({}, {"undo_proofs": ()}, "dry_run_first"),
        ({}, {"undo_proofs": (_PROVED.model_copy(update={"at": ago(days=31)}),)}, "dry_run_first"),
        ({"resolved_ids": ("a", "b"), "failure_domains": ("x", "y")}, {}, "stage_it"),
        ({"resolved_ids": ("a", "b"), "failure_domains": ("x",)}, {}, "approve"),
        ({"units_touched": 0.6}, {}, "stage_it"),
        ({"operations": {_DROP.name: _DROP, SET.name: SET}, "safer": (_HIDE,)}, {}, "safer_way"),
        ({"safer": (_HIDE.model_copy(update={"instead_of": SET.name}),)}, {}, "approve"),
    ],
)
def test_each_rule(facts: dict[str, Any], observed: dict[str, Any], code: str) -> None:
    """Each fact that speaks against a plain yes gives the path that answers it."""
    assert _advice(facts=facts, observed=observed)[0] == code


def test_peak_hours() -> None:
    """At a time of peak load, wait."""
    assert _advice(timing=Timing(peak="month-end")) == ["wait_for_calm"]


def test_a_repair_does_not_wait_for_the_budget() -> None:
    """What repairs something that is held is not told to wait because it is broken."""
    spent = {"slo_states": (slo("latency", -1.0, ago(minutes=5)),)}

    assert _advice({"remedies": "p-0"}, observed=spent) == ["approve"]


def test_the_strongest_comes_first_and_three_are_shown() -> None:
    """Where much speaks against it, the rules speak in their order, and not all of them."""
    observed = {"denials": (DenialFact(proposal_id="p-0"),), "in_flight": ("p-9",), "undo_proofs": ()}

    assert _advice(facts={"units_touched": 1.0}, observed=observed) == [
        "denied_before",
        "wait_for_others",
        "dry_run_first",
    ]


def test_endings_are_summed_over_agents() -> None:
    """How similar actions ended is one row for the target and one for its kind."""
    found = endings(
        (
            Tally(scope="kind", operation="a.b", agent="x", succeeded=3),
            Tally(scope="kind", operation="a.b", agent="y", succeeded=2, failed=1),
            Tally(scope="target", operation="a.b", agent="x", unknown=1),
        )
    )

    assert [(item.scope, item.agents, item.succeeded, item.failed, item.unknown) for item in found] == [
        ("target", 1, 0, 0, 1),
        ("kind", 2, 5, 1, 0),
    ]


@pytest.mark.parametrize(
    ("passed", "text"),
    [({"seconds": 59}, "0 min"), ({"minutes": 119}, "119 min"), ({"hours": 2}, "2 h"), ({"hours": 48}, "2 days")],
)
def test_since(passed: dict[str, float], text: str) -> None:
    """An age reads in the unit that fits it."""
    assert since(ago(**passed), NOW) == text


def test_what_has_no_date_has_no_age() -> None:
    """Nor is anything from the future older than now."""
    assert since(None, NOW) == "an unknown time"
    assert since(ago(hours=-1), NOW) == "0 min"


@pytest.mark.parametrize(("share", "text"), [(0.824, "82 %"), (0.031, "3.1 %"), (-0.2, "-20 %"), (1.0, "100 %")])
def test_percent(share: float, text: str) -> None:
    """Little is told more exactly."""
    assert percent(share) == text


_REGISTRY = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: operations, version: "1"}
operations:
  - {name: pg.index.drop, executor: postgres, severity: 80, floor: high, destructive: true, effects: [performance]}
  - {name: pg.index.hide, executor: postgres, severity: 20, needs_no_undo: true, effects: [performance]}
  - {name: pg.index.look, executor: postgres, severity: 0, read_only: true}
  - {name: pg.index.shrink, executor: postgres, severity: 30, needs_no_undo: true, effects: [security]}
  - {name: pg.index.empty, executor: postgres, severity: 10, destructive: true}
  - {name: pg.index.freeze, executor: postgres, severity: 10, floor: critical, needs_no_undo: true}
  - {name: pg.table.hide, executor: postgres, severity: 10, needs_no_undo: true}
  - {name: k8s.index.hide, executor: kubernetes, severity: 10, needs_no_undo: true}
"""


def test_safer_operations() -> None:
    """Of the same family, milder, no harder to undo, with no further effect; what reads or destroys is no other way."""
    proposal = receive(
        proposal_of(operation="pg.index.drop", steps=[{"name": "drop", "operation": "pg.index.drop"}])
    ).proposal

    found = safer_operations(proposal, read_operations(_REGISTRY))

    assert [(item.name, item.instead_of, item.undoable) for item in found] == [("pg.index.hide", "pg.index.drop", True)]


def test_an_undo_is_no_safer_way() -> None:
    """What undoes a step is milder, and does the contrary."""
    registry = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: operations, version: "1"}
operations:
  - {name: pg.set, executor: postgres, severity: 40, inverse: [pg.reset]}
  - {name: pg.reset, executor: postgres, severity: 20, inverse: [pg.set]}
"""
    proposal = receive(proposal_of(operation="pg.set", steps=[{"name": "set", "operation": "pg.set"}])).proposal

    assert safer_operations(proposal, read_operations(registry)) == ()
