"""Runs whose step goes from target to target, and what its criteria leave; `recording.py` has what they share."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from activities.tables import HoldReleaseRow, HoldRow
from policy.canonical import canonical, digest
from tests.replay.recording import Recording, Scenario, decision, proposal, reads
from workflows import interface


def fleet(proposal_id: str, *criteria: dict[str, Any]) -> dict[str, Any]:
    """Set `work_mem` on both databases of the fleet, one after the other."""
    value = proposal(proposal_id, scratch=True, target="system:default/scratch-fleet")
    value["steps"][0]["one_by_one"] = True
    return {**value, "success_criteria": list(criteria) or value["success_criteria"]}


async def one_by_one(place: Recording, proposal_id: str) -> None:
    """Each is measured before the next, and all of them at the end."""
    await (await place.start(proposal_id, fleet(proposal_id))).result()


async def one_by_one_ended(place: Recording, proposal_id: str) -> None:
    """The first is not well after it: the second is not begun, and only the first is undone."""
    value = fleet(proposal_id, reads("1GB", within_seconds=0))
    await (await place.start(proposal_id, value)).result()


async def inconclusive(place: Recording, proposal_id: str) -> None:
    """What is read is neither success nor failure, so nobody can tell; it is undone."""
    neither = reads("1GB", within_seconds=1, failure={"equals": "2GB"})
    value = proposal(proposal_id, scratch=True, success_criteria=[neither])
    await (await place.start(proposal_id, value)).result()


async def inconclusive_accepted(place: Recording, proposal_id: str) -> None:
    """Nobody can tell, who asked for it may not say so either, and somebody else accepts it: it is kept."""
    await place.publish("judging/accepted.yaml")
    try:
        handle = await _undecided(place, proposal_id)
        shown = await place.status(handle, lambda item: item["state"] == "judging" and "waits_for" in item)
        for who in ("dana", "carol"):
            said = decision(shown, who, "accept", justification="read by hand", decision_id=f"accept-{who}")
            await handle.execute_update(interface.DECIDE, said)
        await handle.result()
    finally:
        await place.publish("policy.yaml")


async def inconclusive_expired(place: Recording, proposal_id: str) -> None:
    """Nobody can tell and nobody says anything: their time is over, and it is undone."""
    await place.publish("judging/expired.yaml")
    try:
        await (await _undecided(place, proposal_id)).result()
    finally:
        await place.publish("policy.yaml")


async def held_while_running(place: Recording, proposal_id: str) -> None:
    """A hold comes while it is observed: its executor finds it, and it is undone, as was approved for a stop."""
    value = proposal(proposal_id, success_criteria=[reads("32MB", observe_seconds=30)])
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    await place.status(handle, lambda item: item["state"] == "executing")
    hold_id = await _hold(place, value["target"])
    await handle.result()
    await _release(place, hold_id)


async def _hold(place: Recording, target: str) -> UUID:
    """Put a hold on a target, as the end of another action would; its id."""
    hold_id, now = uuid4(), datetime.now(UTC)
    body = canonical({"target": target, "resolved": []})
    row = {"hold_id": hold_id, "target": target, "reason": "an incident", "owner": "orders-team", "placed_at": now}
    async with place.database.transaction() as connection:
        await connection.execute(insert(HoldRow).values(**row, body=body, digest=digest(body)))
    return hold_id


async def _release(place: Recording, hold_id: UUID) -> None:
    body = canonical({"hold_id": str(hold_id)})
    row = {"hold_id": hold_id, "released_by": "tests", "released_at": datetime.now(UTC)}
    async with place.database.transaction() as connection:
        await connection.execute(insert(HoldReleaseRow).values(**row, body=body, digest=digest(body)))


async def _undecided(place: Recording, proposal_id: str) -> Any:
    """An approved action of which what is read is neither success nor failure."""
    neither = reads("1GB", within_seconds=1, failure={"equals": "2GB"})
    handle = await place.start(proposal_id, proposal(proposal_id, success_criteria=[neither]))
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    return handle


STAGING: tuple[Scenario, ...] = (
    *(one_by_one, one_by_one_ended, inconclusive),
    *(inconclusive_accepted, inconclusive_expired, held_while_running),
)
