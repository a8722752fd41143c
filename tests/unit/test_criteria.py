"""What an action is measured by: the minimum of its operations, and what a proposal may add."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.criteria import effective, minimum, minimum_refusals
from policy.operations import OperationsRegistry, RegisteredOperation, read_operations
from policy.proposal import ActionProposal, Criterion
from tests.unit.builders import a_proposal

REGISTRY = b"""
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: o, version: "1"}
probes:
  - {name: pg.setting, executor: pg, type: string, identifies: [name], parameters: {name: {type: string}}}
  - {name: pg.waits, executor: pg, type: boolean, parameters: {pid: {type: integer}}}
  - {name: pg.lag, executor: pg, type: number}
  - {name: pg.version, executor: pg, type: string, constant: true}
operations:
  - name: pg.set
    executor: pg
    severity: 40
    inverse: [pg.set]
    parameters: {name: {type: string}, value: {type: string}, expected: {type: string, required: false}}
    before: [{probe: pg.setting, parameters: {name: $name}, equals: $expected}]
    criteria:
      - {probe: pg.setting, parameters: {name: $name}, equals: $value, within_seconds: 10, observe_seconds: 20}
  - {name: pg.look, executor: pg, severity: 1}
  - name: web.call
    executor: web
    severity: 20
    criteria: [{probe: web.up, equals: true}]
