"""What people have to look at afterwards: each item has a small workflow of its own, and its answers are taken here.

An item is a row with an id of its own: the review of what broke a glass, or an action that ended without a definite
state (`activities/item_keeping.py`, which takes amendments, too). A workflow that is missing, because nobody started it
or somebody ended it, is started by the sweep: the row is the item, the workflow its clock and its ear. Where an action
has remedied what was unresolved, the sweep lets its workflow look, which then ends.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.cases import read_case
from activities.clock import Clock, differs
from activities.database import Database
from activities.documents import Documents
from activities.item_keeping import ItemKeeper
from activities.item_rows import is_unopened, open_unresolved, read_open_items, read_unopened
from activities.ledger import Ledger
from activities.outbox import about_case, write
from activities.outside import OutsideKeeper
from activities.paging import FIRST
from activities.proving import Prover
from activities.reviews import (
    ReviewFile,
    close,
    lists_refusal,
    note_overdue,
    read_answer,
    read_open,
    read_review,
    store_answer,
    stored_answer,
)
from activities.statements import statement_receipt
from policy.approval.standing import stand
from policy.decision import DecisionReceipt, DecisionSubmission, Refusal, receive_decision
from policy.errors import DecisionError
from policy.notices.occasions_told import review_overdue
from policy.reviewing import Review
from workflows.interface import ITEM_WORKFLOW, LOOK_AGAIN, TASK_QUEUE, item_id, states_outside
from workflows.messages_items import ItemAnswerRequest, ItemRequest, ItemResult
from workflows.ports import ItemPort

log = logging.getLogger("countersign.items")

# Items are read in pages of so many, and workflows started so many at the same time.
PAGE = 1000
_STARTED_TOGETHER = 16


async def start_items(client: Client, database: Database) -> int:
    """Start the workflow of every open item that has none; how many were started.

    Raises:
        RPCError: Temporal does not answer.
    """
    started, after_review, after_item, more = 0, FIRST, FIRST, True
    while more:
        async with database.snapshot() as connection:
            reviews = await read_open(connection, PAGE, after_review)
            unresolved = await read_open_items(connection, PAGE, after_item)
        wanted = {**{one.review_id: False for one in reviews}, **{one.item_id: over for one, over in unresolved}}
        started += await _start(client, wanted)
        for review in reviews[-1:]:
            after_review = (review.due_at, UUID(review.review_id))
        for item, _ in unresolved[-1:]:
            after_item = (item.due_at or item.opened_at, UUID(item.item_id))
        more = PAGE in (len(reviews), len(unresolved))
    return started


async def _start(client: Client, wanted: Mapping[str, bool]) -> int:
    """Start the workflows of items, or let those look of which that is wanted; how many were started."""
    together = asyncio.Semaphore(_STARTED_TOGETHER)

    async def start(name: str, look: bool) -> bool:
        async with together:
            try:
                await client.start_workflow(
                    ITEM_WORKFLOW,
                    {"item_id": name},
                    id=item_id(name),
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                )
            except WorkflowAlreadyStartedError:
                if look:
                    await _let_look(client, name)
                return False
            return True

    return sum(await asyncio.gather(*(start(name, look) for name, look in wanted.items())))


async def open_missing(database: Database, now: datetime) -> int:
    """Open the item of every action that left a hold and has none, as those of earlier releases; how many were.

    One that cannot be opened keeps none of the others from it.
    """
    opened, after = 0, FIRST
    while True:
        async with database.snapshot() as connection:
            wanted = await read_unopened(connection, PAGE, after)
        if not wanted:
            return opened
        for at, hold, proposal_id in wanted:
            opened += await _open(database, proposal_id, now)
            after = (at, hold)


async def _open(database: Database, proposal_id: str, now: datetime) -> bool:
    """Open the item of an action that left a hold, where it has none still; whether it was opened."""
    async with database.transaction(proposal_id) as connection:
        case = await read_case(connection, proposal_id)
        if case is None or case.result is None or not await is_unopened(connection, proposal_id):
            return False
        ledger = Ledger(connection, proposal_id, now)
        return await open_unresolved(connection, ledger, case, case.result.outcome, now) is not None


async def _let_look(client: Client, name: str) -> None:
    """Ask a workflow to look at its item; one that has ended meanwhile has nothing to look at."""
    try:
        await client.get_workflow_handle(item_id(name)).signal(LOOK_AGAIN)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


class ItemActivities(ItemPort):
    """The items, against the record, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents.
        clock: what time it is.
        prover: verifies who made an answer.

    """

    def __init__(self, database: Database, documents: Documents, clock: Clock, prover: Prover) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prover = prover
        self._keeper = ItemKeeper(database, documents, clock, prover)
        self._outside = OutsideKeeper(database, documents, clock, prover)

    @activity.defn(name="look_at_item")
    async def look_at_item(self, request: ItemRequest) -> ItemResult:
        known = await self._known(request.item_id)
        if states_outside(request.item_id):
            return ItemResult(unasked=True)
        if known is None:
            return await self._keeper.look(request)
        async with self._database.transaction(known.review.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return ItemResult(stale=True)
            file = await read_review(connection, request.item_id) or known
            overdue = await note_overdue(Ledger(connection, file.review.proposal_id, request.now), file, request.now)
            if overdue:
                await _page(connection, file.review, request.now)
        return ItemResult(
            standing=file.standing(request.now), due_at=None if overdue else file.review.due_at, closed=file.found
        )

    @activity.defn(name="answer_item")
    async def answer_item(self, request: ItemAnswerRequest) -> ItemResult:
        return await self._prover.with_keys(lambda: self._answer(request))

    async def _answer(self, request: ItemAnswerRequest) -> ItemResult:
        if states_outside(request.item_id):
            return await self._outside.take(request)
        known = await self._known(request.item_id)
        submission, problem = _read(request)
        if known is None:
            return await self._keeper.answer(request, submission, problem)
        async with self._database.transaction(known.review.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return ItemResult(stale=True)
            file = await read_review(connection, request.item_id) or known
            standing = file.standing(request.now)
            if submission is None:
                receipt = DecisionReceipt(decision_id="", counted=False, code=Refusal.malformed, message=problem)
                return ItemResult(receipt=receipt, standing=standing, closed=file.found)
            if (before := await stored_answer(connection, file, submission, request.submission)) is not None:
                return ItemResult(receipt=before, standing=standing, closed=file.found)
            in_force = await self._documents.in_force(connection)
            directory = in_force.directory
            said_by = await self._prover.decided(request.submission, submission, directory, request.now)
            reading = read_answer(file, submission, said_by, directory, request.now)
            if reading.ballot is not None:
                case = file.review.case((*file.ballots, reading.ballot))
                standing = stand(case, request.now, deadline_counts_as_passed=False)
            receipt = statement_receipt(submission, reading, standing)
            ledger = Ledger(connection, file.review.proposal_id, request.now)
            person = reading.person.person_id if reading.person else None
            if reading.counts or await lists_refusal(connection, file, person):
                await store_answer(
                    connection,
                    ledger,
                    file,
                    submission,
                    request.submission,
                    reading,
                    receipt,
                    directory=in_force.directory_digest,
                    channel=request.channel,
                    arrival=request.arrival,
                    now=request.now,
                )
            closed = await close(connection, ledger, file, standing, request.now)
        return ItemResult(receipt=receipt, standing=standing, closed=closed)

    async def _known(self, wanted: str) -> ReviewFile | None:
        """The item as far as it says whose lock to take."""
        async with self._database.snapshot() as connection:
            return await read_review(connection, wanted)


async def _page(connection: AsyncConnection, review: Review, now: datetime) -> None:
    """Tell those who should have answered, and the operators."""
    log.warning("review of %s is overdue since %s", review.proposal_id, review.due_at)
    case = await read_case(connection, review.proposal_id)
    if case is not None and case.revision is not None:
        await write(connection, [(review_overdue(about_case(case), review.chain, review.due_at, now), None)])


def _read(request: ItemAnswerRequest) -> tuple[DecisionSubmission | None, str]:
    if request.problem is not None:
        return None, request.problem
    try:
        return receive_decision(request.submission), ""
    except DecisionError as error:
        return None, str(error)
