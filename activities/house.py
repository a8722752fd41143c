"""Housekeeping: what nobody waits for, by schedule. Both activities are bounded and safe to run again at any time.

- The sweep ends actions that began and that nobody is at work on any more, because an executor never reported or
  because the workflow is gone, stuck or failed: the outcome is concluded from the record as always, under the
  proposal's lock, and whoever was first is left as it is.
- It reads open cases again whose people changed (`activities/looking_again.py`).
- It opens what is unresolved and was not opened, and starts the workflow of every item that people have to look at and
  that has none (`activities/items.py`), and that of every halt. It notes leases that ended without a result
  (`activities/lapsing.py`).
- It waits until no report can come any more and a workflow that is well would have gone on (`activities/patience.py`).
- The archive writes an audit file for every closed run, oldest first, long before retention deletes the history. A run
  that fails does not keep the others from it; at the end the activity fails and names it.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.accepting import remind, with_acceptance
from activities.cases import read_case
from activities.clock import Clock
from activities.database import Database
from activities.documents import Documents
from activities.export import export_action, proposal_of, write_whole
from activities.halt_proofs import Releases
from activities.halting import start_halts
from activities.items import open_missing, start_items
from activities.lapsing import note_lapsed
from activities.ledger import Ledger
from activities.looking_again import LookingAgain
from activities.patience import left_at
from activities.recording import record_end
from activities.tables import ArchiveRow, EffectReportRow, PermitRow, PermitUseRow, ResultRow
from policy.canonical import digest
from policy.errors import CountersignError
from workflows.interface import WORKFLOW_TYPE
from workflows.messages import RecordRequest
from workflows.ports import HousePort

log = logging.getLogger("countersign.house")

SWEPT_AT_ONCE = 100
ARCHIVED_AT_ONCE = 500
_LOOKED_AT = 1000
_LISTED = 20_000
# Nothing is over sooner: what happened later than that needs no look.
_SHORTEST = timedelta(seconds=90)
_CLOSED = (
    f"WorkflowType = '{WORKFLOW_TYPE}' AND "
    "ExecutionStatus IN ('Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut', 'ContinuedAsNew')"
)
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")

_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_USE = PermitUseRow.__table__.c  # type: ignore[attr-defined]
_REPORT = EffectReportRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_ARCHIVE = ArchiveRow.__table__.c  # type: ignore[attr-defined]

_LAST_MOVED = func.max(func.greatest(_PERMIT.issued_at, _USE.used_at, _REPORT.reported_at))
_BEGUN = (
    select(_PERMIT.proposal_id, _PERMIT.revision)
    .outerjoin(PermitUseRow, _USE.permit_id == _PERMIT.permit_id)
    .outerjoin(EffectReportRow, _REPORT.permit_id == _PERMIT.permit_id)
    .outerjoin(ResultRow, _RESULT.proposal_id == _PERMIT.proposal_id)
    .where(_RESULT.proposal_id.is_(None))
    .group_by(_PERMIT.proposal_id, _PERMIT.revision)
    .having(func.bool_or(_USE.use == "claimed"), bindparam("before") > _LAST_MOVED)
    .order_by(_LAST_MOVED)
    .limit(_LOOKED_AT)
)


@dataclass(frozen=True)
class _Run:
    """A closed run that visibility lists."""

    workflow: str
    run_id: str
    closed_at: datetime


class HouseActivities(HousePort):
    """Sweep and archive, as the control or application role.

    Args:
        database: the record.
        client: connected to the namespace whose runs are archived.
        documents: the governed documents.
        clock: what time it is.
        archive_dir: where audit files are kept; None archives nothing.

    """

    def __init__(
        self, database: Database, client: Client, documents: Documents, clock: Clock, archive_dir: Path | None
    ) -> None:
        self._database = database
        self._client = client
        self._documents = documents
        self._released = Releases(documents)
        self._looking = LookingAgain(database, documents, client)
        self._clock = clock
        self._archive_dir = archive_dir

    @activity.defn(name="sweep")
    async def sweep(self) -> int:
        now = await self._clock.now()
        swept, failed = 0, []
        for proposal_id, revision in await self._begun(now):
            if swept == SWEPT_AT_ONCE:
                break
            try:
                swept += await self._end(proposal_id, revision, now)
            except Exception as error:  # noqa: BLE001 - whatever one action does, the others are swept; it is named below
                failed.append(f"{proposal_id}: {error}")
        for what, look in self._looks(now).items():
            try:
                failed += await look() or ()
            except Exception as error:  # noqa: BLE001 - as above
                failed.append(f"{what}: {error}")
        _report("sweep", "SweepIncomplete", swept, failed)
        return swept

    def _looks(self, now: datetime) -> dict[str, Callable[[], Awaitable[Sequence[str] | None]]]:
        """What else a sweep looks after, each whatever became of the others."""

        async def items() -> None:
            await open_missing(self._database, now)

        async def started() -> None:
            await start_items(self._client, self._database)

        async def halts() -> None:
            await start_halts(self._client, self._database, self._released)

        async def leases() -> Sequence[str]:
            return await note_lapsed(self._database, now)

        async def people() -> None:
            await self._looking.go_on(now)

        return {
            "what ended without a definite state": items,
            "items that people have to look at": started,
            "halts": halts,
            "leases": leases,
            "open cases after a change of the directory": people,
        }

    @activity.defn(name="archive")
    async def archive(self) -> int:
        if self._archive_dir is None:
            return 0
        archived, failed = 0, []
        for run in await self._unarchived():
            try:
                archived += await self._archive(run, self._archive_dir)
            except (RPCError, OSError, CountersignError) as error:
                failed.append(f"{run.workflow} run {run.run_id}: {error}")
        _report("archive", "ArchiveIncomplete", archived, failed)
        return archived

    async def _begun(self, now: datetime) -> list[tuple[str, int]]:
        """Proposal and revision of the actions that began and have no result, those that lie longest first."""
        async with self._database.snapshot() as connection:
            rows = (await connection.execute(_BEGUN, {"before": now - _SHORTEST})).all()
        return [(row.proposal_id, row.revision) for row in rows]

    async def _end(self, proposal_id: str, revision: int, now: datetime) -> bool:
        """End one action by its record; False where somebody may still be at work on it, or was faster."""
        request = RecordRequest(proposal_id=proposal_id, revision=revision, now=now)
        async with self._database.transaction(proposal_id) as connection:
            file = await read_case(connection, proposal_id)
            if file is None or file.result is not None:
                return False
            ledger = Ledger(connection, proposal_id, now)
            file = await with_acceptance(connection, file)
            result = await record_end(connection, ledger, file, request, ready_at=left_at)
            if result is None:
                await remind(connection, file, now)
        if result is not None:
            log.warning("swept %s: %s, nobody was at work on it any more", proposal_id, result.outcome)
        return result is not None

    async def _unarchived(self) -> list[_Run]:
        """The closed runs that are not archived yet, oldest first, so many at once."""
        listed = [
            _Run(found.id, found.run_id, found.close_time or datetime.max.replace(tzinfo=UTC))
            async for found in self._client.list_workflows(_CLOSED, limit=_LISTED)
        ]
        known: set[str] = set()
        async with self._database.snapshot() as connection:
            for start in range(0, len(listed), _LOOKED_AT):
                ids = [run.run_id for run in listed[start : start + _LOOKED_AT]]
                known |= set(await connection.scalars(select(_ARCHIVE.run_id).where(_ARCHIVE.run_id.in_(ids))))
        left = [run for run in listed if run.run_id not in known]
        return sorted(left, key=lambda run: run.closed_at)[:ARCHIVED_AT_ONCE]

    async def _archive(self, run: _Run, folder: Path) -> bool:
        """Write one audit file and note its digest; False where the history is gone meanwhile.

        After the rename, before the commit: the file is whole and nobody knows it; the next archive writes it again.
        """
        now = await self._clock.now()
        file = await export_action(self._client, self._database, run.workflow, run_id=run.run_id, at=now)
        if file.history is None:
            return False
        body = file.body()
        path = folder / file_name(run.workflow, run.run_id)
        await asyncio.to_thread(write_whole, path, body)
        row = {"proposal_id": file.proposal_id, "run_id": run.run_id, "path": path.name, "digest": digest(body)}
        async with self._database.transaction() as connection:
            once = insert_once(ArchiveRow).values(**row, archived_at=now).on_conflict_do_nothing()
            await connection.execute(once)
        return True


def file_name(workflow: str, run_id: str) -> str:
    """The name of a run's audit file. A workflow id can be any text: one that is no proposal id is named by digest."""
    name = proposal_of(workflow)
    safe = name if _FILE_NAME.fullmatch(name) else digest(workflow.encode("utf-8", "replace"))[7:39]
    return f"{safe}.{run_id}.json"


def _report(what: str, kind: str, done: int, failed: Sequence[str]) -> None:
    """Fail where something failed, after everything else was done.

    Raises:
        ApplicationError: names what failed, up to a readable length.
    """
    if failed:
        text = f"{what}: {done} done, {len(failed)} failed: {'; '.join(failed)}"
        raise ApplicationError(text[:2000], type=kind)
