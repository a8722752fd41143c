"""Criteria with conditions: which of them measure nothing, what a registry may write, and what people read."""

from typing import Any

import pytest

from policy.criteria import effective, guard_refusals, guards, minimum, minimum_refusals, probes_elsewhere
from policy.errors import DocumentError, ProposalError
from policy.operations import OperationsRegistry, read_operations
from policy.proposal import ActionProposal, receive
from policy.screens.screen_criteria import criterion_words
from policy.staging import MAX_SECONDS, staging_refusals, step_seconds, targets_of
from tests.unit.builders import a_proposal, proposal_json

HEAD = """
apiVersion: countersign/v1
kind: OperationsRegistry
metadata: {name: o, version: "1"}
"""
PROBES = """probes:
  - {name: web.errors, executor: metrics, type: number, minimum: 0, maximum: 1, query: 'errors{of="$resource"}'}
  - {name: web.latency, executor: metrics, type: number, query: 'p99{of="$resource"}'}
  - {name: web.state, executor: web, type: string}
  - {name: web.replicas, executor: web, type: integer}
"""
SCALE = """operations:
  - name: web.scale
    executor: web
    severity: 20
    parameters: {replicas: {type: integer}, note: {type: string, required: false}}
    criteria: [CRITERIA]
"""
CONDITIONS = "success: {at_least: $replicas}, failure: {below: 1}"
LEAST = f"{{probe: web.replicas, {CONDITIONS}, within_seconds: 60, failure_limit: 1}}"
STEP = {"name": "scale", "operation": "web.scale", "parameters": {"replicas": 3}}
LATENCY = {"probe": "web.latency", "success": {"at_most": {"baseline_times": 1.2}}, "failure": {"above": 5}}
GUARD = {"probe": "web.errors", "success": {"at_most": 0.01}, "of": "component:till"}


def _registry(criteria: str = LEAST) -> OperationsRegistry:
    return read_operations((HEAD + PROBES + SCALE.replace("CRITERIA", criteria)).encode())


def _proposal(*criteria: dict[str, Any], **step: Any) -> ActionProposal:
    return a_proposal(operation="web.scale", steps=[STEP | step], success_criteria=list(criteria))


def _refused(*criteria: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item.code, item.message) for item in minimum_refusals(_proposal(*criteria), _registry())]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "what no number is": ({"success": {"at_least": 5, "at_most": 3}}, "bad_criterion", "which no number is"),
    "success and failure at once": (
        {"success": {"at_most": 5}, "failure": {"above": 4}},
        "bad_criterion",
        "are success (at most 5) and failure (above 4) at once",
    ),
    "a value within success": ({"success": {"equals": 5}}, "bad_criterion", "write it beside the probe"),
    "more successes than there is time for": (
        {"success": {"at_most": 5}, "interval_seconds": 10, "consecutive_successes": 3},
        "bad_criterion",
        "3 successes in a row, 10 s apart, take longer than 5 s",
    ),
    "more failures forgiven than looks": (
        {"success": {"at_most": 5}, "observe_seconds": 60, "interval_seconds": 30, "failure_limit": 3},
        "criterion_cannot_fail",
        "forgives 3 failures, and is looked at 3 times",
    ),
    "half of the looks forgiven": (
        {"success": {"at_most": 5}, "observe_seconds": 3600, "error_limit": 61},
        "criterion_cannot_fail",
        "forgives 61 looks in a row without a value, and is looked at 121 times: forgive fewer than half",
    ),
    "failures forgiven where none counts": (
        {"success": {"at_most": 5}, "failure_limit": 1},
        "criterion_cannot_fail",
        "is looked at 0 times in which one would count",
    ),
    "too many looks": (
        {"success": {"at_most": 5}, "observe_seconds": 86400, "interval_seconds": 1},
        "bad_criterion",
        "make interval_seconds longer",
    ),
    "every value": (
        {"probe": "web.errors", "success": {"at_most": 1}},
        "criterion_cannot_fail",
        "reads at most 1 whatever happens",
    ),
    "a text that is to have a size": (
        {"probe": "web.state", "success": {"at_least": 1}},
        "bad_criterion",
        "only a number has bounds",
    ),
    "a failure of another type": (
        {"probe": "web.state", "equals": "up", "failure": {"equals": 3}},
        "bad_criterion",
        "reads string, and failure is 3",
    ),
}


