"""Where each part of a governed text stands, so that whoever is told of a mistake need not search for it.

- A place is a line and a column, counted from 1, of the text as written. A value has the place where it begins; a block
  below its key has the place of the key.
- A path that the text does not have has the place of the last part that is there: what is missing, is missing in there.
- Pydantic puts more into a path than the text has: the branch of a union that it tried, and `[key]` for a key of a
  mapping. The first are passed over, the second is the place of the key.
- An error about a whole document names what it is about: the last value of that name has the place.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

_WORD = re.compile(r"[A-Za-z0-9._:/@+-]+")
_SHOWN = 60
# Somebody who gave the wrong file has one thing to do, not ten thousand.
MAX_MISFITS = 100
_KEY = "[key]"


class Place(NamedTuple):
    """A line and a column, from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class Misfit(NamedTuple):
    """One value that the schema does not take: where it stands, the field, and what is wrong with it."""

    place: Place
    message: str


class Positions:
    """The places of one YAML document of a text."""

    def __init__(self, node: yaml.Node) -> None:
        self._root = node
        self._entries: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}

    def of(self, *path: str | int) -> Place:
        """The place of a value, by its path of keys and indices."""
        key = at = self._root
        place = _place(at)
        for part in path:
            if (found := self._part(at, part)) is not None:
                key, at = found
                place = _place(key if _is_block(at) else at)
            elif part == _KEY:
                place = _place(key)
        return place

    def key(self, *path: str | int) -> Place:
        """The place of the key that a value stands under; an item of a list is its own key."""
        return self.of(*path, _KEY)

    def named(self, text: str) -> Place | None:
        """The place of the last value that is one of the words of a text, asking word by word; None where none is."""
        values: dict[str, yaml.Node] = {node.value: node for node in _scalars(self._root)}
        words = [word.rstrip(".:") for word in _WORD.findall(text)]
        return next((_place(values[word]) for word in words if word in values), None)

    def misfits(self, error: ValidationError) -> list[Misfit]:
        """Each thing that a schema refuses, in the order of the text; the first hundred of them."""
        found = error.errors(include_url=False, include_context=False)
        return sorted(self._misfit(item) for item in found[:MAX_MISFITS])

    def _misfit(self, item: ErrorDetails) -> Misfit:
        message = item["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        path = item["loc"]
        field = ".".join(str(part) for part in path)
        if not path:
            return Misfit(self.named(message) or self.of(), message)
        if item["type"] == "extra_forbidden":
            return Misfit(self.key(*path), f"{field} is no field here: remove it, or correct its name")
        if item["type"] == "missing":
            return Misfit(self.of(*path), f"{field} is missing")
        got = f" (got {repr(item['input'])[:_SHOWN]})" if not isinstance(item["input"], dict | list) else ""
        return Misfit(self.of(*path), f"{field}: {message}{got}")

    def _part(self, at: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
        """Key and value of a part of a node; an item of a list is its own key."""
        if isinstance(at, yaml.MappingNode) and isinstance(part, str):
            if id(at) not in self._entries:
                self._entries[id(at)] = {key.value: (key, value) for key, value in at.value}
            return self._entries[id(at)].get(part)
        if isinstance(at, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(at.value):
            return at.value[part], at.value[part]
        return None


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Every value that is a text, in the order in which they are written."""
    waiting: list[Any] = [root]
    while waiting:
        at = waiting.pop()
        if isinstance(at, yaml.ScalarNode):
            yield at
        elif isinstance(at, yaml.MappingNode):
            waiting.extend(value for _, value in reversed(at.value))
        elif isinstance(at, yaml.SequenceNode):
            waiting.extend(reversed(at.value))


def _place(node: yaml.Node) -> Place:
    mark: Any = node.start_mark
    return Place(mark.line + 1, mark.column + 1)
