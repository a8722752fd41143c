"""AuthorizeAction: one proposed action from proposal to outcome.

It assesses the proposal, waits for the people that the policy asks, stage by stage, runs exactly what was permitted,
undoes it when it did not do what it promised, records the outcome, and closes. It always closes with a result, whatever
happened; only a start that is no proposal at all fails.

The workflow is the clock, the conversation and the memory of a case. It never decides: every branch below follows what
an activity recorded, or the table in `policy/lifecycle.py`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.canonical import MAX_TEXT_BYTES
    from policy.decision import DecisionReceipt
    from policy.lifecycle import Event, State
    from policy.result import ActionResult
    from workflows import interface, view
    from workflows.calling import ask
    from workflows.case import Case
    from workflows.conversation import Conversation, receipt_after, unregistered
    from workflows.converter import one_object
    from workflows.effect import Effect
    from workflows.inbox import Message, check_decision
    from workflows.marks import any_in_the_clear
    from workflows.messages import AssessRequest, AssessResult, Plan, RecordRequest, RecordResult
    from workflows.ports import RESOLVE_TIMES, CasePort
    from workflows.resolving import resolve
    from workflows.rollover import Carried, handed_over
    from workflows.start import start_facts
    from workflows.waking import wake


@dataclass(frozen=True)
class _Continued:
    """The case is handed to the next run."""

    proposal: dict[str, Any]
    carried: Carried


@workflow.defn(name=interface.WORKFLOW_TYPE)
class AuthorizeAction:
    """The durable conversation about one action."""

    def __init__(self) -> None:
        self._case = Case()
        self._conversation = Conversation(self._case)
        self._consumer: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, *args: Any) -> ActionResult:
        ended = await self._to_its_end(asyncio.create_task(self._authorize(args)))
        if isinstance(ended, _Continued):
            workflow.continue_as_new(args=[ended.proposal, ended.carried])
        return ended

    async def _to_its_end(self, body: "asyncio.Task[ActionResult | _Continued]") -> "ActionResult | _Continued":
        while True:
            try:
                return await asyncio.shield(body)
            except asyncio.CancelledError:
                # A cancel means stop, and the case still comes to its end. When the body itself is cancelled, the
                # worker is evicting this run from its cache.
                if body.done():
                    raise
                self._case.stop = True

    # -- what clients say ------------------------------------------------------------------------------------------

    @workflow.update(name=interface.DECIDE, description=view.DECIDE_HELP)
    async def decide(self, *args: Any) -> DecisionReceipt:
        if self._conversation.rolling:
            return self._conversation.busy_receipt(args)
        self._conversation.odometer.updates += 1
        message = self._conversation.inbox.arrive(args, "update")
        await workflow.wait_condition(lambda: message.receipt is not None)
        assert message.receipt is not None
        return message.receipt

    @decide.validator
    def _check(self, *args: Any) -> None:
        check_decision(args)

    @workflow.signal(name=interface.DECIDE, description=view.DECIDE_SIGNAL_HELP)
    def decide_signal(self, *args: Any) -> None:
        self._conversation.odometer.signals += 1
        self._conversation.inbox.arrive(args, "signal")

    @workflow.signal(name=interface.RECHECK, description=view.RECHECK_HELP)
    def recheck(self, *_args: Any) -> None:
        self._conversation.odometer.signals += 1
        self._conversation.ask_to_measure()

    @workflow.signal(name=interface.LOOK_AGAIN, description=view.LOOK_AGAIN_HELP)
    def look_again(self, *_args: Any) -> None:
        self._conversation.odometer.signals += 1
        self._conversation.ask_to_look()

    @workflow.signal(dynamic=True)
    def _unknown_signal(self, name: str, _args: Sequence[RawValue]) -> None:
        self._conversation.odometer.signals += 1
        self._conversation.inbox.arrive_unknown(name, "signal")

    @workflow.update(dynamic=True)
    def _unknown_update(self, name: str, _args: Sequence[RawValue]) -> None:
        raise ApplicationError(f"unknown update {name[:60]!r}, send decide", type="BadDecision", non_retryable=True)

    @_unknown_update.validator
    def _check_unknown(self, name: str, _args: Sequence[RawValue]) -> None:
        raise ApplicationError(f"unknown update {name[:60]!r}, send decide", type="BadDecision", non_retryable=True)

    @workflow.query(name=interface.STATUS, description="the machine-readable state")
    def status(self, *_args: Any) -> dict[str, Any]:
        return self._case.view.status(self._case.state)

    @workflow.query(name=interface.EXPLAIN, description="why it is pending, who could unblock it, what happens when")
    def explain(self, *_args: Any) -> dict[str, Any]:
        return self._case.view.explain(self._case.state)

    # -- the case --------------------------------------------------------------------------------------------------

    async def _authorize(self, started: Sequence[Any]) -> "ActionResult | _Continued":
        args, carried = handed_over(started)
        self._conversation.take_over(carried)
        proposal, problem = one_object(args, MAX_TEXT_BYTES)
        if proposal is None:
            raise _malformed(problem)
        self._case.view.proposal_in_the_clear = any_in_the_clear(args)
        assessed = await self._assess(proposal)
        if assessed.malformed is not None:
            raise _malformed(assessed.malformed)
        self._case.show(assessed.attributes)
        if assessed.result is not None:
            return await self._close(assessed.result, _event_of(assessed.result))
        assert assessed.plan is not None  # `ask` returns whole answers only
        self._begin(assessed.plan)
        if not await self._go_on():
            self._stop_consuming()
            return _Continued(proposal, self._conversation.carry())
        return await self._finish()

    async def _assess(self, proposal: dict[str, Any]) -> AssessResult:
        """Have it assessed; where the record asks for that, after the executors were asked what it would touch."""

        async def assess(*, unresolved: bool) -> AssessResult:
            answer: AssessResult = await ask(
                CasePort.assess,
                lambda now: AssessRequest(proposal=proposal, start=start_facts(), now=now, unresolved=unresolved),
                queue=interface.TASK_QUEUE,
            )
            return answer

        assessed, asked = await assess(unresolved=False), 0
        while assessed.resolve and asked < RESOLVE_TIMES:
            await resolve(proposal=proposal)
            asked += 1
            assessed = await assess(unresolved=asked == RESOLVE_TIMES)
        if assessed.resolve:
            text = "somebody else answered for the assessment: it asks for what was done"
            raise ApplicationError(text, type="Unregistered", non_retryable=True)
        return assessed

    def _begin(self, plan: Plan) -> None:
        case, conversation = self._case, self._conversation
        case.begin(plan)
        self._consumer = asyncio.create_task(conversation.take_decisions())
        if plan.resolution is not None:
            case.follow(Event.allowed if plan.standing is None else Event.approved)
        else:
            case.follow(Event.approval_required)

    async def _go_on(self) -> bool:
        """Wait for people where they are asked, and run what they approved; False where the next run goes on waiting.

        A gate that closes may lead back to the people.
        """
        case, conversation = self._case, self._conversation
        effect = Effect(case, conversation.note_stop, conversation.return_to_people, conversation.judge)
        while case.state in (State.pending, State.dispatching):
            waits = case.state is State.pending
            event = await (conversation.wait_for_people() if waits else effect.run_steps())
            if event is None:
                return False
            case.follow(event)
        return True

    async def _finish(self) -> ActionResult:
        result = await self._record()
        closed = await self._close(result, Event.recorded)
        self._stop_consuming()
        return closed

    def _stop_consuming(self) -> None:
        if self._consumer is not None:
            self._consumer.cancel()

    async def _record(self) -> ActionResult:
        plan, told = self._case.plan, tuple(self._case.told)
        answer: RecordResult = await ask(
            CasePort.record,
            lambda now: RecordRequest(proposal_id=plan.proposal_id, revision=plan.revision, told=told, now=now),
            queue=interface.TASK_QUEUE,
            priority=self._case.priority,
        )
        if answer.unregistered:
            raise unregistered(plan)
        assert answer.result is not None
        self._case.show(answer.attributes)
        for proposal_id in answer.waiting:
            await wake(interface.workflow_id(proposal_id))
        for name in answer.remedied:
            await wake(interface.item_id(name))
        return answer.result

    async def _close(self, result: ActionResult, event: Event) -> ActionResult:
        """Answer what still waits, then end: no handler is cut off, nothing is lost."""
        case, conversation = self._case, self._conversation
        case.follow(event)
        case.view.close(result)
        case.details()
        while True:
            while not case.planned and conversation.inbox:
                self._refuse(conversation.inbox.take(), result)
            await workflow.wait_condition(
                lambda: (
                    (not conversation.busy and workflow.all_handlers_finished())
                    or (not case.planned and bool(conversation.inbox))
                )
            )
            if not conversation.inbox:
                return result

    def _refuse(self, message: Message, result: ActionResult) -> None:
        self._case.view.answered(message.answer(receipt_after(message.read()[0], result.resolution)))


def _malformed(problem: str) -> ApplicationError:
    text = problem if problem.startswith("malformed proposal") else f"malformed proposal: {problem}"
    return ApplicationError(text, type="MalformedProposal", non_retryable=True)


def _event_of(result: ActionResult) -> Event:
    return {"refused": Event.refused, "denied": Event.denied}.get(result.resolution, Event.recorded)
