"""Placing a halt and releasing it, as the control role. The rules are in `policy/halting.py`.

At each commit, what is true: the row and its entry in the ledger of halts are durable together, under that ledger's
lock. A halt that somebody wrote without this role, because Temporal was away, gets its entry when its workflow starts;
it was in force before. A halt of one target gets its hold with its entry, in the same transaction, and loses it so.
"""

import asyncio
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.clock import Clock, differs
from activities.database import Database
from activities.documents import Documents, InForce
from activities.halt_proofs import Releases, ended, placed_by, read_signed, signers_of
from activities.halts import open_halts
from activities.held_targets import held_by_people, hold, let_go, owners_of
from activities.in_flight import waiting
from activities.ledger import Ledger
from activities.outbox import write
from activities.tables import LedgerEntryRow
from activities.tables_halts import HaltReleaseRow, HaltRow, HaltStatementRow
from policy.base import instant_text
from policy.canonical import canonical, digest, parse_canonical
from policy.catalog import normalize
from policy.errors import CanonicalError, DocumentError
from policy.halting import HALTS_LEDGER, LISTED, HaltFact, HaltStatement, missing, receive_halt
from policy.ledger import EntryKind
from policy.notices.occasions_told import halt_released, halted
from signing.halting import signed_by
from workflows.interface import HALT_WORKFLOW, TASK_QUEUE, halt_workflow_id
from workflows.messages_halts import WOKEN, HaltRequest, HaltResult
from workflows.ports import HaltPort

_HALT = HaltRow.__table__.c  # type: ignore[attr-defined]
_STATEMENT = HaltStatementRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HaltReleaseRow.__table__.c  # type: ignore[attr-defined]
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_REFUSALS = select(func.count()).where(_ENTRY.proposal_id == HALTS_LEDGER, _ENTRY.kind == str(EntryKind.halt_refused))


class _Read(NamedTuple):
    """A statement that came: who signed it, or why it does not count."""

    statement: HaltStatement | None
    person_id: str | None
    why_not: tuple[str, str] | None


