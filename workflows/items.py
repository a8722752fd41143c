"""ResolveItem: something that people have to look at afterwards, from its opening to their answer.

The item is a row of the record; this is its clock and its ear. It decides nothing: what becomes overdue, which answer
counts and what closes it are answers of the record. Whoever ends this workflow ends no item: the sweep starts it again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.canonical import MAX_TEXT_BYTES
    from policy.decision import DecisionReceipt, Refusal
    from workflows import interface, view
    from workflows.alarm import Alarm
    from workflows.calling import ask
    from workflows.converter import one_object
    from workflows.inbox import Inbox, Message, check_decision
    from workflows.messages_items import ItemAnswerRequest, ItemRequest, ItemResult
    from workflows.ports import ItemPort


@workflow.defn(name=interface.ITEM_WORKFLOW)
class ResolveItem:
    """The durable conversation about one item."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._alarm = Alarm()
        self._known = ItemResult(stale=True)
        self._answered: dict[str, DecisionReceipt] = {}
        self._asked_to_look = False

    @workflow.run
    async def run(self, *args: Any) -> dict[str, Any]:
        body = asyncio.create_task(self._resolve(args))
        while True:
            try:
                return await asyncio.shield(body)
            except asyncio.CancelledError:
                # Nobody closes an item by a cancel. When the body itself is cancelled, the run is evicted.
                if body.done():
                    raise

    @workflow.update(name=interface.DECIDE, description=view.DECIDE_HELP)
    async def decide(self, *args: Any) -> DecisionReceipt:
        message = self._inbox.arrive(args, "update")
        await workflow.wait_condition(lambda: message.receipt is not None)
        assert message.receipt is not None
        return message.receipt

    @decide.validator
    def _check(self, *args: Any) -> None:
        check_decision(args)

    @workflow.signal(name=interface.DECIDE, description=view.DECIDE_SIGNAL_HELP)
    def decide_signal(self, *args: Any) -> None:
        self._inbox.arrive(args, "signal")

    @workflow.signal(name=interface.LOOK_AGAIN, description="look whether the item is closed by something else")
    def look_again(self, *_args: Any) -> None:
        self._asked_to_look = True

    @workflow.query(name=interface.STATUS, description="the machine-readable state")
    def status(self, *_args: Any) -> dict[str, Any]:
        known = self._known
        return {
            "closed": known.closed,
            "due_at": known.due_at.isoformat() if known.due_at else None,
            "standing": known.standing.model_dump(mode="json") if known.standing else None,
            "receipts": {name: item.model_dump(mode="json") for name, item in self._answered.items()},
        }

    async def _resolve(self, args: Sequence[Any]) -> dict[str, Any]:
        value, problem = one_object(args, MAX_TEXT_BYTES)
        item_id = (value or {}).get("item_id")
        if not isinstance(item_id, str):
            raise ApplicationError(f"no item: {problem or 'item_id is missing'}", type="BadItem", non_retryable=True)
        await self._look(item_id)
        while not self._known.unknown and self._known.closed is None:
            await workflow.wait_condition(lambda: bool(self._inbox) or self._alarm.rang or self._asked_to_look)
            if self._inbox:
                await self._take(item_id, self._inbox.take())
            else:
                self._alarm.cancel()
                self._asked_to_look = False
                await self._look(item_id)
            if workflow.info().is_continue_as_new_suggested() and not self._inbox:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new({"item_id": item_id})
        self._alarm.cancel()
        while True:
            while self._inbox:
                self._refuse(self._inbox.take())
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())
            if not self._inbox:
                return {"item_id": item_id, "closed": self._known.closed}

    async def _look(self, item_id: str) -> None:
        """Ask how the item stands; what became overdue is noted by whoever asks first."""
        answer: ItemResult = await ask(
            ItemPort.look_at_item,
            lambda now: ItemRequest(item_id=item_id, now=now),
            queue=interface.TASK_QUEUE,
        )
        self._known = answer
        if answer.due_at is not None:
            self._alarm.set(answer.due_at, "the item is overdue")

    async def _take(self, item_id: str, message: Message) -> None:
        value, problem = message.read()
        answer: ItemResult = await ask(
            ItemPort.answer_item,
            lambda now: ItemAnswerRequest(
                item_id=item_id,
                submission=value,
                problem=problem or None,
                channel=message.channel,
                arrival=message.number,
                now=now,
            ),
            queue=interface.TASK_QUEUE,
            local=not self._inbox.holds_update,
        )
        self._known = answer.model_copy(update={"due_at": self._known.due_at})
        self._keep(message.answer(answer.receipt or _answer(value, Refusal.unknown_request, "there is no such item")))

    def _refuse(self, message: Message) -> None:
        self._keep(message.answer(_answer(message.read()[0], Refusal.not_pending, "this item is closed")))

    def _keep(self, receipt: DecisionReceipt) -> None:
        self._answered[receipt.decision_id] = receipt
        if len(self._answered) > view.RECEIPTS_KEPT:
            self._answered.pop(next(iter(self._answered)))


def _answer(value: Any, code: Refusal, message: str) -> DecisionReceipt:
    name = str((value or {}).get("decision_id", ""))[:100]
    return DecisionReceipt(decision_id=name, counted=False, code=code, message=message)
