"""The end of an action, concluded from the record.

- A permit that was not used is void from here on: whoever held it is too late.
- A claim whose report may still come is waited for, and so is an undo that is due: nothing is concluded while somebody
  has time left (`activities/patience.py`). Anybody may ask for the end, so who asks says nothing.
- Where an activity told the workflow something else than the executor wrote in the record, that is a violation, on
  record, and what the executor wrote counts.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.closing import finish
from activities.ledger import Ledger
from activities.patience import over_at
from activities.permits import read_issued
from activities.tables import LedgerEntryRow, PermitUseRow
from policy.base import Reason
from policy.canonical import parse_canonical
from policy.gate import out_of_turn
from policy.ledger import EntryKind
from policy.outcome import Outcome, StepRecord, conclude
from policy.permit import Direction, permit_id
from policy.result import ActionResult, Offer, ResultResolution
from policy.screens.neutral import visible
from policy.undecided import left_as_is
from workflows.messages import ExecuteResult, RecordRequest

_LEDGER = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_TOLD_LIMIT = 500
# What an executor told besides, by which nothing but the waiting of the workflow goes.
_NO_TEXT = {"claimed", "halted", "inconclusive"}


async def record_end(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    request: RecordRequest,
    *,
    ready_at: Callable[[CaseFile, tuple[StepRecord, ...], datetime | None], datetime] = over_at,
    offer: Offer | None = None,
) -> ActionResult | None:
    """The stored result, or the one concluded now; None while something is not over.

    Args:
        connection: in a transaction that holds the proposal's lock.
        ledger: of this proposal.
        file: the case.
        request: who asks, and when.
        ready_at: from when it can be concluded, of `activities/patience.py`.
        offer: the safer alternative that is offered, where one is.
    """
    if file.result is not None:
        return file.result
    if file.revision is None or file.resolution is None:
        return None
    # Of the newest revision, whatever was asked for: it is the only one that acts.
    issued = await read_issued(connection, request.proposal_id, file.revision.revision)
    records = issued.records
    if request.now < ready_at(file, records, issued.unused_until):
        return None
    records = await void_unused(connection, file, records, request.now)
    await _note_violations(ledger, file, records, request.told)
    return await conclude_and_finish(connection, ledger, file, records, now=request.now, offer=offer)


async def conclude_and_finish(
    connection: AsyncConnection,
    ledger: Ledger,
    file: CaseFile,
    records: tuple[StepRecord, ...],
    *,
    now: datetime,
    offer: Offer | None = None,
) -> ActionResult:
    """Conclude the outcome and write the result."""
    # Where something was begun, nothing hangs on why the gate closed later.
    begun = any(record.use == "claimed" for record in records)
    refusals = () if begun else await _refusals(connection, file)
    resolution, outcome, reasons = conclusion(file, records, refusals)
    return await finish(
        connection,
        ledger,
        file,
        resolution=resolution,
        outcome=outcome,
        reasons=reasons,
        at=now,
        records=records,
        dispatched_at=min((record.issued_at for record in records if record.issued_at), default=None),
        offer=offer,
    )


def conclusion(
    file: CaseFile, records: tuple[StepRecord, ...], refusals: tuple[Reason, ...], *, each_undo: bool = True
) -> tuple[ResultResolution, Outcome, tuple[Reason, ...]]:
    """How an action ended; pure, so that an auditor concludes the same.

    Args:
        file: the case, resolved.
        records: what became of its permits.
        refusals: why the gate closed, where it did.
        each_undo: as in `policy.outcome.conclude`.
    """
    outcome, reasons = conclude(
        records,
        len(file.proposal.steps),
        stopped_to_ask=file.stopped_to_ask,
        criteria=len(file.criteria),
        dry_run=file.proposal.dry_run,
        each_undo=each_undo,
        left=left_as_is(file.judging, records, file.accepted),
    )
    resolution: ResultResolution = file.resolution  # type: ignore[assignment]
    if resolution != "approved":
        return resolution, outcome, file.reasons
    revoked = (file.revoked,) if file.revoked is not None else ()
    if any(record.use == "claimed" for record in records):
        return resolution, outcome, (*revoked, *reasons)
    if revoked:
        return "withdrawn", outcome, revoked
    if file.stop is not None:
        return "withdrawn", outcome, (Reason(code="withdrawn", message="stopped before anything ran"),)
    return resolution, outcome, (*refusals, *reasons)


async def void_unused(
    connection: AsyncConnection, file: CaseFile, records: tuple[StepRecord, ...], now: datetime
) -> tuple[StepRecord, ...]:
    """Void every permit that nobody claimed; under the proposal's lock, so none can be claimed meanwhile."""
    rows = [
        {"permit_id": UUID(_permit_id(file, record)), "use": "void", "used_by": "record", "used_at": now}
        for record in records
        if record.use == "unused"
    ]
    if rows:
        await connection.execute(insert(PermitUseRow), rows)
    return tuple(
        record.model_copy(update={"use": "void", "used_at": now}) if record.use == "unused" else record
        for record in records
    )


async def _note_violations(
    ledger: Ledger, file: CaseFile, records: tuple[StepRecord, ...], told: tuple[ExecuteResult, ...]
) -> None:
    reports = {_permit_id(file, record): record.report for record in records}
    for item in told:
        report = reports.get(item.permit_id)
        if (report.status, report.effect) == (item.status, item.effect) if report else item.effect != "done":
            continue
        # Whoever told it may have told anything: what no entry could hold must not keep the action from its end.
        told_text = {name: visible(text)[:_TOLD_LIMIT] for name, text in item.model_dump(exclude=_NO_TEXT).items()}
        content = {
            "what": "the workflow was told something else than the executor wrote",
            "told": told_text,
            "report": report.model_dump(mode="json") if report else None,
        }
        await ledger.append(EntryKind.violation, content, "told", told_text["permit_id"])


def _permit_id(file: CaseFile, record: StepRecord) -> str:
    assert file.revision is not None
    return permit_id(file.proposal.proposal_id, file.revision.revision, record.step, Direction(record.direction))


async def _refusals(connection: AsyncConnection, file: CaseFile) -> tuple[Reason, ...]:
    """Why the gate closed, from the entry that says so; for an earlier revision it closed to ask people again."""
    found = select(_LEDGER.body).where(
        _LEDGER.proposal_id == file.proposal.proposal_id, _LEDGER.kind == str(EntryKind.dispatch_refused)
    )
    bodies = (await connection.execute(found.order_by(_LEDGER.position))).scalars()
    assert file.revision is not None
    said = [parse_canonical(body)["content"] for body in bodies]
    mine = [content for content in said if content["inputs"]["revision"] == file.revision.revision]
    closed = [tuple(map(Reason.model_validate, content["reasons"])) for content in mine]
    return tuple(reason for reasons in closed if not out_of_turn(reasons) for reason in reasons)
