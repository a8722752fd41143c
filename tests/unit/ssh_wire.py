"""SSH keys and signatures made here, byte by byte, a security key's included: what OpenSSH is given to verify.

No device is needed: what a security key signs (PROTOCOL.u2f) is the hash of its application, its flags, its counter and
the hash of the message; the message of a signature for a file is in PROTOCOL.sshsig.
"""

import base64
import hashlib
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PRESENT, VERIFIED = 0x01, 0x04
APPLICATION = b"ssh:"


def string(value: bytes | str) -> bytes:
    """A length of four bytes, and the value (RFC 4251, 5)."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def mpint(value: int) -> bytes:
    """A positive number: a zero before a first bit that is set (RFC 4251, 5)."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def ssh_line(kind: str, *parts: bytes) -> str:
    """A public key as in a `.pub` file."""
    blob = string(kind) + b"".join(string(part) for part in parts)
    return f"{kind} {base64.b64encode(blob).decode()}"


def armored(blob: bytes) -> str:
    """A signature as `ssh-keygen -Y sign` writes it."""
    text = base64.b64encode(blob).decode()
    lines = "\n".join(text[start : start + 70] for start in range(0, len(text), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


@dataclass(frozen=True)
class SshKey:
    """A key pair: of a security key, if `kind` begins with `sk-`."""

    kind: str
    private: Ed25519PrivateKey | EllipticCurvePrivateKey

    @classmethod
    def new(cls, kind: str) -> "SshKey":
        """A key that nobody had before."""
        return cls(kind, Ed25519PrivateKey.generate() if "ed25519" in kind else generate_private_key(SECP256R1()))

    @property
    def line(self) -> str:
        """The public key as in a `.pub` file."""
        return ssh_line(self.kind, *self._parts)

    @property
    def blob(self) -> bytes:
        """The public key as in a signature."""
        return string(self.kind) + b"".join(string(part) for part in self._parts)

    def sign(self, payload: bytes, namespace: str, flags: int = PRESENT, counter: int = 7) -> str:
        """An armored signature over bytes; a security key says that flags and counter were so."""
        digest = hashlib.sha512(payload).digest()
        about = string(namespace) + string(b"") + string("sha512")
        message = b"SSHSIG" + about + string(digest)
        said = struct.pack(">BI", flags, counter) if self.kind.startswith("sk-") else b""
        if said:
            message = hashlib.sha256(APPLICATION).digest() + said + hashlib.sha256(message).digest()
        signature = string(self.kind) + string(self._raw(message)) + said
        return armored(b"SSHSIG" + struct.pack(">I", 1) + string(self.blob) + about + string(signature))

    @property
    def _parts(self) -> list[bytes]:
        application = [APPLICATION] if self.kind.startswith("sk-") else []
        public = self.private.public_key()
        if isinstance(self.private, Ed25519PrivateKey):
            return [public.public_bytes(Encoding.Raw, PublicFormat.Raw), *application]
        return [b"nistp256", public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), *application]

    def _raw(self, message: bytes) -> bytes:
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(message)
        r, s = decode_dss_signature(self.private.sign(message, ECDSA(SHA256())))
        return mpint(r) + mpint(s)