@pytest.mark.parametrize(("said", "code", "why"), REFUSED.values(), ids=REFUSED)
def test_a_criterion_that_measures_nothing_is_refused(said: dict[str, Any], code: str, why: str) -> None:
    (found,) = _refused({"probe": "web.latency"} | said)

    assert (found[0], why in found[1]) == (code, True), found


@pytest.mark.parametrize("criteria", [[LATENCY], [GUARD], [LATENCY, GUARD], [LATENCY, {**GUARD, "of": "component:x"}]])
def test_a_criterion_that_can_fail_is_welcome(criteria: list[Any]) -> None:
    """Whoever's probe it is; a guard on two neighbours says two things."""
    assert _refused(*criteria) == []


def test_guards_alone_show_nothing_of_the_step() -> None:
    registry = _registry("").model_copy()

    (found,) = minimum_refusals(_proposal(GUARD), registry)

    assert (found.code, "nothing shows what the steps themselves did" in found.message) == ("bad_criterion", True)


LEAST_OWN = {"probe": "web.replicas", "success": {"at_least": 3}}
STRICTER: dict[str, tuple[dict[str, Any], str | None]] = {
    "the same": ({}, None),
    "no failure forgiven": ({"failure_limit": 0}, None),
    "twice in a row": ({"consecutive_successes": 2}, None),
    "the same failure": ({"failure": {"below": 1}}, None),
    "another success": ({"success": {"at_least": 2}}, "it has to read at least 3, not at least 2"),
    "a value instead": ({"success": None, "equals": 3}, "it has to read at least 3, not 3"),
    "more failures forgiven": ({"failure_limit": 2}, "with at most 1 failures forgiven, not 2"),
    "another failure": ({"failure": {"below": 0}}, "failure is to be what the operation says"),
    "a later look": ({"initial_delay_seconds": 60}, "initial_delay_seconds is to be what the operation says"),
    "errors forgiven": ({"error_limit": 9}, "error_limit is to be what the operation says"),
}


@pytest.mark.parametrize(("said", "why"), STRICTER.values(), ids=STRICTER)
def test_a_minimum_is_made_stricter_and_never_weaker(said: dict[str, Any], why: str | None) -> None:
    own = {name: value for name, value in (LEAST_OWN | said).items() if value is not None}
    found = [message for code, message in _refused(own) if code == "criterion_too_weak"]

    assert found == [] if why is None else why in found[0]


def test_a_minimum_is_filled_from_the_step() -> None:
    """A bound that names a parameter is its value; one that is no number can be met by nothing."""
    registry = _registry()
    known = {item.name: item for item in registry.operations}

    (filled,) = minimum(_proposal(LATENCY), known)
    (wrong,) = minimum(_proposal(LATENCY, parameters={"replicas": "many"}), known)
    (missing,) = minimum(_proposal(LATENCY, parameters={}), known)

    assert (filled.wanted, filled.within_seconds, filled.failure_limit) == ("at least 3", 60, 1)
    assert filled.failure is not None
    assert filled.failure.words == "below 1"
    for item in (wrong, missing):
        assert item.success is not None
        assert item.success.holds(10**6) is False


REGISTRIES = {
    "a name that is no parameter": ("{probe: web.replicas, success: {at_least: $other}}", "at_least is [$]other"),
    "a name that is no number": ("{probe: web.replicas, success: {at_least: $note}}", "at_least is [$]note"),
    "a failure that may be missing": ("{probe: web.state, equals: up, failure: {equals: $note}}", "equals is [$]note"),
    "neither": ("{probe: web.replicas}", "needs equals or success"),
    "both": ("{probe: web.replicas, equals: 1, success: {at_least: 1}}", "has equals and success"),
    "what cannot fail": ("{probe: web.errors, success: {at_least: 0}}", "whatever happens"),
    "not a number": ("{probe: web.errors, success: {at_least: .nan}}", "valid number"),
    "without end": ("{probe: web.errors, success: {at_least: -.inf}}", "valid number"),
}


@pytest.mark.parametrize(("criterion", "why"), REGISTRIES.values(), ids=REGISTRIES)
def test_a_registry_is_held_to_the_same(criterion: str, why: str) -> None:
    with pytest.raises(DocumentError, match=why):
        _registry(criterion)


