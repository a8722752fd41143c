"""Governed documents are YAML; this reads YAML without its traps.

- Duplicate keys are refused: the second would silently win.
- Anchors and aliases are refused: a few lines of them expand to gigabytes. So are tags.
- Only JSON's values, written as JSON writes them: `no`, `on` and `yes` stay strings (the Norway problem), and so do
  dates, `010` (YAML 1.1: eight), `1_000`, `0x10` and `1:30` (YAML 1.1: ninety).
- The digest of a document is SHA-256 over its bytes, so what was reviewed is what is in force.
"""

import re
from typing import Any, NamedTuple

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.resolver import Resolver

from policy.canonical import MAX_DEPTH, check_value
from policy.errors import CanonicalError, DocumentError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024


class _StrictLoader(Composer, CParser, SafeConstructor, Resolver):
    """SafeLoader without aliases, anchors, tags and duplicate keys, which resolves only what JSON has.

    libyaml reads, because Python does so four times as slowly; what is read is composed here, where it can be refused.
    """

    depth = 0

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _wrong("anchors and aliases are not read, write the value out", event.start_mark)
        if event.tag is not None:
            raise _wrong(f"tag {event.tag} is not read, write the plain value", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _wrong(f"nested deeper than {MAX_DEPTH}", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _wrong(f"key {key!r} is not a string, put it in quotes", key_node.start_mark)
            if key in seen:
                raise _wrong(f"key {key!r} occurs twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_RESOLVED = (
    ("null", r"(?:null|~|)", "n~"),
    ("bool", r"(?:true|false)", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-0123456789"),
)
_StrictLoader.yaml_implicit_resolvers = {}
for _kind, _regexp, _first in _RESOLVED:
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^{_regexp}$"), [*_first, *([""] if _kind == "null" else [])]
    )


class Written(NamedTuple):
    """One YAML document of a text: its value, and the node that says where each part of it stands."""

    value: Any
    node: yaml.Node


def read_yaml(body: bytes) -> list[Any]:
    """The values of the YAML documents in a text.

    Raises:
        DocumentError: with line and column, where there is one.
    """
    return [written.value for written in read_written(body)]


def read_written(body: bytes) -> list[Written]:
    """The YAML documents in a text, each with its places.

    Raises:
        DocumentError: with line and column, where there is one.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"document has {len(body)} bytes, at most {MAX_DOCUMENT_BYTES} are read")
    try:
        loader = _StrictLoader(body.decode("utf-8"))
        found = []
        while loader.check_node():
            node: Any = loader.get_node()
            found.append(Written(_value(loader, node), node))
    except UnicodeDecodeError as error:
        place = _after(body[: error.start].decode())
        raise DocumentError(f"document is not utf-8 at byte {error.start}", *place) from None
    except yaml.MarkedYAMLError as error:
        raise _wrong(str(error.problem), error.problem_mark) from None
    except yaml.reader.ReaderError as error:
        place = _after(body.decode()[: error.position])
        raise DocumentError(f"document is malformed: {str(error).splitlines()[0]}", *place) from None
    return found


def _after(text: str) -> tuple[int, int]:
    """Line and column of what follows a text."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _value(loader: Any, node: yaml.Node) -> Any:
    try:
        value = loader.construct_document(node)
        check_value(value)
    except (CanonicalError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise _wrong(f"document is malformed: {reason}", _offender(loader, node).start_mark) from None
    return value


def _offender(loader: Any, node: yaml.Node) -> yaml.Node:
    """The first scalar that no JSON value can be made of; the node itself where there is none."""
    # What failed left its half behind, and would be taken for an object that contains itself.
    loader.recursive_objects.clear()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, yaml.ScalarNode):
            try:
                check_value(loader.construct_object(at))
            except (CanonicalError, ValueError):
                return at
        elif isinstance(at, yaml.MappingNode):
            waiting.extend(part for pair in reversed(at.value) for part in reversed(pair))
        else:
            waiting.extend(reversed(at.value))
    return node


def _wrong(message: str, mark: Any) -> DocumentError:
    return DocumentError(message, mark.line + 1, mark.column + 1)
