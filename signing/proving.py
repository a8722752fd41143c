"""Who made a statement, by its proof: every kind of proof ends in one Principal, or in a refusal that says why.

1. A signed statement names the installation that it is for (`audience` of the directory). Without one there, nothing
   signed can be told from what was signed for another installation, and nothing is accepted.
2. A key is looked up by the `kid` in the directory, an SSH key by itself, an issuer by its name; whatever a proof
   carries besides is not asked. A key signs between its `since` and `until`, and never once it is revoked. The token of
   an agent's workload is a proof for proposals alone (`signing/workloads.py`).
3. `claimed` is accepted only where that was asked for.
4. What nobody can say now (keys that cannot be fetched, no OpenSSH) is refused as `unverifiable`, never accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from policy.decision import Refusal
from policy.errors import CanonicalError, CountersignError
from policy.people.directory import Directory
from policy.people.keys import Issuer, RegisteredKey
from policy.proofs import (
    Assurance,
    ClaimedProof,
    Domain,
    KeyProof,
    OidcProof,
    Principal,
    Proof,
    SshProof,
    assurance_of_token,
    nonce_of,
    signed_bytes,
)
from signing import jws
from signing.jws import BadSignatureError
from signing.sshsig import SshSignatureError, SshUnavailableError, parse_ssh, verify_ssh
from signing.tokens import Token, UnknownKidError, unverified, verify_token
from signing.workloads import names_workload, prove_workload

# What an auditor may be unable to refuse again for the same reason, without a key of an issuer or OpenSSH.
NEEDS_OTHERS = frozenset({Refusal.unverifiable, Refusal.unknown_key, Refusal.bad_proof})


class UnprovenError(CountersignError):
    """A proof does not show who made a statement."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def why(self) -> tuple[Refusal, str]:
        """Code and sentence."""
        return self.code, str(self)


class KeysWantedError(CountersignError):
    """The token names a key of its issuer that is not known here yet."""

    def __init__(self, issuer: str, message: str) -> None:
        super().__init__(message)
        self.issuer = issuer


@dataclass(frozen=True)
class Trust:
    """What is believed at one moment.

    Attributes:
        directory: whose key it is, which issuers, which audience.
        issuer_keys: the published keys of each issuer, as JWKs.
        accepts_claimed: whether a name that a client wrote is taken for one.
    """

    directory: Directory
    issuer_keys: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    accepts_claimed: bool = False

    @classmethod
    def again(
        cls,
        directory: Directory,
        issuer: str | None = None,
        key: dict[str, Any] | None = None,
        *,
        accepts_claimed: bool = False,
    ) -> "Trust":
        """What is believed of a statement that was verified before: of its issuer the one key that was kept with it."""
        known = {issuer: (key,)} if issuer is not None and key is not None else {}
        return cls(directory, known, accepts_claimed=accepts_claimed)


def prove(value: Mapping[str, Any], proof: Proof, domain: Domain, trust: Trust, at: datetime) -> Principal:
    """Who made a statement.

    Args:
        value: the statement as received, its proof in it.
        proof: the same proof, as read.
        domain: what kind of statement it must be.
        trust: what is believed.
        at: when it was first seen (UTC).

    Raises:
        UnprovenError: the proof does not show it, and why.
        KeysWantedError: the keys of the issuer must be fetched first.
    """
    if isinstance(proof, ClaimedProof):
        if not trust.accepts_claimed:
            message = f"identity {proof.identity} is only claimed: sign the decision, `countersign sign` shows how"
            raise UnprovenError(Refusal.claimed_not_accepted, message)
        return Principal.claimed(proof.identity)
    _check_audience(value.get("audience"), trust.directory)
    try:
        signed = signed_bytes(domain, value)
        match proof:
            case KeyProof():
                return _by_key(proof, signed, domain, trust.directory, at)
            case SshProof():
                return _by_ssh(proof, signed, domain, trust.directory, at)
            case OidcProof():
                return _by_token(proof, signed, domain, trust, at)
    except (BadSignatureError, SshSignatureError, CanonicalError) as error:
        raise UnprovenError(Refusal.bad_proof, str(error)) from None
    except SshUnavailableError as error:
        raise UnprovenError(Refusal.unverifiable, str(error)) from None


