"""Real runs that wait for their turn, that another action takes over, and that a halt stops or keeps waiting."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import yaml

from policy.base import instant_text
from policy.canonical import canonical, digest
from policy.proofs import Domain
from signing.keys import generate
from tests.replay.recording import BOUND_SECONDS, DOCUMENTS, Recording, Scenario, allowed, proposal, reads
from tests.replay.resolving import SHELF, sweeping
from tests.replay.signing import AUDIENCE, publish
from tests.unit.signed import by_key
from workflows import interface

SIGNERS = {f"person:{name}": generate(f"{name}-halts") for name in ("alice", "bob")}


async def queued(place: Recording, proposal_id: str) -> None:
    """Another action has the target while its success is observed; this one waits, and is woken by its result."""
    first = f"{proposal_id}-first"
    alone = [{"kind": "note", "text": "by which the policy knows that it has its target alone"}]
    slow = proposal(first, scratch=True, success_criteria=[reads("32MB", observe_seconds=4)], evidence=alone)
    other = await place.start(first, slow)
    async with _record(place) as admin:
        await _until_claimed(admin, first)
    handle = await place.start(proposal_id, proposal(proposal_id, scratch=True))
    await place.status(handle, lambda item: "waits_for" in item)
    await other.result()
    await handle.result()


async def no_room(place: Recording, proposal_id: str) -> None:
    """Another action has all of a limit that sends back: it was approved, finds no room, is approved anew, and runs."""
    await place.publish("turns/policy.yaml")
    first = f"{proposal_id}-first"
    other = await _sweeps(place, first, observe_seconds=6)
    async with _record(place) as admin:
        await _until_claimed(admin, first)
    handle = await _sweeps(place, proposal_id)
    await place.status(handle, lambda item: item["revision"] == 2 and item["screen"] is not None)
    await other.result()
    await place.decide(handle, "carol", decision_id="carol-again")
    await handle.result()
    await place.publish("policy.yaml")


async def _sweeps(place: Recording, proposal_id: str, **criterion: Any) -> Any:
    """A sweep of one thing that was approved."""
    SHELF.things[proposal_id] = ("left",)
    value = sweeping(proposal_id, 1)
    value["success_criteria"][0] |= criterion
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    return handle


async def taken_over(place: Recording, proposal_id: str) -> None:
    """While its first step runs another action takes over: it gets no second permit, and undoes the first."""
    taker = f"{proposal_id}-taker"
    await allowed(place, taker)
    async with _record(place) as admin, _first_step(place, admin, proposal_id) as handle:
        row = (proposal_id, taker, datetime.now(UTC))
        await admin.execute("INSERT INTO countersign.takeover (taken, proposal_id, at) VALUES ($1, $2, $3)", *row)
    await handle.result()


async def halted(place: Recording, proposal_id: str) -> None:
    """While its first step runs everything is halted: it gets no second permit, and undoes the first."""
    async with _record(place) as admin:
        async with _first_step(place, admin, proposal_id) as handle:
            await _halt(admin, proposal_id)
        await handle.result()
        await _release(place, admin, proposal_id)


async def halted_before(place: Recording, proposal_id: str) -> None:
    """Everything is halted before it begins: it waits, is woken after the release, and runs."""
    async with _record(place) as admin:
        await _halt(admin, proposal_id)
        handle = await place.start(proposal_id, proposal(proposal_id, scratch=True))
        await place.status(handle, lambda item: "waits_for" in item)
        await _release(place, admin, proposal_id)
    await handle.signal(interface.LOOK_AGAIN)
    await handle.result()


@asynccontextmanager
async def _record(place: Recording) -> AsyncIterator[Any]:
    admin = await asyncpg.connect(place.stack.database_url("postgres", "countersign"))
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _first_step(place: Recording, admin: Any, proposal_id: str) -> AsyncIterator[Any]:
    """An action of two steps whose first one is claimed, and cannot report before the block has ended."""
    asked = proposal(proposal_id, scratch=True)
    (step,) = asked["steps"]
    steps = [{**step, "name": f"step-{number}"} for number in (1, 2)]
    lock = await asyncpg.connect(place.stack.database_url("postgres", "countersign"))
    try:
        async with lock.transaction():
            await lock.execute("LOCK TABLE countersign.effect_report IN SHARE ROW EXCLUSIVE MODE")
            handle = await place.start(proposal_id, {**asked, "steps": steps})
            await _until_claimed(admin, proposal_id)
            yield handle
    finally:
        await lock.close()


async def _until_claimed(admin: Any, proposal_id: str) -> None:
    statement = (
        "SELECT count(*) FROM countersign.permit JOIN countersign.permit_use USING (permit_id)"
        " WHERE proposal_id = $1 AND use = 'claimed'"
    )
    ends_at = asyncio.get_running_loop().time() + BOUND_SECONDS
    while not await admin.fetchval(statement, proposal_id):
        if asyncio.get_running_loop().time() > ends_at:
            raise TimeoutError(f"nobody claimed a permit of {proposal_id}")
        await asyncio.sleep(0.05)


async def _halt(admin: Any, name: str) -> None:
    body = canonical({"halt": name})
    await admin.execute(
        "INSERT INTO countersign.halt (halt_id, placed_by, placed_at, reason, body, digest)"
        " VALUES ($1, 'alice', $2, 'an incident', $3, $4)",
        *(f"halt-{name}", datetime.now(UTC), body, digest(body)),
    )


async def _release(place: Recording, admin: Any, name: str) -> None:
    """As the record has it of two people who signed; in force are their keys, and who operates an executor."""
    halt_id, now = f"halt-{name}", datetime.now(UTC)
    value = yaml.safe_load((DOCUMENTS / "directory.yaml").read_bytes())
    for person in value["people"]:
        if person["id"] in SIGNERS:
            person["keys"] = [{"id": SIGNERS[person["id"]].id, "jwk": SIGNERS[person["id"]].public}]
    value |= {"audience": AUDIENCE, "executors": [{"name": "postgres", "operators": list(SIGNERS)}]}
    await publish(place, json.dumps(value).encode())
    times = {"issued_at": instant_text(now), "expires_at": instant_text(now + timedelta(minutes=5))}
    said = {"audience": AUDIENCE, "verb": "release", "halt_id": halt_id, "reason": "it is over", **times}
    received_at = datetime.now(UTC)
    for person_id, key in SIGNERS.items():
        body = canonical(by_key(said, key, Domain.halt))
        await admin.execute(
            "INSERT INTO countersign.halt_statement (halt_id, digest, person_id, received_at, body)"
            " VALUES ($1, $2, $3, $4, $5)",
            *(halt_id, digest(body), person_id, received_at, body),
        )
    body = canonical({"released": name})
    await admin.execute(
        "INSERT INTO countersign.halt_release (halt_id, released_at, body, digest) VALUES ($1, $2, $3, $4)",
        *(halt_id, received_at, body, digest(body)),
    )
    await publish(place, (DOCUMENTS / "directory.yaml").read_bytes())


TURNS: tuple[Scenario, ...] = (queued, no_room, taken_over, halted, halted_before)
