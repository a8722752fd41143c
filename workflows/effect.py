"""What happens once an action is approved: step by step under permits, and backwards where it has to be undone.

Who stopped it and why the gate closed is on record; this only follows it.
"""

from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from policy.lifecycle import Event
    from policy.proposal import StopVerb
    from workflows import interface
    from workflows.calling import ask
    from workflows.case import Case
    from workflows.execution import Execution
    from workflows.messages import DispatchRequest, DispatchResult, StepPlan
    from workflows.ports import PermitPort
    from workflows.resolving import resolve

_Done = list[tuple[StepPlan, str | None]]


class Effect:
    """Runs the steps of a case.

    Args:
        case: the run's memory.
        note_stop: puts a stop on record, once.
        return_to_people: asks whether people are asked again instead of about this revision; True where they are.
    """

    def __init__(
        self, case: Case, note_stop: Callable[[], Awaitable[None]], return_to_people: Callable[[int], Awaitable[bool]]
    ) -> None:
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
            permit = await self._dispatch(step)
            if permit.permit_id is None:
                if permit.curable and not done and await self._return_to_people(plan.revision):
                    return Event.returned
                return await self._end_early(done, Event.dispatch_refused, Event.step_failed)
            case.follow(Event.permitted)
            told = await self._execution.run_step(plan, step, permit.permit_id)
            case.told.append(told)
            if told.effect == "unknown":
                return Event.effect_unknown
            if told.effect == "done":
                done.append((step, permit.undo_permit_id))
            if case.stop_noted:
                return await self._end_early(done, Event.never_started, Event.stopped)
            if told.status != "succeeded":
                return await self._end_early(done, Event.never_started, Event.step_failed)
            if step is not plan.steps[-1]:
                case.follow(Event.step_done)
        return Event.steps_done

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
