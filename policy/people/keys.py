"""Keys and issuers of the directory: which public keys are somebody's, and which identity providers are believed.

- A key is a JWK (Ed25519, RFC 8037; P-256, RFC 7518) or a line as in an OpenSSH `.pub` file. Its id is chosen once and
  never given to another key; it is the `kid` of what the key signs.
- A key signs from `since` on and until just before `until`: two keys may overlap, so that one can take over. What it
  signed then counts after its end.
- A key that was revoked (`revoked_at`) signs nothing, and what it signed and is still pending counts no longer: nobody
  knows since when somebody else had it.
- Ed25519 knows points of small order; whoever likes can sign as one of them. None is a key here, as JWK or in a line.
- An issuer is believed for what it says of its people only to the clients named here. Which claim is the identity is
  said here, too, and a mail address only counts where the issuer verified it.
"""

import re
from base64 import b64decode, urlsafe_b64decode
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from policy.base import EdgeModel, Instant, Name, Text
from policy.proofs import Assurance

_Coordinate = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
_SshLine = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:sk-)?(?:ssh-ed25519|ecdsa-sha2-nistp256)(?:@openssh\.com)?"
        r" [A-Za-z0-9+/]{20,2000}={0,2}(?: [ -~]*)?$"
    ),
]

_BITS_OF_Y = 2**255 - 1
_P = 2**255 - 19
# The y of every point whose order divides 8, and those two that can also be written as p and p + 1 (RFC 8032, 5.1.3).
_SMALL_ORDER = frozenset(
    [
        *(0, 1, _P - 1, _P, _P + 1),
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    ]
)
_LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/|$)")
_ANYBODY = "key is an ed25519 point of small order, as which anybody can sign: generate another key"


def is_small_order(point: bytes) -> bool:
    """Whether an Ed25519 public key is one as which anybody can sign."""
    return int.from_bytes(point, "little") & _BITS_OF_Y in _SMALL_ORDER


class PublicJwk(EdgeModel):
    """A public key that verifies signatures (RFC 7517): nothing private, and no other use."""

    kty: Literal["OKP", "EC"]
    crv: Literal["Ed25519", "P-256"]
    x: _Coordinate
    y: _Coordinate | None = None
    use: Literal["sig"] | None = None
    key_ops: tuple[Literal["verify"]] | None = None
    alg: Literal["Ed25519", "EdDSA", "ES256"] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "PublicJwk":
        if (self.kty == "OKP") != (self.crv == "Ed25519") or (self.kty == "EC") != (self.y is not None):
            raise ValueError("a key is OKP with crv Ed25519 and x, or EC with crv P-256, x and y")
        if self.alg is not None and self.alg not in self.algorithms:
            raise ValueError(f"alg {self.alg} does not fit crv {self.crv}")
        if self.kty == "OKP" and is_small_order(urlsafe_b64decode(self.x + "=")):
            raise ValueError(_ANYBODY)
        return self

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that its signatures may name (RFC 9864 and, for Ed25519, RFC 8037)."""
        return ("Ed25519", "EdDSA") if self.kty == "OKP" else ("ES256",)

    @property
    def value(self) -> dict[str, Any]:
        """The members that make the key, as RFC 7638 takes them."""
        return {"kty": self.kty, "crv": self.crv, "x": self.x, **({"y": self.y} if self.y else {})}


def _ssh_point(line: str) -> bytes:
    """The point in the line of an Ed25519 key (RFC 8709; PROTOCOL.u2f): the second of its strings."""
    blob = b64decode(line.split(" ")[1])
    start = 4 + int.from_bytes(blob[:4], "big")
    return blob[start + 4 : start + 4 + int.from_bytes(blob[start : start + 4], "big")]


class RegisteredKey(EdgeModel):
    """A public key and when it counts."""

    id: Name
    jwk: PublicJwk | None = None
    ssh: _SshLine | None = None
    since: Instant | None = None
    until: Instant | None = None
    revoked_at: Instant | None = None

    @model_validator(mode="after")
    def _one(self) -> "RegisteredKey":
        if (self.jwk is None) == (self.ssh is None):
            raise ValueError(f"key {self.id}: give it jwk or ssh")
        if self.ssh is not None and "ssh-ed25519" in self.ssh.split(" ")[0] and is_small_order(_ssh_point(self.ssh)):
            raise ValueError(f"key {self.id}: {_ANYBODY}")
        return self

    @property
    def material(self) -> str:
        """What makes it this key and no other, whatever it is called."""
        if self.jwk is not None:
            return " ".join(f"{name}={item}" for name, item in sorted(self.jwk.value.items()))
        assert self.ssh is not None
        return " ".join(self.ssh.split(" ")[:2])

    def signs(self, at: datetime) -> bool:
        """Whether it may sign at an instant (UTC), revoked or not."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class Workload(EdgeModel):
    """The account of an issuer as which an agent's platform runs."""

    issuer: Annotated[Text, Field(min_length=1)]
    subject: Annotated[Text, Field(min_length=1)]


class Issuer(EdgeModel):
    """An OpenID provider that is believed.

    Attributes:
        issuer: exactly as its tokens and its discovery document name it.
        client_ids: the clients that people sign in with; the audience of their tokens. Where there is none,
            nobody signs in: the issuer is one of workloads.
        identity: the claim that is the identity.
        prefix: put before the claim, so that two issuers' accounts are told apart.
        acr: what its authentication context classes show; one that is not here shows nothing.
    """

    issuer: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    client_ids: tuple[Name, ...] = ()
    identity: Literal["sub", "email", "preferred_username"] = "sub"
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]{0,100}$")] = ""
    acr: dict[Text, Assurance] = {}

    @model_validator(mode="after")
    def _encrypted(self) -> "Issuer":
        if self.issuer.startswith("http:") and not _LOCAL.match(self.issuer):
            raise ValueError(f"issuer {self.issuer} is reached without tls: write https://")
        if found := set("@?#\\") & set(self.issuer):
            raise ValueError(f"issuer {self.issuer} has {min(found)} in it: write its address alone")
        return self
