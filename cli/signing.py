"""How the user of a command signs: what was asked for, what is set, and which of it a vote needs.

1. An option wins over what is set, and only one is given. Of what is set the key comes first, then the SSH key, then
   the login; a vote that needs more than the first can show takes the first that can, so nobody is asked twice.
2. With none of them an identity is only claimed. Every screen says so, and nothing is sent where workers take no such.
3. What is signed names the installation (`audience`), which only the directory in force says: without a record nobody
   signs.
4. A decision is signed only where the digests that it names are computed again from the record (`Dossier.doubts`).
"""

import argparse
import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activities.database import Database
from activities.documents import Documents
from activities.settings import IDENTITY, Settings
from activities.settings_signing import (
    OIDC_CLIENT_ID,
    OIDC_ISSUER,
    SIGNING_KEY_FILE,
    SIGNING_KEY_ID,
    SSH_KEY_FILE,
    SignsWith,
)
from cli.case import Case
from cli.place import NO_RECORD, Place
from cli.signers import Claim, KeySigner, LoginSigner, Signer, SigningError, remedies, ssh_signer
from policy.decision import Wanted
from policy.people.directory import Directory
from policy.proofs import Domain
from policy.rules.stepping_up import said_of
from signing.keys import read_signing_key


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Take how the user signs."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--key", metavar="FILE", type=Path, help=f"sign with a key, JWK or PEM (default: ${SIGNING_KEY_FILE})"
    )
    ways.add_argument(
        "--ssh",
        metavar="FILE",
        type=Path,
        help=f"sign with an SSH key, or its .pub by an agent (default: ${SSH_KEY_FILE})",
    )
    ways.add_argument(
        "--oidc", metavar="ISSUER", help=f"sign by a login at an OpenID provider (default: ${OIDC_ISSUER})"
    )
    ways.add_argument(
        "--as",
        dest="identity",
        help=f"only claim to be somebody, which proves nothing (default: ${IDENTITY}, else the OS user)",
    )
    parser.add_argument(
        "--key-id", metavar="KID", help=f"id of the key, where its file does not say it (${SIGNING_KEY_ID})"
    )
    parser.add_argument(
        "--client-id", metavar="ID", help=f"client of the login, where there are several (${OIDC_CLIENT_ID})"
    )


@dataclass(frozen=True)
class Signing:
    """How a user can sign here.

    Attributes:
        ways: the first is taken where nothing more is wanted.
        sender: what Temporal is told as the sender; it proves nothing.
        directory: in force; None without a record, where one can only claim.
    """

    ways: tuple[Signer, ...]
    sender: str
    directory: Directory | None

    def choose(self, wanted: Wanted | None) -> Signer:
        """The way that shows what is wanted.

        Raises:
            SigningError: none does, or nobody can sign here.
        """
        first = self.ways[0]
        if self.directory is None:
            if isinstance(first, Claim) and wanted is None:
                return first
            if isinstance(first, Claim) and wanted is not None:
                raise SigningError(f"this vote needs {said_of(wanted)}, and a name alone shows nothing: sign it")
            raise SigningError(f"what is signed names the installation, which its directory says: {NO_RECORD}")
        lacking = [(way, way.lacks(wanted, self.directory)) for way in self._known(self.directory)]
        chosen = next((way for way, lack in lacking if not lack), None)
        if chosen is None:
            assert wanted is not None
            raise SigningError(f"{remedies(wanted, self.directory)}; {'; '.join(lack for _, lack in lacking)}")
        return chosen

    def _known(self, directory: Directory) -> tuple[Signer, ...]:
        """The ways that the directory knows; what is wrong with the first is said where none is left."""
        problems, known = [], []
        for way in self.ways:
            try:
                way.check(directory, datetime.now(UTC))
                known.append(way)
            except SigningError as error:
                problems.append(error)
        if not known:
            raise problems[0]
        if directory.audience is None and not isinstance(known[0], Claim):
            raise SigningError(
                "the directory in force names no audience, so nothing signed counts here: give it one with "
                "`countersign policy propose`"
            )
        return tuple(known)

    def stands_for(self, way: Signer) -> str:
        """Who signs, and by what, in words."""
        if isinstance(way, Claim) or self.directory is None:
            return f"{self.sender}, which is only claimed: nobody verifies it"
        return f"{way.check(self.directory, datetime.now(UTC))}, by {way.says}"

    def addressed(self, statement: Mapping[str, Any], way: Signer) -> dict[str, Any]:
        """A statement that names this installation, where it is to be signed."""
        if isinstance(way, Claim) or self.directory is None:
            return dict(statement)
        return {**statement, "audience": self.directory.audience}

    async def sign(
        self, statement: Mapping[str, Any], way: Signer, wanted: Wanted | None, domain: Domain = Domain.decision
    ) -> dict[str, Any]:
        """A statement with its proof.

        Raises:
            SigningError: nothing was signed.
        """
        if isinstance(way, Claim):
            return {**statement, "proof": way.proof}
        assert self.directory is not None
        return {**statement, "proof": await way.prove(statement, domain, self.directory, wanted)}


