"""Signing a statement at the command line: with a key file, or with an SSH key by `ssh-keygen -Y sign`."""

import argparse
import asyncio
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy.canonical import parse_json
from policy.errors import CanonicalError, DocumentError
from policy.proofs import Domain, signed_bytes
from signing.jws import sign_detached
from signing.keys import KeyFileError, read_signing_key

_SSH = (b"-----BEGIN OPENSSH PRIVATE KEY-----", b"ssh-", b"ecdsa-sha2-", b"sk-")


def add_key(parser: argparse.ArgumentParser) -> None:
    """Take the key that signs."""
    parser.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        required=True,
        help="your private key: pem, jwk, or an openssh key (also a .pub file whose key an agent has)",
    )
    parser.add_argument("--key-id", metavar="ID", help="its id in the directory, where the file does not say it")


async def signed(value: Mapping[str, Any], domain: Domain, key: Path, key_id: str | None) -> dict[str, Any]:
    """A statement with its proof.

    Args:
        value: the statement, without one.
        domain: what kind of statement it is.
        key: the file of the key.
        key_id: the id of the key in the directory, where the file does not say it.

    Raises:
        KeyFileError: the key cannot be used, or OpenSSH did not sign.
    """
    payload = signed_bytes(domain, value)
    if (await asyncio.to_thread(_begins, key)).startswith(_SSH):
        signature = await asyncio.to_thread(_by_ssh, payload, domain.ssh_namespace, key)
        return {**value, "proof": {"kind": "ssh", "signature": signature}}
    jws = sign_detached(payload, read_signing_key(key, key_id), domain.media_type)
    return {**value, "proof": {"kind": "key", "jws": jws}}


def _begins(key: Path) -> bytes:
    try:
        return key.read_bytes()[:64]
    except OSError as error:
        raise KeyFileError(f"key file {key} cannot be read: {error.strerror}") from None


def _by_ssh(payload: bytes, namespace: str, key: Path) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise KeyFileError("ssh-keygen is not on this machine: install openssh-client, or sign with a key file")
    # It asks on the terminal for a passphrase, a PIN or a touch, for as long as somebody takes.
    words = (program, "-q", "-Y", "sign", "-f", str(key), "-n", namespace)
    answer = subprocess.run(words, input=payload, capture_output=True, check=False)  # noqa: S603 - no shell
    if answer.returncode != 0:
        said = answer.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:200]
        raise KeyFileError(f"ssh-keygen did not sign with {key}: {said}")
    return answer.stdout.decode()


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
