"""The control role: assess, take decisions, let time pass, record the end. Each is one transaction.

At each commit, what is true: everything that the answer says is durable, with its ledger entry. If the answer is lost,
the same request reads what was stored and answers the same. `stale` is said by a record that answers: a request that
waits for one goes on waiting on the server, where that costs no event.
"""

import time
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.accepting import judge, with_acceptance
from activities.advancing import note_stop, settle, standing_of
from activities.attributes import RegisteredAttributes
from activities.cases import REVOKED, CaseFile, read_case
from activities.clock import Clock, differs
from activities.database import TRANSACTION_SECONDS, Database
from activities.documents import Documents, InForce
from activities.halts import every_halt
from activities.item_rows import read_remedied
from activities.ledger import Ledger
from activities.noticing import notice
from activities.offering import offer, wants_offer
from activities.planning import make_plan
from activities.proving import Prover
from activities.reconsidering import follow, unblock_of
from activities.recording import record_end
from activities.remeasuring import ask_again, remeasure
from activities.reserving import next_in_row
from activities.resolutions import fresh_resolution
from activities.signatures import signed_by
from activities.starting import end_without_effect, refuse_signature, refuse_start, register, start_refusals
from activities.taking import Taking, moved, read_submission, refused
from activities.telemetry import about
from policy.approval.standing import Standing
from policy.base import Reason
from policy.decision import Refusal
from policy.envelope import Start, receive_start
from policy.errors import ProposalError
from policy.resolving import asked_of
from policy.result import ActionResult, Offer
from workflows.messages import (
    PACE,
    UNVERIFIED,
    AdvanceRequest,
    AssessRequest,
    AssessResult,
    CaseResult,
    DecisionRequest,
    DecisionsRequest,
    DecisionsResult,
    Pace,
    Plan,
    RecordRequest,
    RecordResult,
)
from workflows.ports import CasePort

# Well within what a transaction has: a batch that never ended would be asked for again and again.
BATCH_SECONDS = TRANSACTION_SECONDS / 3
UNREGISTERED = "nothing is registered under this id"


