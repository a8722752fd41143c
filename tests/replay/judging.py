"""Runs of which nobody can tell whether they are good, and one that a hold ends; `recording.py` has what they share."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from temporalio.client import WorkflowHandle

from activities.tables import HoldRow
from policy.canonical import canonical, digest
from tests.integration.left_behind import forget_holds
from tests.replay.recording import Recording, Scenario, decision
from tests.replay.resolving import SHELF, sweeping
from workflows import interface


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
    handle = await _swept(place, proposal_id, observe_seconds=30)
    await place.status(handle, lambda item: item["state"] == "executing")
    await _hold(place, "resource:default/orders-db")
    await handle.result()
    # Nothing shows who may end a hold that no action left: it would stand against every run after this one.
    await forget_holds(place)


async def _hold(place: Recording, target: str) -> None:
    """Put a hold on a target, as the end of another action would."""
    hold_id, now = uuid4(), datetime.now(UTC)
    body = canonical({"target": target, "resolved": []})
    row = {"hold_id": hold_id, "target": target, "reason": "an incident", "owner": "orders-team", "placed_at": now}
    async with place.database.transaction() as connection:
        await connection.execute(insert(HoldRow).values(**row, body=body, digest=digest(body)))


async def _undecided(place: Recording, proposal_id: str) -> "WorkflowHandle[Any, Any]":
    """An approved sweep of which what is counted is neither success nor failure."""
    return await _swept(place, proposal_id, equals=7, failure={"equals": 9}, within_seconds=1)


async def _swept(place: Recording, proposal_id: str, **criterion: Any) -> "WorkflowHandle[Any, Any]":
    SHELF.things[proposal_id] = ("left",)
    value = sweeping(proposal_id, 1)
    value["success_criteria"][0] |= criterion
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    return handle


JUDGING: tuple[Scenario, ...] = (inconclusive_accepted, inconclusive_expired, held_while_running)
