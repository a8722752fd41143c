"""Open cases, read again after the directory changed: who lost a role is noticed then, and not at the next vote.

- Every case that waits and was assessed before the change is read as a passing of time reads it: votes lapse, a stage
  opens again, nobody is left. What follows is on record before anybody is told.
- A run whose case moved is sent the signal `look_again`; the record does not wait for it.
- Each process does this once for each change, some at a time; two that do it find nothing more. One that starts anew
  begins with a whole round.
"""

import logging
import time
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, select
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.cases import read_case
from activities.database import Database
from activities.documents import Documents, NotPublishedError
from activities.ledger import Ledger
from activities.noticing import notice
from activities.reconsidering import follow
from activities.tables import AssessmentRow, ResolutionRow, ResultRow, StopRow
from policy.people.changing import changed_at
from policy.rules.chains import Verdict
from workflows.interface import LOOK_AGAIN, workflow_id

log = logging.getLogger("countersign.looking")

_SECONDS = 30.0
_AT_ONCE = 500

_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_RESOLUTION = ResolutionRow.__table__.c  # type: ignore[attr-defined]
_STOP = StopRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_NEWEST = select(_ASSESSMENT.proposal_id, func.max(_ASSESSMENT.revision).label("revision")).group_by(
    _ASSESSMENT.proposal_id
)
_NEWEST_ONES = _NEWEST.subquery("newest")
_WAITING = (
    select(_ASSESSMENT.proposal_id)
    .join(
        _NEWEST_ONES,
        and_(_NEWEST_ONES.c.proposal_id == _ASSESSMENT.proposal_id, _NEWEST_ONES.c.revision == _ASSESSMENT.revision),
    )
    .outerjoin(
        ResolutionRow,
        and_(_RESOLUTION.proposal_id == _ASSESSMENT.proposal_id, _RESOLUTION.revision == _ASSESSMENT.revision),
    )
    .outerjoin(StopRow, _STOP.proposal_id == _ASSESSMENT.proposal_id)
    .outerjoin(ResultRow, _RESULT.proposal_id == _ASSESSMENT.proposal_id)
    .where(
        _ASSESSMENT.verdict.in_([str(item) for item in Verdict if item.asks]),
        _ASSESSMENT.assessed_at < bindparam("before"),
        _ASSESSMENT.proposal_id > bindparam("after"),
        _RESOLUTION.proposal_id.is_(None),
        _STOP.proposal_id.is_(None),
        _RESULT.proposal_id.is_(None),
    )
    .order_by(_ASSESSMENT.proposal_id)
    .limit(_AT_ONCE)
)


class LookingAgain:
    """One process's rounds through the open cases.

    Args:
        database: the record, as the control or application role.
        documents: the governed documents.
        client: connected to the namespace of the runs.
    """

    def __init__(self, database: Database, documents: Documents, client: Client) -> None:
        self._database = database
        self._documents = documents
        self._client = client
        self._done: datetime | None = None
        self._round: datetime | None = None
        self._after = ""

    async def go_on(self, now: datetime) -> int:
        """Read open cases again as far as there is time, if the directory changed; how many of them moved."""
        try:
            async with self._database.snapshot() as connection:
                in_force = await self._documents.in_force(connection)
        except NotPublishedError:
            return 0
        changed = changed_at(in_force.directory, in_force.directory_at or now, now)
        if changed == self._done:
            return 0
        if changed != self._round:
            self._round, self._after = changed, ""
        moved, began = 0, time.monotonic()
        while waiting := await self._waiting(changed):
            for proposal_id in waiting:
                moved += await self._look(proposal_id, now)
                self._after = proposal_id
                if time.monotonic() - began > _SECONDS:
                    return moved
        self._done = changed
        return moved

    async def _waiting(self, before: datetime) -> list[str]:
        wanted: dict[str, Any] = {"before": before, "after": self._after}
        async with self._database.snapshot() as connection:
            return list(await connection.scalars(_WAITING, wanted))

    async def _look(self, proposal_id: str, now: datetime) -> bool:
        """Read one case; whether it moved."""
        async with self._database.transaction(proposal_id) as connection:
            ledger = Ledger(connection, proposal_id, now)
            file = await read_case(connection, proposal_id, ledger)
            if file is None or file.case is None or file.resolution is not None or file.stop is not None:
                return False
            in_force = await self._documents.in_force(connection)
            after = await notice(connection, ledger, file, in_force, now, time_itself=True)
            after = await follow(connection, ledger, after, in_force, now)
        if after.resolution is None and after.events == file.events:
            return False
        log.info("directory changed: %s is %s", proposal_id, after.resolution or "read again")
        try:
            await self._client.get_workflow_handle(workflow_id(proposal_id)).signal(LOOK_AGAIN)
        except RPCError as error:
            # No run is there to be told: whoever starts it again finds it on record.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return True
