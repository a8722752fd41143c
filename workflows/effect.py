"""What happens once an action is approved: step by step under permits, and backwards where it has to be undone.

Who stopped it and why the gate closed is on record; this only follows it. Where an action has to wait for its turn, it
asks again at the time that the record said, or when it is woken: by the action that had what it waits for, or by
anybody, since waking decides nothing.
"""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from policy.lifecycle import Event
    from policy.proposal import StopVerb
    from workflows import interface
    from workflows.calling import ask
    from workflows.case import Case
    from workflows.execution import Execution
    from workflows.messages import CaseResult, DispatchRequest, DispatchResult, ExecuteResult, StepPlan
    from workflows.ports import PermitPort
    from workflows.resolving import resolve

_Done = list[tuple[StepPlan, str | None]]
# However often somebody wakes it, and whatever an answer says that is not the record's.
_SHORTEST, _LONGEST, _WEEKS = timedelta(seconds=2), timedelta(minutes=20), timedelta(weeks=52)
# After so many events it is asked again only by the clock, and seldom.
_WEARY, _REST = 20_000, timedelta(minutes=15)


class Effect:
    """Runs the steps of a case.

    Args:
        case: the run's memory.
        note_stop: puts a stop on record, once.
        return_to_people: asks whether people are asked again instead of about this revision; True where they are.
        judge: asks the record how it stands with a step of which nobody can tell whether it is good.
    """

    def __init__(
        self,
        case: Case,
        note_stop: Callable[[], Awaitable[None]],
        return_to_people: Callable[[int], Awaitable[bool]],
        judge: Callable[[], Awaitable[CaseResult]],
    ) -> None:
        self._judge = judge
        self._case = case
        self._note_stop = note_stop
        self._return_to_people = return_to_people
        self._execution = Execution(lambda: case.stop, note_stop, case.priority)

    async def run_steps(self) -> Event:
        """Run every step in order; the event that ends it."""
        case, plan = self._case, self._case.plan
        done: _Done = []
        for step in plan.steps:
            if case.stop:
                await self._note_stop()
                return await self._end_early(done, Event.withdrawn, Event.stopped)
            permit = await self._permitted(step)
            if permit.permit_id is None:
                return await self._unpermitted(permit, done)
            case.follow(Event.permitted)
            told = await self._execution.run_step(plan, step, permit.permit_id)
            case.told.append(told)
            if told.effect == "unknown":
                return Event.effect_unknown
            if told.effect == "done":
                done.append((step, permit.undo_permit_id))
            if (ended := await self._ended(told, done)) is not None:
                return ended
            if step is not plan.steps[-1]:
                case.follow(Event.step_done)
        return Event.steps_done

    async def _ended(self, told: ExecuteResult, done: _Done) -> Event | None:
        """The event that ends it after a step; None where the next one may begin."""
        case = self._case
        if told.halted and done and not case.stop_noted:
            case.stop = True
            await self._note_stop()
        if case.stop_noted:
            return await self._end_early(done, Event.never_started, Event.stopped)
        if told.inconclusive and done and case.plan.judging is not None:
            return await self._judged(done)
        if told.status != "succeeded":
            return await self._end_early(done, Event.never_started, Event.step_failed)
        return None

    async def _unpermitted(self, permit: DispatchResult, done: _Done) -> Event:
        """The event of an answer without a permit: it was halted, or stopped while it waited, or the gate closed."""
        if permit.halted:
            self._case.stop = True
        if permit.halted or permit.retry_at is not None:
            await self._note_stop()
            return await self._end_early(done, Event.withdrawn, Event.stopped)
        if permit.curable and not done and await self._return_to_people(self._case.plan.revision):
            return Event.returned
        return await self._end_early(done, Event.dispatch_refused, Event.step_failed)

    async def _judged(self, done: _Done) -> Event:
        """Nobody can tell whether what was done is good: wait until somebody says so, or their time is over."""
        case = self._case
        case.follow(Event.undecided)
        answer = await self._judge()
        while answer.judged == "people" and answer.judged_until is not None and not case.stop:
            case.judged_until(answer.judged_until)
            pause = min(max(answer.judged_until - workflow.now(), timedelta(0)) + _SHORTEST, _WEEKS)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: case.stop or case.accepted, timeout=pause, timeout_summary="people say what becomes of it"
                )
            if not case.stop:
                answer = await self._judge()
        if case.stop:
            await self._note_stop()
            return await self._end_early(done, Event.lapsed, Event.stopped)
        if answer.judged == "accepted":
            return Event.accepted
        if case.plan.judging is not None and case.plan.judging.on_expiry == "hold":
            return Event.left_as_is
        return await self._end_early(done, Event.lapsed, Event.lapsed)

    async def _end_early(self, done: _Done, nothing_done: Event, something_done: Event) -> Event:
        """Undo what was done, in reverse order; with nothing done there is nothing to undo."""
        if not done:
            return nothing_done
        if self._case.stop_noted and not self._case.revoked and self._case.plan.on_stop is StopVerb.ask:
            return Event.left_as_is
        self._case.follow(something_done)
        undone = True
        for step, permit_id in reversed(done):
            if not undone and self._case.plan.stops_at_failed_undo:
                break
            undone = permit_id is not None and await self._execution.undo_step(step, permit_id) and undone
        return Event.undone if undone else Event.undo_failed

    async def _permitted(self, step: StepPlan) -> DispatchResult:
        """Ask for a permit until it is given or refused; the last answer that says to wait where a stop came before."""
        case = self._case
        while True:
            case.woken = False
            permit = await self._dispatch(step)
            if permit.permit_id is not None or permit.retry_at is None:
                case.wait_for("")
                return permit.model_copy(update={"retry_at": None})
            case.wait_for(permit.waits_for or "its turn")
            # The server ends a run with too long a history: one that was woken often goes by its own clock then.
            weary = workflow.info().get_current_history_length() > _WEARY
            pause = min(max(permit.retry_at - workflow.now(), _REST if weary else _SHORTEST), _LONGEST)
            try:
                await self._turn(pause, wakes=not weary)
            except TimeoutError:
                continue
            if case.stop:
                case.wait_for("")
                return permit
            await workflow.sleep(_SHORTEST, summary="somebody says that it may be its turn")

    async def _turn(self, pause: timedelta, *, wakes: bool) -> None:
        """Wait for a stop, or where it `wakes` for somebody who says that it may be its turn.

        Raises:
            TimeoutError: nobody came.
        """
        case = self._case
        await workflow.wait_condition(
            lambda: case.stop or (wakes and case.woken), timeout=pause, timeout_summary="it waits for its turn"
        )

    async def _dispatch(self, step: StepPlan) -> DispatchResult:
        """Ask for the permits of a step; where its executors say what it touches, after they said it anew.

        The record asks once more where what they said is too old for it, or is not there.
        """
        plan = self._case.plan
        if plan.resolves:
            await self._resolve()
        answer = await self._permit(step, unresolved=False)
        if answer.resolve:
            await self._resolve()
            answer = await self._permit(step, unresolved=True)
        return answer

    async def _resolve(self) -> None:
        await resolve(proposal_id=self._case.plan.proposal_id, priority=self._case.priority)

    async def _permit(self, step: StepPlan, *, unresolved: bool) -> DispatchResult:
        plan = self._case.plan
        answer: DispatchResult = await ask(
            PermitPort.dispatch,
            lambda now: DispatchRequest(
                proposal_id=plan.proposal_id,
                revision=plan.revision,
                step=step.number,
                now=now,
                unresolved=unresolved,
            ),
            queue=interface.TASK_QUEUE if plan.local_dispatch else interface.PERMIT_QUEUE,
            local=plan.local_dispatch,
            priority=self._case.priority,
        )
        return answer