async def signing_of(args: argparse.Namespace, place: Place) -> Signing:
    """How the user of a command can sign.

    Raises:
        SigningError: what was given cannot be used.
        KeyFileError: the same of a key file.
    """
    ways = await _ways(args, place.settings.signs_with)
    named = args.identity or claimed_identity(place.settings)
    async with place.record() as database:
        directory = await directory_of(database) if database is not None else None
    found = ways or (Claim(named),)
    return Signing(found, _sender(found[0], directory, named), directory)


async def directory_of(database: Database) -> Directory | None:
    """The directory in force; None where none was published."""
    async with database.snapshot() as connection:
        return await Documents().directory_in_force(connection)


def refuse_claim(way: Signer, status: Mapping[str, Any]) -> None:
    """Refuse to send what only claims, where workers say that they take no such.

    Raises:
        SigningError: they do.
    """
    if isinstance(way, Claim) and status.get("accepts_claimed") is False:
        raise SigningError(
            f"a name alone does not count here ({way.identity}): sign with --key FILE, --ssh FILE or --oidc ISSUER "
            f"(docs/signing.md)"
        )


def refuse_doubts(case: Case, way: Signer) -> None:
    """Refuse to sign digests that the record does not bear out.

    Raises:
        SigningError: it does not, or there is none.
    """
    if isinstance(way, Claim):
        return
    if case.dossier is None:
        raise SigningError(
            f"action {case.proposal_id} is not on record, and what is signed is computed from the record"
        )
    if found := case.dossier.doubts():
        raise SigningError(f"the record contradicts itself, sign nothing by it: {'; '.join(found)}")


def claimed_identity(settings: Settings) -> str:
    """Who the user says to be without saying it: the variable, else the account of the operating system."""
    return settings.identity or getpass.getuser()


async def _ways(args: argparse.Namespace, signs_with: SignsWith) -> tuple[Signer, ...]:
    """What was asked for, else what is set, the one to take first in front."""
    asked = any(item is not None for item in (args.key, args.ssh, args.oidc, args.identity))
    given = SignsWith(args.key, args.key_id, args.ssh, args.oidc, args.client_id) if asked else signs_with
    found: list[Signer] = []
    if given.key_file is not None:
        key_id = args.key_id or signs_with.key_id if given.key_file == signs_with.key_file else args.key_id
        found.append(KeySigner(read_signing_key(given.key_file, key_id)))
    if given.ssh_key_file is not None:
        found.append(await ssh_signer(given.ssh_key_file))
    if given.oidc_issuer is not None:
        client = (
            args.client_id or signs_with.oidc_client_id
            if given.oidc_issuer == signs_with.oidc_issuer
            else args.client_id
        )
        found.append(LoginSigner(given.oidc_issuer, client))
    return tuple(found)


def _sender(way: Signer, directory: Directory | None, named: str) -> str:
    """What Temporal records as the sender: for reading only."""
    if isinstance(way, Claim | LoginSigner) or directory is None:
        return named
    try:
        return way.check(directory, datetime.now(UTC))
    except SigningError:
        return named
