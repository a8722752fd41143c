"""What people do during the chaos run, over and over the same: whether something arrived is never certain.

They vote, withdraw and stop; they look at the target and say what became of an action of which the record cannot tell;
now and then they halt everything, and release it.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Database, DatabaseUnavailableError
from activities.item_rows import read_open_items
from cli.asking import asked
from policy.items import Item
from policy.permit import permit_of
from tests.faults.afterwards import signed_halt
from tests.faults.chaos_actions import VOTES, Action
from tests.faults.people import revocation
from tests.items import said_of
from tests.world import decision
from workflows.interface import (
    DECIDE,
    HALT_WORKFLOW,
    ITEM_WORKFLOW,
    RELEASE,
    SWEEP_WORKFLOW,
    TASK_QUEUE,
    halt_workflow_id,
    item_id,
)

PEOPLE = ("person:olga", "person:dirk")
_RPC = timedelta(seconds=5)
_GONE = (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError)
_MOST = 500
# The last of so many that are unresolved stays so, where nobody else waits for its target.
_LEFT_OPEN = 3


async def converse(handle: WorkflowHandle[Any, Any], action: Action) -> None:
    """Vote, withdraw or stop an action under the same decision ids, until cancelled."""
    while True:
        await asyncio.sleep(1)
        with contextlib.suppress(RPCError):
            status = await asked(handle, "status", rpc_timeout=_RPC)
            if status["state"] == "pending":
                await _answer(handle, action, status)
            elif status["state"] == "executing" and action.kind == "stopped":
                await handle.cancel(rpc_timeout=_RPC)
            elif status["state"] == "judging" and action.kind == "accepted":
                accepted = {**revocation(status), "decision_id": "accepted", "vote": "accept"}
                accepted["proof"] = {"kind": "claimed", "identity": PEOPLE[0]}
                await handle.signal(DECIDE, accepted, rpc_timeout=_RPC)


async def _answer(handle: WorkflowHandle[Any, Any], action: Action, status: dict[str, Any]) -> None:
    """Say what there is to say while people are asked."""
    if action.kind == "withdrawn":
        await handle.cancel(rpc_timeout=_RPC)
    elif action.kind == "revoked":
        await handle.signal(DECIDE, revocation(status), rpc_timeout=_RPC)
    elif action.kind in VOTES:
        stage = status["stage"]
        vote = decision(status, PEOPLE[stage - 1], VOTES[action.kind][stage - 1], decision_id=f"stage-{stage}")
        screen = status["screen"]
        times = {"issued_at": screen["assessed_at"], "expires_at": screen["absolute_deadline"]}
        await handle.signal(DECIDE, {**vote, **times}, rpc_timeout=_RPC)


async def settle(
    client: Client, record: str, counted: Callable[[], Awaitable[Counter[str]]], done: asyncio.Event
) -> int:
    """Look at the target and say what became of what is unresolved, until all is done; how much was said.

    Args:
        client: of the Temporal of the run.
        record: URL of its record, as the worker's role.
        counted: what the targets count, by permit.
        done: set when nothing new can become unresolved.
    """
    database, said = Database(record), 0
    try:
        while not done.is_set():
            await asyncio.sleep(2)
            with contextlib.suppress(*_GONE, WorkflowAlreadyStartedError):
                await client.start_workflow(SWEEP_WORKFLOW, id="sweep", task_queue=TASK_QUEUE, rpc_timeout=_RPC)
            for item, permits in await _open(database):
                if _is_left_open(item):
                    continue
                seen = await counted()
                there = {permit_of(key) for key in seen}
                found = "done" if there & set(permits) else "not_done"
                said += await _say(client, item, found)
    finally:
        await database.close()
    return said


def _is_left_open(item: Item) -> bool:
    kind, _, number = item.proposal_id.rpartition("-")
    return kind != "crowd" and int(number) % _LEFT_OPEN == 0


_PERMITS = "SELECT permit_id::text FROM countersign.permit WHERE proposal_id = $1 AND direction = 'do'"


async def _open(database: Database) -> list[tuple[Item, list[str]]]:
    """What is unresolved, each with the permits of its steps; nothing while the record is away."""
    try:
        async with database.snapshot() as connection:
            items = [item for item, _ in await read_open_items(connection, _MOST)]
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            return [(item, [row[0] for row in await driver.fetch(_PERMITS, item.proposal_id)]) for item in items]
    except (OSError, asyncpg.PostgresError, SQLAlchemyError, DatabaseUnavailableError):
        return []


async def _say(client: Client, item: Item, found: str) -> bool:
    """Say what was found, as an update; whether it was taken, as far as anybody answered."""
    said = said_of(item, PEOPLE[0], decision_id=f"olga-{item.item_id}", found=found)
    times = {"issued_at": "2020-01-01T00:00:00Z", "expires_at": "2100-01-01T00:00:00Z"}
    try:
        handle = await client.start_workflow(
            ITEM_WORKFLOW,
            {"item_id": item.item_id},
            id=item_id(item.item_id),
            task_queue=TASK_QUEUE,
            task_timeout=_RPC,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=_RPC,
        )
        update = f"olga-{item.item_id}"
        receipt = await handle.execute_update(DECIDE, {**said, **times}, id=update, rpc_timeout=2 * _RPC)
    except _GONE:
        return False
    return bool(receipt["counted"])


async def halts(client: Client, source: random.Random, calm: asyncio.Event) -> int:
    """Halt everything now and then, and release it by two people; how often that was done."""
    number = 0
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(calm.wait(), source.uniform(20, 40))
            return number
        number += 1
        halt_id = f"chaos-halt-{number}"
        body = {"halt_id": halt_id, "statement": await signed_halt("olga", "halt", halt_id)}
        options: dict[str, Any] = {"task_queue": TASK_QUEUE, "task_timeout": timedelta(seconds=5)}
        where = {"id": halt_workflow_id(halt_id), "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING}
        handle = await _asked(client.start_workflow, HALT_WORKFLOW, body, **where, **options)
        await asyncio.sleep(source.uniform(1, 5))
        for who in ("olga", "dirk"):
            said = await signed_halt(who, "release", halt_id)
            await _asked(handle.execute_update, RELEASE, said, id=f"{halt_id}-{who}")


async def _asked(call: Any, *values: Any, **options: Any) -> Any:
    """Ask until somebody answers. Whoever asks again after a lost answer may find that what it asked for is over."""
    asked = False
    while True:
        try:
            return await call(*values, **options, rpc_timeout=_RPC)
        except _GONE as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND and asked:
                return None
            asked = True
            await asyncio.sleep(0.5)
