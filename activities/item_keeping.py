"""Keeping the items of actions that have ended: looking at them, and taking what people say of them.

- What is unresolved is found by its id. An amendment has no row before somebody makes it: its item's name says which
  action it is of (`amendment.PROPOSAL`), and the question is put together from the record and the policy in force.
- Authority is asked of the directory in force, and of the chain that was fixed when the item opened; for an amendment,
  of the policy in force.
- An amendment's workflow ends with the first answer, counted or not: whoever says more starts it again.
"""

import logging
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.cases import CaseFile, read_case
from activities.clock import Clock, differs
from activities.database import Database
from activities.documents import Documents, InForce
from activities.item_answers import ItemFile, read_item_answer, with_said
from activities.item_rows import (
    amend,
    close_unresolved,
    lists_refusal,
    next_number,
    note_overdue,
    read_item,
    read_repair,
    read_said,
    remedied_by,
    repaired,
    store_answer,
    stored_answer,
)
from activities.ledger import Ledger
from activities.outbox import about_case, write
from activities.proving import Prover
from activities.statements import statement_receipt
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal
from policy.findings import Finding
from policy.items import Item, agreeing, amendment_item, item_id, settled, standing_of
from policy.notices.occasions_told import amended, unresolved_overdue
from workflows.interface import amended_of
from workflows.messages_items import ItemAnswerRequest, ItemRequest, ItemResult

log = logging.getLogger("countersign.items")

ANSWERED = "answered"


class ItemKeeper:
    """Items of actions that have ended, against the record, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents.
        clock: what time it is.
        prover: verifies who made a statement.

    """

    def __init__(self, database: Database, documents: Documents, clock: Clock, prover: Prover) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prover = prover

    async def look(self, request: ItemRequest) -> ItemResult:
        """How an item stands; notes that it is overdue, and closes what another action has remedied."""
        proposal_id = await self._action(request.item_id)
        if proposal_id is None:
            return ItemResult(unknown=True)
        async with self._database.transaction(proposal_id) as connection:
            if await differs(self._clock, request.now):
                return ItemResult(stale=True)
            case = await read_case(connection, proposal_id)
            file = await self._file(connection, request.item_id, case)
            if file is None or case is None:
                return ItemResult(unknown=True)
            ledger = Ledger(connection, proposal_id, request.now)
            closed = file.closed or await _close_remedied(connection, ledger, case, file.item, request.now)
            if closed is None and (page := await note_overdue(ledger, file, request.now)):
                await _page(connection, case, file.item, page, request.now)
            standing = standing_of(file.item, file.said, file.said[-1].finding if file.said else None, request.now)
        return ItemResult(standing=standing, due_at=file.item.looked_at_again(request.now), closed=closed)

    async def answer(
        self, request: ItemAnswerRequest, submission: DecisionSubmission | None, problem: str
    ) -> ItemResult:
        """Take what somebody says of an item; closes it where that settles it."""
        proposal_id = await self._action(request.item_id)
        if proposal_id is None:
            return ItemResult(unknown=True)
        async with self._database.transaction(proposal_id) as connection:
            if await differs(self._clock, request.now):
                return ItemResult(stale=True)
            case = await read_case(connection, proposal_id)
            in_force = await self._documents.in_force(connection)
            file = await self._file(connection, request.item_id, case, in_force)
            if file is None or case is None:
                return ItemResult(unknown=True)
            ledger = Ledger(connection, proposal_id, request.now)
            answered = ANSWERED if file.item.kind == "amendment" else file.closed
            if submission is None:
                receipt = DecisionReceipt(decision_id="", counted=False, code=Refusal.malformed, message=problem)
                return ItemResult(receipt=receipt, standing=_standing(file, None, request.now), closed=answered)
            before = await stored_answer(
                connection, _asked_before(file.item, submission), submission, request.submission
            )
            if before is not None:
                return ItemResult(receipt=before, standing=_standing(file, None, request.now), closed=answered)
            return await self._take(connection, ledger, case, file, submission, request, in_force)

    async def _take(
        self,
        connection: AsyncConnection,
        ledger: Ledger,
        case: CaseFile,
        file: ItemFile,
        submission: DecisionSubmission,
        request: ItemAnswerRequest,
        in_force: InForce,
    ) -> ItemResult:
        item, now = file.item, request.now
        said_by = await self._prover.decided(request.submission, submission, in_force.directory, now)
        repair = await read_repair(connection, submission.repaired_by)
        reading = read_item_answer(file, submission, said_by, in_force.directory, repair, now)
        after = with_said(file, reading)
        standing = _standing(after, reading.finding, now)
        receipt = statement_receipt(submission, reading, standing)
        person = reading.person.person_id if reading.person else None
        if reading.counts or await lists_refusal(connection, item.item_id, person):
            await store_answer(
                connection,
                ledger,
                item,
                submission,
                request.submission,
                reading,
                receipt,
                repair=repair,
                named=_named(item, in_force),
                channel=request.channel,
                arrival=request.arrival,
                now=now,
            )
        closed = file.closed
        if reading.counts and (finding := settled(item, after.said, now)) is not None:
            by = tuple(ballot.person_id for ballot in agreeing(after.said, finding))
            closed = await _settle(connection, ledger, case, item, finding, by, now)
        return ItemResult(receipt=receipt, standing=standing, closed=ANSWERED if item.kind == "amendment" else closed)

    async def _action(self, name: str) -> str | None:
        """The action whose lock is taken for an item; None where nobody knows it."""
        if (proposal_id := amended_of(name)) is not None:
            return proposal_id
        async with self._database.snapshot() as connection:
            file = await read_item(connection, name)
        return file.item.proposal_id if file is not None else None

    async def _file(
        self, connection: AsyncConnection, name: str, case: CaseFile | None, in_force: InForce | None = None
    ) -> ItemFile | None:
        if amended_of(name) is None:
            return await read_item(connection, name)
        return await read_amendment(connection, case, in_force or await self._documents.in_force(connection))


