"""People of SCIM 2.0: list responses, arrays or single resources of users and groups, as JSON.

- Names of attributes are read in any case (RFC 7643, section 2.1); `User` and `Group` are told by `schemas`.
- A user is known by `id`, which is stable and never reassigned (RFC 7643, section 3.1), and answers to `userName` and
  every address of `emails`.
- Whoever is not said to be `active` is not. What is no boolean there, or of a wrong type elsewhere, skips the user.
- Groups come from `groups` of the user and from `members` of groups alike; a group within a group brings nobody.
- Where list responses have fewer resources than their `totalResults`, nothing is imported: people would seem to leave.

RFC 7643 (core and enterprise schema, sections 4.1 to 4.3), RFC 7644 (section 3.4.2).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from policy.errors import DocumentError
from policy.importing.people import (
    MAX_PEOPLE,
    FoundPerson,
    GatheredPeople,
    HeldKind,
    WrongError,
    instant_of,
    is_name,
    printable,
    read_json,
    text_in,
)
from policy.importing.report import Skip

_USER = "urn:ietf:params:scim:schemas:core:2.0:user"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:group"
_KINDS = {_USER: "users", _GROUP: "groups"}
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"


class _Page(NamedTuple):
    """Resources, and how many there are altogether by what their source says."""

    total: int
    resources: list[Any]


def gather_scim(files: Iterable[tuple[str, bytes]]) -> GatheredPeople:
    """Everything that SCIM files say of people.

    Args:
        files: name and bytes of each, up to 64 MiB. Pages of one list may be in several.

    Raises:
        DocumentError: names the file that cannot be read, or says that resources are missing.
    """
    found = GatheredPeople(whole=True)
    members: dict[str, dict[str, None]] = {}
    totals: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for name, body in files:
        try:
            for page in _pages(read_json(body)):
                kinds = _gather(found, name, page.resources, members)
                totals[kinds] = max(totals[kinds], page.total)
                given[kinds] += len(page.resources)
        except DocumentError as error:
            raise DocumentError(f"{name}: {error}") from None
    for kinds, total in totals.items():
        if given[kinds] < total:
            raise DocumentError(f"files have {given[kinds]} of {total} resources ({kinds}): give all pages of the list")
    if len(found.people) > MAX_PEOPLE:
        raise DocumentError(f"files have {len(found.people)} users, at most {MAX_PEOPLE} are read")
    found.people = [_with_groups(person, members) for person in found.people]
    return found


def _pages(value: Any) -> Iterator[_Page]:
    """The pages of a file: list responses, or resources that nobody counted."""
    items = value if isinstance(value, list) else [value]
    plain = []
    for item in items:
        fields = {key.lower(): part for key, part in item.items()} if isinstance(item, dict) else {}
        if "resources" not in fields and "totalresults" not in fields:
            plain.append(item)
            continue
        resources, total = fields.get("resources", []), fields.get("totalresults", 0)
        if not isinstance(resources, list) or not isinstance(total, int) or total < 0:
            raise DocumentError("list response is malformed: Resources is an array and totalResults a number")
        yield _Page(total, resources)
    yield _Page(0, plain)


def _gather(found: GatheredPeople, file: str, resources: list[Any], members: dict[str, dict[str, None]]) -> str:
    """Take the resources of a page; of which kinds they are."""
    kinds = set()
    for number, resource in enumerate(resources, start=1):
        where = f"resource {number}"
        try:
            fields = _fields(resource)
            where = f"{where} ({_label(fields)})"
            kind = _kind(fields)
            kinds.add(_KINDS.get(kind, "others"))
            if kind == _USER:
                found.people.append(_user(found, file, where, fields))
                found.read["users"] += 1
            elif kind == _GROUP:
                _group(found, file, where, fields, members)
                found.read["groups"] += 1
            else:
                found.skips.append(Skip(file, where, "is neither a user nor a group", harmless=True))
        except WrongError as error:
            found.skips.append(Skip(file, where, str(error)))
    return " and ".join(sorted(kinds)) or "none"


def _user(found: GatheredPeople, file: str, where: str, fields: Mapping[str, Any]) -> FoundPerson:
    extension = _fields(fields.get(_ENTERPRISE) or {})
    user_name = text_in(fields, "username", required=True)
    mails = [text_in(_fields(item), "value") for item in _items(fields, "emails") if isinstance(item, dict)]
    active = fields.get("active")
    if active is not None and not isinstance(active, bool):
        raise WrongError(f"active is {printable(active)}, it must be true or false")
    if active is None:
        found.skips.append(Skip(file, where, "does not say whether it is active, so it is not"))
    created = _fields(fields.get("meta") or {}).get("created")
    since = instant_of(created)
    if created is not None and since is None:
        raise WrongError(f"meta.created is {printable(created)}, it must be an instant")
    manager = _manager(extension.get("manager"))
    if manager is not None:
        found.speaks.add("managers")
    if team := text_in(extension, "department"):
        found.speaks.add("teams")
    # Letters' case tells no two identities apart; the first spelling stays.
    identities = list({name.lower(): name for name in reversed((user_name, *mails)) if name}.values())[::-1]
    return FoundPerson(
        file=file,
        where=where,
        key=f"scim:{_id(fields)}",
        identities=tuple(_named(found, file, where, identities)),
        name=printable(
            text_in(fields, "displayname") or text_in(_fields(fields.get("name") or {}), "formatted")
        ).strip(),
        active=active is True,
        groups=tuple(_held(found, fields, "groups")),
        roles=tuple(_held(found, fields, "roles")),
        entitlements=tuple(_held(found, fields, "entitlements")),
        manager=manager,
        team=printable(team),
        since=since,
    )


def _group(
    found: GatheredPeople, file: str, where: str, fields: Mapping[str, Any], members: dict[str, dict[str, None]]
) -> None:
    key = found.call("groups", f"id {_id(fields)}", text_in(fields, "displayname", required=True))
    for item in _items(fields, "members"):
        member = _fields(item)
        value, kind = text_in(member, "value", required=True), text_in(member, "type") or "User"
        if kind.lower() == "user":
            members.setdefault(value, {})[key] = None
        else:
            reason = f"member {printable(value)} is a {printable(kind)}: whoever is in that is not in this"
            found.skips.append(Skip(file, where, reason))


def _with_groups(person: FoundPerson, members: Mapping[str, Mapping[str, None]]) -> FoundPerson:
    more = members.get(person.key.removeprefix("scim:"), {})
    return replace(person, groups=tuple(dict.fromkeys((*person.groups, *more))))


def _held(found: GatheredPeople, fields: Mapping[str, Any], subject: HeldKind) -> Iterator[str]:
    """The keys of what a user is said to hold. A group is told by its id, the others by their value."""
    for item in _items(fields, subject):
        one = {"value": item} if isinstance(item, str) else _fields(item)
        value, shown = text_in(one, "value"), text_in(one, "display")
        if not (value or shown):
            raise WrongError(f"{subject} has one without a value")
        if subject == "groups":
            key = f"id {value}" if value else f"name {shown}"
            if key not in found.called["groups"]:
                found.call("groups", key, shown or value)
            yield key
        else:
            yield found.call(subject, value or shown, value or shown)


def _named(found: GatheredPeople, file: str, where: str, identities: Iterable[str]) -> Iterator[str]:
    for identity in identities:
        if is_name(identity):
            yield identity
        else:
            reason = f"{printable(identity)} is no identity here: letters, digits and . _ : / @ - only"
            found.skips.append(Skip(file, where, reason))


def _manager(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return text_in(_fields(value), "value") or None


def _kind(fields: Mapping[str, Any]) -> str:
    schemas = fields.get("schemas")
    known = [item.lower() for item in schemas if isinstance(item, str)] if isinstance(schemas, list) else []
    return next((kind for kind in (_USER, _GROUP) if kind in known), "")


def _label(fields: Mapping[str, Any]) -> str:
    return printable(fields.get("username") or fields.get("displayname") or fields.get("id") or "without a name")


def _id(fields: Mapping[str, Any]) -> str:
    found = text_in(fields, "id", required=True)
    if not is_name(f"scim:{found}"):
        raise WrongError(f"id {printable(found)} has characters that no name has")
    return found


def _fields(value: Any) -> dict[str, Any]:
    """An object by the lower case of its names."""
    if not isinstance(value, dict):
        raise WrongError(f"{printable(value)} is no object")
    found = {key.lower(): item for key, item in value.items()}
    if len(found) < len(value):
        raise WrongError("an attribute is there twice, in another case")
    return found


def _items(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise WrongError(f"{name} is no array")
    return value
