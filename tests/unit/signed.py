"""People with keys, an issuer with keys, and statements that they sign: real keys, real OpenSSH, nothing fetched."""

import base64
import json
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey

from policy.decision import receive_decision
from policy.envelope import statement_of
from policy.people.directory import Directory, read_directory
from policy.proofs import Domain, Principal, nonce_of, signed_bytes
from policy.proposal import receive
from signing.jws import key_proof
from signing.keys import SigningKey, generate
from signing.proving import Trust, prove

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
AUDIENCE, ISSUER, CLIENT = "countersign/prod", "https://login.example", "countersign-cli"
ANN, BEN, CAROL = generate("ann-1"), generate("ben-1", "p256"), generate("carol-old")
PLATFORM = generate("platform-1")
STRANGER = generate("ann-1")
RSA = RSAKey.generate_key(2048)
DIGEST = "sha256:" + "0" * 64


@cache
def ssh_key(name: str) -> tuple[Path, str]:
    """An SSH key pair of OpenSSH's own making: the private file, and the line of the public one."""
    path = Path(tempfile.mkdtemp(prefix="countersign-test-")) / name
    command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    subprocess.run(command, check=True)
    return path, path.with_suffix(".pub").read_text().strip()


@cache
def directory(**changes: str) -> Directory:
    """Ann and Ben with keys, Carol with one that was revoked and one whose time is over, and an agent with a key."""
    value = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "audience": AUDIENCE,
        "issuers": [
            {"issuer": ISSUER, "client_ids": [CLIENT], "prefix": "sso:", "acr": {"phr": "aal3"}},
            {"issuer": "https://mail.example", "client_ids": [CLIENT], "identity": "email"},
        ],
        "people": [
            {
                "id": "ann",
                "aliases": ["sso:ann", "ann@example.com"],
                "keys": [{"id": "ann-1", "jwk": ANN.public}, {"id": "ann-ssh", "ssh": ssh_key("ann")[1]}],
            },
            {"id": "ben", "keys": [{"id": "ben-1", "jwk": BEN.public}]},
            {
                "id": "carol",
                "keys": [
                    {"id": "carol-old", "jwk": CAROL.public, "revoked_at": "2029-12-01T00:00:00Z"},
                    {"id": "carol-late", "jwk": generate("x").public, "since": "2031-01-01T00:00:00Z"},
                ],
            },
        ],
        "agents": [{"id": "tuner", "owner": "ben", "keys": [{"id": "platform-1", "jwk": PLATFORM.public}]}],
        **changes,
    }
    return read_directory(json.dumps(value).encode())


def statement(**changes: Any) -> dict[str, Any]:
    """A decision that nobody signed yet."""
    return {
        "decision_id": "d-1",
        "proposal_id": "p-1",
        "revision": 1,
        "stage": 1,
        **{f"{name}_digest": DIGEST for name in ("action", "assessment", "policy", "presented")},
        "vote": "approve",
        "justification": "looked at it",
        "issued_at": "2030-01-01T11:59:00Z",
        "expires_at": "2030-01-01T13:00:00Z",
        "audience": AUDIENCE,
        **changes,
    }


def by_key(value: Mapping[str, Any], key: SigningKey = ANN, domain: Domain = Domain.decision) -> dict[str, Any]:
    """A statement with a signature by a key."""
    return {**value, "proof": key_proof(value, key, domain)}


def by_ssh(
    value: Mapping[str, Any], name: str = "ann", namespace: str = Domain.decision.ssh_namespace
) -> dict[str, Any]:
    """A statement with an SSH signature, made by `ssh-keygen -Y sign`."""
    return {**value, "proof": ssh_signed(signed_bytes(Domain.decision, value), name, namespace)}


def ssh_signed(payload: bytes, name: str, namespace: str) -> dict[str, Any]:
    """The proof that OpenSSH makes of bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "statement")
        file.write_bytes(payload)
        command = ("ssh-keygen", "-Y", "sign", "-q", "-f", str(ssh_key(name)[0]), "-n", namespace, str(file))
        subprocess.run(command, check=True, capture_output=True)
        return {"kind": "ssh", "signature": Path(folder, "statement.sig").read_text()}


def claims(value: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """What an identity token about a statement says."""
    at = int(NOW.timestamp())
    return {
        "iss": ISSUER,
        "sub": "ann",
        "aud": CLIENT,
        "nonce": nonce_of(signed_bytes(Domain.decision, value)),
        "iat": at - 10,
        "exp": at + 300,
        "auth_time": at - 30,
        "amr": ["pwd", "otp"],
        **changes,
    }


def token(said: Mapping[str, Any], key: Any = RSA, **header: Any) -> str:
    """A token with these claims, as an issuer signs it."""
    alg = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[key.key_type]
    head = {"alg": alg, "kid": "issuer-1", "typ": "JWT", **header}
    return jws.serialize_compact(head, json.dumps(said), key, algorithms=[head["alg"]])


def by_token(
    value: Mapping[str, Any], *, key: Any = RSA, header: Mapping[str, Any] | None = None, **changes: Any
) -> Any:
    """A statement with an identity token about it."""
    said = {name: item for name, item in claims(value, **changes).items() if item is not None}
    return {**value, "proof": {"kind": "oidc", "id_token": token(said, key, **(header or {}))}}


def published(key: Any = RSA, **more: Any) -> dict[str, Any]:
    """A key as its issuer publishes it."""
    return {**key.as_dict(private=False), "kid": "issuer-1", "use": "sig", **more}


TRUST = Trust(directory(), {ISSUER: (published(),), "https://mail.example": (published(),)})


def proved(value: Mapping[str, Any], trust: Trust = TRUST, at: datetime = NOW) -> Principal:
    """Who made a decision, by its proof.

    Raises:
        UnprovenError: why it does not show it.
    """
    return prove(value, receive_decision(value).proof, Domain.decision, trust, at)


def b64(data: bytes | str) -> str:
    """base64url without padding."""
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def envelope(proposal: Any, key: SigningKey = PLATFORM, at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """A proposal with its platform's statement; `changes` are of the statement, before it is signed."""
    said = statement_of(receive(proposal), audience=AUDIENCE, now=at, valid=timedelta(hours=1))
    return {"proposal": proposal, "statement": by_key({**said, **changes}, key, Domain.proposal)}
