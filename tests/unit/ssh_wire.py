"""The strings that SSH keys and signatures are made of (RFC 4251, 5)."""

import base64
import struct


def string(value: bytes | str) -> bytes:
    """A length of four bytes, and the value."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def ssh_line(kind: str, *parts: bytes) -> str:
    """A public key as in a `.pub` file."""
    blob = string(kind) + b"".join(string(part) for part in parts)
    return f"{kind} {base64.b64encode(blob).decode()}"
