"""Predicted against actual, computed from the record when somebody asks; nothing is stored for it.

It reads the newest results within a number of days, what was assessed of each, its permits with their reports, and how
its outcome was amended. The meaning of each figure is in `policy/risk/outcomes.py`.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from policy.facts import Facts
from policy.findings import Amended
from policy.outcome import EffectReport
from policy.risk.outcomes import Past

MOST = 10_000
_PAST = text(
    "SELECT r.proposal_id, r.operation, r.agent, r.target, r.measured, r.outcome AS recorded_as, r.recorded_at,"
    "  convert_from(p.body, 'UTF8') AS proposal, convert_from(s.body, 'UTF8') AS revision,"
    "  known.outcome AS amended, known.amended_at, done.permits"
    " FROM (SELECT * FROM countersign.result WHERE operation IS NOT NULL AND recorded_at > :since"
    "   ORDER BY recorded_at DESC LIMIT :most) AS r"
    " JOIN countersign.proposal AS p ON p.proposal_id = r.proposal_id"
    " JOIN LATERAL (SELECT body FROM countersign.assessment AS a WHERE a.proposal_id = r.proposal_id"
    "   ORDER BY a.revision DESC LIMIT 1) AS s ON true"
    " LEFT JOIN LATERAL (SELECT a.outcome, a.amended_at FROM countersign.amendment AS a"
    "   WHERE a.proposal_id = r.proposal_id ORDER BY a.number DESC LIMIT 1) AS known ON true"
    " LEFT JOIN LATERAL (SELECT json_agg(json_build_object('direction', i.direction,"
    "     'permit', convert_from(i.body, 'UTF8'), 'report', convert_from(e.body, 'UTF8'))) AS permits"
    "   FROM countersign.permit AS i JOIN countersign.permit_use AS u ON u.permit_id = i.permit_id"
    "   LEFT JOIN countersign.effect_report AS e ON e.permit_id = i.permit_id"
    "   WHERE i.proposal_id = r.proposal_id AND u.use = 'claimed') AS done ON true"
    " ORDER BY r.recorded_at DESC"
).bindparams(bindparam("since", type_=TIMESTAMP(timezone=True)))


async def read_past(connection: AsyncConnection, since: datetime, most: int = MOST) -> tuple[Past, ...]:
    """The actions that did something and ended after an instant (UTC), the newest first.

    Args:
        connection: as any role that may read.
        since: see above.
        most: at most so many.
    """
    rows = (await connection.execute(_PAST, {"since": since, "most": most})).mappings()
    return tuple(_past(dict(row)) for row in rows)


def _past(row: Mapping[str, Any]) -> Past:
    proposal, revision = json.loads(row["proposal"]), json.loads(row["revision"])
    facts, assessment = revision["facts"], revision["assessment"]
    permits = _permits(row["permits"])
    done = [report for direction, _, report in permits if direction == "do" and report is not None]
    undone = [report for direction, _, report in permits if direction == "undo" and report is not None]
    return Past(
        proposal_id=row["proposal_id"],
        operation=row["operation"],
        agent=row["agent"],
        target=row["target"],
        outcome=row["amended"] or row["recorded_as"],
        recorded_as=row["recorded_as"],
        counts=bool(row["measured"]) or row["amended"] is not None,
        predicted_seconds=float(sum(step.get("timeout_seconds", 60) for step in proposal["steps"])),
        took_seconds=_seconds(done),
        predicted_undo_seconds=_undoing(proposal, facts),
        undo_seconds=_seconds(undone),
        predicted_affected=Facts.model_validate(facts).touched,
        affected=len({name for direction, ids, _ in permits if direction == "do" for name in ids}),
        depends=facts["reach"]["total"],
        likelihood=assessment["likelihood"],
        detected_seconds=_detected(row, done),
    )


def _permits(value: Any) -> list[tuple[str, Sequence[str], EffectReport | None]]:
    """Direction, ids and report of each permit that was claimed; PostgreSQL's JSON comes as text."""
    rows = json.loads(value) if isinstance(value, str) else value or ()
    return [
        (
            item["direction"],
            _ids(json.loads(item["permit"])),
            EffectReport.model_validate_json(item["report"]) if item["report"] is not None else None,
        )
        for item in rows
    ]


def _ids(permit: Mapping[str, Any]) -> Sequence[str]:
    """What a permit acts on: what the executor found, where it looked, or else ids of the catalog."""
    return [f"{one['resource']} {one['id']}" for one in permit.get("targets", ())] or permit["resolved"]


def _seconds(reports: Sequence[EffectReport]) -> float | None:
    if not reports:
        return None
    return sum((one.finished_at - one.started_at for one in reports), timedelta()).total_seconds()


def _undoing(proposal: Mapping[str, Any], facts: Mapping[str, Any]) -> float | None:
    """What the operations registry said that undoing takes at worst; None where it does not say it of every undo."""
    undos = [step["undo"]["operation"] for step in proposal["steps"] if step.get("undo")]
    known = [facts["operations"].get(name, {}).get("undo_seconds") for name in undos]
    return float(sum(known)) if known and all(one is not None for one in known) else None


def _detected(row: Mapping[str, Any], done: Sequence[EffectReport]) -> float | None:
    failing = [one for one in done if one.failed]
    if failing:
        return min((one.finished_at - one.started_at).total_seconds() for one in failing)
    if row["amended"] != Amended.caused_incident:
        return None
    late: timedelta = row["amended_at"] - row["recorded_at"]
    return late.total_seconds()
