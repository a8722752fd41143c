"""The access levels that AWS gives its actions, as entries of the operations registry.

- Read are: the service reference (one service, or a list of them), and a flat list of `action` and `access_level`.
- List and Read are reads, Write and Tagging change something, Permissions management is destructive: it changes who may
  do what. A level that is missing or unknown is destructive.
- The class is the worse one of the level and of our own reading of the action's name: the level can only raise it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from policy.canonical import parse_json
from policy.errors import CanonicalError, DocumentError
from policy.importing.entries import ImportedEntry, ImportedOperations, make_entry, operation_name, printable
from policy.importing.lexicon import Kind, worst
from policy.importing.verbs import judge

MAX_BYTES = 64 * 1024 * 1024
MAX_ACTIONS = 50_000
_LEVELS = {
    "list": Kind.read,
    "read": Kind.read,
    "write": Kind.mutate,
    "tagging": Kind.mutate,
    "permissions management": Kind.destructive,
}
_PERMISSIONS = "permissions management"
# From the worst: an action has one level, and a file that gives it two is taken at the worse.
_PROPERTIES = (
    ("IsPermissionManagement", _PERMISSIONS),
    ("IsWrite", "write"),
    ("IsTaggingOnly", "tagging"),
    ("IsList", "list"),
)
_ACTION = re.compile(r"[A-Za-z0-9-]{1,50}:[A-Za-z0-9]{1,100}")


def import_levels(body: bytes, executor: str = "aws") -> ImportedOperations:
    """Read access levels.

    Args:
        body: JSON, at most 64 MiB.
        executor: who carries the actions out; operations are named `aws.<service>.<action>`.

    Raises:
        DocumentError: it is neither form.
    """
    try:
        value = parse_json(body, MAX_BYTES)
    except CanonicalError as error:
        raise DocumentError(f"access levels cannot be read: {error}") from None
    entries: dict[str, ImportedEntry] = {}
    skips: list[tuple[str, str]] = []
    for number, (action, level) in enumerate(_actions(value), start=1):
        if number > MAX_ACTIONS:
            raise DocumentError(f"file has more than {MAX_ACTIONS} actions: split it")
        if not isinstance(action, str) or not _ACTION.fullmatch(action):
            skips.append((printable(str(action))[:100], "it is no action: write service:Action"))
            continue
        entry = _entry(action, level, executor)
        if entry.operation.name in entries:
            skips.append((action, f"{entry.operation.name} is there already"))
            continue
        entries[entry.operation.name] = entry
    if not entries:
        raise DocumentError("file has no actions: give it a service reference, or a list of action and access_level")
    return ImportedOperations(tuple(entries.values()), tuple(skips))


def _actions(value: Any) -> Iterator[tuple[Any, str | None]]:
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise DocumentError("file is neither a service reference nor a list of action and access_level")
        if isinstance(item.get("Actions"), list):
            for action in item["Actions"]:
                named = action if isinstance(action, dict) else {}
                both = (item.get("Name"), named.get("Name"))
                yield f"{both[0]}:{both[1]}" if all(isinstance(name, str) for name in both) else None, _level_of(named)
        else:
            level = item.get("access_level")
            yield item.get("action"), level.lower() if isinstance(level, str) else None


def _level_of(action: dict[str, Any]) -> str | None:
    annotations = action.get("Annotations")
    properties = annotations.get("Properties") if isinstance(annotations, dict) else None
    if not isinstance(properties, dict) or not all(isinstance(properties.get(name), bool) for name, _ in _PROPERTIES):
        return None
    return next((level for name, level in _PROPERTIES if properties[name]), "read")


def _entry(action: str, level: str | None, executor: str) -> ImportedEntry:
    service, name = action.split(":", 1)
    judged = judge(name)
    if level == _PERMISSIONS:
        judged = replace(judged, access=True)
    said = _LEVELS.get(level or "", Kind.destructive)
    kind = worst(judged.kind, said)
    shown = level if level in _LEVELS else "unknown"
    operation = operation_name(("aws", service, name))
    assert operation is not None, action
    origin = f"access level {shown} of {action}; {judged.why}"
    made = make_entry(
        operation, executor, judged, kind, about=f"The AWS action {action}.", origin=origin, parameters={}
    )
    return ImportedEntry(made, kind, judged.why if kind is judged.kind else f"access level {shown}")
