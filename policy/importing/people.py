"""What a source says of people, before it is joined with a directory: who, with which accounts, in which groups.

- A group or role is known to its source by a key, and to a policy by a name. What is no name (`Platform Leads`) becomes
  one (`Platform-Leads`), which is noted. Two of a source that come to one name are not read, but for one that is
  written so: nobody gets into a group by founding another one.
- What no file speaks of at all (`speaks`) is not taken as empty.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from policy.base import Instant, Name
from policy.canonical import parse_json
from policy.catalogs.json_stream import MAX_VALUE_BYTES
from policy.errors import CanonicalError, DocumentError
from policy.importing.report import Skip

HeldKind = Literal["groups", "roles", "entitlements"]
SUBJECTS: tuple[HeldKind, ...] = ("groups", "roles", "entitlements")
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_NO_NAME = re.compile(r"[^A-Za-z0-9._:/@-]+")
_SHOWN = 100
MAX_PEOPLE = 500_000


class WrongError(ValueError):
    """Something about a person or group is not as its source's schema has it: what is wrong. It is skipped alone."""


@dataclass(frozen=True)
class FoundPerson:
    """A person as a source has them.

    Attributes:
        file: in which file.
        where: what to call them in the report.
        key: the source's own id of them with what kind of source it is (`scim:2819c223`), which is never given to
            somebody else; empty where it makes no name.
        identities: accounts and mail addresses, the one by which people know them first.
        name: for people.
        active: whether they may still do anything.
        groups: keys of groups.
        roles: keys of roles.
        entitlements: keys of entitlements.
        manager: the source's id, or an identity, of whom they report to.
        team: empty where nothing is said.
        since: when the source began to have them.
    """

    file: str
    where: str
    key: str
    identities: tuple[str, ...]
    name: str = ""
    active: bool = True
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    entitlements: tuple[str, ...] = ()
    manager: str | None = None
    team: str = ""
    since: datetime | None = None


class GatheredPeople:
    """What all files of one source say. `whole`: whoever is not in them is not in the source."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.people: list[FoundPerson] = []
        self.called: dict[HeldKind, dict[str, str]] = {subject: {} for subject in SUBJECTS}
        self.speaks: set[HeldKind | Literal["managers", "teams"]] = set()
        self.read: Counter[str] = Counter()
        self.skips: list[Skip] = []
        self.notes: list[str] = []

    def call(self, subject: HeldKind, key: str, text: str) -> str:
        """Remember what a key is called; the key."""
        self.speaks.add(subject)
        self.called[subject][key] = text
        return key

    def names(self, subject: HeldKind) -> Mapping[str, str]:
        """The name of every key that has one of its own."""
        keys = defaultdict(list)
        for key, text in sorted(self.called[subject].items()):
            keys[made_name(text)].append(key)
        found = {}
        for name, those in keys.items():
            exact = [key for key in those if self.called[subject][key] == name]
            chosen = exact if len(exact) == 1 else those
            for key in those:
                text = printable(self.called[subject][key])
                if not name:
                    self.skips.append(Skip(subject, text, "makes no name: use letters, digits and . _ : / @ -"))
                elif len(chosen) > 1 or key not in chosen:
                    self.skips.append(Skip(subject, text, f"is another one that comes to {name}: rename one of them"))
                else:
                    found[key] = name
                    if name != text:
                        self.notes.append(f"{subject} {text} is {name} here")
        return found


def made_name(text: str) -> str:
    """A text as a name, or nothing where it makes none."""
    found = _NO_NAME.sub("-", text).lstrip("._:/@-").rstrip("-")
    return found if is_name(found) else ""


def is_name(text: str) -> bool:
    """Whether a text is a name as it stands."""
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def instant_of(value: Any) -> datetime | None:
    """An instant (UTC), or None where a value is none."""
    try:
        return _INSTANT.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        return None


def read_json(body: bytes) -> Any:
    """The JSON value of a file.

    Raises:
        DocumentError: it is none.
    """
    try:
        return parse_json(body, MAX_VALUE_BYTES)
    except CanonicalError as error:
        raise DocumentError(str(error)) from None


def text_in(fields: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """A text of an object; empty where it has none.

    Raises:
        WrongError: it is no text, or has to be there and is not.
    """
    value = fields.get(name)
    if value is None or value == "":
        if required:
            raise WrongError(f"{name} is missing")
        return ""
    if not isinstance(value, str):
        raise WrongError(f"{name} is {printable(value)}, it must be a text")
    return value


def printable(value: Any) -> str:
    """A value for the report: one line, cut, without what does not print."""
    text = value if isinstance(value, str) else repr(value)
    return "".join(char if char.isprintable() else " " for char in text[:_SHOWN])
