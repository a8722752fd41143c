"""The operations registry and the parameters of a proposal."""

from typing import Any

import pytest

from policy.errors import DocumentError
from policy.operations import MAX_REASONS, RiskTier, read_operations, unknown
from policy.parameter_types import Parameter
from policy.parameters import parameter_refusals
from tests.unit.builders import OPERATIONS, a_proposal, a_registry, step_json

PARAMETERS: dict[str, tuple[Parameter, Any, str | None]] = {
    "a string": (Parameter(type="string"), "x", None),
    "a number for a string": (Parameter(type="string"), 1, "is not of type string"),
    "an integer": (Parameter(type="integer"), 1, None),
    "true for an integer": (Parameter(type="integer"), True, "is not of type integer"),
    "a float for an integer": (Parameter(type="integer"), 1.5, "is not of type integer"),
    "a text for an integer": (Parameter(type="integer"), "1", "is not of type integer"),
    "an integer for a number": (Parameter(type="number"), 1, None),
    "a float for a number": (Parameter(type="number"), 1.5, None),
    "false for a number": (Parameter(type="number"), False, "is not of type number"),
    "a boolean": (Parameter(type="boolean"), False, None),
    "zero for a boolean": (Parameter(type="boolean"), 0, "is not of type boolean"),
    "null": (Parameter(type="string"), None, "is not of type string"),
    "a list": (Parameter(type="string"), ["x"], "is not of type string"),
    "a pattern that fits": (Parameter(type="string", pattern="[a-z]+"), "abc", None),
    "a pattern that fits in part": (Parameter(type="string", pattern="[a-z]+"), "abc;", r"does not match [a-z]+"),
    "a pattern and a line end": (Parameter(type="string", pattern="[a-z]+$"), "abc\n", r"does not match [a-z]+$"),
    "a pattern of a number": (Parameter(type="number", pattern="1"), 1.0, None),
    "a pattern of a boolean": (Parameter(type="boolean", pattern="true"), True, None),
}

_GOOD = "name: a.b, executor: x, severity: 1"
REFUSED = {
    "an operation twice": (f"- {{{_GOOD}}}\n- {{{_GOOD}}}", "a.b is registered twice"),
    "an inverse that is not there": (f"- {{{_GOOD}, inverse: [a.c]}}", "inverse a.c is not registered"),
    "a severity in octal": ("- {name: a.b, executor: x, severity: 0100}", "severity: input should be a valid integer"),
    "a severity beyond 100": ("- {name: a.b, executor: x, severity: 101}", "less than or equal to 100"),
    "yes for a boolean": (f"- {{{_GOOD}, needs_no_undo: yes}}", "needs_no_undo: .*valid boolean"),
    "a pattern that is none": (
        f"- {{{_GOOD}, parameters: {{p: {{type: string, pattern: '['}}}}}}",
        "pattern is no regular expression",
    ),
    "a typo": (f"- {{{_GOOD}, flor: high}}", "flor: extra inputs"),
}

PROPOSALS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "as declared": ({}, []),
    "one is missing": ({"steps": [step_json(parameters={})]}, ["step set: parameter name is missing"]),
    "one that need not be there": ({"steps": [step_json(parameters={"name": "work_mem"})]}, []),
    "one of the wrong type": (
        {"steps": [step_json(parameters={"name": 5})]},
        ["step set: parameter name = 5 is not of type string"],
    ),
    "one that is not declared": (
        {"steps": [step_json(parameters={"name": "work_mem", "sql\x1b": "drop"})]},
        ["step set: parameter 'sql\\x1b' is not declared by pg.set"],
    ),
    "an undo is held to the same": (
        {"steps": [step_json(undo=None) | {"undo": {"operation": "pg.reset"}}]},
        ["undo of step set: parameter name is missing"],
    ),
    "an undo that is no inverse": (
        {"steps": [step_json(undo="pg.drop")]},
        ["step set: pg.drop is no inverse of pg.set (registered: pg.set, pg.reset)"],
    ),
    "an operation without any inverse": (
        {"operation": "pg.drop", "steps": [step_json("pg.drop", undo="pg.reset")]},
        ["step set: pg.reset is no inverse of pg.drop (registered: none)"],
    ),
    "an operation that is not registered is another rule's": (
        {"operation": "pg.look", "steps": [step_json("pg.look", undo="pg.other")]},
        [],
    ),
}


@pytest.mark.parametrize(("parameter", "value", "refusal"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameter(parameter: Parameter, value: Any, refusal: str | None) -> None:
    """A value is of its JSON type, never converted, and matches its pattern from end to end."""
    assert parameter.refusal(value) == refusal


@pytest.mark.parametrize(("operations", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(operations: str, message: str) -> None:
    """A registry that says two things of one operation, or something else than meant, cannot be used."""
    head = "apiVersion: countersign/v1\nkind: OperationsRegistry\nmetadata: {name: o, version: '1'}\noperations:\n"
    with pytest.raises(DocumentError, match=message):
        read_operations((head + operations).encode())


@pytest.mark.parametrize(("changes", "expected"), PROPOSALS.values(), ids=PROPOSALS)
def test_parameters_of_a_proposal(changes: dict[str, Any], expected: list[str]) -> None:
    """Steps and undos are held to what the registry declares."""
    assert [item.message for item in parameter_refusals(a_proposal(**changes), a_registry())] == expected


def test_thousands_of_wrong_parameters_are_said_in_a_few_lines() -> None:
    """What is wrong is kept several times over, so only the first reasons are spelled out."""
    step = step_json(undo=None) | {"parameters": {f"p{number}": 1 for number in range(5000)}}

    found = parameter_refusals(a_proposal(steps=[step]), a_registry())

    assert len(found) == MAX_REASONS + 1
    assert found[-1].message.startswith("and ")


def test_what_nobody_registered_is_the_worst() -> None:
    """Of an unknown operation everything bad is assumed."""
    worst = unknown("x.y")
    assert (worst.severity, worst.floor, worst.destructive, worst.inverse) == (100, RiskTier.critical, True, ())
    assert len(worst.effects) == 4


def test_tiers_are_ordered() -> None:
    """low < medium < high < critical."""
    assert [tier.rank for tier in RiskTier] == [0, 1, 2, 3]
    assert a_registry().find("pg.nothing") is None
    assert OPERATIONS.count(b"name: pg.") == len(
        [item for item in a_registry().operations if item.name.startswith("pg.")]
    )
