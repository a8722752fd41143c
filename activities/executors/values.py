"""How the values of an order get into what an operator wrote: typed, each in its own place, and never anywhere else.

1. What a parameter must look like the operator's entry says, whatever the operations registry says. One that the entry
   does not declare is refused, and so is an entry that declares one and uses it nowhere: people would approve a value
   that changes nothing.
2. In a text `{name}` is the value of a parameter and `{name.2}` the second item of a list of fixed length; `{{` and
   `}}` are braces. A text has as many places as the operator gave it, whatever the values are.
3. Beside parameters there is what the permit says: `{order.permit_id}`, `{order.operation}`, `{order.direction}`,
   `{target.resource}`, and, where the operation resolves, `{target.id}` and `{target.version}`.
4. A secret is named by the order and held by the entry. It never stands in an address or an argument.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, Field, JsonValue, SecretStr, StringConstraints, model_validator

from activities.executors.base import Order, PreconditionFailedError
from activities.executors.kinds import ExecutorSettings
from activities.executors.places import Place
from policy.canonical import canonical
from policy.errors import CanonicalError
from policy.parameter_types import Parameter

OWN = ("order.permit_id", "order.operation", "order.direction", "target.resource", "target.id", "target.version")
ONLY_RESOLVED = ("target.id", "target.version")
MAX_TEXT = 4096
_PART = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?)\}|[{}]")
_SECRET = "secret://"  # noqa: S105 - what every reference begins with


def _not_ours(name: str) -> str:
    if name in ("order", "target"):
        raise ValueError(f"a parameter cannot be called {name}: that is what the permit says")
    return name


ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"), AfterValidator(_not_ours)]
Declared = dict[ParameterName, Parameter]
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Named:
    """A place for the value of that name."""

    name: str


Part = str | Named


@lru_cache(maxsize=4096)
def parts(text: str) -> tuple[Part, ...]:
    """The literals and the places of a text.

    Raises:
        ValueError: a brace is neither part of a place nor doubled.
    """
    found: list[Part] = []
    end = 0
    for match in _PART.finditer(text):
        found.append(text[end : match.start()])
        end = match.end()
        if match[1]:
            found.append(Named(match[1]))
        elif match[0] in ("{{", "}}"):
            found.append(match[0][0])
        else:
            raise ValueError(f"a single {match[0]} is no place for a value: write {{name}}, or {match[0] * 2}")
    found.append(text[end:])
    return tuple(part for part in found if part != "")


def names(text: str) -> Iterator[str]:
    """The names of the places of a text."""
    return (part.name for part in parts(text) if isinstance(part, Named))


def is_own(name: str) -> bool:
    """Whether a name is of what the permit says, and of no parameter."""
    return name.startswith(("order.", "target."))


def _with_places(text: str) -> str:
    parts(text)
    return text


TextWithPlaces = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_with_places)]


@dataclass(frozen=True)
class Values:
    """What can be filled in, at one place of one order.

    Attributes:
        parameters: as the order gave them, checked.
        own: what the permit says, by name.
        secrets: of the parameters that name one, what it is.
    """

    parameters: Mapping[str, JsonValue]
    own: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    def fill(self, text: str, encoded: Callable[[str], str] = str, *, secrets: bool = False) -> str:
        """A text with each value in its place, and secrets only where they may stand.

        Raises:
            PreconditionFailedError: a value is missing, or is nothing that can stand in a text.
        """
        found = (part if isinstance(part, str) else encoded(self._secret(part.name, secrets)) for part in parts(text))
        return "".join(found)

    def text(self, name: str) -> str:
        """A value as text: a string as it is, anything else as JSON writes it.

        Raises:
            PreconditionFailedError: it is missing, empty, too long, or has control characters.
        """
        value = self.own.get(name) if is_own(name) else self._parameter(name)
        if value is None or isinstance(value, list | dict):
            raise PreconditionFailedError(f"parameter {name} is missing, or is no single value")
        try:
            text = value if isinstance(value, str) else canonical(value).decode()
        except CanonicalError as error:
            raise PreconditionFailedError(f"parameter {name}: {error}") from None
        if not text or len(text) > MAX_TEXT or not text.isprintable():
            raise PreconditionFailedError(
                f"parameter {name} is empty, longer than {MAX_TEXT} or has control characters: it stands in a text"
            )
        return text

    def has(self, name: str) -> bool:
        """Whether there is a value of that name."""
        return name in self.own or name in self.parameters or name.partition(".")[0] in self.parameters

    def plain(self, name: str) -> JsonValue:
        """A value as it is; of a secret, the secret itself."""
        if is_own(name):
            return self.own.get(name)
        if name in self.secrets:
            return self.secrets[name].get_secret_value()
        return self._parameter(name)

    def _secret(self, name: str, may: bool) -> str:
        if name not in self.secrets:
            return self.text(name)
        if not may:
            raise PreconditionFailedError(f"parameter {name} is a secret, which may not stand here")
        return self.secrets[name].get_secret_value()

    def _parameter(self, name: str) -> JsonValue:
        name, _, index = name.partition(".")
        value = self.parameters.get(name)
        if not index:
            return value
        number = int(index) if index.isdigit() else 0
        return value[number - 1] if isinstance(value, list) and 0 < number <= len(value) else None


def values_of(
    declared: Mapping[str, Parameter],
    given: Mapping[str, JsonValue],
    secrets: Mapping[str, SecretStr],
    own: Mapping[str, str] | None = None,
) -> Values:
    """What can be filled in, after it was looked at.

    Args:
        declared: what the entry says of each parameter.
        given: the parameters of an order, an inquiry or a probe.
        secrets: what the entry holds, by name.
        own: what a permit says, by name.

    Raises:
        PreconditionFailedError: a parameter is missing, is not declared, or is none of its type; nothing was done.
    """
    for name, parameter in declared.items():
        if name not in given:
            if parameter.required:
                raise PreconditionFailedError(f"parameter {name} is missing")
        elif refusal := parameter.refusal(given[name]):
            shown = "" if parameter.secret else f" = {given[name]!r:.100}"
            raise PreconditionFailedError(f"parameter {name}{shown} {refusal}")
    if strange := sorted(set(given) - set(declared)):
        raise PreconditionFailedError(f"parameter {strange[0]!r} is not in the executor's entry")
    held = {}
    for name in (name for name in given if declared[name].secret):
        wanted = str(given[name]).removeprefix(_SECRET)
        if wanted not in secrets:
            raise PreconditionFailedError(f"parameter {name}: the executor's entry holds no secret {wanted[:100]}")
        held[name] = secrets[wanted]
    return Values(given, own or {}, held)


def own_of(order: Order, place: Place) -> dict[str, str]:
    """What the permit says, by name."""
    found = {
        "order.permit_id": place.key,
        "order.operation": order.operation,
        "order.direction": str(order.direction),
        "target.resource": place.resource,
    }
    if place.target is not None:
        found["target.id"] = place.target.id
        if place.target.version is not None:
            found["target.version"] = place.target.version
    return found


def check_places(
    declared: Mapping[str, Parameter],
    texts: Mapping[str, str],
    allowed: tuple[str, ...],
    *,
    in_environment: bool = False,
) -> set[str]:
    """The parameters that these texts use, each declared. Secrets, and what may be missing, are for environments.

    Raises:
        ValueError: a place names nothing that there is, what may be missing, or a secret.
    """
    used = set()
    for where, text in texts.items():
        for name in names(text):
            if name in allowed:
                continue
            base, _, index = name.partition(".")
            parameter = declared.get(base)
            if is_own(name) or parameter is None:
                raise ValueError(f"{where}: there is no {name} here: declare it in parameters")
            if parameter.secret and not in_environment:
                raise ValueError(f"{where}: {name} is a secret, which may not stand here")
            if not parameter.required and not in_environment:
                raise ValueError(f"{where}: {name} may be missing: set required, or leave it out")
            if (parameter.type == "list") != bool(index) or parameter.type == "object":
                raise ValueError(f"{where}: {name} is no single value: write {base}.1 for the first item of a list")
            if index and not (index.isdigit() and 0 < int(index) <= (parameter.minimum or 0) == parameter.maximum):
                raise ValueError(f"{where}: {name}: give the list minimum and maximum alike, and an item of it")
            used.add(name)
    return used


def check_all_used(declared: Mapping[str, Parameter], used: set[str]) -> None:
    """Refuse parameters of which a part, or the whole, changes nothing.

    Raises:
        ValueError: names one.
    """
    for name, parameter in declared.items():
        items = range(1, int(parameter.minimum or 0) + 1) if parameter.type == "list" else ()
        if name not in used and not (items and all(f"{name}.{item}" in used for item in items)):
            raise ValueError(f"parameter {name} is used nowhere: what people approve has to change something")


class Choice(ExecutorSettings, Generic[Entry]):
    """One of several entries, by the value of a parameter (`webhook`, `endpoint`, `template`)."""

    choose: ParameterName
    among: Annotated[dict[str, Entry], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> "Choice[Entry]":
        for name, entry in self.among.items():
            if self.choose in getattr(entry, "parameters", {}):
                raise ValueError(f"{name}: {self.choose} chooses the entry, and is none of its own parameters")
        return self


def chosen(table: Mapping[str, Any], name: str, given: Mapping[str, JsonValue]) -> tuple[Any, Mapping[str, JsonValue]]:
    """The entry of an operation or probe, and the parameters that are left for it.

    Raises:
        PreconditionFailedError: there is none.
    """
    entry = table.get(name)
    if entry is None:
        raise PreconditionFailedError(f"{name} is none of {', '.join(sorted(table)) or 'nothing'}")
    if not isinstance(entry, Choice):
        return entry, given
    which = given.get(entry.choose)
    if not isinstance(which, str) or which not in entry.among:
        raise PreconditionFailedError(
            f"parameter {entry.choose} = {which!r:.100} is none of {', '.join(sorted(entry.among))}"
        )
    return entry.among[which], {key: value for key, value in given.items() if key != entry.choose}


def variants(entry: Any) -> tuple[Any, ...]:
    """The entries that an entry of a table can become."""
    return tuple(entry.among.values()) if isinstance(entry, Choice) else (entry,)
