"""Holds that people placed: the row that binds, beside the halt of its target. The rules are in `policy/halting.py`.

- The hold is one of those that Countersign places itself, so whatever minds these minds it: assessment, gate, claim, a
  step that runs. It names no action, so none remedies it.
- Its body names the halt, and the ids that its target stands for, so that another name in the catalog lifts nothing.
- It ended where its halt did, by the statements of two people (`activities/halt_proofs.py`). The row that says so is
  believed by nobody who issues or claims a permit (`activities/releases.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.documents import Documents, InForce
from activities.halt_proofs import ended
from activities.tables import HoldReleaseRow, HoldRow
from activities.tables_halts import HaltReleaseRow, HaltRow
from policy.base import instant_text
from policy.canonical import canonical, digest
from policy.catalog import Catalog
from policy.halting import HALTS_LEDGER, HaltFact
from policy.permit import entry_id
from policy.rules.chains import Requirement, owning

# Who released a hold that a person had placed, in its row.
PEOPLE = "people"
_HALT = HaltRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HaltReleaseRow.__table__.c  # type: ignore[attr-defined]
_OF_TARGETS = (
    select(
        *(_HALT[name] for name in ("halt_id", "target", "placed_by", "placed_at", "reason")),
        _RELEASE.halt_id.is_not(None).label("released"),
    )
    .outerjoin(HaltReleaseRow, _RELEASE.halt_id == _HALT.halt_id)
    .where(_HALT.target.is_not(None))
    .order_by(_HALT.placed_at)
)


def hold_id_of(halt_id: str) -> UUID:
    """The id of the hold that goes with a halt of one target."""
    # No proposal has the id of that ledger, so that none can have the id of this hold, either.
    return UUID(entry_id(HALTS_LEDGER, "hold", halt_id))


def owners_of(catalog: Catalog, target: str | None) -> tuple[Requirement, ...]:
    """Who owns a target by the catalog; nobody where nothing is named."""
    found = catalog.entity(target) if target is not None else None
    return owning(found.owner) if found is not None else ()


async def hold(connection: AsyncConnection, row: Any, in_force: InForce) -> None:
    """Write the hold that goes with a halt of one target, once; `row` is that of the halt."""
    known = {"target": row.target, "reason": f"{row.placed_by}: {row.reason}", "owner": row.placed_by}
    resolved = list(in_force.catalog.resolve(row.target))
    body = canonical({**known, "halt_id": row.halt_id, "resolved": resolved, "at": instant_text(row.placed_at)})
    values = {**known, "hold_id": hold_id_of(row.halt_id), "proposal_id": None, "placed_at": row.placed_at}
    placed = insert_once(HoldRow).values(**values, body=body, digest=digest(body))
    await connection.execute(placed.on_conflict_do_nothing())


async def let_go(connection: AsyncConnection, halt_id: str, people: Sequence[str], now: datetime) -> None:
    """Write that the hold ended, with its halt."""
    hold_id = hold_id_of(halt_id)
    value = {"hold_id": str(hold_id), "halt_id": halt_id, "released_by": PEOPLE, "people": list(people)}
    body = canonical({**value, "at": instant_text(now)})
    row = {"hold_id": hold_id, "proposal_id": None, "released_by": PEOPLE, "released_at": now}
    ends = insert_once(HoldReleaseRow).values(**row, body=body, digest=digest(body))
    await connection.execute(ends.on_conflict_do_nothing())


async def released_by_people(
    connection: AsyncConnection, documents: Documents, hold_id: str, target: str, halt_id: str
) -> str | None:
    """What is wrong with the release of a person's hold; None where two people who may signed it.

    Args:
        connection: a transaction of the record.
        documents: the governed documents.
        hold_id: the hold, as its row has it.
        target: what it is on, by the same row.
        halt_id: the halt that it names.
    """
    held = await connection.scalar(select(_HALT.target).where(_HALT.halt_id == halt_id))
    if held != target or hold_id != str(hold_id_of(halt_id)):
        return f"it names {halt_id}, which is no halt of this target"
    if not await ended(connection, documents, halt_id):
        return "nothing proves that two people who may have released it"
    return None


async def held_by_people(connection: AsyncConnection) -> tuple[HaltFact, ...]:
    """The halts of one target that there ever were, oldest first."""
    rows = await connection.execute(_OF_TARGETS)
    return tuple(HaltFact.model_validate(row._asdict()) for row in rows)
