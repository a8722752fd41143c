"""People of OpenID Connect: a JSON array of claim sets of ID tokens or of userinfo, verified by who saved it.

- `sub` alone tells people apart, within one issuer (OpenID Connect Core 1.0, section 5.7); all sets must be of one.
- `email` is an identity only where `email_verified` is true: anybody can write somebody else's address into a profile.
  `preferred_username` never is one: it may change hands.
- `groups` and `roles` are arrays of texts. Whoever has no set has not signed in, and has not left.

OpenID Connect Core 1.0, sections 2 and 5.1. `groups` and `roles` are no claims of it; providers agree on these names.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from policy.errors import DocumentError
from policy.importing.people import (
    MAX_PEOPLE,
    FoundPerson,
    GatheredPeople,
    HeldKind,
    WrongError,
    is_name,
    printable,
    read_json,
    text_in,
)
from policy.importing.report import Skip


def gather_claims(files: Iterable[tuple[str, bytes]]) -> GatheredPeople:
    """Everything that files of claim sets say of people.

    Args:
        files: name and bytes of each, up to 64 MiB.

    Raises:
        DocumentError: names the file that cannot be read, or says that claim sets are of several issuers.
    """
    found = GatheredPeople(whole=False)
    issuers: set[Any] = set()
    for name, body in files:
        try:
            value = read_json(body)
        except DocumentError as error:
            raise DocumentError(f"{name}: {error}") from None
        if not isinstance(value, list):
            raise DocumentError(f"{name}: file holds no array of claim sets")
        for number, item in enumerate(value, start=1):
            where = f"claim set {number}"
            try:
                found.people.append(_person(found, name, where, item))
                issuers.add(item.get("iss") or "")
                found.read["claim sets"] += 1
            except WrongError as error:
                found.skips.append(Skip(name, where, str(error)))
    if len(issuers) > 1:
        raise DocumentError(f"claim sets are of {len(issuers)} issuers, where one sub is two people: import each apart")
    if len(found.people) > MAX_PEOPLE:
        raise DocumentError(f"files have {len(found.people)} claim sets, at most {MAX_PEOPLE} are read")
    return found


def _person(found: GatheredPeople, file: str, where: str, claims: Any) -> FoundPerson:
    if not isinstance(claims, dict):
        raise WrongError("is no object")
    subject, mail = text_in(claims, "sub", required=True), text_in(claims, "email")
    text_in(claims, "iss")
    where = f"{where} ({printable(subject)})"
    identities = []
    if mail and claims.get("email_verified") is not True:
        found.skips.append(Skip(file, where, f"email {printable(mail)} is not verified, so it is nobody's identity"))
    elif mail and is_name(mail):
        identities.append(mail)
    elif mail:
        found.skips.append(Skip(file, where, f"email {printable(mail)} has characters that no name has"))
    key = f"oidc:{subject}"
    if not is_name(key):
        found.skips.append(Skip(file, where, "sub has characters that no name has, so that only email tells who it is"))
        key = ""
    if not key and not identities:
        raise WrongError("neither sub nor a verified email is an identity here")
    return FoundPerson(
        file=file,
        where=where,
        key=key,
        identities=tuple(identities),
        name=printable(text_in(claims, "name")).strip(),
        groups=_held(found, claims, "groups"),
        roles=_held(found, claims, "roles"),
    )


def _held(found: GatheredPeople, claims: Mapping[str, Any], subject: HeldKind) -> tuple[str, ...]:
    value = claims.get(subject)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise WrongError(f"{subject} is no array of texts")
    found.speaks.add(subject)
    return tuple(dict.fromkeys(found.call(subject, item, item) for item in value))
