"""SSH signatures over statements, verified by OpenSSH itself (`ssh-keygen -Y verify`; PROTOCOL.sshsig).

- The namespace of the signature is the domain of the statement.
- Whose key it is the directory says, by the key in the signature; OpenSSH is given that one key and nobody else's.
- What a key in a security key says besides (PROTOCOL.u2f: somebody touched it, somebody gave a PIN) is read from the
  signature's own flags, after it was verified.
"""

import base64
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from policy.errors import CountersignError

_MAGIC = b"SSHSIG"
_SECONDS = 5.0
_PRESENT, _VERIFIED = 0x01, 0x04


class SshSignatureError(CountersignError):
    """An SSH signature does not hold, or is malformed."""


class SshUnavailableError(CountersignError):
    """OpenSSH is not here, so nothing can be said of an SSH signature."""


@dataclass(frozen=True)
class SshSignature:
    """What an armored SSH signature carries, not verified yet.

    Attributes:
        armored: the text.
        material: type and base64 of the key, as in a `.pub` file.
        namespace: what it is for.
        present: the security key says that somebody touched it.
        user_verified: the security key says that somebody gave a PIN or a finger.
    """

    armored: str
    material: str
    namespace: str
    present: bool
    user_verified: bool


def parse_ssh(armored: str) -> SshSignature:
    """Read an armored signature.

    Raises:
        SshSignatureError: it is none.
    """
    lines = armored.strip().split("\n")
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
        if not blob.startswith(_MAGIC) or struct.unpack_from(">I", blob, len(_MAGIC))[0] != 1:
            raise SshSignatureError("ssh signature has another version than 1")
        rest = blob[len(_MAGIC) + 4 :]
        key, rest = _string(rest)
        namespace, rest = _string(rest)
        _reserved, rest = _string(rest)
        _hash, rest = _string(rest)
        signature, rest = _string(rest)
        kind, _ = _string(key)
        signed_by, tail = _string(signature)
        _, flags = _string(tail)
        material = f"{kind.decode('ascii')} {base64.b64encode(key).decode()}"
        spoken = namespace.decode("utf-8")
    except (ValueError, struct.error, IndexError):
        raise SshSignatureError("ssh signature is malformed") from None
    if rest or kind != signed_by:
        raise SshSignatureError("ssh signature is malformed: it has more in it than a signature, or of another key")
    said = flags[0] if signed_by.startswith(b"sk-") and flags else 0
    return SshSignature(armored, material, spoken, bool(said & _PRESENT), bool(said & _VERIFIED))


def verify_ssh(signature: SshSignature, payload: bytes, namespace: str) -> None:
    """Ask OpenSSH whether the key in a signature made it over bytes, for a namespace.

    Raises:
        SshSignatureError: it did not.
        SshUnavailableError: OpenSSH is not here, or did not answer.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SshUnavailableError("ssh-keygen is not on this machine: install openssh-client where decisions are taken")
    if signature.namespace != namespace:
        raise SshSignatureError(f"ssh signature is for {signature.namespace!r:.80}, this is {namespace}")
    with tempfile.TemporaryDirectory(prefix="countersign-ssh-") as folder:
        allowed, given = Path(folder, "allowed_signers"), Path(folder, "signature")
        allowed.write_text(f'signer namespaces="{namespace}" {signature.material}\n')
        given.write_text(signature.armored)
        words = ("-Y", "verify", "-f", str(allowed), "-I", "signer", "-n", namespace, "-s", str(given))
        try:
            answer = subprocess.run(  # noqa: S603 - a fixed program, no shell
                (program, *words), input=payload, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SshUnavailableError(f"ssh-keygen gave no answer: {error}") from None
    if answer.returncode != 0:
        said = answer.stderr.decode("utf-8", "replace").strip().split("\n")[0][:100]
        raise SshSignatureError(f"ssh signature does not verify: {said or 'ssh-keygen refused it'}")


def _string(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]
