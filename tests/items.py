"""Items of actions that have ended, for the tests: the sweep, the statement, and what an audit finds."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from activities.auditing import audit
from activities.cases import read_case
from activities.database import Database
from activities.documents import Documents
from activities.export import export_action
from activities.item_answers import ItemFile
from activities.item_keeping import read_amendment
from activities.item_rows import read_item
from activities.tables import LedgerEntryRow
from policy.base import instant_text
from policy.decision import DecisionReceipt
from policy.items import Item
from policy.items import item_id as id_of
from tests.world import BOUND, World
from worker import workflow_runner
from workflows.interface import DECIDE, ITEM_WORKFLOW, SWEEP_WORKFLOW, TASK_QUEUE, amendment_item, item_id, workflow_id

Handle = WorkflowHandle[Any, Any]


async def sweep(world: World) -> None:
    """Let the sweep run once."""
    await world.client.execute_workflow(SWEEP_WORKFLOW, id=f"sweep-{world.id()}", task_queue=TASK_QUEUE)


async def unresolved(world: World, proposal_id: str) -> tuple[Handle, ItemFile]:
    """The item of an action that ended without a definite state, and its workflow, as the sweep starts it."""
    await sweep(world)
    name = id_of(proposal_id, "unresolved")
    async with world.database.snapshot() as connection:
        file = await read_item(connection, name)
    assert file is not None
    return world.client.get_workflow_handle(item_id(name)), file


async def amendment(world: World, proposal_id: str) -> tuple[Handle, ItemFile]:
    """The question how an action ended, and its workflow."""
    async with world.database.snapshot() as connection:
        case = await read_case(connection, proposal_id)
        file = await read_amendment(connection, case, await Documents().in_force(connection))
    assert file is not None
    return await item_workflow(world, amendment_item(proposal_id)), file


class ItemPlace(Protocol):
    """A place in which items are: with a Temporal and a record."""

    @property
    def client(self) -> Client:
        """Connected to the place's Temporal."""

    @property
    def database(self) -> Database:
        """The place's record."""


async def item_workflow(place: ItemPlace, name: str) -> Handle:
    """The workflow of an item of this name; started where none runs."""
    return await place.client.start_workflow(
        ITEM_WORKFLOW,
        {"item_id": name},
        id=item_id(name),
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )


def statement(file: ItemFile, person: str, **says: Any) -> dict[str, Any]:
    """What somebody who claims to be `person` says of an item."""
    return said_of(file.item, person, **says)


def said_of(item: Item, person: str, **says: Any) -> dict[str, Any]:
    """The same, of an item alone."""
    now = datetime.now(UTC)
    return {
        "decision_id": f"{person}-{item.kind}-{now.timestamp()}",
        "proposal_id": item.item_id,
        "revision": item.revision,
        "stage": 1,
        "action_digest": item.action_digest,
        "assessment_digest": item.assessment_digest,
        "policy_digest": item.policy_digest,
        "presented_digest": item.digest,
        "vote": "resolve" if item.kind == "unresolved" else "amend",
        "justification": "looked at it",
        "issued_at": instant_text(now - timedelta(seconds=5)),
        "expires_at": instant_text(now + timedelta(hours=1)),
        "proof": {"kind": "claimed", "identity": person},
        **says,
    }


async def say(handle: Handle, submission: dict[str, Any]) -> DecisionReceipt:
    """Send a statement as an update; its receipt."""
    async with asyncio.timeout(BOUND):
        return DecisionReceipt.model_validate(await handle.execute_update(DECIDE, submission))


async def closed(handle: Handle) -> Any:
    """How an item's workflow ended."""
    async with asyncio.timeout(BOUND):
        return (await handle.result())["closed"]


async def kinds_of(connection: AsyncConnection, proposal_id: str) -> list[str]:
    """The kinds of the entries of an action's ledger, in order."""
    table = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
    listed = select(table.kind).where(table.proposal_id == proposal_id).order_by(table.position)
    return list(await connection.scalars(listed))


async def findings(world: World, proposal_id: str) -> list[str]:
    """What an audit of an action finds."""
    file = await export_action(world.client, world.database, workflow_id(proposal_id), at=datetime.now(UTC))
    return [str(finding) for finding in (await audit(file.body(), workflow_runner())).findings]
