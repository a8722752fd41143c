"""Halt: everything is halted until two people released it. It is the ear of a row of the record, and decides nothing.

A halt is in force by its row alone: whoever ends this workflow ends no halt, and the sweep starts it again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.canonical import MAX_TEXT_BYTES
    from workflows import interface
    from workflows.calling import ask
    from workflows.converter import one_object
    from workflows.messages_halts import WOKEN, HaltRequest, HaltResult
    from workflows.ports import HaltPort
    from workflows.waking import wake


@workflow.defn(name=interface.HALT_WORKFLOW)
class Halt:
    """One halt, from its statement to its release."""

    def __init__(self) -> None:
        self._halt_id: str | None = None
        self._known = HaltResult()

    @workflow.run
    async def run(self, *args: Any) -> dict[str, Any]:
        body = asyncio.create_task(self._to_its_end(args))
        while True:
            try:
                return await asyncio.shield(body)
            except asyncio.CancelledError:
                # Nobody ends a halt by a cancel. When the body itself is cancelled, the run is evicted.
                if body.done():
                    raise

    @workflow.update(name=interface.RELEASE, description="one person's signed release: one JSON object (docs/halt.md)")
    async def release(self, *args: Any) -> dict[str, Any]:
        await workflow.wait_condition(lambda: self._halt_id is not None)
        statement, problem = one_object(args, MAX_TEXT_BYTES)
        halt_id = self._halt_id or ""
        answer: HaltResult = await ask(
            HaltPort.release_halt,
            lambda now: HaltRequest(halt_id=halt_id, statement=statement, problem=problem or None, now=now),
            queue=interface.TASK_QUEUE,
            local=False,
        )
        if answer.placed:
            self._known = answer
        # Temporal takes so many signals at once and no more: an answer that nobody of ours gave must not fail the task.
        await asyncio.gather(*(wake(interface.workflow_id(name)) for name in answer.wakes[:WOKEN]))
        return _shown(answer)

    @workflow.query(name=interface.STATUS, description="whether it is in force, and what its release lacks")
    def status(self, *_args: Any) -> dict[str, Any]:
        return _shown(self._known)

    async def _to_its_end(self, args: Sequence[Any]) -> dict[str, Any]:
        value, problem = one_object(args, MAX_TEXT_BYTES)
        halt_id = (value or {}).get("halt_id")
        if not isinstance(halt_id, str):
            raise ApplicationError(f"no halt: {problem or 'halt_id is missing'}", type="BadHalt", non_retryable=True)
        statement = (value or {}).get("statement")
        self._known = await ask(
            HaltPort.place_halt,
            lambda now: HaltRequest(halt_id=halt_id, statement=statement, now=now),
            queue=interface.TASK_QUEUE,
        )
        self._halt_id = halt_id
        while self._known.placed and not self._known.released:
            await workflow.wait_condition(
                lambda: self._known.released or workflow.info().is_continue_as_new_suggested()
            )
            if not self._known.released:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new({"halt_id": halt_id})
        await workflow.wait_condition(workflow.all_handlers_finished)
        return {"halt_id": halt_id, **_shown(self._known)}


def _shown(answer: HaltResult) -> dict[str, Any]:
    return answer.model_dump(mode="json", include={"placed", "released", "code", "message", "missing"})
