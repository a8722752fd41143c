"""What an MCP server lists of its tools, as entries of the operations registry.

- The class is read from the name and the description of a tool (`policy/importing/verbs.py`).
- Hints can only raise it: `destructiveHint: true` makes it destructive, `readOnlyHint: false` makes it no read. A tool
  that gives hints and leaves `destructiveHint` out says true by the protocol, unless it says that it only reads.
  `readOnlyHint: true` and `destructiveHint: false` lower nothing.
- A tool whose hints, name or required parameters cannot be read is skipped, and so stays unknown: the worst case.
- Patterns are not taken over: theirs match anywhere, ours from end to end.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from policy.canonical import parse_json
from policy.errors import CanonicalError, DocumentError, explain
from policy.importing.entries import ImportedEntry, ImportedOperations, make_entry, operation_name, printable
from policy.importing.lexicon import Kind, worst
from policy.importing.schema_types import Untyped, parameters_of
from policy.importing.verbs import judge
from policy.yaml_text import MAX_DOCUMENT_BYTES

MAX_TOOLS = 5000
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def import_tools(body: bytes, server: str, executor: str = "mcp") -> ImportedOperations:
    """Read the answer to `tools/list`, with or without its JSON-RPC envelope.

    Args:
        body: JSON, at most 4 MiB.
        server: what the server is called; operations are named `mcp.<server>.<tool>`.
        executor: who calls the tools.

    Raises:
        DocumentError: it is no list of tools.
    """
    tools = _tools(body)
    entries: dict[str, ImportedEntry] = {}
    skips: list[tuple[str, str]] = []
    notes: list[str] = []
    for number, tool in enumerate(tools, start=1):
        label = printable(str(tool.get("name")))[:100] if isinstance(tool, dict) else f"tool {number}"
        try:
            entry, left_out = _entry(tool, server, executor)
        except Untyped as why:
            skips.append((label, str(why)))
            continue
        if entry.operation.name in entries:
            skips.append((label, f"{entry.operation.name} is the name of another tool already"))
            continue
        entries[entry.operation.name] = entry
        notes += [f"{entry.operation.name}: {what}" for what in left_out]
    return ImportedOperations(tuple(entries.values()), tuple(skips), tuple(notes))


def raised(own: Kind, hints: Mapping[str, bool]) -> Kind:
    """A class, raised by what a tool says about itself; never lowered.

    Args:
        own: our own reading.
        hints: the annotations that the tool gives; empty where it gives none.
    """
    if hints.get("destructiveHint"):
        return Kind.destructive
    if hints and hints.get("readOnlyHint") is not True and own is not Kind.read and "destructiveHint" not in hints:
        return Kind.destructive
    if hints.get("readOnlyHint") is False:
        return worst(own, Kind.mutate if "destructiveHint" in hints else Kind.destructive)
    return own


def _tools(body: bytes) -> list[Any]:
    try:
        value = parse_json(body, MAX_DOCUMENT_BYTES)
    except CanonicalError as error:
        raise DocumentError(f"tools cannot be read: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = value["result"]
    tools = value.get("tools") if isinstance(value, dict) else value
    if not isinstance(tools, list):
        raise DocumentError("file has no list of tools: give it the answer of tools/list")
    if len(tools) > MAX_TOOLS:
        raise DocumentError(f"file has {len(tools)} tools, at most {MAX_TOOLS} are read: split it")
    return tools


def _entry(tool: Any, server: str, executor: str) -> tuple[ImportedEntry, tuple[str, ...]]:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        raise Untyped("it has no name")
    name = operation_name(("mcp", server, tool["name"]))
    if name is None:
        raise Untyped("its name makes no operation name: use letters, digits, `_` and `-`, at most 90")
    about = tool.get("description")
    about = about if isinstance(about, str) else ""
    hints = _hints(tool.get("annotations"))
    judged = judge(tool["name"], about)
    kind = raised(judged.kind, hints)
    said = ", ".join(f"{hint}={str(value).lower()}" for hint, value in hints.items()) or "none"
    why = judged.why if kind is judged.kind else f"{judged.why}; raised by its hints: {said}"
    parameters, left_out = parameters_of(tool.get("inputSchema"))
    origin = f"tools/list of {server}; class by {judged.why}; hints: {said}"
    try:
        made = make_entry(name, executor, judged, kind, about=about, origin=origin, parameters=parameters)
    except ValidationError as error:
        raise Untyped(explain(error)) from None
    return ImportedEntry(made, kind, why), left_out


def _hints(given: Any) -> dict[str, bool]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Untyped("its annotations are no object")
    hints = {hint: given[hint] for hint in _HINTS if given.get(hint) is not None}
    for hint, value in hints.items():
        if not isinstance(value, bool):
            raise Untyped(f"its {hint} is neither true nor false")
    return hints
