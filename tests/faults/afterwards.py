"""What people and schedules do after an action has its result, while a worker is killed: over and over the same.

Whether something arrived is never certain, so everything is said again until the record shows it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.cases import read_case
from activities.database import Database
from activities.documents import Documents
from activities.item_answers import ItemFile
from activities.item_keeping import read_amendment
from activities.item_rows import read_item
from cli.signers import KeySigner
from policy.base import instant_text
from policy.items import item_id as id_of
from policy.people.directory import read_directory
from policy.proofs import Domain
from signing.keys import generate
from tests.faults.governed import CATALOG, DIRECTORY, OPERATIONS, POLICY
from tests.faults.ordeal import Afterwards, Ordeal
from tests.faults.scheduled import runs
from tests.items import statement
from workflows.interface import (
    ARCHIVE_WORKFLOW,
    DECIDE,
    HALT_WORKFLOW,
    ITEM_WORKFLOW,
    RELEASE,
    SWEEP_WORKFLOW,
    TASK_QUEUE,
    amendment_item,
    halt_workflow_id,
    item_id,
)

_RPC = timedelta(seconds=5)
_PATIENCE_SECONDS = 45.0
AUDIENCE = "countersign/faults"
_KEYS = {name: generate(f"{name}-key") for name in ("olga", "dirk")}
PEOPLE = DIRECTORY.decode().replace("people:\n", f"audience: {AUDIENCE}\npeople:\n", 1)
for _name, _key in _KEYS.items():
    _own = json.dumps([{"id": _key.id, "jwk": _key.public}])
    PEOPLE = PEOPLE.replace(f"{{id: person:{_name}, ", f"{{id: person:{_name}, keys: {_own}, ", 1)
_RULES = b"""
amendments: {chain: one}
unresolved: {chain: one}
halt: {who: {groups: [oncall]}, release: {groups: [oncall, dba]}}
"""
# Whom to ask afterwards, and who may halt.
DOCUMENTS = (POLICY + _RULES, OPERATIONS, PEOPLE.encode(), CATALOG)


async def answer_item(ordeal: Ordeal, client: Client, _: Path) -> None:
    """Olga looked, and it was not done."""
    name = id_of(ordeal.name, "unresolved")
    await _sent(client.start_workflow, SWEEP_WORKFLOW, id=f"sweep-{uuid4().hex}", task_queue=TASK_QUEUE)
    async with _record(ordeal) as record:

        async def file() -> ItemFile | None:
            async with record.snapshot() as connection:
                return await read_item(connection, name)

        await _say(client, name, file, found="not_done")
        await _until(lambda: _count(ordeal, "items closed"))


async def amend(ordeal: Ordeal, client: Client, _: Path) -> None:
    """An incident was traced to it."""
    async with _record(ordeal) as record:

        async def file() -> ItemFile | None:
            async with record.snapshot() as connection:
                case = await read_case(connection, ordeal.name)
                return await read_amendment(connection, case, await Documents().in_force(connection))

        await _say(client, amendment_item(ordeal.name), file, outcome="caused_incident", incident="INC-1")
        await _until(lambda: _count(ordeal, "amendments"))


async def halt(ordeal: Ordeal, client: Client, _: Path) -> None:
    """Olga halts everything; she and Dirk release it."""
    halt_id = f"halt-{uuid4().hex}"
    body = {"halt_id": halt_id, "statement": await signed_halt("olga", "halt", halt_id)}
    handle = await _sent(
        client.start_workflow,
        HALT_WORKFLOW,
        body,
        id=halt_workflow_id(halt_id),
        task_queue=TASK_QUEUE,
        task_timeout=timedelta(seconds=2),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await _until(lambda: _count(ordeal, "halts"))
    for who in ("olga", "dirk"):
        said = await signed_halt(who, "release", halt_id)
        await _sent(handle.execute_update, RELEASE, said, id=f"{halt_id}-{who}")
    await _until(lambda: _count(ordeal, "halts released"))


PLAYS: dict[str, Afterwards] = {
    "an item is answered": answer_item,
    "an outcome is amended": amend,
    "everything is halted": halt,
    "it is archived": runs(ARCHIVE_WORKFLOW, "archived"),
}


async def _say(client: Client, name: str, read: Callable[[], Awaitable[ItemFile | None]], **says: Any) -> None:
    """Say one thing of an item, as an update under one id."""
    file = await read()
    assert file is not None
    said = statement(file, "person:olga", decision_id=f"olga-{uuid4().hex}", **says)
    handle = await _sent(
        client.start_workflow,
        ITEM_WORKFLOW,
        {"item_id": name},
        id=item_id(name),
        task_queue=TASK_QUEUE,
        task_timeout=timedelta(seconds=2),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await _sent(handle.execute_update, DECIDE, said, id=said["decision_id"])


async def signed_halt(who: str, verb: str, halt_id: str) -> dict[str, Any]:
    """A statement about a halt by olga or dirk; `verb` is halt or release."""
    now = datetime.now(UTC)
    value: dict[str, Any] = {
        "audience": AUDIENCE,
        "verb": verb,
        "halt_id": halt_id,
        "reason": "an incident",
        "issued_at": instant_text(now - timedelta(seconds=5)),
        "expires_at": instant_text(now + timedelta(minutes=30)),
    }
    proof = await KeySigner(_KEYS[who]).prove(value, Domain.halt, read_directory(PEOPLE.encode()), None)
    return {**value, "proof": proof}


async def _sent(call: Callable[..., Awaitable[Any]], *values: Any, **options: Any) -> Any:
    """Ask until somebody answers."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                return await call(*values, **options, rpc_timeout=_RPC)
            except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
                await asyncio.sleep(0.5)


async def _until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.2)


async def _count(ordeal: Ordeal, what: str) -> int:
    return (await ordeal.counts())[what]


@contextlib.asynccontextmanager
async def _record(ordeal: Ordeal) -> Any:
    database = Database(ordeal.stack.database_url("countersign_app", ordeal.name))
    try:
        yield database
    finally:
        await database.close()
