"""Real runs of signed proposals: one that people approve and that continues as a new run, and one that is forged."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from cli.policy import publish_one
from policy.envelope import statement_of
from policy.proofs import Domain
from policy.proposal import receive
from signing.keys import SigningKey, generate
from tests.replay.flooding import until_continued
from tests.replay.recording import DOCUMENTS, SIGNALS, Recording, Scenario, proposal
from tests.unit.signed import by_key
from workflows import interface

AUDIENCE = "countersign/recorded"
PLATFORM, FORGED = generate("tuner-1"), generate("tuner-1")


def envelope(value: Any, key: SigningKey) -> dict[str, Any]:
    """A proposal with a statement that a key signed."""
    said = statement_of(receive(value), audience=AUDIENCE, now=datetime.now(UTC), valid=timedelta(minutes=5))
    return {"proposal": value, "statement": by_key(said, key, Domain.proposal)}


@asynccontextmanager
async def _platform_signs(place: Recording) -> AsyncIterator[None]:
    """With a key of the agent's platform in the directory inside the block."""
    plain = (DOCUMENTS / "directory.yaml").read_bytes()
    value = yaml.safe_load(plain)
    value["agents"][0]["keys"] = [{"id": PLATFORM.id, "jwk": PLATFORM.public}]
    await publish(place, json.dumps({**value, "audience": AUDIENCE}).encode())
    try:
        yield
    finally:
        await publish(place, plain)


async def publish(place: Recording, body: bytes) -> None:
    """Put a directory in force."""
    url = place.stack.database_url("postgres", "countersign")
    await publish_one(url, "directory", body, by="tests", at=datetime.now(UTC))


async def signed(place: Recording, proposal_id: str) -> None:
    """Its platform signed it; people approve it in the run that continues the first one, and it runs."""
    async with _platform_signs(place):
        handle = await place.start(proposal_id, envelope(proposal(proposal_id), PLATFORM))
        await place.status(handle, lambda item: item["state"] == "pending")
        for _ in range(SIGNALS):
            await handle.signal(interface.RECHECK)
        await until_continued(handle)
        await place.decide(handle, "carol")
        await place.decide(handle, "bob")
        await handle.result()


async def signature_refused(place: Recording, proposal_id: str) -> None:
    """Somebody else signed it: the start is refused, and nothing is registered."""
    async with _platform_signs(place):
        await (await place.start(proposal_id, envelope(proposal(proposal_id), FORGED))).result()


async def unsigned_refused(place: Recording, proposal_id: str) -> None:
    """Nobody signed it, although its platform has a key: the start is refused."""
    async with _platform_signs(place):
        await (await place.start(proposal_id, proposal(proposal_id))).result()


SIGNING: tuple[Scenario, ...] = (signed, signature_refused, unsigned_refused)
