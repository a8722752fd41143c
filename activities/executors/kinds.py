"""The executors that there are, by kind, and how an operator's entries become some.

A new executor is a file here and an entry below. Its module has `make(name, given, targets)`: the name under which the
operations registry and the permits call it, what the operator wrote in its entry of COUNTERSIGN_EXECUTORS_FILE, and the
addresses of the targets; it connects to nothing. A module is loaded where an entry asks for it, so that nobody needs
the client of a system that he has not got.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from activities.executors.base import Executor, TargetCredentials
from policy.errors import CountersignError

KINDS: Mapping[str, str] = {
    "command": "activities.executors.command",
    "http": "activities.executors.http",
    "kubernetes": "activities.executors.kubernetes",
    "postgres": "activities.executors.postgres",
    "temporal": "activities.executors.temporal",
    "prometheus": "activities.executors.prometheus",
}


class ExecutorSettingsError(CountersignError):
    """What an operator wrote about an executor cannot be used."""


class ExecutorSettings(BaseModel):
    """The base of what a kind takes: strict, and nothing that it does not know. Secrets are `SecretStr`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def make_executors(entries: Mapping[str, Mapping[str, Any]], targets: TargetCredentials) -> dict[str, Executor]:
    """The executors of an operator's entries, by name.

    Args:
        entries: by name, `kind` and what that kind takes.
        targets: where each resource answers, and how to log in there.

    Raises:
        ExecutorSettingsError: names the entry, what is wrong with it and the fix.
    """
    return {name: _made(name, dict(entry), targets) for name, entry in entries.items()}


def _made(name: str, entry: dict[str, Any], targets: TargetCredentials) -> Executor:
    kind = entry.pop("kind", None)
    module = KINDS.get(kind) if isinstance(kind, str) else None
    if module is None:
        raise ExecutorSettingsError(f"executor {name}: kind {kind!r:.60} is none of {', '.join(sorted(KINDS))}")
    try:
        made: Executor = import_module(module).make(name, entry, targets)
    except ValidationError as error:
        # What was written is not shown: it may be a secret.
        wrong = [f"{'.'.join(map(str, item['loc'])) or '<root>'}: {item['msg']}" for item in error.errors()]
        raise ExecutorSettingsError(f"executor {name} (kind {kind}): {'; '.join(wrong)[:500]}") from None
    return made
