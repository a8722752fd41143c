"""Start a signed proposal from a platform, with the Temporal SDK and a JOSE library alone; nothing of Countersign.

    python examples/start_signed.py PROPOSAL.json KEY.jwk AUDIENCE

KEY.jwk is the private key (Ed25519 or P-256) whose public half the directory gives to the proposal's agent; its `kid`
is the id that it has there. AUDIENCE is the `audience` of that directory. `docs/spec/decision.md` says what is signed.
"""

import asyncio
import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

DOMAIN = "countersign/proposal/v1"


def envelope(proposal: dict[str, Any], key: dict[str, Any], audience: str, now: datetime) -> dict[str, Any]:
    """The start argument: the proposal, and a statement about it that its agent's platform signs.

    Args:
        proposal: as it would be started unsigned.
        key: the private key, as a JWK with its `kid`.
        audience: the installation that it is for.
        now: the instant (UTC) of signing.
    """
    statement: dict[str, Any] = {
        "audience": audience,
        "proposal_id": proposal["proposal_id"],
        "agent": proposal["agent"]["id"],
        "action_digest": f"sha256:{hashlib.sha256(rfc8785.dumps(proposal)).hexdigest()}",
        "issued_at": now.isoformat(timespec="seconds"),
        "expires_at": (now + timedelta(hours=1)).isoformat(timespec="seconds"),
    }
    private = OKPKey.import_key(key) if key["kty"] == "OKP" else ECKey.import_key(key)
    algorithm = "Ed25519" if key["kty"] == "OKP" else "ES256"
    header = {"alg": algorithm, "kid": key["kid"], "typ": "countersign-proposal-v1+jws"}
    signed = rfc8785.dumps({**statement, "countersign": DOMAIN})
    head, _, signature = jws.serialize_compact(header, signed, private, algorithms=[algorithm]).split(".")
    return {"proposal": proposal, "statement": {**statement, "proof": {"kind": "key", "jws": f"{head}..{signature}"}}}


async def start(client: Client, value: dict[str, Any]) -> dict[str, Any]:
    """Start it, or find it started, and wait for the result. Whoever signs again starts the same proposal."""
    handle = await client.start_workflow(
        "AuthorizeAction",
        value,
        id=f"action/{value['proposal']['proposal_id']}",
        task_queue="countersign",
        # The record knows what ran before. A start that somebody else made under this id, and that was refused, must
        # not stand in the way.
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    result: dict[str, Any] = await handle.result()
    return result


async def main(proposal: dict[str, Any], key: dict[str, Any], audience: str) -> None:
    """Start a proposal and print what came of it."""
    value = envelope(proposal, key, audience, datetime.now(UTC))
    result = await start(await Client.connect("localhost:7233"), value)
    print(result["resolution"], result["outcome"], result["assurance"])


if __name__ == "__main__":
    ASKED, KEY = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
    asyncio.run(main(ASKED, KEY, sys.argv[3]))
