"""Statements that stand for long (a ceremony, a delegation): signed by a key or an SSH key, and read from files."""

import argparse
from pathlib import Path
from typing import Any

from cli.signers import KeySigner, Signer, ssh_signer
from policy.canonical import parse_json
from policy.errors import CanonicalError, DocumentError
from signing.keys import read_signing_key


def add_key(parser: argparse.ArgumentParser) -> None:
    """Take the key that signs: an issuer signs nothing here, because the directory alone has to verify it."""
    ways = parser.add_mutually_exclusive_group(required=True)
    ways.add_argument("--key", metavar="FILE", type=Path, help="sign with a key, JWK or PEM")
    ways.add_argument("--ssh", metavar="FILE", type=Path, help="sign with an SSH key, or its .pub by an agent")
    parser.add_argument("--key-id", metavar="KID", help="id of the key, where its file does not say it")


async def signer_of(args: argparse.Namespace) -> Signer:
    """The way to sign that was named.

    Raises:
        KeyFileError: the key cannot be used.
        SigningError: the SSH key cannot be read.
    """
    return await ssh_signer(args.ssh) if args.ssh is not None else KeySigner(read_signing_key(args.key, args.key_id))


def read_statement(path: Path) -> dict[str, Any]:
    """A statement from a file, as it was signed.

    Raises:
        DocumentError: it is no JSON object, or cannot be read.
    """
    try:
        value = parse_json(path.read_bytes())
    except OSError as error:
        raise DocumentError(f"file {path} cannot be read: {error.strerror}") from None
    except CanonicalError as error:
        raise DocumentError(f"file {path}: {error}") from None
    if not isinstance(value, dict):
        raise DocumentError(f"file {path} is no json object: give a file of `countersign policy ceremony`")
    return value