def _check_audience(given: Any, directory: Directory) -> None:
    if directory.audience is None:
        message = (
            "the directory names no audience, so nothing signed can be told from what was signed for another place"
        )
        raise UnprovenError(Refusal.unverifiable, message)
    if given != directory.audience:
        shown = repr(given[:100]) if isinstance(given, str) else "no text"
        raise UnprovenError(Refusal.wrong_audience, f"audience is {shown}, this is {directory.audience}")


def _by_key(proof: KeyProof, signed: bytes, domain: Domain, directory: Directory, at: datetime) -> Principal:
    token = jws.attached(proof.jws, signed)
    kid = jws.parse(token, domain.media_type).kid
    found = directory.key_of_person(kid) or directory.key_of_agent(kid)
    if found is None or found[1].jwk is None:
        raise UnprovenError(Refusal.unknown_key, f"the directory has no key {kid!r:.80}")
    holder, key = found
    _check_key(key, at)
    assert key.jwk is not None
    jws.verify(token, key.jwk, domain.media_type)
    return Principal(identity=holder.id, kind="key", assurance=Assurance.aal1, key_id=key.id)


def _by_ssh(proof: SshProof, signed: bytes, domain: Domain, directory: Directory, at: datetime) -> Principal:
    signature = parse_ssh(proof.signature)
    found = directory.ssh_key(signature.material)
    if found is None:
        raise UnprovenError(Refusal.unknown_key, "the directory has no such ssh key")
    person, key = found
    _check_key(key, at)
    verify_ssh(signature, signed, domain.ssh_namespace)
    strong = signature.present and signature.user_verified
    return Principal(
        identity=person.id,
        kind="ssh",
        assurance=Assurance.aal2 if strong else Assurance.aal1,
        key_id=key.id,
        gesture=signature.present,
    )


def _check_key(key: RegisteredKey, at: datetime) -> None:
    if key.revoked_at is not None:
        raise UnprovenError(Refusal.revoked_key, f"key {key.id} was revoked at {key.revoked_at.isoformat()}")
    if not key.signs(at):
        raise UnprovenError(Refusal.unknown_key, f"key {key.id} does not sign at {at.isoformat()}: it is not its time")


def _by_token(proof: OidcProof, signed: bytes, domain: Domain, trust: Trust, at: datetime) -> Principal:
    issuer = _issuer(proof.id_token, trust.directory)
    try:
        if domain is Domain.proposal and names_workload(proof.id_token, trust.directory):
            return prove_workload(proof.id_token, nonce_of(signed), trust.directory, trust.issuer_keys, at)
        if not issuer.client_ids:
            raise BadSignatureError(f"issuer takes nobody's login: the directory names no client of {issuer.issuer}")
        token = verify_token(
            proof.id_token,
            trust.issuer_keys.get(issuer.issuer, ()),
            issuer=issuer.issuer,
            audience=issuer.client_ids,
            nonce=nonce_of(signed),
            at=at,
        )
    except UnknownKidError as error:
        raise KeysWantedError(issuer.issuer, str(error)) from None
    return principal_of(token, issuer, _identity(token, issuer))


def _issuer(token: str, directory: Directory) -> Issuer:
    _, claims = unverified(token)
    found = directory.issuer(str(claims.get("iss")))
    if found is None:
        raise UnprovenError(Refusal.unknown_key, f"the directory has no issuer {claims.get('iss')!r:.100}")
    return found


def _identity(token: Token, issuer: Issuer) -> str:
    value = token.claims.get(issuer.identity)
    if not isinstance(value, str) or not value:
        raise BadSignatureError(f"token has no {issuer.identity}, by which its issuer's people are known here")
    if issuer.identity == "email" and token.claims.get("email_verified") is not True:
        raise BadSignatureError("email of the token is not verified by its issuer")
    return issuer.prefix + value


def principal_of(token: Token, issuer: Issuer, identity: str) -> Principal:
    """What a token that verified shows of somebody."""
    acr, amr = token.claims.get("acr"), token.claims.get("amr")
    said = tuple(item for item in amr if isinstance(item, str)) if isinstance(amr, list) else ()
    acr = acr if isinstance(acr, str) else None
    kid = token.key.get("kid")
    return Principal(
        identity=identity,
        kind="oidc",
        assurance=assurance_of_token(acr, said, issuer.acr),
        key_id=kid if isinstance(kid, str) else None,
        issuer=issuer.issuer,
        subject=str(token.claims["sub"]),
        authenticated_at=token.authenticated_at,
        acr=acr,
        amr=said,
        key=token.key,
    )
