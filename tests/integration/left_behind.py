"""Actions whose workflow does not exist, as the record has them: permitted, claimed, reported."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from sqlalchemy import insert, select

from activities.attributes import RegisteredAttributes
from activities.clock import SystemClock
from activities.control import ControlActivities
from activities.database import Database
from activities.dispatch import PermitActivities
from activities.documents import Documents
from activities.permits import report_body
from activities.proving import Prover
from activities.tables import EffectReportRow, HoldRow, LedgerEntryRow, PermitUseRow, ResultRow
from policy.canonical import digest
from policy.outcome import EffectReport, Measurement
from policy.permit import Direction, permit_id
from policy.result import ActionResult
from tests.anchors import anchored_by
from tests.permit_keys import SIGNER
from tests.replay import recording as scenes
from tests.replay.recording import DOCUMENTS, Recording
from workflows.interface import workflow_id
from workflows.messages import AssessRequest, AssessResult, DispatchRequest, RecordRequest, RecordResult, StartFacts

STEP_SECONDS = 60  # the timeout of a step that names none
_CRITERION_SECONDS = 5  # the window of a criterion that names none


class LaterClock:
    """This machine's clock, and so much later."""

    def __init__(self, later: timedelta) -> None:
        self._later = later

    async def now(self) -> datetime:
        return datetime.now(UTC) + self._later


OVERDUE = LaterClock(timedelta(seconds=STEP_SECONDS + _CRITERION_SECONDS + 91))
# All attempts of an undo that names no timeout.
UNDO_OVERDUE = LaterClock(20 * timedelta(seconds=STEP_SECONDS + 90) + timedelta(seconds=1))


def control(place: Recording, clock: LaterClock | SystemClock) -> ControlActivities:
    """The control role, at another time."""
    attributes = RegisteredAttributes(place.client)
    prover = Prover(accepts_claimed=True)
    return ControlActivities(place.database, Documents(), clock, prover, local_dispatch=True, attributes=attributes)


def unasked(folder: Path) -> Path:
    """The documents of the recordings in a folder of their own, where no executor is asked what a step touches: nobody
    is there to answer who only calls the activities of the control and the permit role.
    """
    shutil.copytree(DOCUMENTS, folder)
    operations = folder / "operations.yaml"
    operations.write_text(without_resolving(operations.read_text()))
    return folder


def without_resolving(registry: str) -> str:
    """A registry in which nobody resolves the parameters of a server."""
    head, *rest = registry.split("  - name: postgres.parameter.")
    return "  - name: postgres.parameter.".join([head, *(one.replace("    resolves: true\n", "", 1) for one in rest)])


async def assessed(place: Recording, proposal: dict[str, Any]) -> AssessResult:
    """What a start is answered."""
    start = StartFacts(workflow_id=workflow_id(proposal["proposal_id"]), run_id="gone")
    return await control(place, SystemClock()).assess(
        AssessRequest(proposal=proposal, start=start, now=datetime.now(UTC))
    )


async def claimed(place: Recording, proposal_id: str, *, claims: tuple[Direction, ...] = (Direction.do,)) -> None:
    """An allowed action whose permits were issued and these claimed, and whose workflow does not exist."""
    now = datetime.now(UTC)
    await forget_holds(place)
    await assessed(place, scenes.proposal(proposal_id, scratch=True))
    prover = Prover(accepts_claimed=True)
    permits = PermitActivities(place.database, Documents(), SystemClock(), prover, SIGNER, anchored_by(place.settings))
    await permits.dispatch(DispatchRequest(proposal_id=proposal_id, revision=1, step=1, now=now))
    rows = [
        {
            "permit_id": UUID(permit_id(proposal_id, 1, 1, direction)),
            "use": "claimed",
            "attempt_token": "a token",
            "used_by": "an executor that died",
            "used_at": now,
        }
        for direction in claims
    ]
    if rows:
        async with place.database.transaction() as connection:
            await connection.execute(insert(PermitUseRow), rows)


async def reported(place: Recording, proposal_id: str, direction: Direction = Direction.do, *, met: bool) -> None:
    """What the executor wrote of a claimed permit whose effect is done."""
    now = datetime.now(UTC)
    report = EffectReport(
        permit_id=permit_id(proposal_id, 1, 1, direction),
        status="succeeded",
        effect="done",
        measurements=(Measurement(probe="postgres.parameter.value", met=met),) if direction is Direction.do else (),
        started_at=now,
        finished_at=now,
    )
    body = report_body(report)
    row = {"permit_id": UUID(report.permit_id), "status": report.status, "body": body, "digest": digest(body)}
    async with place.database.transaction() as connection:
        await connection.execute(insert(EffectReportRow).values(**row, reported_at=now, late=False))


async def recorded(place: Recording, proposal_id: str, clock: LaterClock | SystemClock) -> RecordResult:
    """What anybody is answered who asks for the end of an action."""
    return await control(place, clock).record(RecordRequest(proposal_id=proposal_id, revision=1, now=await clock.now()))


# What is on record stays, but for whoever owns the server of the tests.
_FORGET = """
ALTER TABLE countersign.{table} DISABLE TRIGGER ALL;
DELETE FROM countersign.{table};
ALTER TABLE countersign.{table} ENABLE TRIGGER ALL;
ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_statement;
ALTER TABLE countersign.{table} ENABLE ALWAYS TRIGGER refuse_row
"""


async def forget_holds(place: Recording) -> None:
    """What an earlier test left on the target must not stop the next one: it is as if it had never been there."""
    name = urlsplit(place.settings.database_url or "").path.removeprefix("/")
    superuser = await asyncpg.connect(place.stack.database_url("postgres", name))
    try:
        async with superuser.transaction():
            for table in ("hold_release", "hold"):
                await superuser.execute(_FORGET.format(table=table))
    finally:
        await superuser.close()


async def result_of(database: Database, proposal_id: str) -> ActionResult | None:
    table = ResultRow.__table__.c  # type: ignore[attr-defined]
    async with database.snapshot() as connection:
        body = await connection.scalar(select(table.body).where(table.proposal_id == proposal_id))
    return ActionResult.model_validate_json(body) if body is not None else None


async def holds_of(database: Database, proposal_id: str) -> int:
    table = HoldRow.__table__.c  # type: ignore[attr-defined]
    async with database.snapshot() as connection:
        return len((await connection.scalars(select(table.hold_id).where(table.proposal_id == proposal_id))).all())


async def kinds_of(database: Database, proposal_id: str) -> list[str]:
    table = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
    listed = select(table.kind).where(table.proposal_id == proposal_id).order_by(table.position)
    async with database.snapshot() as connection:
        return list((await connection.scalars(listed)).all())
