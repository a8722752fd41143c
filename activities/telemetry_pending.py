"""The gauges of what waits, read from the record every half minute by each process of the control role.

- An action is pending while its newest revision asks people, has no resolution and has no result.
- Its stage is computed by the rule that computes it everywhere (`policy.approval.standing`). What cannot change is read
  once for each action, votes only where there is more than one stage.
- Every process shows the same numbers, so they are never summed over processes.
- A record that cannot be read leaves the gauges as they were, and says so in the log.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from activities.cases import KEPT
from activities.clock import Clock
from activities.database import Database, DatabaseUnavailableError
from activities.item_rows import read_open_items
from activities.tables import AssessmentRow, CaseEventRow, DecisionRow, ResolutionRow, ResultRow
from activities.telemetry import Meter, Sample
from activities.telemetry_notices import Untold, read_untold
from policy.approval.standing import ApprovalCase, Ballot, stand
from policy.canonical import parse_json
from policy.document import Verdict
from policy.operations import RiskTier
from policy.revision import Revision

log = logging.getLogger("countersign.telemetry")

EVERY = timedelta(seconds=30)
OVERDUE = timedelta(minutes=1)
_AT_ONCE = 200
# More than anybody leaves open: beyond it the gauge stays there.
_ITEMS = 1000

_ASSESSMENT = AssessmentRow.__table__.c  # type: ignore[attr-defined]
_NEWER = aliased(AssessmentRow.__table__, name="newer").c  # type: ignore[attr-defined]
_RESOLUTION = ResolutionRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__.c  # type: ignore[attr-defined]
_EVENT = CaseEventRow.__table__.c  # type: ignore[attr-defined]

_PENDING = select(_ASSESSMENT.proposal_id, _ASSESSMENT.revision, _ASSESSMENT.risk_tier).where(
    _ASSESSMENT.verdict.in_([str(verdict) for verdict in Verdict if verdict.asks]),
    ~select(1)
    .where(_RESOLUTION.proposal_id == _ASSESSMENT.proposal_id, _RESOLUTION.revision == _ASSESSMENT.revision)
    .exists(),
    ~select(1).where(_RESULT.proposal_id == _ASSESSMENT.proposal_id).exists(),
    ~select(1).where(_NEWER.proposal_id == _ASSESSMENT.proposal_id, _NEWER.revision > _ASSESSMENT.revision).exists(),
)

Key = tuple[str, int]


@dataclass(frozen=True)
class Waiting:
    """What waits at one instant: how many by risk tier and number of the stage, what is late, and what is untold."""

    pending: Counter[tuple[str, str]]
    overdue: int
    untold: Untold
    unresolved: int = 0
    unresolved_overdue: int = 0


class PendingReader:
    """Reads what waits, and remembers what cannot change."""

    def __init__(self, database: Database, *, notices: bool = False) -> None:
        self._database = database
        self._notices = notices
        self._cases: dict[Key, ApprovalCase] = {}

    async def read(self, now: datetime) -> Waiting:
        """What waits now.

        Raises:
            DatabaseUnavailableError: the record could not be read.

        """
        async with self._database.snapshot() as connection:
            tiers: dict[Key, str] = {(row[0], row[1]): row[2] for row in await connection.execute(_PENDING)}
            open_items = await read_open_items(connection, _ITEMS)
        self._cases = {key: case for key, case in self._cases.items() if key in tiers}
        for new in _chunks([key for key in tiers if key not in self._cases]):
            async with self._database.snapshot() as connection:
                self._cases |= await _read_cases(connection, new)
        staged = [key for key, case in self._cases.items() if len(case.chain.stages) > 1]
        ballots: dict[Key, list[Ballot]] = {}
        for some in _chunks(staged):
            async with self._database.snapshot() as connection:
                ballots |= await _read_ballots(connection, some)
        untold = await read_untold(self._database, now) if self._notices else Untold(0, 0.0)
        late = sum(item.pages(now) > 0 for item, _ in open_items)
        counted = _count(tiers, self._cases, ballots, untold, now)
        return replace(counted, unresolved=len(open_items), unresolved_overdue=late)


@asynccontextmanager
async def watch_pending(
    database: Database, clock: Clock, meter: Meter | None, *, every: timedelta = EVERY, notices: bool = False
) -> AsyncIterator[None]:
    """Keep the gauges of what waits up to date inside the block, those of `notices` where people are told; does nothing
    without a meter.
    """
    if meter is None:
        yield
        return
    watching = asyncio.create_task(
        _watch(PendingReader(database, notices=notices), clock, meter, every.total_seconds())
    )
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(reader: PendingReader, clock: Clock, meter: Meter, seconds: float) -> None:
    shown = {(str(tier), "1") for tier in RiskTier}
    while True:
        try:
            waiting = await reader.read(await clock.now())
        except DatabaseUnavailableError as error:
            log.warning("what waits cannot be read: %s", error)
        except Exception:
            log.exception("what waits is not read any more")
            raise
        else:
            # A series that is not set again would go on showing its last value.
            shown |= set(waiting.pending)
            for labels in sorted(shown):
                meter.measure(Sample("countersign_pending", waiting.pending[labels], labels))
            meter.measure(Sample("countersign_overdue", waiting.overdue))
            meter.measure(Sample("countersign_unresolved", waiting.unresolved))
            meter.measure(Sample("countersign_unresolved_overdue", waiting.unresolved_overdue))
            meter.measure(Sample("countersign_notices_open", waiting.untold.count))
            meter.measure(Sample("countersign_notices_oldest_seconds", waiting.untold.oldest_seconds))
        await asyncio.sleep(seconds)


def _count(
    tiers: dict[Key, str],
    cases: dict[Key, ApprovalCase],
    ballots: dict[Key, list[Ballot]],
    untold: Untold,
    now: datetime,
) -> Waiting:
    pending: Counter[tuple[str, str]] = Counter()
    overdue = 0
    for key, case in cases.items():
        known = case.model_copy(update={"ballots": tuple(ballots.get(key, ()))})
        standing = stand(known, now, deadline_counts_as_passed=True)
        pending[tiers[key], str(standing.stage)] += 1
        late = standing.resolution == "expired" and standing.resolved_at is not None
        overdue += late and now - (standing.resolved_at or now) > OVERDUE
    return Waiting(pending, overdue, untold)


async def _read_cases(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, ApprovalCase]:
    ids = [proposal_id for proposal_id, _ in keys]
    rows = await connection.execute(
        select(_ASSESSMENT.proposal_id, _ASSESSMENT.revision, _ASSESSMENT.body).where(_ASSESSMENT.proposal_id.in_(ids))
    )
    wanted = set(keys)
    found = {
        (row[0], row[1]): Revision.model_validate_json(row[2]).case(()) for row in rows if (row[0], row[1]) in wanted
    }
    return {key: case for key, case in found.items() if case is not None}


async def _read_ballots(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, list[Ballot]]:
    ids = [proposal_id for proposal_id, _ in keys]
    counted = select(_DECISION.proposal_id, _DECISION.revision, _DECISION.receipt).where(
        _DECISION.proposal_id.in_(ids), _DECISION.counted
    )
    kept = select(_EVENT.proposal_id, _EVENT.revision, _EVENT.body).where(
        _EVENT.proposal_id.in_(ids), _EVENT.kind == KEPT
    )
    found: dict[Key, list[Ballot]] = {}
    for row in await connection.execute(kept):
        found[row[0], row[1]] = [Ballot.model_validate(item) for item in parse_json(row[2])["ballots"]]
    for row in await connection.execute(counted.order_by(_DECISION.received_at, _DECISION.arrival)):
        found.setdefault((row[0], row[1]), []).append(Ballot.model_validate(parse_json(row[2])["ballot"]))
    return found


def _chunks(keys: Sequence[Any]) -> list[Sequence[Any]]:
    return [keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE)]
