"""Standard Webhooks 1.0: who sends proves it, and that nothing was changed.

A secret is `whsec_` and 24 to 64 random bytes in base64. A body is signed with HMAC-SHA256 over `id.timestamp.body`;
what is sent again has the same id and a fresh timestamp.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, SecretStr

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SECRET_BYTES = (24, 64)


def secret_bytes(secret: SecretStr) -> bytes:
    """The key of a secret.

    Raises:
        ValueError: it is none.
    """
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_SECRET_PREFIX) or not _SECRET_BYTES[0] <= len(key) <= _SECRET_BYTES[1]:
        raise ValueError(f"secret must be {_SECRET_PREFIX} and 24 to 64 random bytes in base64")
    return key


def _usable(secret: SecretStr) -> SecretStr:
    secret_bytes(secret)
    return secret


WebhookSecret = Annotated[SecretStr, AfterValidator(_usable)]


def signed(secret: SecretStr, key: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that sign a body which is sent at an instant under an id."""
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret_bytes(secret), f"{key}.{stamp}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(mac.digest()).decode()}"
    return {"webhook-id": key, "webhook-timestamp": stamp, "webhook-signature": signature}