async def start_halts(client: Client, database: Database, releases: Releases) -> int:
    """Start the workflow of every halt in force that has none; how many were started.

    Args:
        client: connected to where they run.
        database: the record.
        releases: those that this process verified before.

    Raises:
        RPCError: Temporal does not answer.
    """
    async with database.snapshot() as connection:
        halts = await open_halts(connection, releases)
        halts += await releases.in_force(connection, await held_by_people(connection))
    started = 0
    for halt in halts:
        try:
            await client.start_workflow(
                HALT_WORKFLOW,
                {"halt_id": halt.halt_id},
                id=halt_workflow_id(halt.halt_id),
                task_queue=TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
            started += 1
        except WorkflowAlreadyStartedError:
            continue
    return started


def halt_row(statement: HaltStatement, value: Any, placed_by: str, at: datetime) -> dict[str, Any]:
    """The row of a halt, as whoever writes it says it; `value` is the statement as it came."""
    body = canonical(value)
    return {
        "halt_id": statement.halt_id,
        "environment": statement.environment,
        "target": normalize(statement.target) if statement.target is not None else None,
        "placed_by": placed_by,
        "placed_at": at,
        "reason": statement.reason,
        "body": body,
        "digest": digest(body),
    }


class HaltActivities(HaltPort):
    """The halts, against the record, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents.
        clock: what time it is.

    """

    def __init__(self, database: Database, documents: Documents, clock: Clock) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock

    @activity.defn(name="place_halt")
    async def place_halt(self, request: HaltRequest) -> HaltResult:
        async with self._database.transaction(HALTS_LEDGER) as connection:
            if await differs(self._clock, request.now):
                return HaltResult(stale=True)
            ledger = Ledger(connection, HALTS_LEDGER, request.now)
            in_force = await self._documents.in_force(connection)
            row = await _row(connection, request.halt_id)
            if row is not None:
                await self._note(connection, ledger, row, in_force, request.now)
                return await self._stands(connection, row, in_force, request.now)
            read = await _read(request, "halt", in_force, request.now)
            if read.why_not is not None or read.statement is None or read.person_id is None:
                return await _refused(connection, ledger, request, read, in_force)
            values = halt_row(read.statement, request.statement, read.person_id, request.now)
            await connection.execute(insert(HaltRow), values)
            row = await _row(connection, request.halt_id)
            await self._note(connection, ledger, row, in_force, request.now)
            return await self._stands(connection, row, in_force, request.now)

    @activity.defn(name="release_halt")
    async def release_halt(self, request: HaltRequest) -> HaltResult:
        async with self._database.transaction(HALTS_LEDGER) as connection:
            if await differs(self._clock, request.now):
                return HaltResult(stale=True)
            ledger = Ledger(connection, HALTS_LEDGER, request.now)
            in_force = await self._documents.in_force(connection)
            row = await _row(connection, request.halt_id)
            if row is None:
                return HaltResult(code="unknown_halt", message=f"there is no halt {request.halt_id}")
            if row.released and await ended(connection, self._documents, row.halt_id):
                return HaltResult(placed=True, released=True, message="it was released before")
            read = await _read(request, "release", in_force, request.now)
            if read.why_not is not None or read.person_id is None:
                refused = await _refused(connection, ledger, request, read, in_force)
                return refused.model_copy(update={"placed": True})
            await _sign(connection, ledger, request, read.person_id, in_force)
            return await self._stands(connection, row, in_force, request.now, ledger)

    async def _note(
        self, connection: AsyncConnection, ledger: Ledger, row: Any, in_force: InForce, now: datetime
    ) -> None:
        """The entry of a halt: what was signed, and by whom as far as that holds."""
        owners = owners_of(in_force.catalog, row.target)
        person_id, why = await placed_by(row, in_force.policy, in_force.directory, owners)
        content = {
            "halt": {
                **{name: getattr(row, name) for name in ("halt_id", "environment", "placed_by", "reason", "digest")},
                **({"target": row.target} if row.target is not None else {}),
                "placed_at": instant_text(row.placed_at),
            },
            "statement": _value(row.body),
            "documents": in_force.digests.model_dump(mode="json"),
            "person_id": person_id,
            "unproven": why,
        }
        if row.target is not None:
            await hold(connection, row, in_force)
        await ledger.append(EntryKind.halted, content, row.halt_id)
        await write(connection, [(halted(_fact(row), person_id, now), None)])

    async def _stands(
        self, connection: AsyncConnection, row: Any, in_force: InForce, now: datetime, ledger: Ledger | None = None
    ) -> HaltResult:
        """How a halt stands; ends it where nothing is missing any more.

        A release that somebody wrote without the statements of two people counts for nothing, and is proved when they
        have signed.
        """
        if row.released and await ended(connection, self._documents, row.halt_id):
            return HaltResult(placed=True, released=True)
        documents = in_force.policy, in_force.directory
        signers = await signers_of(await read_signed(connection, row.halt_id), row.halt_id, *documents, now)
        halted_by, _ = await placed_by(row, *documents)
        lacks = missing(signers, halted_by)
        if lacks is not None or ledger is None:
            return HaltResult(placed=True, missing=lacks)
        content = {"halt_id": row.halt_id, "people": sorted(signers), "halted_by": halted_by}
        body = canonical({**content, "at": instant_text(now)})
        values = {"halt_id": row.halt_id, "released_at": now, "body": body, "digest": digest(body)}
        await connection.execute(insert_once(HaltReleaseRow).values(values).on_conflict_do_nothing())
        if row.target is not None:
            await let_go(connection, row.halt_id, sorted(signers), now)
        await ledger.append(EntryKind.halt_released, content, row.halt_id, new=not row.released)
        await write(connection, [(halt_released(_fact(row), tuple(sorted(signers)), now), None)])
        message = f"released by {' and '.join(sorted(signers))}"
        # A hold refuses and lets nothing wait.
        wakes = await waiting(connection, row.environment, WOKEN) if row.target is None else ()
        return HaltResult(placed=True, released=True, message=message, wakes=wakes)


def _fact(row: Any) -> HaltFact:
    return HaltFact.model_validate({name: getattr(row, name) for name in HaltFact.model_fields})


async def _row(connection: AsyncConnection, halt_id: str) -> Any:
    found = (
        select(*HaltRow.__table__.c, _RELEASE.halt_id.is_not(None).label("released"))  # type: ignore[attr-defined]
        .outerjoin(HaltReleaseRow, _RELEASE.halt_id == _HALT.halt_id)
        .where(_HALT.halt_id == halt_id)
    )
    return (await connection.execute(found)).first()


async def _read(request: HaltRequest, verb: str, in_force: InForce, now: datetime) -> _Read:
    """What somebody sent, and whether it counts."""
    if request.problem is not None:
        return _Read(None, None, ("malformed", request.problem))
    try:
        statement = receive_halt(request.statement)
    except DocumentError as error:
        return _Read(None, None, ("malformed", str(error)))
    if statement.verb != verb or statement.halt_id != request.halt_id:
        said = f"{statement.verb} of {statement.halt_id}"
        return _Read(statement, None, ("unknown_request", f"it says {said}, this is the {verb} of {request.halt_id}"))
    if statement.target is not None and not (known := in_force.catalog.resolution(statement.target)).ids:
        return _Read(statement, None, ("unknown_target", f"{known.reason}: nothing would be held"))
    owners = owners_of(in_force.catalog, statement.target)
    documents = in_force.policy, in_force.directory
    found = await asyncio.to_thread(signed_by, request.statement, statement, *documents, now, owners)
    return _Read(statement, None, found) if isinstance(found, tuple) else _Read(statement, found, None)


async def _sign(
    connection: AsyncConnection, ledger: Ledger, request: HaltRequest, person_id: str, in_force: InForce
) -> None:
    body = canonical(request.statement)
    key = digest(body)
    known = select(_STATEMENT.digest).where(_STATEMENT.halt_id == request.halt_id, _STATEMENT.digest == key)
    if await connection.scalar(known) is not None:
        return
    row = {"halt_id": request.halt_id, "digest": key, "person_id": person_id, "body": body}
    await connection.execute(insert(HaltStatementRow), {**row, "received_at": request.now})
    content = {
        "halt_id": request.halt_id,
        "digest": key,
        "statement": request.statement,
        "person_id": person_id,
        "documents": in_force.digests.model_dump(mode="json"),
    }
    await ledger.append(EntryKind.halt_signed, content, key)


async def _refused(
    connection: AsyncConnection, ledger: Ledger, request: HaltRequest, read: _Read, in_force: InForce
) -> HaltResult:
    """What does not count is on the ledger, so many at most, and is answered."""
    code, message = read.why_not or ("malformed", "nobody signed it")
    key = digest(canonical({"halt_id": request.halt_id, "statement": repr(request.statement)[:2000], "code": code}))
    if (await connection.scalar(_REFUSALS) or 0) < LISTED:
        content = {
            "halt_id": request.halt_id[:100],
            "digest": key,
            "statement": read.statement.model_dump(mode="json") if read.statement else None,
            "code": code,
            "message": message[:500],
            "documents": in_force.digests.model_dump(mode="json"),
        }
        await ledger.append(EntryKind.halt_refused, content, key)
    return HaltResult(code=code, message=message)


def _value(body: bytes) -> Any:
    try:
        return parse_canonical(body)
    except CanonicalError:
        return None