class ControlActivities(CasePort):
    """The case, against the record.

    Args:
        database: the record, as the control or application role.
        documents: the governed documents.
        clock: what time it is.
        prover: verifies who made a statement.
        local_dispatch: whether this process issues permits itself (one process locally).
        attributes: the search attributes that the server knows; others are not set, so that none fails a task.
        pace: how much a run takes before it continues as a new one.

    """

    def __init__(
        self,
        database: Database,
        documents: Documents,
        clock: Clock,
        prover: Prover,
        *,
        local_dispatch: bool,
        attributes: RegisteredAttributes,
        pace: Pace = PACE,
    ) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._prover = prover
        self._local_dispatch = local_dispatch
        self._attributes = attributes
        self._pace = pace

    @activity.defn(name="assess")
    async def assess(self, request: AssessRequest) -> AssessResult:
        try:
            start = receive_start(request.proposal)
        except ProposalError as error:
            return AssessResult(malformed=str(error))
        return await self._prover.with_keys(lambda: self._assess(request, start))

    async def _assess(self, request: AssessRequest, start: Start) -> AssessResult:
        received, proposal_id = start.received, start.received.proposal.proposal_id
        about(received.action_digest)
        async with self._database.transaction(proposal_id) as connection:
            if await differs(self._clock, request.now):
                return AssessResult(stale=True)
            ledger = Ledger(connection, proposal_id, request.now)
            if reasons := start_refusals(request.start, proposal_id):
                answer = await refuse_start(ledger, received, reasons, request.start, request.now)
                return AssessResult(result=answer, attributes=self._attributes.of_result(received, answer))
            file = await read_case(connection, proposal_id, ledger)
            if file is None:
                found = await self._first(connection, ledger, start, request)
                if found is None:
                    return AssessResult(resolve=True)
                if isinstance(found, ActionResult):
                    return AssessResult(result=found, attributes=self._attributes.of_result(received, found))
                file = found
            elif file.received.action_digest != received.action_digest:
                message = f"proposal {proposal_id} is registered with digest {file.received.action_digest}"
                conflict = (Reason(code="digest_conflict", message=message),)
                answer = await refuse_start(ledger, received, conflict, request.start, request.now)
                return AssessResult(result=answer, attributes=self._attributes.of_result(received, answer))
            else:
                file = await self._noticed(connection, ledger, file, request.now)
            standing = standing_of(file, request.now, time_itself=True)
            if file.resolution is None and await settle(connection, ledger, file, standing, request.now):
                file = await read_case(connection, proposal_id) or file
            offered = await self._offer(connection, ledger, file, request.now)
            result = await end_without_effect(connection, ledger, file, request.now, offered)
            under = await self._asked_under(connection, standing) if result is None else None
            unblock = unblock_of(file, standing, under, request.now) if under is not None else ()
            if under is not None:
                file = replace(file, halts=await every_halt(connection))
            head = await ledger.head()
        if result is not None:
            return AssessResult(
                result=result, attributes=self._attributes.of_result(received, result, file), entry=head
            )
        plan = self._plan(file, standing, under, unblock)
        return AssessResult(plan=plan, attributes=self._attributes.of_case(file, standing), entry=head)

    @activity.defn(name="take_decision")
    async def take_decision(self, request: DecisionRequest) -> CaseResult:
        return await self._prover.with_keys(lambda: self._take_one(request))

    @activity.defn(name="take_decisions")
    async def take_decisions(self, request: DecisionsRequest) -> DecisionsResult:
        return await self._prover.with_keys(lambda: self._take_several(request))

    async def _take_one(self, request: DecisionRequest) -> CaseResult:
        submission, _ = read_submission(request)
        async with self._database.transaction(request.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return CaseResult(stale=True)
            ledger = Ledger(connection, request.proposal_id, request.now)
            before = file = await read_case(connection, request.proposal_id, ledger)
            if before is None or file is None:
                receipt = refused(submission, Refusal.unknown_request, UNREGISTERED)
                return CaseResult(receipt=receipt)
            in_force = await self._documents.in_force(connection) if submission is not None else None
            if in_force is not None:
                file = await notice(connection, ledger, file, in_force, request.now, time_itself=False)
            taking = Taking(connection, ledger, in_force, self._prover, request)
            taken = await taking.take(file, request)
            entry = await taking.close()
            accepted = (await with_acceptance(connection, taken.file)).accepted is not None
            unblock = unblock_of(taken.file, taken.standing, in_force, request.now) if in_force else ()
        return CaseResult(
            receipt=taken.receipt,
            standing=taken.standing,
            resolution=taken.file.resolution,
            stopped=taken.file.stop == REVOKED,
            plan=self._newer(taken.file, taken.standing, request.revision, in_force),
            attributes=self._attributes.of_case(taken.file, taken.standing) if moved(before, taken) else {},
            entry=entry,
            unlisted=taking.unlisted,
            unblock=unblock,
            judged="accepted" if accepted else "",
            halted=before.halted,
        )

    async def _take_several(self, request: DecisionsRequest) -> DecisionsResult:
        async with self._database.transaction(request.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return DecisionsResult(stale=True)
            ledger = Ledger(connection, request.proposal_id, request.now)
            before = file = await read_case(connection, request.proposal_id, ledger)
            if before is None or file is None:
                unknown = [read_submission(message)[0] for message in request.messages]
                told = tuple(refused(item, Refusal.unknown_request, UNREGISTERED) for item in unknown)
                return DecisionsResult(receipts=told)
            in_force = await self._documents.in_force(connection)
            file = await notice(connection, ledger, file, in_force, request.now, time_itself=False)
            taking = Taking(connection, ledger, in_force, self._prover, request)
            taken, began = [], time.monotonic()
            for message in request.messages:
                taken.append(await taking.take(file, message))
                file = taken[-1].file
                if time.monotonic() - began > BATCH_SECONDS:
                    break
            entry = await taking.close()
            accepted = (await with_acceptance(connection, file)).accepted is not None
        last = taken[-1]
        return DecisionsResult(
            receipts=tuple(item.receipt for item in taken),
            standing=last.standing,
            resolution=file.resolution,
            stopped=file.stop == REVOKED,
            plan=self._newer(file, last.standing, request.revision, in_force),
            attributes=self._attributes.of_case(file, last.standing) if moved(before, *taken) else {},
            entry=entry,
            unlisted=taking.unlisted,
            unblock=unblock_of(file, last.standing, in_force, request.now),
            judged="accepted" if accepted else "",
            halted=before.halted,
        )

    @activity.defn(name="advance")
    async def advance(self, request: AdvanceRequest) -> CaseResult:
        async with self._database.transaction(request.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return CaseResult(stale=True)
            ledger = Ledger(connection, request.proposal_id, request.now)
            file = await read_case(connection, request.proposal_id, ledger)
            if file is None or file.revision is None:
                return CaseResult(unregistered=True)
            in_force = await self._documents.in_force(connection)
            file = await notice(connection, ledger, file, in_force, request.now, time_itself=True)
            standing = standing_of(file, request.now, time_itself=True)
            if request.judging and file.resolution == "approved" and file.result is None:
                return await judge(connection, ledger, file, request.now)
            if request.stop_actor is not None and file.result is None:
                ended = await note_stop(connection, ledger, file, UNVERIFIED, request.now)
                stopped = replace(file, resolution=ended, stop="withdrawn")
                plan = self._newer(stopped, standing, request.revision, in_force)
                revoked = file.stop == REVOKED
                entry = await ledger.head()
                return CaseResult(standing=standing, resolution=ended, plan=plan, stopped=revoked, entry=entry)
            if request.returning:
                file = await ask_again(connection, ledger, file, in_force, request.now)
                file = await follow(connection, ledger, file, in_force, request.now)
            elif standing is None or file.resolution is not None:
                plan = self._newer(file, standing, request.revision, in_force)
                return CaseResult(standing=standing, resolution=file.resolution, plan=plan)
            else:
                file = await self._let_pass(connection, ledger, file, in_force, request)
            standing = standing_of(file, request.now, time_itself=True)
            unblock = unblock_of(file, standing, in_force, request.now)
            entry = await ledger.head()
        return CaseResult(
            standing=standing,
            resolution=file.resolution,
            plan=self._newer(file, standing, request.revision, in_force),
            attributes=self._attributes.of_case(file, standing),
            entry=entry,
            unblock=unblock,
            halted=file.halted,
        )

    @activity.defn(name="record")
    async def record(self, request: RecordRequest) -> RecordResult:
        async with self._database.transaction(request.proposal_id) as connection:
            if await differs(self._clock, request.now):
                return RecordResult(stale=True)
            ledger = Ledger(connection, request.proposal_id, request.now)
            file = await read_case(connection, request.proposal_id, ledger)
            if file is None or file.revision is None:
                return RecordResult(unregistered=True)
            if file.resolution is None:
                file = await self._noticed(connection, ledger, file, request.now)
                standing = standing_of(file, request.now, time_itself=True)
                if await settle(connection, ledger, file, standing, request.now):
                    file = await read_case(connection, request.proposal_id)
            result = None
            if file is not None:
                file = await with_acceptance(connection, file)
                offered = await self._offer(connection, ledger, file, request.now)
                result = await record_end(connection, ledger, file, request, offer=offered)
            if result is None or file is None:
                return RecordResult(stale=True)
            waiting = await next_in_row(connection, request.proposal_id, request.now)
            remedied = await read_remedied(connection, file.proposal)
            entry = await ledger.head()
        attributes = self._attributes.of_result(file.received, result, file)
        return RecordResult(result=result, attributes=attributes, entry=entry, waiting=waiting, remedied=remedied)

    async def _first(
        self, connection: AsyncConnection, ledger: Ledger, start: Start, request: AssessRequest
    ) -> CaseFile | ActionResult | None:
        """Register what came for the first time, unless its signature or the policy speaks against that.

        None where its executors are to say first what it would touch.
        """
        in_force = await self._documents.in_force(connection)
        signed = await signed_by(self._prover, start, in_force.directory, request.now)
        if isinstance(signed, str):
            return await refuse_signature(ledger, start, signed, in_force, request.start, request.now)
        touched = None
        if asked_of(signed.proposal, in_force.operations, in_force.catalog):
            touched = await fresh_resolution(connection, signed.action_digest, request.now)
            if touched is None and not request.unresolved:
                return None
        return await register(connection, ledger, signed, in_force, request.start, request.now, touched)

    async def _asked_under(self, connection: AsyncConnection, standing: Standing | None) -> InForce | None:
        """The documents under which people are asked; nothing is looked up where nobody is."""
        if standing is None or standing.resolution != "pending":
            return None
        return await self._documents.in_force(connection)

    async def _noticed(self, connection: AsyncConnection, ledger: Ledger, file: CaseFile, now: datetime) -> CaseFile:
        """The case with what time and the directory brought, where it is open."""
        if file.case is None or file.resolution is not None:
            return file
        return await notice(connection, ledger, file, await self._documents.in_force(connection), now, time_itself=True)

    async def _let_pass(
        self, connection: AsyncConnection, ledger: Ledger, file: CaseFile, in_force: InForce, request: AdvanceRequest
    ) -> CaseFile:
        """Let the case stand as it does now, and measure again where that is asked for; the case as it is then."""
        file = await follow(connection, ledger, file, in_force, request.now)
        standing = standing_of(file, request.now, time_itself=True)
        if file.resolution is not None or standing is None or not request.recheck:
            return file
        file = await remeasure(connection, ledger, file, standing, in_force, request.now)
        return await follow(connection, ledger, file, in_force, request.now)

    def _newer(self, file: CaseFile, standing: Standing | None, revision: int, in_force: InForce | None) -> Plan | None:
        """The plan of the case, where another revision is open than the one that somebody asked about."""
        if file.revision is None or file.revision.revision == revision:
            return None
        return self._plan(file, standing, in_force)

    def _plan(
        self,
        file: CaseFile,
        standing: Standing | None,
        in_force: InForce | None,
        unblock: tuple[tuple[str, ...], ...] = (),
    ) -> Plan:
        return make_plan(
            file,
            standing,
            local_dispatch=self._local_dispatch,
            pace=self._pace,
            unblock=unblock,
            accepts_claimed=self._prover.accepts_claimed,
            audience=in_force.directory.audience if in_force is not None else None,
        )

    async def _offer(self, connection: AsyncConnection, ledger: Ledger, file: CaseFile, now: datetime) -> Offer | None:
        """The safer alternative, where an action expired by the verb that offers it."""
        if not wants_offer(file):
            return None
        return await offer(connection, ledger, file, await self._documents.in_force(connection), now)
