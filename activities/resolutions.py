"""What executors found and what they can do, as the record has it.

- Executors insert, everybody reads. A row is believed where its body has its digest and names its action.
- The newest row of an action is the one that counts; whether it is young enough is the reader's question, by an instant
  that is passed in.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Text, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables_targets import ExecutorCapabilityRow, TargetResolutionRow
from policy.canonical import canonical, digest
from policy.resolving import is_fresh
from policy.targets import Declared, TargetResolution

_RESOLUTION = TargetResolutionRow.__table__.c  # type: ignore[attr-defined]
_CAPABILITY = ExecutorCapabilityRow.__table__.c  # type: ignore[attr-defined]
_NEWEST = (
    select(_RESOLUTION.body, _RESOLUTION.digest)
    .where(_RESOLUTION.action_digest == bindparam("action_digest", type_=Text))
    .order_by(_RESOLUTION.seq.desc())
    .limit(1)
)
_KEEP = insert(TargetResolutionRow)
_DECLARED = (
    select(_CAPABILITY.digest)
    .where(_CAPABILITY.executor == bindparam("executor", type_=Text))
    .order_by(_CAPABILITY.seq.desc())
    .limit(1)
)
_DECLARE = insert(ExecutorCapabilityRow)


async def newest_resolution(connection: AsyncConnection, action_digest: str) -> TargetResolution | None:
    """The last that was found for an action; None where nothing was, or what is stored is none."""
    row = (await connection.execute(_NEWEST, {"action_digest": action_digest})).first()
    if row is None or digest(row.body) != row.digest:
        return None
    try:
        found = TargetResolution.model_validate_json(row.body)
    except ValidationError:
        return None
    return found if found.action_digest == action_digest else None


async def fresh_resolution(
    connection: AsyncConnection, action_digest: str, now: datetime, since: datetime | None = None
) -> TargetResolution | None:
    """The newest one where it is good at an instant; arguments as for `policy.resolving.is_fresh`."""
    found = await newest_resolution(connection, action_digest)
    return found if found is not None and is_fresh(found, now, since) else None


async def store_resolution_of_targets(connection: AsyncConnection, found: TargetResolution) -> None:
    """Keep what executors found.

    Raises:
        CanonicalError: it has no canonical form.
    """
    body = canonical(found.model_dump(mode="json"))
    row = {"action_digest": found.action_digest, "digest": digest(body), "body": body}
    await connection.execute(_KEEP, {**row, "resolved_at": found.at, "resolved_by": found.resolved_by})


async def declare(connection: AsyncConnection, declared: Iterable[Declared], *, by: str, at: datetime) -> int:
    """Keep what executors say that they can do, where it is not what they said last; of how many it was not.

    Args:
        connection: as the executor or application role.
        declared: of each executor all of its operations.
        by: the worker.
        at: the instant (UTC).
    """
    changed = 0
    for item in declared:
        body = canonical(item.model_dump(mode="json"))
        known = await connection.scalar(_DECLARED, {"executor": item.executor})
        if known != digest(body):
            row: dict[str, Any] = {"executor": item.executor, "digest": digest(body), "body": body}
            await connection.execute(_DECLARE, {**row, "declared_at": at, "declared_by": by})
            changed += 1
    return changed
