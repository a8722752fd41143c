"""Real runs in which time is stopped or runs out, a stage is held, nobody is found, and a stage opens again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from activities.documents import kind_of
from cli.policy import publish_one
from tests.replay.recording import DOCUMENTS, Recording, Scenario, decision, proposal, until_queued
from workflows import interface


@asynccontextmanager
async def _with_document(place: Recording, name: str) -> AsyncIterator[None]:
    """Another document of `later/` in force, inside the block."""
    await _publish(place, f"later/{name}")
    try:
        yield
    finally:
        await _publish(place, "directory.yaml" if name == "directory.yaml" else "policy.yaml")


async def _publish(place: Recording, name: str) -> None:
    body = (DOCUMENTS / name).read_bytes()
    url = place.stack.database_url("postgres", "countersign")
    await publish_one(url, kind_of(body), body, by="tests", at=datetime.now(UTC))


async def questioned_and_held(place: Recording, proposal_id: str) -> None:
    """A question stops the clock until the agent answers; nobody is found; at its end the stage is held."""
    async with _with_document(place, "patient.yaml"):
        handle = await place.start(proposal_id, proposal(proposal_id))
        asked = await place.decide(handle, "carol", "request_info", justification="why now?")
        more = {"decision_id": "answer", "answers": asked["decision_id"], "justification": "the disk is full"}
        await place.decide(handle, "agent:tuner", "answer", **more)
        await place.status(handle, lambda item: item["stages"][0]["state"] == "held")
        await place.decide(handle, "carol", decision_id="too-early")
        await place.decide(handle, "alice", "release")
        await place.decide(handle, "carol")
        await handle.result()


async def reopened(place: Recording, proposal_id: str) -> None:
    """Carol approved and left oncall: her vote is dropped, and alice decides the stage that opens again."""
    handle = await place.start(proposal_id, proposal(proposal_id))
    await place.decide(handle, "carol")
    await place.status(handle, lambda item: item["stage"] == 2)
    async with _with_document(place, "directory.yaml"):
        await place.decide(handle, "bob", decision_id="too-early")
        await place.status(handle, lambda item: "leads" in item["stages"][0]["groups"])
        await place.decide(handle, "alice")
        await place.decide(handle, "bob")
        await handle.result()


async def record_busy(place: Recording, proposal_id: str) -> None:
    """Somebody locks the record when it is proposed and when it is decided: each local activity runs out of time."""
    admin = await asyncpg.connect(place.stack.database_url("postgres", "countersign"))
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE countersign.proposal IN ACCESS EXCLUSIVE MODE")
            handle = await place.start(proposal_id, proposal(proposal_id))
            await until_queued(handle)
        found = await place.status(handle, lambda item: item["screen"] is not None)
        async with admin.transaction():
            await admin.execute("LOCK TABLE countersign.proposal IN ACCESS EXCLUSIVE MODE")
            await handle.signal(interface.DECIDE, decision(found, "carol"))
            await until_queued(handle, 2)
    finally:
        await admin.close()
    await place.status(handle, lambda item: item["stage"] == 2)
    await place.decide(handle, "bob")
    await handle.result()


TIMES: tuple[Scenario, ...] = (questioned_and_held, reopened, record_busy)