async def read_amendment(connection: AsyncConnection, case: CaseFile | None, in_force: InForce) -> ItemFile | None:
    """The question how an action ended, as it would be put now; None where nothing was done that could be amended."""
    if case is None or case.result is None or case.revision is None or case.assessment_digest is None:
        return None
    if case.proposal.dry_run:
        return None
    item = amendment_item(
        case.proposal,
        case.revision,
        case.assessment_digest,
        in_force.policy,
        outcome=case.result.outcome,
        at=case.result.timings.finished_at,
        number=await next_number(connection, case.proposal.proposal_id),
    )
    return ItemFile(item, await read_said(connection, item.item_id))


def _asked_before(item: Item, submission: DecisionSubmission) -> str:
    """The item that a statement may have been about before: one of an amendment that has been made has another id."""
    earlier = (item_id(item.proposal_id, item.kind, number) for number in range(1, item.number))
    return submission.proposal_id if submission.proposal_id in set(earlier) else item.item_id


def _standing(file: ItemFile, finding: Finding | None, now: datetime) -> Any:
    return standing_of(file.item, file.said, finding, now)


def _named(item: Item, in_force: InForce) -> dict[str, Any]:
    """The documents that a statement was read by: by the policy in force only where that says who may make it."""
    digests = {"directory": in_force.directory_digest}
    return {**digests, "documents": {"policy": in_force.policy_digest}} if item.kind == "amendment" else digests


async def _settle(
    connection: AsyncConnection,
    ledger: Ledger,
    case: CaseFile,
    item: Item,
    finding: Finding,
    by: tuple[str, ...],
    now: datetime,
) -> str:
    """Write what an item came to, and tell people."""
    if item.kind == "unresolved":
        await close_unresolved(connection, ledger, case, item, finding, by, now)
    else:
        await amend(connection, ledger, case, item, finding, by, now)
    await write(connection, [(amended(about_case(case), item, finding, by, now), None)])
    return str(finding.found or finding.outcome)


async def _close_remedied(
    connection: AsyncConnection, ledger: Ledger, case: CaseFile, item: Item, now: datetime
) -> str | None:
    """Close what is unresolved where an action that names what it remedies has succeeded; None where none has."""
    if item.kind != "unresolved" or (by := await remedied_by(connection, item.proposal_id)) is None:
        return None
    return await _settle(connection, ledger, case, item, repaired(item, by), (), now)


async def _page(connection: AsyncConnection, case: CaseFile, item: Item, page: int, now: datetime) -> None:
    """Tell the owner of the target, those who may say what they found, and the operators."""
    log.warning("%s of %s is unresolved, it was due at %s", item.outcome, item.proposal_id, item.due_at)
    await write(connection, [(unresolved_overdue(about_case(case), item, page, now), None)])
