"""Reporting what came of a permit: the transaction after the effect.

1. The first report counts, and only under the claim of the attempt that reports. Another one that says something else
   is kept as a violation.
2. Storing the same report again changes nothing, so an answer that was lost is no reason to wonder.
3. The report of an undo that did not wait for the record brings its claim along. Both are marked late.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.attempt import Attempt
from activities.claims import read_before
from activities.clock import Clock
from activities.database import Database
from activities.ledger import Ledger
from activities.permits import PermitError, PermitUse, claim_row, read_use, report_body, step_permits, store_claim
from activities.tables import EffectReportRow
from policy.canonical import digest
from policy.ledger import EntryKind
from policy.outcome import Baseline, EffectReport
from policy.permit import Direction, Permit

_REPORT = insert(EffectReportRow)


@dataclass(frozen=True)
class Claim:
    """A permit that was claimed: by which attempt, when, and the report if there is one; and what was read before the
    first step, where its criteria compare with it.
    """

    permit: Permit
    token: str
    used_at: datetime
    report: EffectReport | None
    baselines: tuple[Baseline, ...] = ()


class Reports:
    """Reads and writes effect reports for the executor role.

    Args:
        database: the record, as the executor or application role.
        clock: tells when a report was stored.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def look(self, permit_id: str) -> Claim | None:
        """The claim of a permit; None where nobody claimed it, or there is no such permit.

        Raises:
            DatabaseUnavailableError: the record could not be read.
        """
        async with self._database.snapshot() as connection:
            try:
                permit, _ = await step_permits(connection, permit_id)
            except PermitError:
                return None
            if permit is None:
                return None
            found = await read_use(connection, permit)
            before = await read_before(connection, permit)
        if found.use != "claimed" or found.attempt_token is None or found.used_at is None:
            return None
        return Claim(permit, found.attempt_token, found.used_at, found.report, before.baselines)

    async def store(self, permit: Permit, report: EffectReport, attempt: Attempt) -> EffectReport:
        """Store a report, with its ledger entry; returns the one that counts.

        Raises:
            DatabaseUnavailableError: it may be stored or not; store it again.
        """
        now = await self._clock.now()
        async with self._database.transaction(permit.proposal_id) as connection:
            ledger = Ledger(connection, permit.proposal_id, now)
            found = await read_use(connection, permit, ledger)
            if found.use != "unused" and not _counts(found, report, attempt):
                await _note_violation(ledger, permit, report, attempt, found)
                return found.report or report
            if found.report is not None:
                return found.report
            if found.use == "unused":
                row = claim_row(permit, **attempt.columns, at=report.started_at)
                await store_claim(connection, row)
            body = report_body(report)
            reported = {
                "permit_id": UUID(permit.permit_id),
                "status": report.status,
                "body": body,
                "digest": digest(body),
                "reported_at": now,
                "late": report.late,
                **await _proof(connection, permit, report),
            }
            await connection.execute(_REPORT, reported)
            content = _content(permit, report)
            await ledger.append(EntryKind.reported, content, permit.permit_id, late=report.late, new=True)
        return report


def _counts(found: PermitUse, report: EffectReport, attempt: Attempt) -> bool:
    """Whether the claim is this attempt's and there is no other report; one that was stored in time is no other."""
    if found.use != "claimed" or found.attempt_token not in attempt.tokens:
        return False
    return found.report is None or found.report == report.model_copy(update={"late": found.report.late})


async def _proof(connection: AsyncConnection, permit: Permit, report: EffectReport) -> dict[str, Any]:
    """That an undo was seen to work on these ids, and how long it took; or what exactly a dry run rehearsed."""
    if permit.dry_run:
        return await _rehearsed(connection, permit, report)
    if permit.direction is not Direction.undo or not report.succeeded:
        return {}
    seconds = (report.finished_at - report.started_at).total_seconds()
    return {"undone_by": permit.operation, "resolved_digest": permit.resolved_digest, "seconds": max(seconds, 0.0)}


async def _rehearsed(connection: AsyncConnection, permit: Permit, report: EffectReport) -> dict[str, Any]:
    found = {"rehearsed": permit.order_digest} if report.passed("do") else {}
    if report.passed("undo"):
        _, undo = await step_permits(connection, permit.permit_id)
        found |= {"undo_rehearsed": undo.order_digest} if undo is not None else {}
    return found


def _content(permit: Permit, report: EffectReport) -> dict[str, Any]:
    return {
        "permit_id": permit.permit_id,
        "revision": permit.revision,
        "step": permit.step,
        "direction": str(permit.direction),
        "action_digest": permit.action_digest,
        "report": report.model_dump(mode="json"),
    }


async def _note_violation(
    ledger: Ledger, permit: Permit, report: EffectReport, attempt: Attempt, found: PermitUse
) -> None:
    content = _content(permit, report) | {
        "what": "a report that does not count: the permit is void, another attempt's, or reported already",
        "use": found.use,
        "claimed_by": found.attempt_token,
        "reported_by": attempt.token,
        "counted": found.report.model_dump(mode="json") if found.report else None,
    }
    await ledger.append(EntryKind.violation, content, "report", permit.permit_id, attempt.token, late=True)
