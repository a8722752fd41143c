"""Signing a proposal as its platform, or as the person for whom the command line proposes.

The key stands in the directory, by its id, with the agent or the person; an SSH key with a person only. What is signed
names the installation: the `audience` of its directory, which is read from the record where none is given.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.place import NO_RECORD, Place
from cli.signers import KeySigner, SshSigner, ssh_signer
from cli.signing import Signing, directory_of
from policy.envelope import statement_of
from policy.errors import ProposalError
from policy.people.directory import Directory
from policy.proofs import Domain
from policy.proposal import ReceivedProposal
from signing.jws import key_proof
from signing.keys import SigningKey, read_signing_key

# Long enough for a worker that is away for a while; what is registered by then stays so.
_VALID = timedelta(hours=1)


def add_key(parser: argparse.ArgumentParser) -> None:
    """Take the key that signs what is proposed."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--key", metavar="FILE", type=Path, help="sign it with a key, JWK or PEM (default: unsigned)")
    ways.add_argument("--ssh", metavar="FILE", type=Path, help="sign it with your SSH key, or its .pub by an agent")
    parser.add_argument("--key-id", metavar="KID", help="id of the key, where its file does not say it")
    parser.add_argument("--audience", metavar="NAME", help="the installation (default: the directory in force says it)")


async def enveloped(args: argparse.Namespace, place: Place, value: Any, received: ReceivedProposal) -> Any:
    """What is started: the proposal in a signed envelope, or as it is where no key was given.

    Raises:
        ProposalError: nobody says which installation it is for.
        KeyFileError: the key cannot be used.
        SigningError: the SSH key cannot, or is nobody's in the directory in force.
    """
    if args.ssh is not None:
        return await _by_ssh(await ssh_signer(args.ssh), await _directory(place), value, received)
    if args.key is None:
        return value
    key = read_signing_key(args.key, args.key_id)
    audience = args.audience or _audience(await _directory(place))
    return {"proposal": value, "statement": signed(received, key, audience, datetime.now(UTC))}


async def enveloped_by(signing: Signing, value: Any, received: ReceivedProposal) -> Any:
    """What is started for a person who signs with a key, in an envelope of theirs; as it is for whoever has none.

    Whose a login is shows only once it was made, and the proposal names its person before.

    Raises:
        SigningError: the key is not that of the person in `on_behalf_of`, or nothing was signed.
    """
    way, directory = signing.ways[0], signing.directory
    if not isinstance(way, KeySigner | SshSigner) or directory is None or directory.audience is None:
        return value
    said = _said(received, directory.audience, datetime.now(UTC))
    return {"proposal": value, "statement": await signing.sign(said, way, None, Domain.proposal)}


async def _by_ssh(way: SshSigner, directory: Directory, value: Any, received: ReceivedProposal) -> Any:
    now = datetime.now(UTC)
    way.check(directory, now)
    said = _said(received, _audience(directory), now)
    return {"proposal": value, "statement": {**said, "proof": await way.prove(said, Domain.proposal, directory, None)}}


def signed(received: ReceivedProposal, key: SigningKey, audience: str, now: datetime) -> dict[str, Any]:
    """The statement about a proposal, signed at an instant (UTC)."""
    said = _said(received, audience, now)
    return {**said, "proof": key_proof(said, key, Domain.proposal)}


def _said(received: ReceivedProposal, audience: str, now: datetime) -> dict[str, Any]:
    return statement_of(received, audience=audience, now=now.replace(microsecond=0), valid=_VALID)


async def _directory(place: Place) -> Directory:
    """The directory in force."""
    async with place.record() as database:
        if database is None:
            raise ProposalError(f"what is signed names the installation, give --audience with --key: {NO_RECORD}")
        directory = await directory_of(database)
    if directory is None:
        raise ProposalError("no directory is in force, so nothing signed counts there: give --audience, or publish one")
    return directory


def _audience(directory: Directory) -> str:
    """The installation, by the directory in force."""
    if directory.audience is None:
        raise ProposalError("the directory in force names no audience, so nothing signed counts there: give it one")
    return directory.audience
