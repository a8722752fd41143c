"""Items of actions that have ended, as rows: opened, answered, paged, closed, and what they amend.

At each commit, what is true: the row and its entry in the ledger of the action are durable together, under the lock of
that action; with the end of what was unresolved go the release of its hold and the amendment that it makes. The rules
are in `policy/items.py`.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile
from activities.documents import stored
from activities.item_answers import ItemFile, ItemReading, Repair, kept
from activities.ledger import Ledger
from activities.observing import history_of
from activities.paging import FIRST, After, comes_after, placed
from activities.statements import answered_before, columns_of, content_of
from activities.tables import HoldReleaseRow, HoldRow, PermitRow, PermitUseRow, ProposalRow, ResultRow
from activities.tables_items import AmendmentRow, ItemDecisionRow, UnresolvedClosedRow, UnresolvedRow
from policy.base import instant_text
from policy.canonical import canonical, digest, parse_canonical
from policy.catalog import normalize
from policy.decision import DecisionReceipt, DecisionSubmission
from policy.document import read_policy
from policy.errors import CountersignError
from policy.findings import AMENDS, Finding, Found
from policy.items import Item, Said, unresolved_item
from policy.ledger import EntryKind
from policy.outcome import Outcome
from policy.permit import entry_id
from policy.proposal import ActionProposal
from policy.refusals import Listed

log = logging.getLogger("countersign.items")

UNRESOLVED = "unresolved"
REMEDY = "remedy"

_ITEM = UnresolvedRow.__table__.c  # type: ignore[attr-defined]
_DECISION = ItemDecisionRow.__table__.c  # type: ignore[attr-defined]
_CLOSED = UnresolvedClosedRow.__table__.c  # type: ignore[attr-defined]
_AMENDMENT = AmendmentRow.__table__.c  # type: ignore[attr-defined]
_HOLD = HoldRow.__table__.c  # type: ignore[attr-defined]
_RELEASE = HoldReleaseRow.__table__.c  # type: ignore[attr-defined]
_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_PERMIT = PermitRow.__table__.c  # type: ignore[attr-defined]
_USE = PermitUseRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]

_ONE = (
    select(_ITEM.body, _CLOSED.found)
    .outerjoin(UnresolvedClosedRow, _CLOSED.item_id == _ITEM.item_id)
    .where(_ITEM.item_id == bindparam("item_id"))
)
_COUNTED = (
    select(_DECISION.receipt)
    .where(_DECISION.item_id == bindparam("item_id"), _DECISION.counted)
    .order_by(_DECISION.received_at, _DECISION.arrival)
)
_STORED = select(_DECISION.receipt, _DECISION.digest).where(
    _DECISION.item_id == bindparam("item_id"), _DECISION.decision_id == bindparam("decision_id")
)
_REFUSED = (
    select(_DECISION.person_id, func.count().label("n"))
    .where(_DECISION.item_id == bindparam("item_id"), ~_DECISION.counted)
    .group_by(_DECISION.person_id)
)
_OPEN = (
    select(_ITEM.body, _RELEASE.released_by)
    .outerjoin(UnresolvedClosedRow, _CLOSED.item_id == _ITEM.item_id)
    .outerjoin(HoldRow, _HOLD.proposal_id == _ITEM.proposal_id)
    .outerjoin(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .where(
        _CLOSED.item_id.is_(None),
        comes_after(_ITEM.due_at, _ITEM.item_id),
    )
    .order_by(_ITEM.due_at, _ITEM.item_id)
    .limit(bindparam("most"))
)
# The holds of releases that opened no item: whoever looks after them opens it then.
_UNOPENED = (
    select(_HOLD.placed_at, _HOLD.hold_id, _HOLD.proposal_id)
    .outerjoin(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .outerjoin(UnresolvedRow, _ITEM.proposal_id == _HOLD.proposal_id)
    .where(_RELEASE.hold_id.is_(None), _ITEM.item_id.is_(None), _HOLD.proposal_id.is_not(None))
)
_UNOPENED_PAGE = (
    _UNOPENED.where(comes_after(_HOLD.placed_at, _HOLD.hold_id))
    .order_by(_HOLD.placed_at, _HOLD.hold_id)
    .limit(bindparam("most"))
)
_UNOPENED_ONE = _UNOPENED.where(_HOLD.proposal_id == bindparam("proposal_id")).limit(1)
_HELD = (
    select(_HOLD.hold_id, _RELEASE.hold_id.label("released"), _RELEASE.released_by, _RELEASE.proposal_id)
    .outerjoin(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .where(_HOLD.proposal_id == bindparam("proposal_id"))
)
_REMEDIED = (
    select(_ITEM.item_id)
    .join(HoldRow, _HOLD.proposal_id == _ITEM.proposal_id)
    .join(HoldReleaseRow, _RELEASE.hold_id == _HOLD.hold_id)
    .outerjoin(UnresolvedClosedRow, _CLOSED.item_id == _ITEM.item_id)
    .where(_RELEASE.proposal_id == bindparam("by"), _RELEASE.released_by == REMEDY, _CLOSED.item_id.is_(None))
    .order_by(_ITEM.opened_at)
    .limit(20)
)
# The executor's word and not that of whoever keeps the items.
_BEGAN = (
    select(func.min(_USE.used_at))
    .join(PermitRow, _PERMIT.permit_id == _USE.permit_id)
    .where(_PERMIT.proposal_id == _PROPOSAL.proposal_id, _PERMIT.direction == "do", _USE.use == "claimed")
    .scalar_subquery()
)
_REPAIR = (
    select(_PROPOSAL.body, _RESULT.body.label("result"), _BEGAN.label("began"))
    .outerjoin(ResultRow, _RESULT.proposal_id == _PROPOSAL.proposal_id)
    .where(_PROPOSAL.proposal_id == bindparam("proposal_id"))
)
_NUMBER = select(func.max(_AMENDMENT.number)).where(_AMENDMENT.proposal_id == bindparam("proposal_id"))


async def open_unresolved(
    connection: AsyncConnection, ledger: Ledger, file: CaseFile, outcome: Outcome, at: datetime
) -> Item | None:
    """Open the item of an action that ended without a definite state, with the entry that says so; None where there is
    nothing to find out.
    """
    if file.revision is None or file.assessment_digest is None or not outcome.needs_hold:
        return None
    try:
        policy = read_policy(await stored(connection, "policy", file.revision.documents.policy))
        item = unresolved_item(file.proposal, file.revision, file.assessment_digest, policy, outcome=outcome, at=at)
    except (CountersignError, ValueError) as error:
        # An end must be on record whatever a document says: the sweep opens the item as soon as it can.
        log.warning("what is unresolved of %s cannot be opened yet: %s", file.proposal.proposal_id, error)
        return None
    if item is None or item.due_at is None:
        return None
    row = {
        "item_id": UUID(item.item_id),
        "proposal_id": item.proposal_id,
        "target": item.target,
        "outcome": str(outcome),
        "opened_at": at,
        "due_at": item.due_at,
        "body": item.body,
        "digest": item.digest,
    }
    await connection.execute(insert(UnresolvedRow), row)
    await ledger.append(EntryKind.unresolved_opened, {"item": item.model_dump(mode="json")}, UNRESOLVED, new=True)
    return item


async def read_unopened(
    connection: AsyncConnection, most: int, after: After = FIRST
) -> tuple[tuple[datetime, UUID, str], ...]:
    """The holds after one that nobody released and that have no item, the oldest first: when they were placed, their
    ids, and the actions that left them.
    """
    rows = await connection.execute(_UNOPENED_PAGE, placed(most, after))
    return tuple((row.placed_at, row.hold_id, row.proposal_id) for row in rows)


async def is_unopened(connection: AsyncConnection, proposal_id: str) -> bool:
    """Whether an action left a hold which nobody released, and no item."""
    return (await connection.execute(_UNOPENED_ONE, {"proposal_id": proposal_id})).first() is not None


async def read_open_items(
    connection: AsyncConnection, most: int, after: After = FIRST
) -> tuple[tuple[Item, bool], ...]:
    """What nobody resolved yet, that which is due first, each with whether its hold has been released meanwhile; of
    those that come after one in this order, by when it is due and its id.
    """
    rows = await connection.execute(_OPEN, placed(most, after))
    return tuple((Item.model_validate_json(row.body), row.released_by is not None) for row in rows)


async def read_item(connection: AsyncConnection, wanted: str) -> ItemFile | None:
    """What is unresolved under an id, with what was said of it, or None where there is none of that id."""
    try:
        key = {"item_id": UUID(wanted)}
    except ValueError:
        return None
    row = (await connection.execute(_ONE, key)).first()
    if row is None:
        return None
    item = Item.model_validate_json(row.body)
    return ItemFile(item, await read_said(connection, item.item_id), row.found)


async def read_said(connection: AsyncConnection, wanted: str) -> tuple[Said, ...]:
    """The statements about an item that count, in order."""
    counted = await connection.scalars(_COUNTED, {"item_id": UUID(wanted)})
    read = [parse_canonical(body) for body in counted]
    return tuple(Said.model_validate({"ballot": one["ballot"], "finding": one["finding"]}) for one in read)


async def remedied_by(connection: AsyncConnection, proposal_id: str) -> str | None:
    """The action that has remedied what an action left, or None."""
    row = (await connection.execute(_HELD, {"proposal_id": proposal_id})).first()
    return row.proposal_id if row is not None and row.released_by == REMEDY else None


async def read_remedied(connection: AsyncConnection, by: ActionProposal) -> tuple[str, ...]:
    """The items that are still open of what an action has remedied, as far as one answer names them."""
    if by.remedies is None:
        return ()
    return tuple(str(name) for name in await connection.scalars(_REMEDIED, {"by": by.proposal_id}))


async def read_repair(connection: AsyncConnection, named: str | None) -> Repair | None:
    """What the record has of an action that is said to have put things right."""
    if named is None:
        return None
    row = (await connection.execute(_REPAIR, {"proposal_id": named})).first()
    if row is None:
        return None
    proposal = parse_canonical(row.body)
    outcome = parse_canonical(row.result)["outcome"] if row.result is not None else None
    return Repair(
        proposal_id=named,
        outcome=outcome,
        target=normalize(proposal["target"]),
        remedies=proposal.get("remedies"),
        began=row.began,
    )


async def stored_answer(
    connection: AsyncConnection, wanted: str, submission: DecisionSubmission, received: Any
) -> DecisionReceipt | None:
    """The receipt of a decision id that this item has seen before."""
    key = {"item_id": UUID(wanted), "decision_id": submission.decision_id}
    return answered_before((await connection.execute(_STORED, key)).first(), submission, received)


async def lists_refusal(connection: AsyncConnection, wanted: str, person_id: str | None) -> bool:
    """Whether one more refused statement of somebody is kept; the rule is `policy/refusals.py`."""
    rows = await connection.execute(_REFUSED, {"item_id": UUID(wanted)})
    return Listed({row.person_id: row.n for row in rows}).has_room(person_id)


async def store_answer(
    connection: AsyncConnection,
    ledger: Ledger,
    item: Item,
    submission: DecisionSubmission,
    received: Any,
    reading: ItemReading,
    receipt: DecisionReceipt,
    *,
    repair: Repair | None,
    named: dict[str, Any],
    channel: str,
    arrival: int,
    now: datetime,
) -> None:
    """Store a statement, counted or refused, with its entry: as it was `received`, which is what was signed. `named`
    are the digests of the documents that were asked.
    """
    more = kept(reading, repair)
    columns = columns_of(submission, received, reading, receipt, arrival=arrival, now=now, finding=more["finding"])
    await connection.execute(insert(ItemDecisionRow), {"item_id": UUID(item.item_id), **columns})
    said = content_of(received, reading, receipt, channel=channel, arrival=arrival)
    content = {"item": item.model_dump(mode="json"), **named, **said, **more}
    await ledger.append(EntryKind.item_decided, content, item.item_id, submission.decision_id, new=True)


async def note_overdue(ledger: Ledger, file: ItemFile, now: datetime) -> int:
    """Note that an item is overdue and open, once for each time that it is paged; how often by now, 0 where it is not.

    What was missed while nobody looked is not made up for.
    """
    item = file.item
    if file.closed is not None or item.due_at is None or not (pages := item.pages(now)):
        return 0
    content = {"item_id": item.item_id, "due_at": instant_text(item.due_at), "page": pages}
    await ledger.append(EntryKind.unresolved_overdue, content, UNRESOLVED, pages)
    return pages


async def close_unresolved(
    connection: AsyncConnection,
    ledger: Ledger,
    case: CaseFile,
    item: Item,
    finding: Finding,
    by: Sequence[str],
    now: datetime,
) -> None:
    """Write what was found, release the hold, and amend the outcome; `by` are the people, none where it was remedied.

    Only under the lock of the action, and only where it is open.
    """
    assert finding.found is not None
    value = {"item_id": item.item_id, "found": str(finding.found), "by": list(by), "repaired_by": finding.repaired_by}
    body = canonical({**value, "at": instant_text(now)})
    row = {"item_id": UUID(item.item_id), "found": str(finding.found), "closed_at": now}
    await connection.execute(insert(UnresolvedClosedRow).values(**row, body=body, digest=digest(body)))
    await _release(connection, item, now)
    await ledger.append(EntryKind.unresolved_closed, value, UNRESOLVED, new=True)
    await amend(connection, ledger, case, item, finding, by, now)


async def amend(
    connection: AsyncConnection,
    ledger: Ledger,
    case: CaseFile,
    item: Item,
    finding: Finding,
    by: Sequence[str],
    now: datetime,
) -> int:
    """Write how an action ended as people know it now, beside its result; the number of the amendment."""
    assert case.result is not None
    assert case.revision is not None
    number = await next_number(connection, item.proposal_id)
    value = {
        "item_id": item.item_id,
        "number": number,
        "by": list(by),
        "was": str(case.result.outcome),
        "finding": finding.model_dump(mode="json"),
    }
    body = canonical({**value, "at": instant_text(now)})
    did = case.result.outcome if case.result.outcome is not Outcome.not_executed else Outcome.inconclusive
    columns = history_of(case.proposal, case.revision, did)
    columns.pop("outcome", None)
    row = {
        **columns,
        "amendment_id": UUID(entry_id(item.proposal_id, "amended", number)),
        "proposal_id": item.proposal_id,
        "number": number,
        "outcome": str(finding.outcome),
        "body": body,
        "digest": digest(body),
        "amended_at": now,
        "recorded_at": case.result.timings.finished_at,
    }
    await connection.execute(insert(AmendmentRow), row)
    await ledger.append(EntryKind.amended, value, number, new=True)
    return number


async def next_number(connection: AsyncConnection, proposal_id: str) -> int:
    """The number that the next amendment of an action has."""
    return ((await connection.execute(_NUMBER, {"proposal_id": proposal_id})).scalar_one() or 0) + 1


async def _release(connection: AsyncConnection, item: Item, now: datetime) -> None:
    """People know what became of the action: nothing holds its target any longer on its account."""
    row = (await connection.execute(_HELD, {"proposal_id": item.proposal_id})).first()
    if row is None or row.released is not None:
        return
    value = {"hold_id": str(row.hold_id), "item_id": item.item_id, "released_by": "item", "at": instant_text(now)}
    body = canonical(value)
    values = {"hold_id": row.hold_id, "released_by": "item", "released_at": now, "body": body, "digest": digest(body)}
    await connection.execute(insert_once(HoldReleaseRow).values(**values).on_conflict_do_nothing())


def repaired(item: Item, by: str) -> Finding:
    """What an action that named what it remedies and has succeeded says of the other one."""
    return Finding(outcome=AMENDS[item.outcome, Found.repaired], found=Found.repaired, repaired_by=by)
