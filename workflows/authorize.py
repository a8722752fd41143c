"""AuthorizeAction: one proposed action from proposal to outcome.

It assesses the proposal, waits for the people that the policy asks, stage by stage, runs exactly what was permitted,
undoes it when it did not do what it promised, records the outcome, and closes. It always closes with a result, whatever
happened; only a start that is no proposal at all fails.

The workflow is the clock, the conversation and the memory of a case. It never decides: every branch below follows what
an activity recorded, or the table in `policy/lifecycle.py`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy import search_attributes
    from policy.canonical import MAX_TEXT_BYTES
    from policy.decision import DecisionReceipt, Refusal, receive_decision
    from policy.errors import DecisionError
    from policy.lifecycle import Event, State, follow
    from policy.proposal import StopVerb
    from policy.result import ActionResult
    from policy.standing import Standing
    from workflows import execution, interface, view
    from workflows.alarm import Alarm
    from workflows.attributes import update_of
    from workflows.calling import ask
    from workflows.converter import DECISION_BYTES, one_object
    from workflows.inbox import Inbox, Message
    from workflows.ports import (
        UNVERIFIED,
        AdvanceRequest,
        AssessRequest,
        AssessResult,
        CasePort,
        CaseResult,
        DecisionRequest,
        DispatchRequest,
        DispatchResult,
        ExecuteResult,
        PermitPort,
        Plan,
        RecordRequest,
        RecordResult,
        StepPlan,
    )
    from workflows.start import start_facts


@workflow.defn(name=interface.WORKFLOW_TYPE)
class AuthorizeAction:
    """The durable conversation about one action."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._alarm = Alarm()
        self._state = State.assessing
        self._stop = False
        self._stop_noted = False
        self._consuming = self._slow = False
        self._resolution: str | None = None
        self._plan: Plan | None = None
        self._view = view.View()
        self._told: list[ExecuteResult] = []
        self._attributes: dict[str, Any] = {}

    @workflow.run
    async def run(self, *args: Any) -> ActionResult:
        body = asyncio.create_task(self._authorize(args))
        while True:
            try:
                return await asyncio.shield(body)
            except asyncio.CancelledError:
                # A cancel means stop, and the case still comes to its end. When the body itself is cancelled, the
                # worker is evicting this run from its cache.
                if body.done():
                    raise
                self._stop = True

    # -- what clients say ------------------------------------------------------------------------------------------

    @workflow.update(name=interface.DECIDE, description=view.DECIDE_HELP)
    async def decide(self, *args: Any) -> DecisionReceipt:
        message = self._inbox.arrive(args, "update")
        await workflow.wait_condition(lambda: message.receipt is not None)
        assert message.receipt is not None
        return message.receipt

    @decide.validator
    def _check(self, *args: Any) -> None:
        value, problem = one_object(args, DECISION_BYTES)
        try:
            receive_decision(value if value is not None else problem)
        except DecisionError as error:
            message = problem or str(error)
            raise ApplicationError(message, type="BadDecision", non_retryable=True) from None

    @workflow.signal(name=interface.DECIDE, description=view.DECIDE_SIGNAL_HELP)
    def decide_signal(self, *args: Any) -> None:
        self._inbox.arrive(args, "signal")

    @workflow.signal(dynamic=True)
    def _unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        self._inbox.arrive_unknown(name, "signal")

    @workflow.update(dynamic=True)
    def _unknown_update(self, name: str, _args: Sequence[RawValue]) -> None:
        raise ApplicationError(f"unknown update {name[:60]!r}, send decide", type="BadDecision", non_retryable=True)

    @_unknown_update.validator
    def _check_unknown(self, name: str, _args: Sequence[RawValue]) -> None:
        raise ApplicationError(f"unknown update {name[:60]!r}, send decide", type="BadDecision", non_retryable=True)

    @workflow.query(name=interface.STATUS, description="the machine-readable state")
    def status(self, *_args: Any) -> dict[str, Any]:
        return self._view.status(self._state)

    @workflow.query(name=interface.EXPLAIN, description="why it is pending, who could unblock it, what happens when")
    def explain(self, *_args: Any) -> dict[str, Any]:
        return self._view.explain(self._state)

    # -- the case --------------------------------------------------------------------------------------------------

    async def _authorize(self, args: Sequence[Any]) -> ActionResult:
        proposal, problem = one_object(args, MAX_TEXT_BYTES)
        if proposal is None:
            raise _malformed(problem)
        assessed: AssessResult = await ask(
            CasePort.assess,
            lambda now: AssessRequest(proposal=proposal, start=start_facts(), now=now),
            queue=interface.TASK_QUEUE,
        )
        if assessed.malformed is not None:
            raise _malformed(assessed.malformed)
        self._show(assessed.attributes)
        if assessed.result is not None:
            return await self._close(assessed.result, _event_of(assessed.result))
        assert assessed.plan is not None  # `ask` returns whole answers only
        return await self._go_on(assessed.plan)

    async def _go_on(self, plan: Plan) -> ActionResult:
        self._plan = plan
        if plan.stopped:
            self._stop = self._stop_noted = True
        self._view.begin(plan)
        consumer = asyncio.create_task(self._take_decisions())
        if plan.resolution is not None:
            self._follow(Event.allowed if plan.standing is None else Event.approved)
        else:
            self._follow(Event.approval_required)
            self._follow(await self._wait_for_people(plan))
        if self._state is State.dispatching:
            self._follow(await self._run_steps(plan))
        result = await self._record(plan)
        closed = await self._close(result, Event.recorded)
        consumer.cancel()
        return closed

    async def _wait_for_people(self, plan: Plan) -> Event:
        """Let time pass and stops come, until the record says how it ended; decisions are taken beside.

        Messages that have arrived are read before what is due at the same instant. A message that the record does not
        answer holds back neither time nor a stop.
        """
        self._set_alarm(plan.standing)
        while self._resolution is None:
            await workflow.wait_condition(
                lambda: self._resolution is not None or (self._stop and not self._stop_noted) or self._due()
            )
            if self._resolution is None:
                self._alarm.cancel()
                await self._advance(plan)
        self._alarm.cancel()
        return _RESOLVED[self._resolution]

    def _due(self) -> bool:
        return self._alarm.rang and (self._slow or not (self._inbox or self._consuming))

    async def _take_decisions(self) -> None:
        """The one consumer: every decision of the run in order of arrival. Those after the end change nothing."""
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox))
            self._consuming = True
            try:
                await self._take(self._inbox.take())
            finally:
                self._consuming = self._slow = False

    def _note_slow(self) -> None:
        self._slow = True

    async def _take(self, message: Message) -> None:
        assert self._plan is not None
        plan = self._plan
        value, problem = message.read()
        # With updates behind this one the queue is faster: while a local activity runs, nothing of this workflow task
        # is durable, and the server drops all of it when more updates come than it holds (10): all would start again.
        answer: CaseResult = await ask(
            CasePort.take_decision,
            lambda now: DecisionRequest(
                proposal_id=plan.proposal_id,
                revision=plan.revision,
                submission=value,
                problem=problem or None,
                channel=message.channel,
                arrival=message.number,
                now=now,
            ),
            queue=interface.TASK_QUEUE,
            local=not self._inbox.holds_update,
            queued=self._note_slow,
        )
        message.receipt = answer.receipt or _LOST
        self._view.answered(message.receipt)
        self._moved(answer)

    async def _advance(self, plan: Plan) -> None:
        """Tell the record that time has passed, and that a stop came if one did."""
        actor = UNVERIFIED if self._stop and not self._stop_noted else None
        answer: CaseResult = await ask(
            CasePort.advance,
            lambda now: AdvanceRequest(proposal_id=plan.proposal_id, revision=plan.revision, stop_actor=actor, now=now),
            queue=interface.TASK_QUEUE,
        )
        if answer.unregistered:
            raise _unregistered(plan)
        self._stop_noted = self._stop_noted or actor is not None
        self._moved(answer)

    def _moved(self, answer: CaseResult) -> None:
        """The case as the record has it now, and the next instant at which something is due."""
        self._resolution = self._resolution or answer.resolution
        if self._state is State.pending:
            self._set_alarm(self._view.stand(answer.standing))
        self._show(answer.attributes)

    def _set_alarm(self, standing: Standing | None) -> None:
        """Ring at what is due next. What rang stays to be noted: no message puts it off."""
        if not self._alarm.rang:
            due = standing.due[0] if standing is not None and standing.due else None
            self._alarm.set(due.at if due else workflow.now(), due.text if due else "now")

    # -- the effect ------------------------------------------------------------------------------------------------

    async def _run_steps(self, plan: Plan) -> Event:
        done: list[tuple[StepPlan, str | None]] = []
        for step in plan.steps:
            if self._stop:
                await self._note_stop()
                return await self._end_early(plan, done, Event.withdrawn, Event.stopped)
            permit = await self._dispatch(plan, step)
            if permit.permit_id is None:
                return await self._end_early(plan, done, Event.dispatch_refused, Event.step_failed)
            self._follow(Event.permitted)
            told = await execution.run_step(plan, step, permit.permit_id, lambda: self._stop, self._note_stop)
            self._told.append(told)
            if told.effect == "unknown":
                return Event.effect_unknown
            if told.effect == "done":
                done.append((step, permit.undo_permit_id))
            if self._stop_noted:
                return await self._end_early(plan, done, Event.never_started, Event.stopped)
            if told.status != "succeeded":
                return await self._end_early(plan, done, Event.never_started, Event.step_failed)
            if step is not plan.steps[-1]:
                self._follow(Event.step_done)
        return Event.steps_done

    async def _end_early(
        self, plan: Plan, done: list[tuple[StepPlan, str | None]], nothing_done: Event, something_done: Event
    ) -> Event:
        """Undo what was done, in reverse order; with nothing done there is nothing to undo."""
        if not done:
            return nothing_done
        if self._stop_noted and plan.on_stop is StopVerb.ask:
            return Event.left_as_is
        self._follow(something_done)
        undone = True
        for step, permit_id in reversed(done):
            undone = permit_id is not None and await execution.undo_step(step, permit_id) and undone
        return Event.undone if undone else Event.undo_failed

    async def _dispatch(self, plan: Plan, step: StepPlan) -> DispatchResult:
        answer: DispatchResult = await ask(
            PermitPort.dispatch,
            lambda now: DispatchRequest(
                proposal_id=plan.proposal_id, revision=plan.revision, step=step.number, now=now
            ),
            queue=interface.TASK_QUEUE if plan.local_dispatch else interface.PERMIT_QUEUE,
            local=plan.local_dispatch,
        )
        return answer

    async def _note_stop(self) -> None:
        if not self._stop_noted:
            assert self._plan is not None
            await self._advance(self._plan)

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _record(self, plan: Plan) -> ActionResult:
        answer: RecordResult = await ask(
            CasePort.record,
            lambda now: RecordRequest(
                proposal_id=plan.proposal_id,
                revision=plan.revision,
                told=tuple(self._told),
                now=now,
            ),
            queue=interface.TASK_QUEUE,
        )
        if answer.unregistered:
            raise _unregistered(plan)
        assert answer.result is not None
        self._show(answer.attributes)
        return answer.result

    async def _close(self, result: ActionResult, event: Event) -> ActionResult:
        """Answer what still waits, then end: no handler is cut off, nothing is lost."""
        self._follow(event)
        self._view.close(result)
        self._details()
        while True:
            if self._plan is None:
                while self._inbox:
                    self._refuse(self._inbox.take(), result)
            await workflow.wait_condition(
                lambda: (
                    (not self._inbox and not self._consuming and workflow.all_handlers_finished())
                    or (self._plan is None and bool(self._inbox))
                )
            )
            if not self._inbox:
                return result

    def _refuse(self, message: Message, result: ActionResult) -> None:
        value, _ = message.read()
        decision_id = str((value or {}).get("decision_id", ""))[:100]
        message.receipt = DecisionReceipt(
            decision_id=decision_id,
            counted=False,
            code=Refusal.not_pending,
            message=f"this start ended as {result.resolution}, nothing is pending",
            resolution=result.resolution,
        )
        self._view.answered(message.receipt)

    def _follow(self, event: Event) -> None:
        self._state = follow(self._state, event)
        self._details()

    def _show(self, attributes: dict[str, Any]) -> None:
        """Set what changed of the search attributes that an activity computed, cut to size and known to the server."""
        known = {name: value for name, value in attributes.items() if name in search_attributes.TYPES}
        updates = [update_of(*item) for item in known.items() if item not in self._attributes.items()]
        self._attributes |= known
        if updates:
            workflow.upsert_search_attributes(updates)
        self._details()

    def _details(self) -> None:
        workflow.set_current_details(self._view.markdown(self._state))


# An answer that somebody else gave in the record's place may have no receipt.
_LOST = DecisionReceipt(decision_id="", counted=False, code=Refusal.busy, message="unanswered: send it again as it is")
_RESOLVED = {
    "approved": Event.approved,
    "denied": Event.denied,
    "expired": Event.expired,
    "withdrawn": Event.withdrawn,
}


def _malformed(problem: str) -> ApplicationError:
    text = problem if problem.startswith("malformed proposal") else f"malformed proposal: {problem}"
    return ApplicationError(text, type="MalformedProposal", non_retryable=True)


def _event_of(result: ActionResult) -> Event:
    return {"refused": Event.refused, "denied": Event.denied}.get(result.resolution, Event.recorded)


def _unregistered(plan: Plan) -> ApplicationError:
    """The plan was not made by our own `assess`: waiting or trying again would go on for ever."""
    text = f"the record does not know proposal {plan.proposal_id}: somebody else answered for the assessment"
    return ApplicationError(text, type="Unregistered", non_retryable=True)
