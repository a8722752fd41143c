"""The operations registry and the parameters of a proposal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.consistency import contradictions
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
    "a list of texts": (Parameter(type="list"), ["a", "b"], None),
    "a number among texts": (Parameter(type="list", items="string"), ["a", 1], "item 2 is not of type string"),
    "a text for a list": (Parameter(type="list"), "ab", "is not of type list"),
    "a list with a pattern": (Parameter(type="list", pattern="[a-z]"), ["a", "bc"], "item 2 does not match [a-z]"),
    "a list that is too long": (Parameter(type="list", maximum=1), ["a", "b"], "has a length that is above 1"),
    "an object": (Parameter(type="object"), {"a": [1]}, None),
    "one of an enum": (Parameter(type="string", enum=("on", "off")), "on", None),
    "none of an enum": (Parameter(type="string", enum=("on", "off")), "maybe", "is none of on, off"),
    "1.0 of an enum of numbers": (Parameter(type="number", enum=(1, 2)), 1.0, None),
    "the least": (Parameter(type="integer", minimum=1, maximum=3), 1, None),
    "too little": (Parameter(type="integer", minimum=1), 0, "is below 1"),
    "too much": (Parameter(type="number", maximum=0.5), 0.6, "is above 0.5"),
    "a text that is too short": (Parameter(type="string", minimum=2), "a", "has a length that is below 2"),
    "a secret by reference": (Parameter(type="string", secret=True), "secret://orders/password", None),
    "a secret": (
        Parameter(type="string", secret=True),
        "hunter2",
        "is not a reference: write secret://NAME, never the secret",
    ),
}

HEAD = "apiVersion: countersign/v1\nkind: OperationsRegistry\nmetadata: {name: o, version: '1'}\n"
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
    "a read with effects": (f"- {{{_GOOD}, read_only: true, effects: [security]}}", "read_only and has effects"),
    "a read that destroys": (f"- {{{_GOOD}, read_only: true, destructive: true}}", "read_only and is destructive"),
    "a severe read": ("- {name: a.b, executor: x, severity: 11, read_only: true}", "has severity 11, above 10"),
    "a read that is undone": (
        f"- {{{_GOOD}, read_only: true, inverse: [a.c]}}\n- {{name: a.c, executor: x, severity: 1}}",
        "read_only and has an inverse",
    ),
    "a read that undoes": (
        f"- {{{_GOOD}, inverse: [a.c]}}\n- {{name: a.c, executor: x, severity: 1, read_only: true}}",
        "its inverse a.c is read_only",
    ),
    "destroyed and nothing to undo": (
        f"- {{{_GOOD}, destructive: true, needs_no_undo: true}}",
        "needs_no_undo and is destructive",
    ),
    "an undo that cannot be given": (f"- {{{_GOOD}, required: [undo]}}", "requires an undo and has no inverse"),
    "a share of nothing counted": (f"- {{{_GOOD}, caps: {{share: 0.5}}}}", "caps.share needs counts"),
    "a share beyond all": (f"- {{{_GOOD}, caps: {{share: 1.5}}}}", "less than or equal to 1"),
    "a cap of nothing": (f"- {{{_GOOD}, caps: {{per_hour: 0}}}}", "greater than or equal to 1"),
    "counting what is not there": (f"- {{{_GOOD}, counts: {{parameter: n}}}}", "counts n, which is no parameter"),
    "counting a text": (
        f"- {{{_GOOD}, counts: {{parameter: n}}, parameters: {{n: {{type: string}}}}}}",
        "counts n, which is of type string",
    ),
    "identified by what is not there": (f"- {{{_GOOD}, identifies: [n]}}", "identifies n, which is no parameter"),
    "identified by a secret": (
        f"- {{{_GOOD}, identifies: [n], parameters: {{n: {{type: string, secret: true}}}}}}",
        "identifies n, which is a secret",
    ),
    "a criterion of what is not there": (
        f"- {{{_GOOD}, criteria: [{{probe: p.q, equals: $n}}]}}",
        r"equals is \$n, which is no parameter",
    ),
    "a criterion of what may be missing": (
        f"- {{{_GOOD}, criteria: [{{probe: p.q, equals: $n}}], parameters: {{n: {{type: string, required: false}}}}}}",
        r"equals is \$n, which may be missing",
    ),
    "a criterion of a secret": (
        f"- {{{_GOOD}, criteria: [{{probe: p.q, equals: $n}}], parameters: {{n: {{type: string, secret: true}}}}}}",
        r"equals is \$n, which is a secret",
    ),
    "a secret with a form": (
        f"- {{{_GOOD}, parameters: {{n: {{type: string, secret: true, pattern: a}}}}}}",
        "a secret is a reference",
    ),
    "a range of nothing": (
        f"- {{{_GOOD}, parameters: {{n: {{type: integer, minimum: 2, maximum: 1}}}}}}",
        "minimum 2 is above maximum 1",
    ),
    "an enum of another type": (
        f"- {{{_GOOD}, parameters: {{n: {{type: integer, enum: [a]}}}}}}",
        "enum has 'a', which is not of type integer",
    ),
    "effects beyond 100": (f"- {{{_GOOD}, effects: {{security: 101}}}}", "less than or equal to 100"),
    "an effect that is none": (f"- {{{_GOOD}, effects: [money]}}", "effects"),
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
    with pytest.raises(DocumentError, match=message):
        read_operations(f"{HEAD}operations:\n{operations}".encode())


@pytest.mark.parametrize(("changes", "expected"), PROPOSALS.values(), ids=PROPOSALS)
def test_parameters_of_a_proposal(changes: dict[str, Any], expected: list[str]) -> None:
    """Steps and undos are held to what the registry declares."""
    assert [item.message for item in parameter_refusals(a_proposal(**changes), a_registry())] == expected


PROBES: dict[str, tuple[str, str, str]] = {
    "not declared": ("{name: p.r, executor: x, type: string}", "{probe: p.q, equals: $n}", "probe p.q is not declared"),
    "constant": ("{name: p.q, executor: x, type: string, constant: true}", "{probe: p.q, equals: $n}", "is constant"),
    "of another type": ("{name: p.q, executor: x, type: boolean}", "{probe: p.q, equals: $n}", "reads boolean"),
    "never so": ("{name: p.q, executor: x, type: boolean}", "{probe: p.q, equals: 1}", "reads boolean, and 1 is none"),
    "with a text that names no parameter": (
        "{name: p.q, executor: y, type: string, query: SELECT $other}",
        "{probe: p.q, equals: $n}",
        "its query has [$]other, which is no parameter",
    ),
    "with a text whose $ names nothing": (
        "{name: p.q, executor: y, type: string, query: SELECT $1}",
        "{probe: p.q, equals: $n}",
        "has a [$] that names nothing",
    ),
    "without its parameter": (
        "{name: p.q, executor: x, type: string, parameters: {n: {type: string}}}",
        "{probe: p.q, equals: $n}",
        "needs parameter n",
    ),
    "with one too many": (
        "{name: p.q, executor: x, type: string}",
        "{probe: p.q, parameters: {n: $n}, equals: $n}",
        "has no parameter n",
    ),
}


@pytest.mark.parametrize(("probe", "criterion", "message"), PROBES.values(), ids=PROBES)
def test_minimum_criteria_are_about_declared_probes(probe: str, criterion: str, message: str) -> None:
    """Where probes are declared, a minimum criterion is one that its executor can measure and that can fail."""
    operation = f"{{{_GOOD}, parameters: {{n: {{type: string}}}}, criteria: [{criterion}]}}"
    with pytest.raises(DocumentError, match=message):
        read_operations(f"{HEAD}probes: [{probe}]\noperations: [{operation}]".encode())


def test_what_is_made_sure_of_before_is_read_by_who_acts() -> None:
    """A criterion may be measured by another executor; what holds before the effect only who acts can make sure of."""
    probes = "probes: [{name: p.q, executor: y, type: integer, query: sum(up)}]"
    reading = "[{probe: p.q, equals: 1}]"

    read = read_operations(f"{HEAD}{probes}\noperations: [{{{_GOOD}, criteria: {reading}}}]".encode())
    with pytest.raises(DocumentError, match="is read by y, and x is to make sure of it"):
        read_operations(f"{HEAD}{probes}\noperations: [{{{_GOOD}, before: {reading}}}]".encode())

    found = read.probe("p.q")
    assert found is not None
    assert (found.executor, found.query) == ("y", "sum(up)")


def test_parts_are_one_registry() -> None:
    """Several documents are one; an inverse, or a probe, may be in another part."""
    one = f"{HEAD}operations: [{{{_GOOD}, inverse: [a.c], criteria: [{{probe: p.q, equals: 1}}]}}]\n"
    other = HEAD + "operations: [{name: a.c, executor: x, severity: 1}]\n"
    probes = HEAD + "probes: [{name: p.q, executor: x, type: integer}]\n"

    registry = read_operations(f"{one}---\n{other}---\n{probes}".encode())

    assert [registry.find(name) is not None for name in ("a.b", "a.c", "a.d")] == [True, True, False]
    assert registry.probe("p.q") is not None


def test_a_name_in_two_parts_is_refused() -> None:
    """Who registers what another part has is told which two parts they are."""
    parts = [f"{HEAD.replace('name: o', f'name: {name}')}operations: [{{{_GOOD}}}]\n" for name in ("one", "two")]
    with pytest.raises(DocumentError, match=r"a\.b is registered twice, in one and in two"):
        read_operations("---\n".join(parts).encode())


def test_an_empty_text_is_no_registry() -> None:
    """A text without a document is refused."""
    with pytest.raises(DocumentError):
        read_operations(b"---\n---\n")


UNITS: dict[str, tuple[str, dict[str, Any], float | None]] = {
    "a number": ("{parameter: n}", {"n": 3}, 3.0),
    "a list": ("{parameter: n}", {"n": ["a", "b"]}, 2.0),
    "less than nothing": ("{parameter: n}", {"n": -3}, 0.0),
    "all": ("{all: true}", {}, 40.0),
    "a text says nothing": ("{parameter: n}", {"n": "three"}, None),
    "nothing given": ("{parameter: n}", {}, None),
}


@pytest.mark.parametrize(("counts", "parameters", "expected"), UNITS.values(), ids=UNITS)
def test_units_touched(counts: str, parameters: dict[str, Any], expected: float | None) -> None:
    """A step takes what its operation counts: a number, the items of a list, or all that there is."""
    kind = "list" if isinstance(parameters.get("n"), list) else "number"
    body = f"{HEAD}operations: [{{{_GOOD}, counts: {counts}, parameters: {{n: {{type: {kind}, required: false}}}}}}]"
    proposal = a_proposal(operation="a.b", steps=[{"name": "s", "operation": "a.b", "parameters": parameters}])

    assert read_operations(body.encode()).units_touched(proposal, 40.0) == expected


def test_what_does_not_say_how_much_it_takes_is_not_known() -> None:
    """One step that does not say makes the whole unknown; a read takes nothing."""
    body = f"{HEAD}operations: [{{{_GOOD}}}, {{name: a.r, executor: x, severity: 0, read_only: true}}]"
    registry = read_operations(body.encode())

    def touched(*names: str) -> float | None:
        steps = [{"name": name, "operation": name} for name in names]
        return registry.units_touched(a_proposal(operation=names[0], steps=steps), 40.0)

    assert [touched("a.r"), touched("a.r", "a.b"), touched("a.x")] == [0.0, None, None]


def test_effects_have_levels() -> None:
    """A list of effects means the worst level of each; a mapping says them."""
    other = "{name: a.c, executor: x, severity: 1, effects: {security: 7}}"
    body = f"{HEAD}operations: [{{{_GOOD}, effects: [security]}}, {other}]"
    first, second = read_operations(body.encode()).operations[-2:]

    assert (first.effect_levels, second.effect_levels) == ({"security": 100}, {"security": 7})


def test_a_secret_is_never_repeated() -> None:
    """A secret that was given as such is refused, and the refusal does not say it."""
    body = f"{HEAD}operations: [{{{_GOOD}, parameters: {{word: {{type: string, secret: true}}}}}}]"
    step = {"name": "s", "operation": "a.b", "parameters": {"word": "hunter2"}}

    (found,) = parameter_refusals(a_proposal(operation="a.b", steps=[step]), read_operations(body.encode()))

    assert found.message == "step s: parameter word is not a reference: write secret://NAME, never the secret"


@pytest.mark.parametrize(("name", "refused"), [("work_mem", False), ("jit", True)])
def test_an_undo_is_about_the_same_object(name: str, refused: bool) -> None:
    """What identifies the object has the same value in a step and in its undo."""
    body = OPERATIONS.replace(b"inverse: [pg.set, pg.reset]", b"inverse: [pg.set, pg.reset]\n    identifies: [name]")
    step = step_json() | {"undo": {"operation": "pg.reset", "parameters": {"name": name}}}

    found = parameter_refusals(a_proposal(steps=[step]), read_operations(body))

    assert [item.code for item in found] == ["undo_is_no_inverse"] * refused


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


_PIECES = st.sampled_from(
    [
        *(
            b"\n",
            b"  ",
            b"- ",
            b": ",
            b"{",
            b"}",
            b"[",
            b"]",
            b"$x",
            b"\xff",
            b"&a",
            b"*a",
            b"!!int",
            b"---\n",
            b"null",
            b"'",
        ),
        *(b"1e99", b"0", b"-1", b"true", b"inverse", b"criteria", b"enum: [1]", b"pattern: '('", b"read_only: true"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(OPERATIONS)), _PIECES), min_size=1, max_size=6))
def test_any_text(changes: list[tuple[int, bytes]]) -> None:
    """A text with anything put into it is a registry without contradictions, or an error that says what is wrong."""
    body = OPERATIONS
    for at, piece in changes:
        body = body[:at] + piece + body[at:]
    try:
        registry = read_operations(body)
    except DocumentError:
        return
    assert contradictions(registry) == ()
