"""The detector: holds targets' own trails against the permits of the record, and writes down what nobody authorized.

- It looks at the trails that an operator named (COUNTERSIGN_TRAILS_FILE), each from some time before where the last
  look ended, because an effect is judged with all others under its permit. How far it came is on record.
- It has no credential of a target and reads files only; what is in them is as good as who can write them.
- What a violation is, `policy/trails.py` says. Each is an entry once, however often it is seen: in the ledger of the
  action whose permit is named, or in `@trails`. The operators are told with it; the alert on `countersign_violations`
  pages.
- A trail that cannot be read stops the look at that trail alone, is logged, and fails the activity, so that it is seen.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.ledger import Ledger
from activities.outbox import write
from activities.permits import PermitError, read_permit
from activities.tables import EffectReportRow, LedgerEntryRow, PermitRow, PermitUseRow
from activities.tables_trails import TrailLookRow
from activities.trails.kinds import Looked, TrailError, TrailSource, look
from policy.ledger import EntryKind
from policy.notices.occasions_told import violation
from policy.outcome import EffectReport
from policy.permit import entry_id
from policy.trails import (
    LISTED,
    TRAILS_LEDGER,
    Finding,
    TrailPermit,
    TrailSign,
    held_against,
    more_of,
    trail_key,
    unreadable,
)
from workflows.ports import DetectPort

log = logging.getLogger("countersign.detect")

# As far as a look goes back before where the last one ended, and the first one.
OVERLAP = timedelta(hours=6)
FIRST = timedelta(days=7)
_MOST_PERMITS = 20_000

_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_USE = PermitUseRow.__table__.c  # type: ignore[attr-defined]
_REPORT = EffectReportRow.__table__.c  # type: ignore[attr-defined]
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_LOOK = TrailLookRow.__table__.c  # type: ignore[attr-defined]
_PERMITS = (
    select(*PermitRow.__table__.columns, _USE.use, _USE.used_at, _REPORT.body.label("report"))  # type: ignore[attr-defined]
    .select_from(PermitRow)
    .outerjoin(PermitUseRow, _USE.permit_id == _PERMIT.permit_id)
    .outerjoin(EffectReportRow, _REPORT.permit_id == _PERMIT.permit_id)
    .limit(_MOST_PERMITS + 1)
)
_MARK = (
    select(_LOOK.until)
    .where(
        _LOOK.resource == bindparam("resource", type_=_LOOK.resource.type),
        _LOOK.at <= bindparam("now", type_=_LOOK.at.type),
    )
    .order_by(_LOOK.at.desc())
    .limit(1)
)


class DetectActivities(DetectPort):
    """Looks at trails, as the control or application role.

    Args:
        database: the record.
        clock: what time it is.
        sources: the trails by resource id.
    """

    def __init__(self, database: Database, clock: Clock, sources: Mapping[str, TrailSource]) -> None:
        self._database = database
        self._clock = clock
        self._sources = dict(sources)

    @activity.defn(name="detect")
    async def detect(self) -> int:
        written, failed = 0, []
        for resource, source in self._sources.items():
            try:
                written += await self._look_at(resource, source)
            except (TrailError, PermitError) as error:
                log.warning("trail of %s: %s", resource, error)
                failed.append(f"{resource}: {error}")
        if failed:
            raise ApplicationError("; ".join(failed)[:1000], type="TrailUnreadable", non_retryable=True)
        return written

    async def _look_at(self, resource: str, source: TrailSource) -> int:
        now = await self._clock.now()
        async with self._database.snapshot() as connection:
            reached = await connection.scalar(_MARK, {"resource": resource, "now": now})
        since = reached - OVERLAP if reached is not None else now - FIRST
        findings, looked = await detected(self._database, resource, source, since)
        by_ledger: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for finding in findings:
            by_ledger[finding.about or TRAILS_LEDGER].append(finding.content)
        until = min(looked.covers[1], now) if looked.covers is not None else None
        written = sum([await self._append(name, resource, items, now) for name, items in by_ledger.items()])
        if until is not None and (reached is None or until > reached):
            async with self._database.transaction() as connection:
                await connection.execute(insert(TrailLookRow).values(at=now, resource=resource, until=until))
        return written

    async def _append(self, name: str, resource: str, contents: Sequence[dict[str, Any]], now: datetime) -> int:
        async with self._database.transaction(name) as connection:
            by_id = {UUID(_entry_id(name, content)): content for content in contents}
            known = select(_ENTRY.entry_id).where(_ENTRY.entry_id.in_(sorted(by_id)))
            stored = frozenset(await connection.scalars(known))
            new = [content for key, content in by_id.items() if key not in stored]
            written = new[:LISTED]
            if left_out := new[LISTED:]:
                written.append(more_of(resource, (TrailSign(item["trail"]["sign"]) for item in left_out), now))
            ledger = Ledger(connection, name, now)
            for content in written:
                await ledger.append(EntryKind.violation, content, *trail_key(content["trail"]))
            if (told := violation(resource, written, now)) is not None:
                await write(connection, [(told, None)])
        if written:
            signs = ", ".join(sorted({str(content["trail"]["sign"]) for content in written}))
            log.warning("%s: %d violations in the trail of %s: %s", name, len(written), resource, signs)
        return len(written)


async def detected(
    database: Database, resource: str, source: TrailSource, since: datetime | None
) -> tuple[tuple[Finding, ...], Looked]:
    """What is wrong in a trail; nothing is written.

    Args:
        database: the record, as any role that reads.
        resource: whose trail it is.
        source: where it is.
        since: from when on (UTC); None looks at all of it.

    Raises:
        TrailError: it cannot be read.
        PermitError: the record holds what is no permit.
    """
    looked = await asyncio.to_thread(look, source, resource, since)
    async with database.snapshot() as connection:
        permits = await _permits(connection, looked)
    found = held_against(looked.effects, permits, resource=resource, covers=looked.covers, shows=source.shown)
    if looked.unreadable and looked.covers is not None:
        found = (*found, unreadable(resource, looked.unreadable, looked.covers[1], str(source.path)))
    return found, looked


async def _permits(connection: AsyncConnection, looked: Looked) -> dict[str, TrailPermit]:
    """The permits that effects name, and those that were claimed while the trail goes."""
    named = sorted(_ids(item.permit_id for item in looked.effects))
    wanted = [_PERMIT.permit_id.in_(named)]
    if looked.covers is not None:
        wanted.append(_USE.used_at.between(*looked.covers))
    rows = (await connection.execute(_PERMITS.where(or_(*wanted)))).all()
    if len(rows) > _MOST_PERMITS:
        raise TrailError(f"more than {_MOST_PERMITS} permits were claimed while this trail goes: look at less of it")
    return {item.permit.permit_id: item for item in map(_permit, rows)}


def _ids(names: Iterable[str | None]) -> set[UUID]:
    found = set()
    for name in names:
        try:
            found.add(UUID(name or ""))
        except ValueError:
            continue
    return found


def _permit(row: Any) -> TrailPermit:
    report = EffectReport.model_validate_json(row.report) if row.report is not None else None
    return TrailPermit(
        permit=read_permit(row),
        use=row.use or "unused",
        used_at=row.used_at,
        effect=str(report.effect) if report is not None else None,
        started_at=report.started_at if report is not None else None,
        finished_at=report.finished_at if report is not None else None,
    )


def _entry_id(name: str, content: Mapping[str, Any]) -> str:
    return entry_id(name, str(EntryKind.violation), *trail_key(content["trail"]))
