"""What the proofs of somebody can show at best, by what the directory has of them (`policy/proofs.py`).

- A key shows AAL1 and no time. So does an SSH key; one in a security key may show AAL2, and that somebody was there.
- A login may show AAL2 by its factors, or more where the directory believes it of the issuer, and when it was.
- Whether an account of an issuer is somebody's is known by their identities only: one with the issuer's prefix, one
  with an `@` where a mail address is the identity, and any where neither says more.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from policy.decision import Wanted
from policy.people.directory import Directory
from policy.people.entries import Person
from policy.people.keys import Issuer, RegisteredKey
from policy.proofs import Assurance


class Ability(NamedTuple):
    """The highest assurance that a kind of proof can show, and whether it can show when somebody authenticated."""

    assurance: Assurance
    time: bool

    def meets(self, wanted: Wanted) -> bool:
        """Whether that is enough."""
        return self.assurance.rank >= wanted.assurance.rank and (self.time or wanted.max_age_seconds is None)


NAME = Ability(Assurance.claimed, time=False)
KEY = Ability(Assurance.aal1, time=False)


def of_ssh(line: str) -> Ability:
    """What an SSH key can show, by its public line."""
    return Ability(Assurance.aal2, time=True) if line.startswith("sk-") else KEY


def of_issuer(issuer: Issuer) -> Ability:
    """What a login at an issuer can show."""
    best = max((Assurance.aal2, *issuer.acr.values()), key=lambda item: item.rank)
    return Ability(best, time=True)


def abilities(person: Person, directory: Directory, at: datetime) -> Iterator[Ability]:
    """What somebody's proofs can show at an instant (UTC)."""
    yield from (_of_key(key) for key in person.keys if key.revoked_at is None and key.signs(at))
    yield from (of_issuer(issuer) for issuer in directory.issuers if _has_account(person, issuer))


def _of_key(key: RegisteredKey) -> Ability:
    return of_ssh(key.ssh) if key.ssh is not None else KEY


def _has_account(person: Person, issuer: Issuer) -> bool:
    names = [name for name in (person.id, *person.aliases) if name.startswith(issuer.prefix)]
    return any("@" in name for name in names) if issuer.identity == "email" else bool(names)
