"""The key that signs the permits of the tests, and the settings of workers that use it."""

import json
from typing import Any

from activities.documents import Documents
from activities.permit_signing import PermitSigner
from activities.permit_trust import ClaimedTargets, PermitTrust
from activities.proving import Prover
from activities.settings import Role, Settings
from signing.keys import parse_signing_key
from signing.permits import PermitKeys

# Written down, so that a worker in another process, or after a restart, believes what this one signed.
JWK = """{"kty": "OKP", "crv": "Ed25519", "kid": "permit-tests-1",
"x": "GgOPqDdVfLS9RtsGTwgU3xNcmwhXADNdeB3prYL1t0w", "d": "nNquGTFboVnFNTeW5VBdKOqNbQPfQjdDeY5Jz90u-hA"}"""
KEY = parse_signing_key(JWK.encode(), "the key of the tests")
JWKS = json.dumps({"keys": [{**KEY.public, "kid": KEY.id}]})
KEYS = PermitKeys.of(KEY)
SIGNER = PermitSigner(KEY)
EVERYWHERE = ClaimedTargets(accepted=True, in_production=True)


def settings(role: Role = Role.all, **more: Any) -> Settings:
    """What a worker of a role is started with, where claimed identities are enough everywhere."""
    key = KEY if role in (Role.permit, Role.all) else None
    keys = KEYS if role is Role.executor else PermitKeys()
    unsafe = {"unsafe_claimed_identities": True, "unsafe_claimed_production": True}
    return Settings(**{"role": role, "permit_key": key, "permit_keys": keys, **unsafe, **more})


def trust(keys: PermitKeys = KEYS, *, claimed: ClaimedTargets = EVERYWHERE) -> PermitTrust:
    """What an executor believes."""
    return PermitTrust(keys, Documents(), Prover(accepts_claimed=claimed.accepted), claimed)
