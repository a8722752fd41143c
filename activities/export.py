"""Putting an audit file together: the history from Temporal, everything else from the record, in one snapshot.

- Without a run id it is the newest run of the workflow. A history that Temporal has no more is null, and the note says
  so; the record alone can still be audited.
- The documents are those that the ledger's entries name, whether they are in force today or not.
- A file that is kept is written aside, flushed to the disk, and renamed: it is there as a whole or not at all.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.api.history.v1 import History
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Database
from activities.documents import stored
from activities.tables import ArchiveRow, HoldReleaseRow, HoldRow, LedgerEntryRow, ProposalRow, ResultRow
from policy.audit import AuditFile, ExportedDocument, ExportedEntry, named_documents, read_entries
from policy.errors import AuditError
from workflows.interface import workflow_id

_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_ARCHIVE = ArchiveRow.__table__.c  # type: ignore[attr-defined]
_HOLD = HoldRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HoldReleaseRow.__table__.c  # type: ignore[attr-defined]
_ENDED = select(_RELEASE.body).join(HoldRow, _HOLD.hold_id == _RELEASE.hold_id)
_PREFIX = workflow_id("")


def proposal_of(workflow: str) -> str:
    """The proposal id that a workflow id is for; another id than ours is taken as it is."""
    return workflow.removeprefix(_PREFIX)


async def export_action(
    client: Client, database: Database, workflow: str, *, run_id: str | None = None, at: datetime
) -> AuditFile:
    """Export one run of a workflow.

    Args:
        client: connected to the namespace of the workflow.
        database: the record, as any role that may read.
        workflow: the workflow id.
        run_id: which run; the newest unless given.
        at: the instant (UTC) of the export.

    Raises:
        AuditError: neither Temporal nor the record knows the action.
        DatabaseUnavailableError: the record could not be read.
    """
    history, found_run = await _history(client, workflow, run_id)
    async with database.snapshot() as connection:
        file = await export_record(connection, workflow, at)
        if history is not None:
            return file.model_copy(update={"run_id": found_run, "history": history})
        if file.proposal is None and not file.entries:
            raise AuditError(f"workflow {workflow}: neither temporal nor the record knows it")
        note = await _why_none(connection, file.proposal_id)
        return file.model_copy(update={"run_id": run_id, "history_note": note})


def write_whole(path: Path, body: bytes) -> None:
    """Write a file so that it is there as a whole or not at all, and survives a power failure.

    Raises:
        OSError: it could not be written; the file that was there before is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with unfinished.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def _history(client: Client, workflow: str, run_id: str | None) -> tuple[dict[str, Any] | None, str | None]:
    """The history as Temporal's JSON, and the id of its run; None where Temporal has none."""
    try:
        described = await client.get_workflow_handle(workflow, run_id=run_id).describe()
        history = await client.get_workflow_handle(workflow, run_id=described.run_id).fetch_history()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None, None
        raise
    return MessageToDict(History(events=history.events)), described.run_id


async def export_record(connection: AsyncConnection, workflow: str, at: datetime) -> AuditFile:
    """What the record alone has of an action: everything but the history.

    Args:
        connection: in one snapshot, as any role that may read.
        workflow: the workflow id.
        at: the instant (UTC) of the export.
    """
    proposal_id = proposal_of(workflow)
    proposal = await connection.scalar(select(_PROPOSAL.body).where(_PROPOSAL.proposal_id == proposal_id))
    result = await connection.scalar(select(_RESULT.body).where(_RESULT.proposal_id == proposal_id))
    released = await connection.scalar(_ENDED.where(_HOLD.proposal_id == proposal_id))
    listed = select(_ENTRY.digest, _ENTRY.body).where(_ENTRY.proposal_id == proposal_id).order_by(_ENTRY.position)
    entries = tuple(
        ExportedEntry(digest=row.digest, body=bytes(row.body).decode()) for row in await connection.execute(listed)
    )
    file = AuditFile(
        exported_at=at,
        proposal_id=proposal_id,
        workflow_id=workflow,
        run_id=None,
        history=None,
        proposal=bytes(proposal).decode() if proposal is not None else None,
        entries=entries,
        documents=(),
        result=bytes(result).decode() if result is not None else None,
        released=bytes(released).decode() if released is not None else None,
    )
    return file.model_copy(update={"documents": await _documents(connection, file)})


async def _documents(connection: AsyncConnection, file: AuditFile) -> tuple[ExportedDocument, ...]:
    found = []
    for kind, wanted in sorted(named_documents(read_entries(file)[0])):
        body = await stored(connection, kind, wanted)
        found.append(ExportedDocument(kind=kind, digest=wanted, body=body.decode()))
    return tuple(found)


async def _why_none(connection: AsyncConnection, proposal_id: str) -> str:
    archived = select(_ARCHIVE.path, _ARCHIVE.digest).where(_ARCHIVE.proposal_id == proposal_id)
    newest = (await connection.execute(archived.order_by(_ARCHIVE.archived_at.desc()).limit(1))).first()
    gone = "temporal has no history of it (never started, deleted, or past retention)"
    return f"{gone}; archived as {newest.path}, {newest.digest}" if newest else gone
