"""The executor role: claim, act once, measure, report.

1. It acts on the permit that it reads from the record, and only after the claim of this very attempt is durable.
2. Once it has begun to act it finishes: a stop is told to the effect and waits for it, ends the measuring, and is
   reported. The record is asked, too, whether somebody ends it (`activities/watching_stops.py`). What is done under a
   permit, and in which parts, is in `activities/stepping.py`.
3. Whatever it knows is on record before it answers. While the record is away it goes on trying for as long as the
   activity may run, and never repeats the effect. Only a failure that calls for an undo is answered at once, so that
   the undo need not wait, and is stored as soon as the record is back.
4. Nobody who may have acted is ever followed by somebody who acts again: an attempt that left no report is observed,
   and only what can be seen to be done is believed. Whoever asks, nobody looks before the attempt must be over, and an
   undo is never observed: what is reported while somebody still acts would let an undo run beside it. And an attempt
   that was paused after its claim (a stopped process, a suspended machine) does not begin.
5. Under the permit of a dry run it rehearses and never acts (`activities/rehearsing.py`); an attempt at one that left
   no report did nothing.
6. An undo does not wait for the record: the process that did the step undoes it from memory, and reports late. An undo
   that did not get through is tried again, until its attempts are used up.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import criteria, stepping
from activities.acting import Acted, ClaimedAt
from activities.attempt import Attempt, heartbeats, uninterrupted
from activities.claims import Before, Claimed, Claims, Refused, Reported
from activities.clock import Clock
from activities.database import Database, DatabaseUnavailableError
from activities.executors.base import Executor
from activities.memory import EffectMemory
from activities.permit_trust import PermitTrust
from activities.rehearsing import rehearse
from activities.reports import Claim, Reports
from activities.stepping import Stepped
from activities.watching_stops import watched
from policy.gate import ended_by_others
from policy.outcome import EffectReport
from policy.permit import Direction, Permit
from workflows.messages import ExecuteRequest, ExecuteResult
from workflows.ports import ExecutorPort

_HEARTBEAT_SECONDS = 3.0
_CLAIM_SECONDS = 10.0
_RETRY_SECONDS = 0.5
_MESSAGE_LIMIT = 500
# What an attempt may take besides its permitted seconds: to begin after its claim, and to write its report.
_SLACK = timedelta(seconds=15)
_NO_REPORT = "the attempt that claimed the permit left no report"
_LOOK_AGAIN_FIRST, _LOOK_AGAIN_LAST = timedelta(seconds=1), timedelta(seconds=10)


class ExecutorActivities(ExecutorPort):
    """Runs permitted effects.

    Args:
        database: the record, as the executor or application role.
        clock: the instant in claims and reports.
        executors: the adapters of this process by name; they hold the targets' credentials.
        worker: who acts, as the record names it.
        trust: which permits are believed.
    """

    def __init__(
        self, database: Database, clock: Clock, executors: Mapping[str, Executor], worker: str, trust: PermitTrust
    ) -> None:
        self._clock = clock
        self._executors = dict(executors)
        self._worker = worker
        resolves = frozenset((name, one) for name, item in executors.items() for one in item.supports.resolves)
        self._claims = Claims(database, clock, frozenset(executors), trust, resolves=resolves)
        self._reports = Reports(database, clock)
        self._memory = EffectMemory()
        self._storing: set[asyncio.Task[None]] = set()

    @activity.defn(name="execute")
    async def execute(self, request: ExecuteRequest) -> ExecuteResult:
        attempt = Attempt.current(self._worker)
        asked_at = asyncio.get_running_loop().time()
        async with heartbeats(_HEARTBEAT_SECONDS):
            try:
                answer, stopped = await self._claim(request.permit_id, attempt)
            except DatabaseUnavailableError:
                undo = self._undo_from_memory(request.permit_id)
                if undo is None:
                    raise
                before = Before(touched=self._memory.touched(undo))
                return await self._carry_out(undo, attempt, None, before, stopped=False)
            if isinstance(answer, Refused):
                return _refusal(request.permit_id, answer, attempt)
            if isinstance(answer, Reported):
                return _result(answer.report)
            self._memory.note_claim(answer.permit, answer.undo)
            attempt = attempt.under(answer.permit)
            with self._memory.acting(attempt.token):
                if answer.permit.dry_run:
                    return await self._rehearse(answer, attempt, stopped=stopped)
                claimed_at = ClaimedAt(answer.at, asked_at)
                return await self._carry_out(answer.permit, attempt, claimed_at, answer.before, stopped=stopped)

    @activity.defn(name="observe")
    async def observe(self, request: ExecuteRequest) -> ExecuteResult:
        attempt = Attempt.current(self._worker)
        async with heartbeats(_HEARTBEAT_SECONDS):
            claim = await self._reports.look(request.permit_id)
            if claim is None:
                return ExecuteResult(
                    permit_id=request.permit_id,
                    status="unknown",
                    effect="none",
                    message="never claimed",
                    claimed=False,
                )
            if claim.permit.direction is Direction.undo:
                message = f"permit {request.permit_id} is of an undo, which is tried again and never observed"
                raise ApplicationError(message, type="NotObserved", non_retryable=True)
            if claim.report is not None:
                return _result(claim.report)
            if self._memory.report(request.permit_id) is None:
                await self._check_over(claim)
                as_claimed = replace(attempt, tokens=attempt.tokens | {claim.token})
                self._memory.note_report(claim.permit, await self._observed(claim, attempt), as_claimed)
            return await self._stored(claim.permit, attempt)

    def _undo_from_memory(self, permit_id: str) -> Permit | None:
        permit = self._memory.permit(permit_id)
        if permit is None or permit.direction is not Direction.undo:
            return None
        return permit if self._memory.may_undo(permit) else None

    async def _claim(self, permit_id: str, attempt: Attempt) -> tuple[Claimed | Reported | Refused, bool]:
        """The answer to a claim, and whether a stop came meanwhile; asked again where the answer was lost.

        Raises:
            DatabaseUnavailableError: there is no answer, and nothing was done; the permit may be claimed or not.
        """
        give_up_at = min(attempt.report_by, asyncio.get_running_loop().time() + _CLAIM_SECONDS)
        tried = False
        while True:
            try:
                if (known := self._memory.permit(permit_id)) is not None:
                    await self._flush(known)
                return await uninterrupted(self._claims.claim(permit_id, attempt, tried=tried))
            except DatabaseUnavailableError:
                if self._undo_from_memory(permit_id) or asyncio.get_running_loop().time() > give_up_at:
                    raise
            tried = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def _carry_out(
        self, permit: Permit, attempt: Attempt, claimed_at: ClaimedAt | None, told: Before, *, stopped: bool
    ) -> ExecuteResult:
        """Act and report; `claimed_at` is None where an undo does not wait for the record."""
        if self._memory.report(permit.permit_id) is None:
            report = await self._act(permit, attempt, claimed_at, told, stopped=stopped)
            self._memory.note_report(permit, report, attempt)
        return await self._stored(permit, attempt)

    async def _rehearse(self, claimed: Claimed, attempt: Attempt, *, stopped: bool) -> ExecuteResult:
        """Rehearse and report."""
        permit, undo = claimed.permit, claimed.undo
        if self._memory.report(permit.permit_id) is None:
            report, _ = await uninterrupted(rehearse(self._executors, permit, undo, self._clock, stopped=stopped))
            self._memory.note_report(permit, report, attempt)
        return await self._stored(permit, attempt)

    async def _act(
        self, permit: Permit, attempt: Attempt, claimed_at: ClaimedAt | None, told: Before, *, stopped: bool
    ) -> EffectReport:
        """The effect and its measurements, as a report.

        Raises:
            ApplicationError: an undo that did not get through; to be tried again.
            asyncio.CancelledError: the effect was done and not measured, and nobody asked to stop: to be observed.
        """
        started, late = await self._clock.now(), claimed_at is None
        if permit.direction is Direction.undo:
            return await self._undo(permit, attempt, started, claimed_at, told.touched)
        if stopped:
            return await self._report(permit, started, Stepped(Acted("none", "stopped before it acted")), late=late)
        (baselines, why), interrupted = await uninterrupted(criteria.read_baselines(self._executors, permit))
        now = await self._clock.now()
        not_begun = None
        if interrupted or why:
            not_begun = Acted("none", f"not begun: {why or 'stopped before it acted'}")
        elif not permit.begins_in_time(now):
            not_begun = Acted("none", f"it could not be over by {permit.over_by}")
        elif claimed_at is not None and claimed_at.paused(now):
            not_begun = Acted("none", "paused between claim and effect", again=True)
        if not_begun is not None:
            return await self._report(permit, started, Stepped(not_begun, baselines=baselines), late=late)
        async with watched(lambda: self._claims.ended_by(permit), _HEARTBEAT_SECONDS) as ended:
            stepped = await stepping.do(self._executors, permit, attempt.report_by, (*told.baselines, *baselines))
        return await self._report(permit, started, replace(stepped, baselines=baselines, ended=ended.says), late=late)

    async def _undo(
        self,
        permit: Permit,
        attempt: Attempt,
        started: datetime,
        claimed_at: ClaimedAt | None,
        touched: tuple[str, ...],
    ) -> EffectReport:
        """The report of an undo.

        Raises:
            ApplicationError: it did not get through; to be tried again.
        """
        if claimed_at is not None and claimed_at.paused(started):
            stepped = Stepped(Acted("none", "paused between claim and effect", again=True))
        else:
            stepped = await stepping.undo(self._executors[permit.executor], permit, touched)
        if stepped.acted.again and not attempt.last:
            raise ApplicationError(f"the undo did not get through: {stepped.acted.message}", type="UndoUnfinished")
        return await self._report(permit, started, stepped, late=claimed_at is None)

    async def _check_over(self, claim: Claim) -> None:
        """Refuse to look while the attempt that claimed may still act.

        Raises:
            ApplicationError: not yet; to be tried again.
        """
        if self._memory.over(claim.token):
            return
        executor = self._executors.get(claim.permit.executor)
        over_at = claim.used_at + timedelta(seconds=claim.permit.longest) + _SLACK
        over_at += stepping.LOOK + (executor.supports.stops_within if executor else timedelta(0))
        left = over_at - await self._clock.now()
        if left <= timedelta(0) and not self._memory.acts(claim.token):
            return
        raise ApplicationError(
            f"the attempt that claimed the permit may act until {over_at}: look again after it",
            type="NotYet",
            next_retry_delay=min(max(left, _LOOK_AGAIN_FIRST), _LOOK_AGAIN_LAST),
        )

    async def _observed(self, claim: Claim, attempt: Attempt) -> EffectReport:
        """What can be known of an attempt that left no report; it may be heard of yet: "not done" means nothing."""
        executor = self._executors.get(claim.permit.executor)
        if claim.permit.dry_run:
            broken_off = Stepped(Acted("none", "the attempt at a dry run left no report, and changed nothing"))
            return await self._report(claim.permit, claim.used_at, broken_off, late=True)
        done, shown = await stepping.seen(executor, claim.permit) if executor is not None else (False, ())
        if done:
            stepped = await stepping.measured_after(self._executors, claim.permit, attempt.report_by, claim.baselines)
            whole = replace(stepped, touched=shown, baselines=(), observed=_NO_REPORT)
            return await self._report(claim.permit, claim.used_at, whole, late=True)
        message = _NO_REPORT
        message += f"; done is shown by {', '.join(shown)}" if shown else ""
        unknown = Stepped(Acted("unknown", message[:_MESSAGE_LIMIT]), touched=shown)
        return await self._report(claim.permit, claim.used_at, unknown, late=True)

    async def _report(self, permit: Permit, started: datetime, stepped: Stepped, *, late: bool) -> EffectReport:
        acted = stepped.acted
        status = "unknown" if acted.effect == "unknown" else "failed" if acted.failed else "succeeded"
        return EffectReport(
            permit_id=permit.permit_id,
            status=status,
            effect=acted.effect,
            message=acted.message,
            measurements=stepped.measurements,
            started_at=started,
            finished_at=await self._clock.now(),
            late=late,
            dry_run=permit.dry_run,
            baselines=stepped.baselines,
            touched=stepped.touched,
            gates=stepped.gates,
            stopped=stepped.ended[:_MESSAGE_LIMIT],
            observed=stepped.observed[:_MESSAGE_LIMIT],
        )

    async def _stored(self, permit: Permit, attempt: Attempt) -> ExecuteResult:
        """Store what this process knows of a permit, whatever it takes; the result is the report that is to count."""
        report, _ = await uninterrupted(self._store(permit, attempt))
        return _result(report)

    async def _store(self, permit: Permit, attempt: Attempt) -> EffectReport:
        while True:
            try:
                await self._flush(permit)
            except DatabaseUnavailableError:
                if self._memory.undo_is_due(permit):
                    self._memory.note_late(permit)
                    self._store_later(permit)
                    break
                if asyncio.get_running_loop().time() > attempt.answer_by:
                    self._memory.note_late(permit)
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        known = self._memory.report(permit.permit_id)
        assert known is not None
        return known

    def _store_later(self, permit: Permit) -> None:
        """Go on storing after the activity has answered."""

        async def keep_trying() -> None:
            while True:
                try:
                    return await self._flush(permit)
                except DatabaseUnavailableError:
                    await asyncio.sleep(_RETRY_SECONDS)

        storing = asyncio.create_task(keep_trying())
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)

    async def _flush(self, permit: Permit) -> None:
        """Store every report of a proposal that the record does not have, a step before what undoes it."""
        for waiting in self._memory.unstored(permit.proposal_id):
            counts = await self._reports.store(waiting.permit, waiting.report, waiting.attempt)
            self._memory.note_stored(waiting.permit, counts)


def _refusal(permit_id: str, refused: Refused, attempt: Attempt) -> ExecuteResult:
    message = f"{refused.code}: {refused.message}"
    if refused.passing and not attempt.last:
        raise ApplicationError(message, type="NotYet")
    status = "unknown" if refused.effect == "unknown" else "failed"
    halted = ended_by_others(refused.code)
    return ExecuteResult(permit_id=permit_id, status=status, effect=refused.effect, message=message, halted=halted)


def _result(report: EffectReport) -> ExecuteResult:
    return ExecuteResult(
        permit_id=report.permit_id,
        status=report.status,
        effect=report.effect,
        message=report.message,
        halted=bool(report.stopped),
        inconclusive=report.inconclusive,
    )