PROPOSED = {
    "neither": ({"probe": "web.latency"}, "needs equals or success"),
    "both": ({"probe": "web.latency", "equals": 1, "success": {"at_most": 1}}, "has equals and success"),
    "a name": ({"probe": "web.latency", "success": {"at_most": "$limit"}}, "success.at_most"),
    "a query": ({"probe": "web.latency", "equals": 1, "query": "up"}, "query"),
    "an executor": ({"probe": "web.latency", "equals": 1, "executor": "mine"}, "executor"),
    "ids of its own": ({"probe": "web.latency", "equals": 1, "resources": ["x"]}, "resources"),
}


@pytest.mark.parametrize(("criterion", "why"), PROPOSED.values(), ids=PROPOSED)
def test_a_proposal_says_values_and_never_how_they_are_read(criterion: dict[str, Any], why: str) -> None:
    with pytest.raises(ProposalError, match=why):
        receive(proposal_json(success_criteria=[criterion]))


def test_what_is_read_elsewhere_or_by_a_text_is_kept_with_the_facts() -> None:
    """So that a permit says who reads it by what; what the last step's executor reads by itself needs nothing."""
    found = probes_elsewhere(_proposal(LATENCY), _registry())

    assert {name: (probe.executor, probe.query) for name, probe in found.items()} == {
        "web.latency": ("metrics", 'p99{of="$resource"}')
    }


def test_a_guard_is_of_a_neighbour_that_there_is() -> None:
    assert guards(_proposal(LATENCY, GUARD), _registry()) == ("component:till",)
    found = guard_refusals({"component:till": ("web/till",), "component:x": (), "component:y": ("web/a",)}, ("web/a",))

    assert [(item.code, item.message.partition(":")[2][:30]) for item in found] == [
        ("unknown_guard", "x resolves to nothing in the c"),
        ("bad_criterion", "y is web/a, which the steps ac"),
    ]


def test_a_step_target_by_target_takes_as_often_as_long() -> None:
    """A day at most, and only the last step, as nothing is measured after another one."""
    proposal, registry = _proposal(LATENCY, one_by_one=True, timeout_seconds=40), _registry()
    criteria = effective(proposal, {item.name: item for item in registry.operations})
    too_many = MAX_SECONDS // 100 + 1

    assert [targets_of(proposal.steps[0], each) for each in (0, 1, 5)] == [1, 1, 5]
    assert targets_of(_proposal(LATENCY).steps[0], 5) == 1
    assert step_seconds(proposal.steps[0], criteria, 5) == 5 * (40 + 60)
    assert staging_refusals(proposal, registry, too_many - 1) == ()
    (found,) = staging_refusals(proposal, registry, too_many)
    assert (found.code, f"takes up to {too_many * 100} s" in found.message) == ("bad_staging", True)


def test_only_the_last_step_is_taken_target_by_target() -> None:
    steps = [STEP | {"one_by_one": True}, STEP | {"name": "again"}]
    proposal = a_proposal(operation="web.scale", steps=steps, success_criteria=[LATENCY])

    (found,) = staging_refusals(proposal, _registry(), 2)

    assert (found.code, "step scale is one_by_one and not the last" in found.message) == ("bad_staging", True)


SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "a value": ({"probe": "a.b", "equals": "up"}, 'a.b = "up" within 5 s'),
    "conditions": (
        {**LATENCY, "failure": None, "observe_seconds": 60, "initial_delay_seconds": 10},
        "web.latency is at most 1.2 times the value before within 15 s, for 60 s; first looked at after 10 s",
    ),
    "limits": (
        {"probe": "a.b", "equals": 1, "observe_seconds": 9, "failure_limit": 1, "error_limit": 2},
        "a.b = 1 within 5 s, for 9 s; failures forgiven: 1; looks without a value forgiven: 2",
    ),
    "a guard": (
        GUARD | {"consecutive_successes": 3, "failure": {"above": 0.5}},
        "web.errors on component:till is at most 0.01 within 5 s; 3 times in a row; fails if it is above 0.5",
    ),
}


@pytest.mark.parametrize(("said", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_people_read_a_criterion_as_a_sentence(said: dict[str, Any], sentence: str) -> None:
    assert criterion_words(_proposal(said).success_criteria[0]) == sentence


def test_no_parameter_of_a_probe_has_the_name_of_what_it_is_read_on() -> None:
    """A proposal would choose by its value which resource is measured."""
    probe = "probes:\n  - {name: web.errors, executor: metrics, type: number, parameters: {resource: {type: string}}}"

    with pytest.raises(DocumentError, match="its parameter resource has the name of what it is read on"):
        read_operations((HEAD + probe).encode())
