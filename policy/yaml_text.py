"""Governed documents are YAML; this reads YAML without its traps.

- Duplicate keys are refused: the second would silently win.
- Anchors and aliases are refused: a few lines of them expand to gigabytes. So are tags.
- Only JSON's values, written as JSON writes them: `no`, `on` and `yes` stay strings (the Norway problem), and so do
  dates, `010` (YAML 1.1: eight), `1_000`, `0x10` and `1:30` (YAML 1.1: ninety).
- The digest of a document is SHA-256 over its bytes, so what was reviewed is what is in force.
"""

import re
from typing import Any

import yaml

from policy.canonical import MAX_DEPTH, check_value
from policy.errors import CanonicalError, DocumentError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, anchors, tags and duplicate keys, which resolves only what JSON has."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise DocumentError(f"{_place(event)}: anchors and aliases are not read, write the value out")
        if event.tag is not None:
            raise DocumentError(f"{_place(event)}: tag {event.tag} is not read, write the plain value")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DocumentError(f"{_place(event)}: nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise DocumentError(f"{_place(key_node)}: key {key!r} is not a string, put it in quotes")
            if key in seen:
                raise DocumentError(f"{_place(key_node)}: key {key!r} occurs twice")
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


def read_yaml(body: bytes) -> list[Any]:
    """The values of the YAML documents in a text.

    Raises:
        DocumentError: with line and column, where there is one.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"document has {len(body)} bytes, at most {MAX_DOCUMENT_BYTES} are read")
    try:
        values = list(yaml.load_all(body.decode("utf-8"), Loader=_StrictLoader))
        for value in values:
            check_value(value)
    except UnicodeDecodeError as error:
        raise DocumentError(f"document is not utf-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        raise DocumentError(f"{_position(error.problem_mark)}: {error.problem}") from None
    except (yaml.YAMLError, CanonicalError, ValueError) as error:
        raise DocumentError(f"document is malformed: {str(error).splitlines()[0]}") from None
    return values


def _place(thing: Any) -> str:
    return _position(thing.start_mark)


def _position(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
