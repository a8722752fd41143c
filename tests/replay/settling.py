"""Runs that end without a definite state, and what people say of them then; `recording.py` has what they share."""

from datetime import UTC, datetime
from typing import Any

from activities.cases import read_case
from activities.documents import Documents
from activities.item_keeping import read_amendment
from activities.item_rows import read_item
from policy.items import Item, item_id
from tests.items import ItemPlace, item_workflow, kinds_of, said_of
from tests.replay.recording import Recording, Scenario, proposal, reads
from tests.world import until
from workflows import interface


async def settled(place: Recording, proposal_id: str) -> None:
    """It failed and has no undo; it is overdue, who asked for it cannot say how it ended, and somebody else does. Later
    an incident is traced to it.
    """
    await place.publish("afterwards/policy.yaml")
    try:
        step = {**proposal(proposal_id)["steps"][0], "undo": None}
        value = proposal(proposal_id, steps=[step], success_criteria=[reads("1GB", within_seconds=0)])
        await _approved(place, proposal_id, value)
        item = await _unresolved(place, proposal_id)
        handle = await item_workflow(place, item.item_id)
        await _until_overdue(place, proposal_id)
        await handle.execute_update(interface.DECIDE, said_of(item, "dana", found="done"))
        await handle.execute_update(interface.DECIDE, said_of(item, "carol", found="undone"))
        await handle.result()
        await _amended(place, proposal_id)
    finally:
        await place.publish("policy.yaml")


async def repaired(place: Recording, proposal_id: str) -> None:
    """It names an action whose undo failed, puts right what that left, and lets its item look, which ends."""
    await place.publish("afterwards/policy.yaml")
    try:
        broken = f"{proposal_id}-broken"
        step = {**proposal(broken)["steps"][0], "undo": None}
        await _approved(
            place, broken, proposal(broken, steps=[step], success_criteria=[reads("1GB", within_seconds=0)])
        )
        item = await item_workflow(place, (await _unresolved(place, broken)).item_id)
        value = proposal(proposal_id, remedies=broken)
        await _approved(place, proposal_id, value, ends="succeeded")
        await item.result()
    finally:
        await place.publish("policy.yaml")


async def stopped_at_failed_undo(place: Recording, proposal_id: str) -> None:
    """Two steps are done, the undo of the second fails, and the policy wants nothing more undone then."""
    await place.publish("afterwards/policy.yaml")
    try:
        first = proposal(proposal_id)["steps"][0]
        back = {"name": "work_mem", "value": "4MB", "expected": "64MB"}
        undo = {"operation": "postgres.parameter.set", "parameters": back}
        second = {**first, "name": "again", "undo": undo}
        value = proposal(proposal_id, steps=[first, second], success_criteria=[reads("1GB", within_seconds=0)])
        await _approved(place, proposal_id, value)
        item = await _unresolved(place, proposal_id)
        handle = await item_workflow(place, item.item_id)
        await handle.execute_update(interface.DECIDE, said_of(item, "carol", found="undone"))
        await handle.result()
    finally:
        await place.publish("policy.yaml")


async def _approved(
    place: Recording, proposal_id: str, value: dict[str, Any], ends: str = "compensation_failed"
) -> None:
    handle = await place.start(proposal_id, value)
    await place.decide(handle, "carol")
    await place.decide(handle, "bob")
    result = await handle.result()
    assert result["outcome"] == ends, result


async def _unresolved(place: ItemPlace, proposal_id: str) -> Item:
    async with place.database.snapshot() as connection:
        file = await read_item(connection, item_id(proposal_id, "unresolved"))
    assert file is not None
    return file.item


async def _until_overdue(place: Recording, proposal_id: str) -> None:
    async def overdue() -> bool:
        async with place.database.snapshot() as connection:
            return "unresolved_overdue" in await kinds_of(connection, proposal_id)

    await until(overdue)


async def _amended(place: Recording, proposal_id: str) -> None:
    async with place.database.snapshot() as connection:
        case = await read_case(connection, proposal_id)
        file = await read_amendment(connection, case, await Documents().in_force(connection))
    assert file is not None
    handle = await item_workflow(place, interface.amendment_item(proposal_id))
    traced = said_of(
        file.item, "bob", outcome="caused_incident", incident="INC-1", decision_id=f"{datetime.now(UTC):%f}"
    )
    await handle.execute_update(interface.DECIDE, traced)
    await handle.result()


SETTLING: tuple[Scenario, ...] = (settled, repaired, stopped_at_failed_undo)
