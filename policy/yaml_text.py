"""Governed documents are YAML; this reads YAML without its traps.

- Duplicate keys are refused: the second would silently win.
- Anchors and aliases are refused: a few lines of them expand to gigabytes.
- Only plain JSON types: no dates, no tags, no Norway problem (`no`, `on`, `yes` stay strings).
- The digest of a document is SHA-256 over its bytes, so what was reviewed is what is in force.
"""

import re
from typing import Any

import yaml

from policy.errors import DocumentError

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, duplicate keys, timestamps and YAML 1.1 booleans."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise DocumentError(f"{_place(self.peek_event())}: aliases are not read, write the value out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DocumentError(f"{_place(self.peek_event())}: nested deeper than {MAX_DEPTH}")
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
        return super().construct_mapping(node, deep=True)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":timestamp", ":bool", ":merge", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))  # type: ignore[no-untyped-call]


def read_yaml(body: bytes) -> list[Any]:
    """The values of the YAML documents in a text.

    Raises:
        DocumentError: with line and column, where there is one.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"document has {len(body)} bytes, at most {MAX_DOCUMENT_BYTES} are read")
    try:
        return list(yaml.load_all(body.decode("utf-8"), Loader=_StrictLoader))
    except UnicodeDecodeError as error:
        raise DocumentError(f"document is not utf-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        place = (
            f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: "
            if error.problem_mark
            else ""
        )
        raise DocumentError(f"{place}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentError(f"document is malformed: {error}") from None


def _place(thing: Any) -> str:
    return f"line {thing.start_mark.line + 1}, column {thing.start_mark.column + 1}"
