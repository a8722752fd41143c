"""What tools say of themselves, as entries of the operations registry."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import DocumentError
from policy.importing.lexicon import Kind
from policy.importing.mcp import import_tools, raised
from policy.importing.verbs import judge
from policy.operations import RegisteredOperation, RiskTier, read_operations

READ, MUTATE, DESTRUCTIVE = Kind.read, Kind.mutate, Kind.destructive

# Made up for this table: what words do, wherever they come from.
JUDGED: dict[str, tuple[str, str, Kind]] = {
    "a verb of reading": ("widgets_list", "", READ),
    "in camel case": ("ListWidgets", "", READ),
    "in kebab case": ("describe-widget", "", READ),
    "a verb of making": ("create_widget", "", MUTATE),
    "a verb of destroying": ("widget_purge", "", DESTRUCTIVE),
    "the worst of two": ("get_or_delete_widget", "", DESTRUCTIVE),
    "reading, then making": ("fetch_and_apply", "", MUTATE),
    "a noun after a verb of reading": ("get_build_schedule", "", READ),
    "the same noun as a verb": ("build_widget", "", MUTATE),
    "a read in the past of something else": ("mark_as_read", "", MUTATE),
    "no verb at all": ("frobnicate", "Frobnicates the widgets.", DESTRUCTIVE),
    "no verb, and a description that reads": ("widget_topology", "Returns the topology of all widgets.", READ),
    "no verb, and a description that destroys": ("widget_topology", "Erases the topology.", DESTRUCTIVE),
    "a description that does more": ("get_widget", "Get or update a widget.", MUTATE),
    "three verbs": ("widget", "List, patch, or remove widgets.", DESTRUCTIVE),
    "a second sentence": ("get_widget", "Gets a widget. Deletes it afterwards.", DESTRUCTIVE),
    "what it will do": ("read_queue", "Read the next message; it will also remove it.", DESTRUCTIVE),
    "how it is done": ("diagnose_widget", "Diagnose a widget by restarting it.", MUTATE),
    "what it does not do": ("validate_widget", "Validate a widget without applying or deleting anything.", READ),
    "what it names": ("get_widget", "Get a widget. See `delete_widget` and remove_widget.", READ),
    "adjectives": ("list_widgets", "List widgets, deleted ones included.", READ),
    "taking out": ("check_out_book", "Check out a book.", MUTATE),
    "bringing back": ("return_book", "Returns a book.", MUTATE),
    "taking out, then destroying": ("check_out_and_burn_then_delete", "", DESTRUCTIVE),
    "any query": ("graphql", "Run an arbitrary query.", DESTRUCTIVE),
    "a query, and no verb": ("metrics", "Run a query.", DESTRUCTIVE),
    "a shell": ("shell", "", DESTRUCTIVE),
    "any command": ("run_command", "", DESTRUCTIVE),
    "any code": ("widget_helper", "Gets a widget, and can execute a script in it.", DESTRUCTIVE),
    "any SQL": ("query_database", "Run a read-only query.", DESTRUCTIVE),
    "a query of metrics": ("query_metrics", "Executes a query against the metrics.", READ),
    "a flood": ("get_" * 5000, "Get " * 5000, READ),
    "not a letter": ("123", "456", DESTRUCTIVE),
    "nothing": ("", "", DESTRUCTIVE),
}


@pytest.mark.parametrize(("name", "description", "expected"), JUDGED.values(), ids=JUDGED)
def test_judge(name: str, description: str, expected: Kind) -> None:
    """The worst verb of the name and of what the description says is done; what is unknown is destructive."""
    assert judge(name, description).kind is expected


def _import(*tools: Any, server: str = "house") -> list[RegisteredOperation]:
    found = import_tools(json.dumps({"tools": tools}).encode(), server)
    return [item.operation for item in found.entries]


_HINT = (None, True, False)
_HINTS = [
    {name: value for name, value in zip(names, values, strict=True) if value is not None}
    for names in [("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")]
    for values in itertools.product(_HINT, repeat=4)
]


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=40)


def _rank(item: RegisteredOperation) -> tuple[int, int, bool, bool, int]:
    return (item.floor.rank, item.severity, item.destructive, not item.read_only, sum(item.effect_levels.values()))


@given(st.sampled_from([*[name for name, _, _ in JUDGED.values()][:-3], "get_secret", "set_role"]), _TEXT)
def test_hints_only_raise(name: str, description: str) -> None:
    """Whatever a tool says about itself, its floor and its class are never lower than where it says nothing."""
    tool = {"name": name, "description": description}
    (silent,) = _import(tool)
    for hints in _HINTS:
        (hinted,) = _import({**tool, "annotations": hints})
        assert all(said >= own for said, own in zip(_rank(hinted), _rank(silent), strict=True)), hints


RAISED: dict[str, tuple[Kind, dict[str, bool], Kind]] = {
    "a read that says so": (READ, {"readOnlyHint": True}, READ),
    "a read that says it is none": (READ, {"readOnlyHint": False}, DESTRUCTIVE),
    "and that it destroys nothing": (READ, {"readOnlyHint": False, "destructiveHint": False}, MUTATE),
    "a read that says it destroys": (READ, {"readOnlyHint": True, "destructiveHint": True}, DESTRUCTIVE),
    "a change that says nothing": (MUTATE, {}, MUTATE),
    "a change with other hints only": (MUTATE, {"idempotentHint": True}, DESTRUCTIVE),
    "a change that says it only reads": (MUTATE, {"readOnlyHint": True}, MUTATE),
    "a change that says it destroys nothing": (MUTATE, {"destructiveHint": False}, MUTATE),
    "what destroys and says it does not": (DESTRUCTIVE, {"readOnlyHint": True, "destructiveHint": False}, DESTRUCTIVE),
}


@pytest.mark.parametrize(("own", "hints", "expected"), RAISED.values(), ids=RAISED)
def test_raised(own: Kind, hints: dict[str, bool], expected: Kind) -> None:
    """A hint that is left out means what the protocol says, and lowers nothing."""
    assert raised(own, hints) is expected


def test_entries() -> None:
    """Reads are read-only, secrets are not, changes have a floor, and what runs anything is critical."""
    found = _import(*({"name": name} for name in ("list_pods", "get_secret", "set_label", "add_role", "drop", "exec")))

    assert [(item.read_only, item.destructive, item.floor) for item in found] == [
        (True, False, RiskTier.low),
        (False, False, RiskTier.medium),
        (False, False, RiskTier.medium),
        (False, False, RiskTier.high),
        (False, True, RiskTier.high),
        (False, True, RiskTier.high),
    ]


def test_parameters() -> None:
    """Types, enums, bounds and what is required come from the schema; what is a secret goes by reference."""
    properties = {
        "kind": {"type": "string", "enum": ["a", "b"]},
        "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "apiKey": {"type": "string", "pattern": "^x"},
        "any": {"anyOf": [{"type": "string"}]},
        "body": {"type": "object"},
    }
    (found,) = _import({"name": "list_x", "inputSchema": {"properties": properties, "required": ["kind"]}})

    assert set(found.parameters) == {"kind", "count", "names", "apiKey", "body"}
    assert found.parameters["kind"].required
    assert not found.parameters["count"].required
    refusals = {
        name: found.parameters[name].refusal(value)
        for name, value in (("kind", "c"), ("count", 6), ("names", ["a"] * 4), ("apiKey", "k"), ("body", "b"))
    }
    assert None not in refusals.values()


SKIPPED: dict[str, Any] = {
    "no object": "list_pods",
    "no name": {"description": "List pods"},
    "a name of nothing": {"name": "…"},
    "a hint that is a text": {"name": "list_x", "annotations": {"readOnlyHint": "true"}},
    "hints that are a list": {"name": "list_x", "annotations": []},
    "a schema that is a text": {"name": "list_x", "inputSchema": "object"},
    "a required parameter without a type": {
        "name": "list_x",
        "inputSchema": {"properties": {"p": {"$ref": "#/x"}}, "required": ["p"]},
    },
    "a required parameter that is not described": {"name": "list_x", "inputSchema": {"required": ["p"]}},
    "a required parameter that is no name": {"name": "list_x", "inputSchema": {"required": [[]]}},
}


@pytest.mark.parametrize("tool", SKIPPED.values(), ids=SKIPPED)
def test_what_cannot_be_read_is_skipped_and_said(tool: Any) -> None:
    """A tool that cannot be read stays unknown, which is the worst; the others are read."""
    found = import_tools(json.dumps({"result": {"tools": [tool, {"name": "list_y"}]}}).encode(), "house")

    assert [item.operation.name for item in found.entries] == ["mcp.house.list_y"]
    assert len(found.skips) == 1
    assert any(line.startswith("skipped: ") for line in found.lines())


def test_two_tools_of_one_name() -> None:
    """Two names that are one operation name would hide each other: the second is skipped."""
    found = import_tools(b'[{"name": "list-x"}, {"name": "list_x"}]', "house")
    assert (len(found.entries), len(found.skips)) == (1, 1)


@pytest.mark.parametrize("body", [b"", b"{}", b"1", b"\xff", b'{"tools": {}}', b'{"a":1,"a":2}', b"[" * 100_000])
def test_no_tools(body: bytes) -> None:
    """What is no list of tools is an error that says so."""
    with pytest.raises(DocumentError):
        import_tools(body, "house")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_SCHEMA = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(
            st.text(max_size=6),
            st.fixed_dictionaries(
                {},
                optional={
                    "type": st.sampled_from(["string", "integer", "array", "boolean", "object", "null"]) | _JSON,
                    "enum": st.lists(_JSON, max_size=2) | _JSON,
                    "minimum": _JSON,
                    "maxLength": _JSON,
                    "items": _JSON,
                },
            ),
            max_size=3,
        )
        | _JSON,
        "required": st.lists(st.text(max_size=6), max_size=2) | _JSON,
    },
)
_TOOL = st.fixed_dictionaries(
    {"name": st.text(max_size=12) | st.sampled_from(["list_x", "1e5", "no"])},
    optional={"description": st.text(max_size=30) | _JSON, "inputSchema": _SCHEMA, "annotations": _JSON},
)


@given(st.lists(_TOOL | _JSON, max_size=4))
def test_whatever_is_imported_can_be_published(tools: list[Any]) -> None:
    """Any list gives entries and skips; the text of the entries reads back as the same entries."""
    try:
        body = json.dumps({"tools": tools}).encode()
        found = import_tools(body, "house")
    except DocumentError:
        return
    assert len(found.entries) + len(found.skips) == len(tools)
    if found.entries:
        registry = read_operations(found.text("house").encode())
        assert [registry.find(item.operation.name) for item in found.entries] == [
            item.operation for item in found.entries
        ]
