"""Proofs: by what a statement is somebody's, what each kind of proof shows, and no more.

- `claimed`: a name that the client wrote. Nothing verifies it and it is attributable to nobody.
- `key`: a JWS by an Ed25519 or P-256 key of the directory. Attributable to that key; NIST SP 800-63B AAL1, one factor
  in software. When somebody authenticated is not shown.
- `ssh`: OpenSSH, by a key of the directory. AAL1; AAL2 where a security key says that somebody gave it a PIN or a
  finger. What a security key signs after a touch is a gesture for this statement alone.
- `oidc`: an identity token whose nonce is the statement's hash. Attributable through the issuer, which says when
  (`auth_time`) and how strongly: as the directory believes of its `acr`, else AAL2 where `amr` has `mfa` or two kinds
  of factors, else AAL1.
- Who holds a key is what the directory says; that a key is in hardware is not shown without an attestation, and not
  believed. AAL3 is only what an issuer says, where the directory believes it by `acr`.
- A statement is signed as the RFC 8785 form of all its fields but the proof, with a domain in front: it is a signature
  of this kind of statement, for this installation (`audience`), and of nothing else.
- The weakest proof counts: whatever rests on several says the lowest assurance among them.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from policy.base import EdgeModel, Instant, Name, RecordModel
from policy.canonical import canonical
from policy.errors import CanonicalError

# The longest that a token of an issuer may be; those with many groups are some kilobytes.
MAX_TOKEN = 16 * 1024
_FACTORS = {
    "know": frozenset({"pwd", "pin", "kba"}),
    "have": frozenset({"hwk", "swk", "otp", "sc", "sms", "tel", "pop"}),
    "are": frozenset({"fpt", "face", "iris", "retina", "vbm"}),
}


class Domain(StrEnum):
    """What kind of statement a signature is about; the separator that makes it useless as any other."""

    decision = "countersign/decision/v1"
    proposal = "countersign/proposal/v1"
    ceremony = "countersign/ceremony/v1"
    acknowledgement = "countersign/acknowledgement/v1"
    delegation = "countersign/delegation/v1"
    outside = "countersign/outside/v1"
    halt = "countersign/halt/v1"

    @property
    def media_type(self) -> str:
        """The `typ` of a JWS (RFC 8725, 3.11)."""
        return f"{self.replace('/', '-')}+jws"

    @property
    def ssh_namespace(self) -> str:
        """The namespace of an SSH signature."""
        return str(self)


class Assurance(StrEnum):
    """How strongly an identity is shown, weakest first."""

    claimed = "claimed"
    aal1 = "aal1"
    aal2 = "aal2"
    aal3 = "aal3"

    @property
    def rank(self) -> int:
        """0 for the weakest."""
        return list(Assurance).index(self)


class ClaimedProof(EdgeModel):
    """An identity that a client wrote down. It proves nothing."""

    kind: Literal["claimed"]
    identity: Name


class KeyProof(EdgeModel):
    """A JWS (RFC 7515, compact, payload detached as in its appendix F) by a key of the directory."""

    kind: Literal["key"]
    jws: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,1000}\.\.[A-Za-z0-9_-]{1,1000}$")]


class SshProof(EdgeModel):
    """An SSH signature as `ssh-keygen -Y sign` writes it, by a key of the directory."""

    kind: Literal["ssh"]
    signature: Annotated[
        str,
        StringConstraints(
            pattern=r"^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n?$",
            max_length=8192,
        ),
    ]


class OidcProof(EdgeModel):
    """An OpenID Connect identity token whose `nonce` is the hash of the statement."""

    kind: Literal["oidc"]
    id_token: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", max_length=MAX_TOKEN)
    ]


Proof = Annotated[ClaimedProof | KeyProof | SshProof | OidcProof, Field(discriminator="kind")]
# What the directory alone verifies, so that it still does when an issuer has other keys: for what stands for long.
OfflineProof = Annotated[KeyProof | SshProof, Field(discriminator="kind")]


class Principal(RecordModel):
    """Whoever made a statement, as far as its proof shows it.

    Attributes:
        identity: what the directory is asked for.
        key_id: of the key of the directory that verified, or the `kid` of the issuer's.
        issuer: of the token.
        subject: as the issuer names it.
        authenticated_at: when the issuer says that somebody authenticated.
        gesture: somebody was there and did something for this statement alone.
        key: the public key of the issuer that verified, as a JWK, so that the proof outlives its rotation.
    """

    identity: str
    kind: Literal["claimed", "key", "ssh", "oidc"]
    assurance: Assurance
    key_id: str | None = None
    issuer: str | None = None
    subject: str | None = None
    authenticated_at: Instant | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    gesture: bool = False
    key: dict[str, Any] | None = None

    @classmethod
    def claimed(cls, identity: str) -> "Principal":
        """Whoever says so."""
        return cls(identity=identity, kind="claimed", assurance=Assurance.claimed)


def signed_bytes(domain: Domain, value: Mapping[str, Any]) -> bytes:
    """What is signed: the canonical form of a statement as received, without its proof, under its domain.

    Raises:
        CanonicalError: the statement has no canonical form, or names its own domain.
    """
    if "countersign" in value:
        raise CanonicalError("member countersign is put in by whoever signs or verifies: leave it out")
    return canonical({**{name: item for name, item in value.items() if name != "proof"}, "countersign": str(domain)})


def nonce_of(signed: bytes) -> str:
    """The `nonce` of an identity token that is about a statement: base64url of its SHA-256, without padding."""
    return urlsafe_b64encode(hashlib.sha256(signed).digest()).rstrip(b"=").decode()


def assurance_of_token(acr: str | None, amr: Collection[str], believed: Mapping[str, Assurance]) -> Assurance:
    """What a token shows (RFC 8176 for the values of `amr`): what the directory believes of its `acr`, or by `amr`."""
    if acr is not None and acr in believed:
        return believed[acr]
    kinds = sum(not values.isdisjoint(amr) for values in _FACTORS.values())
    return Assurance.aal2 if "mfa" in amr or kinds > 1 else Assurance.aal1


def lowest(found: Iterable[Assurance]) -> Assurance:
    """The weakest of some; of none, `claimed`."""
    return min(found, key=lambda item: item.rank, default=Assurance.claimed)


def too_old(principal: Principal, max_age: timedelta, at: datetime) -> bool:
    """Whether nobody can be seen to have authenticated within an age, or for this statement alone."""
    if principal.gesture:
        return False
    return principal.authenticated_at is None or at - principal.authenticated_at > max_age
