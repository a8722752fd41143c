"""Admitting an action that would ask people: counted over the record, in the transaction that registers it.

- Whoever asks for the same effect, or from a place that a limit counts, waits for a lock of that scope first. So two
  that start in the same moment are counted one after the other.
- Only what asks people has rows here, and only until the absolute deadline does it count as pending: an action whose
  workflow somebody ended from outside does not block its effect for ever.
- Who is not admitted leaves a row, by which refusals are numbered, and is not registered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, Text

from activities.database import lock_key
from activities.tables import AskedScopeRow
from policy.admission import effect_scopes, limits_of, place_scopes, refusals
from policy.base import Reason
from policy.document import PolicySet
from policy.proposal import ReceivedProposal
from policy.revision import Revision
from policy.rules.admission import Counted

_HOUR = timedelta(hours=1)
_LOCK = text("SELECT count(pg_advisory_xact_lock(wanted.key)) FROM unnest(:keys) AS wanted (key)").bindparams(
    bindparam("keys", type_=ARRAY(BigInteger))
)
# Each look-up stops at a number of rows of an index, however long the record is.
_COUNT = text("""
SELECT asked.scope, waiting.n AS pending, waiting.first AS first, admitted.n AS last_hour, refused.n AS refused
FROM unnest(:scopes) AS asked (scope)
  CROSS JOIN LATERAL (SELECT count(*) AS n, min(open.proposal_id) AS first FROM (
    SELECT a.proposal_id FROM countersign.asked_scope AS a
    WHERE a.scope = asked.scope AND a.ends_at > :now AND a.admitted
      AND (SELECT r.proposal_id FROM countersign.result AS r WHERE r.proposal_id = a.proposal_id) IS NULL
    LIMIT 10001) AS open) AS waiting
  CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM countersign.asked_scope AS a
    WHERE a.scope = asked.scope AND a.asked_at > :since AND a.admitted LIMIT 10001) AS one) AS admitted
  CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT FROM countersign.asked_scope AS a
    WHERE a.scope = asked.scope AND a.asked_at > :since AND NOT a.admitted LIMIT 10001) AS one) AS refused
""").bindparams(
    bindparam("scopes", type_=ARRAY(Text)),
    bindparam("now", type_=TIMESTAMP(timezone=True)),
    bindparam("since", type_=TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True)
class NotAdmitted:
    """Why an action is not admitted, and what was counted. `number` is which refusal of its scope this is."""

    reasons: tuple[Reason, ...]
    counted: tuple[Counted, ...]
    see: str | None
    number: int


async def admit(
    connection: AsyncConnection, received: ReceivedProposal, revision: Revision, policy: PolicySet, now: datetime
) -> NotAdmitted | None:
    """Note that an action asks people, or why it must not; None where it is admitted or asks nobody.

    Args:
        connection: in the transaction that registers the action.
        received: the action.
        revision: its first revision.
        policy: in force.
        now: the instant (UTC).
    """
    if not revision.evaluation.verdict.asks:
        return None
    effects, places = effect_scopes(received, revision), place_scopes(received, revision)
    limited = list(limits_of(policy, received, revision))
    scopes = sorted({*effects, *(scope for _, scope in limited)})
    await connection.execute(_LOCK, {"keys": sorted(lock_key(f"asked {scope}") for scope in scopes)})
    asked = await connection.execute(_COUNT, {"scopes": scopes, "now": now, "since": now - _HOUR})
    found = {row.scope: row for row in asked}
    counted = tuple(
        Counted(id=limit.id, scope=scope, pending=found[scope].pending, last_hour=found[scope].last_hour)
        for limit, scope in limited
    )
    see = next((found[scope].first for scope in effects if found[scope].first is not None), None)
    limits = {limit.id: limit for limit, _ in limited}
    reasons = refusals(limits, counted, see)
    if not reasons:
        every = sorted({effects[0], *(scope for _, scope in limited), *places.values()})
        await connection.execute(insert(AskedScopeRow), _rows(every, revision, now, admitted=True))
        return None
    against = [effects[0]] if see is not None else [item.scope for item in counted if refusals(limits, [item], None)]
    once = insert_once(AskedScopeRow).on_conflict_do_nothing()
    await connection.execute(once, _rows(sorted(set(against)), revision, now, admitted=False))
    number = 1 + max(found[scope].refused for scope in against)
    return NotAdmitted(reasons=reasons, counted=counted, see=see, number=number)


def _rows(scopes: list[str], revision: Revision, now: datetime, *, admitted: bool) -> list[dict[str, Any]]:
    row = {"proposal_id": revision.proposal_id, "asked_at": now, "admitted": admitted}
    row["ends_at"] = revision.absolute_deadline if admitted else now
    return [{**row, "scope": scope} for scope in scopes]
