"""SSH signatures over statements, verified by OpenSSH itself (`ssh-keygen -Y verify`; PROTOCOL.sshsig).

- The namespace of the signature is the domain of the statement.
- Whose key it is the directory says, by the key in the signature; OpenSSH is given that one key and nobody else's.
- OpenSSH is a process of its own, a hundred times as dear as a signature. It is asked about what fits the key when the
  same is computed here, so that thousands of forged ones (everybody knows the public key) hold nobody up. What OpenSSH
  refuses is refused, whatever was computed here.
- What a key in a security key says besides (PROTOCOL.u2f: somebody touched it, somebody gave a PIN) is read from the
  signature's own flags, after it was verified.
"""

import base64
import hashlib
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from policy.errors import CountersignError

_MAGIC = b"SSHSIG"
_SECONDS = 5.0
_PRESENT, _VERIFIED = 0x01, 0x04
_HASHES = (b"sha256", b"sha512")


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
        key: the parts of the key behind its type.
        about: namespace, reserved part and name of the hash, as they are signed.
        hash_name: how the payload is hashed.
        raw: the signature alone.
        said: flags and counter of a security key, as they are signed.
    """

    armored: str
    material: str
    namespace: str
    present: bool
    user_verified: bool
    key: tuple[bytes, ...] = field(repr=False)
    about: bytes = field(repr=False)
    hash_name: str = field(repr=False)
    raw: bytes = field(repr=False)
    said: bytes = field(repr=False)


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
        begun = rest
        namespace, rest = _string(rest)
        _reserved, rest = _string(rest)
        hash_name, rest = _string(rest)
        about = begun[: len(begun) - len(rest)]
        signature, rest = _string(rest)
        kind, *parts = _strings(key)
        signed_by, tail = _string(signature)
        raw, said = _string(tail)
        material = f"{kind.decode('ascii')} {base64.b64encode(key).decode()}"
        spoken = namespace.decode("utf-8")
    except (ValueError, struct.error, IndexError):
        raise SshSignatureError("ssh signature is malformed") from None
    if rest or kind != signed_by or hash_name not in _HASHES:
        raise SshSignatureError("ssh signature is malformed: it is of another key or hash, or has more in it")
    flags = said[0] if kind.startswith(b"sk-") and said else 0
    return SshSignature(
        armored=armored,
        material=material,
        namespace=spoken,
        present=bool(flags & _PRESENT),
        user_verified=bool(flags & _VERIFIED),
        key=tuple(parts),
        about=about,
        hash_name=hash_name.decode(),
        raw=raw,
        said=said,
    )


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
    if not _fits(signature, payload):
        raise SshSignatureError("ssh signature does not verify: it is of other bytes, or by another key")
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


def _fits(signature: SshSignature, payload: bytes) -> bool:
    """Whether a key made a signature over bytes, as far as that is computed without OpenSSH."""
    digest = hashlib.new(signature.hash_name, payload).digest()
    message = _MAGIC + signature.about + struct.pack(">I", len(digest)) + digest
    if signature.material.startswith("sk-"):
        message = hashlib.sha256(signature.key[-1]).digest() + signature.said + hashlib.sha256(message).digest()
    try:
        if "ed25519" in signature.material.partition(" ")[0]:
            Ed25519PublicKey.from_public_bytes(signature.key[0]).verify(signature.raw, message)
        else:
            r, s = (int.from_bytes(part, "big") for part in _strings(signature.raw))
            point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), signature.key[1])
            point.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError, struct.error, IndexError):
        return False
    return True


def _strings(data: bytes) -> list[bytes]:
    """All the strings that something is made of (RFC 4251, 5)."""
    found = []
    while data:
        part, data = _string(data)
        found.append(part)
    return found


def _string(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]
