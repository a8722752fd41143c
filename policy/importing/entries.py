"""Entries of the operations registry, made from what others say of their tools: a starting point, to be edited.

- The class is our own reading of name and description, and can only be raised by what is said besides.
- A read is `read_only`, unless what it reads are secrets. What changes something is of tier medium at least, what
  changes who may do what is high, what destroys is high, and what runs the text that it is given is critical.
- Nobody said how to undo it, so that there is no inverse: add the one that there is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from policy.importing.lexicon import Kind
from policy.importing.verbs import Judged
from policy.operations import EFFECTS, Effect, RegisteredOperation, RiskTier
from policy.parameter_types import Parameter

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*")
_SHOWN = 300
_NAME_LIMIT = 100


@dataclass(frozen=True)
class ImportedEntry:
    """One entry, its class, and why it is of that class."""

    operation: RegisteredOperation
    kind: Kind
    why: str


@dataclass(frozen=True)
class ImportedOperations:
    """What an import made. `skips` are what was not read, and why: they stay unregistered, which is the worst case."""

    entries: tuple[ImportedEntry, ...]
    skips: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report for people. Names and texts are as the file has them: neutralise them."""
        found = [
            f"{item.kind:<12} {item.operation.name}  floor {item.operation.floor}  ({item.why})"
            for item in self.entries
        ]
        counts = {kind: sum(item.kind is kind for item in self.entries) for kind in Kind}
        return [
            *found,
            *(f"note: {note}" for note in self.notes),
            *(f"skipped: {name}: {why}" for name, why in self.skips),
            ", ".join(f"{count} {kind}" for kind, count in counts.items()) + f", {len(self.skips)} skipped",
        ]

    def text(self, name: str) -> str:
        """The registry as a YAML document that can be published.

        Args:
            name: its `metadata.name`.
        """
        document = {
            "apiVersion": "countersign/v1",
            "kind": "OperationsRegistry",
            "metadata": {"name": name, "version": "1"},
            "operations": [
                item.operation.model_dump(mode="json", exclude_defaults=True, by_alias=True) for item in self.entries
            ],
        }
        return yaml.dump(document, Dumper=_Writer, sort_keys=False, width=110, allow_unicode=True)


def make_entry(
    name: str, executor: str, judged: Judged, kind: Kind, *, about: str, origin: str, parameters: dict[str, Parameter]
) -> RegisteredOperation:
    """An entry of a class that is at least that of our own reading.

    Args:
        name: of the operation.
        executor: who carries it out.
        judged: our own reading.
        kind: the class, raised by whatever was said besides.
        about: what is said of it, in its own words.
        origin: what it was read from.
        parameters: as far as they can be typed.
    """
    rest: dict[str, Any]
    if kind is Kind.read and not judged.sensitive:
        rest = {"severity": 5, "read_only": True}
    elif kind is Kind.read:
        rest = {"severity": 30, "floor": RiskTier.medium, "effects": {"data_access": 60}, "needs_no_undo": True}
    elif kind is Kind.mutate:
        guarded = judged.access or judged.sensitive
        levels: dict[Effect, int] = dict.fromkeys(EFFECTS, 50)
        levels["security"] = 100 if guarded else 50
        rest = {"severity": 50, "floor": RiskTier.high if guarded else RiskTier.medium, "effects": levels}
    else:
        floor = RiskTier.critical if judged.runs or judged.access else RiskTier.high
        rest = {"severity": 100 if judged.runs else 90, "floor": floor, "destructive": True, "effects": EFFECTS}
    return RegisteredOperation(
        name=name,
        executor=executor,
        description=printable(about),
        origin=printable(origin),
        parameters=parameters,
        **rest,
    )


def operation_name(parts: Sequence[str]) -> str | None:
    """The dotted name of an operation from the names of a tool and its server, or None where there is none."""
    words = [re.sub(r"[^a-z0-9]+", "_", _snake(part).lower()).strip("_") for part in parts]
    name = ".".join(words)
    return name if re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", name) and len(name) <= _NAME_LIMIT else None


def printable(text: str) -> str:
    """A text on one line, cut, without what does not print."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN])
    shown = " ".join(shown.split())
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)


class _Writer(yaml.SafeDumper):
    """Writes what the reader of governed documents reads as the same: no aliases, and unusual texts in quotes."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Writer.add_representer(str, _text)