"""
SETS = {"name": "set", "operation": "pg.set", "parameters": {"name": "work_mem", "value": "8MB"}}
READS = {"probe": "pg.setting", "parameters": {"name": "work_mem"}, "equals": "8MB"}
WAITS = {"probe": "pg.waits", "parameters": {"pid": 7}, "equals": False}


def _registry() -> OperationsRegistry:
    return read_operations(REGISTRY)


def _known() -> dict[str, RegisteredOperation]:
    return {item.name: item for item in _registry().operations}


def _proposal(*criteria: dict[str, Any], steps: list[Any] | None = None) -> ActionProposal:
    steps = steps or [SETS]
    return a_proposal(operation=steps[0]["operation"], steps=steps, success_criteria=list(criteria))


def _measured(*criteria: dict[str, Any], steps: list[Any] | None = None) -> list[tuple[str, Any, int, int]]:
    found = effective(_proposal(*criteria, steps=steps), _known())
    return [(item.probe, item.equals, item.within_seconds, item.observe_seconds) for item in found]


EFFECTIVE: dict[str, tuple[list[Any], list[tuple[str, Any, int, int]]]] = {
    "the minimum comes first": ([WAITS], [("pg.setting", "8MB", 10, 20), ("pg.waits", False, 5, 0)]),
    "the same adds nothing": ([READS], [("pg.setting", "8MB", 10, 20)]),
    "an earlier time counts": ([READS | {"within_seconds": 2}], [("pg.setting", "8MB", 2, 20)]),
    "a longer observation counts": ([READS | {"observe_seconds": 60}], [("pg.setting", "8MB", 10, 60)]),
    "a later time does not": ([READS | {"within_seconds": 99}], [("pg.setting", "8MB", 10, 20)]),
    "a shorter observation does not": ([READS | {"observe_seconds": 1}], [("pg.setting", "8MB", 10, 20)]),
}


@pytest.mark.parametrize(("criteria", "expected"), EFFECTIVE.values(), ids=EFFECTIVE)
def test_effective(criteria: list[Any], expected: list[tuple[str, Any, int, int]]) -> None:
    """The minimum is filled from the step, made as strict as the proposal asks, and never less strict."""
    assert _measured(*criteria) == expected


def test_the_later_step_is_right() -> None:
    """Where two steps say different things of the same, the state after the last step is measured."""
    again = SETS | {"name": "again", "parameters": {"name": "work_mem", "value": "16MB"}}
    other = SETS | {"name": "other", "parameters": {"name": "jit", "value": "off"}}

    found = minimum(_proposal(WAITS, steps=[SETS, other, again]), _known())

    assert [(item.parameters["name"], item.equals) for item in found] == [("jit", "off"), ("work_mem", "16MB")]


def test_what_no_operation_asks_for_is_the_proposals_alone() -> None:
    """An operation without minimum criteria, or one that is not known, adds none."""
    proposal = _proposal(WAITS)
    assert effective(proposal, {}) == proposal.success_criteria


REFUSED: dict[str, tuple[list[Any], str, str]] = {
    "another value": ([READS | {"equals": "9MB"}], "criterion_too_weak", 'has to read "8MB", not "9MB"'),
    "later": ([READS | {"within_seconds": 11}], "criterion_too_weak", "within 10 s, not 11"),
    "observed for less": ([READS | {"observe_seconds": 19}], "criterion_too_weak", "for 20 s, not 19"),
    "twice": ([WAITS, WAITS], "bad_criterion", "says the same as another one"),
    "and its contrary": ([WAITS, WAITS | {"equals": True}], "bad_criterion", "contradicts another one"),
    "a constant": ([{"probe": "pg.version", "equals": "17"}], "criterion_cannot_fail", "reads the same whatever"),
    "an object that no step touches": (
        [READS | {"parameters": {"name": "jit"}}],
        "criterion_cannot_fail",
        'looks at name = "jit", which no step touches',
    ),
    "a probe that is not declared": ([{"probe": "pg.nothing", "equals": 1}], "unknown_probe", "is no probe of pg"),
    "a probe of another executor": ([{"probe": "web.up", "equals": True}], "unknown_probe", "is no probe of pg"),
    "a text for a boolean": ([WAITS | {"equals": "false"}], "bad_criterion", 'reads boolean, never "false"'),
    "zero for a boolean": ([WAITS | {"equals": 0}], "bad_criterion", "reads boolean, never 0"),
    "true for a number": ([{"probe": "pg.lag", "equals": True}], "bad_criterion", "reads number, never true"),
    "a parameter is missing": ([WAITS | {"parameters": {}}], "bad_criterion", "needs parameter pid"),
    "a parameter of another type": (
        [WAITS | {"parameters": {"pid": "7"}}],
        "bad_criterion",
        'parameter pid = "7" is not of type integer',
    ),
    "a parameter that is not declared": (
        [WAITS | {"parameters": {"pid": 7, "x": 1}}],
        "bad_criterion",
        "has no parameter 'x'",
    ),
}


@pytest.mark.parametrize(("criteria", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(criteria: list[Any], code: str, message: str) -> None:
    """A criterion that is weaker than the minimum, cannot fail, or cannot be measured is refused, with a reason."""
    found = minimum_refusals(_proposal(*criteria), _registry())

    assert [item.code for item in found] == [code]
    assert message in found[0].message


@pytest.mark.parametrize("criteria", [[READS], [WAITS], [READS, WAITS], [{"probe": "pg.lag", "equals": 0}]])
def test_accepted(criteria: list[Any]) -> None:
    """The minimum itself, stricter ones and others that can fail are welcome."""
    assert minimum_refusals(_proposal(*criteria), _registry()) == ()


@pytest.mark.parametrize("criteria", [[READS], [WAITS]], ids=["its own", "the minimum"])
def test_what_holds_before_shows_nothing(criteria: list[Any]) -> None:
    """A step to a value that its executor makes sure of first changes nothing, and no criterion on it can fail."""
    step = SETS | {"parameters": {"name": "work_mem", "value": "8MB", "expected": "8MB"}}

    (found,) = minimum_refusals(_proposal(*criteria, steps=[step]), _registry())

    assert found.code == "criterion_cannot_fail"
    assert 'reads "8MB" before anything is done' in found.message


def test_what_comes_back_to_where_it_was_shows_nothing() -> None:
    """What one step makes and the next one unmakes holds at the end as it held before the first."""
    there = SETS | {"parameters": {"name": "work_mem", "value": "8MB", "expected": "4MB"}}
    back = there | {"name": "back", "parameters": {"name": "work_mem", "value": "4MB", "expected": "8MB"}}

    (found,) = minimum_refusals(_proposal(WAITS, steps=[there, back]), _registry())

    assert found.code == "criterion_cannot_fail"


def test_criteria_of_two_executors_are_not_mixed() -> None:
    """The executor of the last step measures; a minimum that only another one can measure is refused."""
    call = {"name": "call", "operation": "web.call", "parameters": {}}

    found = minimum_refusals(_proposal(WAITS, steps=[call, SETS]), _registry())

    assert ["propose step call apart" in item.message for item in found] == [True]


def test_without_declared_probes_any_probe_will_do() -> None:
    """A registry that declares no probe of an executor says nothing about its probes."""
    body = REGISTRY.split(b"probes:")[0] + b"operations: [{name: pg.set, executor: pg, severity: 1}]"
    assert minimum_refusals(_proposal({"probe": "any.thing", "equals": "x"}), read_operations(body)) == ()


_CRITERIA = st.builds(
    lambda probe, name, equals, times: {"probe": probe, "parameters": {"name": name}, "equals": equals, **times},
    st.sampled_from(["pg.setting", "pg.waits", "pg.lag"]),
    st.sampled_from(["work_mem", "jit"]),
    st.sampled_from(["8MB", "9MB", True, 1]),
    st.fixed_dictionaries({}, optional={"within_seconds": st.integers(0, 60), "observe_seconds": st.integers(0, 60)}),
)


@given(st.lists(_CRITERIA, min_size=1, max_size=5))
def test_a_proposal_never_lowers_the_minimum(criteria: list[dict[str, Any]]) -> None:
    """Whatever a proposal asks for, every minimum criterion is measured, not later and observed for no less."""
    proposal = _proposal(*criteria)
    found = effective(proposal, _known())
    for least in minimum(proposal, _known()):
        assert any(_at_least(item, least) for item in found)


def _at_least(item: Criterion, least: Criterion) -> bool:
    same = (item.probe, item.parameters, item.equals) == (least.probe, least.parameters, least.equals)
    return same and item.within_seconds <= least.within_seconds and item.observe_seconds >= least.observe_seconds
