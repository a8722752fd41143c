"""What is open on record, by how far it is: for whoever is about to halt everything, and for whoever lets it go on."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from policy.catalog import normalize

# How many ids of each state are listed.
LISTED = 10
# State: what a halt does to an action in it.
EFFECTS: Mapping[str, str] = {
    "asked": "people may go on answering; it waits once it is approved",
    "waiting": "it waits until the halt is released, and the gate is asked again then",
    "permitted": "its permit is not claimed any more: it ends with nothing done",
    "running": "its step ends; then it is undone, or left for people, by the verb that was approved for a stop",
    "between": "no further step begins; it is undone, or left for people, by the verb that was approved for a stop",
    "undoing": "it goes on: undoing is never halted",
}
# The same of a person's hold on what it acts on.
EFFECTS_OF_HOLD: Mapping[str, str] = {
    **EFFECTS,
    "asked": "people may go on answering; once it is approved it is refused, and ends with nothing done",
    "waiting": "it is refused when it is asked for a permit again, and ends with nothing done",
}
_NAMED = text(
    """
SELECT DISTINCT convert_from(p.body, 'UTF8')::jsonb->>'target' FROM countersign.proposal AS p
WHERE (SELECT r.proposal_id FROM countersign.result AS r WHERE r.proposal_id = p.proposal_id) IS NULL"""
)
_STATES = text(
    """
SELECT state, count(*) AS n, (array_agg(proposal_id ORDER BY registered_at))[1:10] AS ids FROM (
  SELECT p.proposal_id, p.registered_at, CASE
      WHEN done.undoing THEN 'undoing'
      WHEN done.running THEN 'running'
      WHEN done.open THEN 'permitted'
      WHEN done.permits > 0 THEN 'between'
      WHEN (SELECT r.kind FROM countersign.resolution AS r WHERE r.proposal_id = p.proposal_id
        ORDER BY r.revision DESC LIMIT 1) = 'approved' THEN 'waiting'
      ELSE 'asked' END AS state
  FROM countersign.proposal AS p
    CROSS JOIN LATERAL (
      SELECT count(*) AS permits,
        coalesce(bool_or(m.direction = 'undo' AND u.use = 'claimed' AND e.permit_id IS NULL), false) AS undoing,
        coalesce(bool_or(m.direction = 'do' AND u.use = 'claimed' AND e.permit_id IS NULL), false) AS running,
        coalesce(bool_or(m.direction = 'do' AND u.use IS NULL), false) AS open
      FROM countersign.permit AS m
        LEFT JOIN countersign.permit_use AS u ON u.permit_id = m.permit_id
        LEFT JOIN countersign.effect_report AS e ON e.permit_id = m.permit_id
      WHERE m.proposal_id = p.proposal_id) AS done
  WHERE (SELECT r.proposal_id FROM countersign.result AS r WHERE r.proposal_id = p.proposal_id) IS NULL
    AND (CAST(:environment AS text) IS NULL
      OR convert_from(p.body, 'UTF8')::jsonb->>'environment' = CAST(:environment AS text))
    AND (CAST(:targets AS text[]) IS NULL
      OR convert_from(p.body, 'UTF8')::jsonb->>'target' = ANY (CAST(:targets AS text[])))) AS one
GROUP BY state"""
).bindparams(bindparam("environment", type_=Text), bindparam("targets", type_=ARRAY(Text)))


_WAITING = text(
    """
SELECT p.proposal_id FROM countersign.proposal AS p
WHERE (SELECT r.proposal_id FROM countersign.result AS r WHERE r.proposal_id = p.proposal_id) IS NULL
  AND (SELECT m.proposal_id FROM countersign.permit AS m WHERE m.proposal_id = p.proposal_id LIMIT 1) IS NULL
  AND (SELECT r.kind FROM countersign.resolution AS r WHERE r.proposal_id = p.proposal_id
    ORDER BY r.revision DESC LIMIT 1) = 'approved'
  AND (CAST(:environment AS text) IS NULL
    OR convert_from(p.body, 'UTF8')::jsonb->>'environment' = CAST(:environment AS text))
ORDER BY p.registered_at, p.proposal_id LIMIT :most"""
).bindparams(bindparam("environment", type_=Text))


async def waiting(connection: AsyncConnection, environment: str | None, most: int) -> tuple[str, ...]:
    """Those of an environment, or anywhere, that are approved and have no permit yet, so many at most, oldest first."""
    return tuple(await connection.scalars(_WAITING, {"environment": environment, "most": most}))


async def states(connection: AsyncConnection, environment: str | None = None) -> list[dict[str, Any]]:
    """How many actions are in each state, the ids of some, and what a halt does to them; in the order of `EFFECTS`."""
    return await _states(connection, {"environment": environment, "targets": None}, EFFECTS)


async def states_on(connection: AsyncConnection, target: str) -> list[dict[str, Any]]:
    """The same of the actions on a target, by whatever name, and what a hold on it does to them."""
    wanted = normalize(target)
    names = [name for name in await connection.scalars(_NAMED) if normalize(name) == wanted]
    return await _states(connection, {"environment": None, "targets": names}, EFFECTS_OF_HOLD)


async def _states(
    connection: AsyncConnection, wanted: Mapping[str, str | Sequence[str] | None], effects: Mapping[str, str]
) -> list[dict[str, Any]]:
    rows = {row.state: row for row in await connection.execute(_STATES, wanted)}
    return [
        {"state": state, "count": rows[state].n, "ids": list(rows[state].ids), "effect": effect}
        for state, effect in effects.items()
        if state in rows
    ]
