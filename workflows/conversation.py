"""The conversation of a run: messages are answered in order of arrival, and time passes beside them.

One consumer takes every message of the run. Messages that have arrived are read before what is due at the same instant,
and a message that the record does not answer holds back neither time nor a stop.
"""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.approval.standing import Standing
    from policy.decision import DecisionReceipt, Refusal
    from policy.lifecycle import Event, State
    from workflows import interface
    from workflows.alarm import Alarm
    from workflows.calling import ask
    from workflows.case import Case
    from workflows.inbox import Inbox, Message
    from workflows.ports import UNVERIFIED, AdvanceRequest, CasePort, CaseResult, DecisionRequest, Plan

# An answer that somebody else gave in the record's place may have no receipt.
_LOST = DecisionReceipt(decision_id="", counted=False, code=Refusal.busy, message="unanswered: send it again as it is")
_RESOLVED = {
    "approved": Event.approved,
    "denied": Event.denied,
    "expired": Event.expired,
    "withdrawn": Event.withdrawn,
}


class Conversation:
    """What is said and what becomes due while a case is open, and what is still said afterwards."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.inbox = Inbox()
        self._alarm = Alarm()
        self._consuming = self._slow = False
        self._resolution: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a message waits or is being taken."""
        return bool(self.inbox) or self._consuming

    async def wait_for_people(self) -> Event:
        """Let time pass and stops come, until the record says how it ended; decisions are taken beside."""
        case = self._case
        self._set_alarm(case.plan.standing)
        while self._resolution is None:
            await workflow.wait_condition(
                lambda: self._resolution is not None or (case.stop and not case.stop_noted) or self._due()
            )
            if self._resolution is None:
                self._alarm.cancel()
                await self._advance()
        self._alarm.cancel()
        return _RESOLVED[self._resolution]

    async def take_decisions(self) -> None:
        """The one consumer: every decision of the run in order of arrival. Those after the end change nothing."""
        while True:
            await workflow.wait_condition(lambda: bool(self.inbox))
            self._consuming = True
            try:
                await self._take(self.inbox.take())
            finally:
                self._consuming = self._slow = False

    async def note_stop(self) -> None:
        """Put a stop on record, unless it is."""
        if not self._case.stop_noted:
            await self._advance()

    def _due(self) -> bool:
        return self._alarm.rang and (self._slow or not self.busy)

    def _note_slow(self) -> None:
        self._slow = True

    async def _take(self, message: Message) -> None:
        plan = self._case.plan
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
            local=not self.inbox.holds_update,
            queued=self._note_slow,
            priority=self._case.priority,
        )
        message.receipt = answer.receipt or _LOST
        self._case.view.answered(message.receipt)
        self._moved(answer)

    async def _advance(self) -> None:
        """Tell the record that time has passed, and that a stop came if one did."""
        case, plan = self._case, self._case.plan
        actor = UNVERIFIED if case.stop and not case.stop_noted else None
        answer: CaseResult = await ask(
            CasePort.advance,
            lambda now: AdvanceRequest(proposal_id=plan.proposal_id, revision=plan.revision, stop_actor=actor, now=now),
            queue=interface.TASK_QUEUE,
            priority=case.priority,
        )
        if answer.unregistered:
            raise unregistered(plan)
        case.stop_noted = case.stop_noted or actor is not None
        self._moved(answer)

    def _moved(self, answer: CaseResult) -> None:
        """The case as the record has it now, and the next instant at which something is due."""
        self._resolution = self._resolution or answer.resolution
        if answer.stopped:
            self._case.revoke()
        if self._case.state is State.pending:
            self._set_alarm(self._case.view.stand(answer.standing))
        self._case.show(answer.attributes)

    def _set_alarm(self, standing: Standing | None) -> None:
        """Ring at what is due next. What rang stays to be noted: no message puts it off."""
        if not self._alarm.rang:
            due = standing.due[0] if standing is not None and standing.due else None
            self._alarm.set(due.at if due else workflow.now(), due.text if due else "now")


def unregistered(plan: Plan) -> ApplicationError:
    """The plan was not made by our own `assess`: waiting or trying again would go on for ever."""
    text = f"the record does not know proposal {plan.proposal_id}: somebody else answered for the assessment"
    return ApplicationError(text, type="Unregistered", non_retryable=True)


def receipt_after(value: Any, resolution: str) -> DecisionReceipt:
    """The answer to a message of a start that ended at once."""
    return DecisionReceipt(
        decision_id=str((value or {}).get("decision_id", ""))[:100],
        counted=False,
        code=Refusal.not_pending,
        message=f"this start ended as {resolution}, nothing is pending",
        resolution=resolution,
    )
