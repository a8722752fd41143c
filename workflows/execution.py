"""Running what was permitted: step by step, and backwards when it has to be undone.

- A step is one activity with one attempt. It waits for a stop, too; a stop is on record before the activity is asked
  to end, and `WAIT_CANCELLATION_COMPLETED` keeps an undo from starting while the step still runs.
- A step that did not start before its permit expired never starts. A step that nobody answered for is observed, never
  repeated: only where nobody had claimed its permit, and no stop came, it is tried once more under the same permit. The
  first try may still be about to claim: then the second one is refused, and what came of the first is observed.
- What an activity says decides only what the workflow waits for next. The record decides the outcome.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.workflow import ActivityCancellationType

from workflows import ports
from workflows.calling import believed
from workflows.interface import EXECUTOR_QUEUE
from workflows.messages import ExecuteRequest, ExecuteResult, Plan, StepPlan
from workflows.ports import ExecutorPort

# What an executor needs beyond the step itself: to claim, to measure, and to write its report.
_MARGIN = timedelta(seconds=60)
_OBSERVE_BUDGET = timedelta(minutes=5)


class Execution:
    """How the steps of one action are run.

    Args:
        stopped: whether a stop came.
        note_stop: puts a stop on record, once.
        priority: which activities its own overtake.
    """

    def __init__(
        self, stopped: Callable[[], bool], note_stop: Callable[[], Awaitable[None]], priority: Priority
    ) -> None:
        self._stopped = stopped
        self._note_stop = note_stop
        self._priority = priority

    async def run_step(self, plan: Plan, step: StepPlan, permit_id: str) -> ExecuteResult:
        """Run one step under its permit; returns what the executor reported, or that nothing is known."""
        begun, permitted = workflow.now(), timedelta(seconds=plan.permit_seconds)
        told = await self._try(step, permit_id, permitted)
        left = permitted - (workflow.now() - begun)
        if told.claimed or left <= timedelta(0):
            return told
        if self._stopped():
            await self._note_stop()
            return told
        told = await self._try(step, permit_id, left)
        return await self._observe(step, permit_id) if told.effect == "unknown" else told

    async def _try(self, step: StepPlan, permit_id: str, start_within: timedelta) -> ExecuteResult:
        handle = workflow.start_activity_method(
            ExecutorPort.execute,
            ExecuteRequest(permit_id=permit_id),
            task_queue=EXECUTOR_QUEUE,
            schedule_to_start_timeout=start_within,
            start_to_close_timeout=timedelta(seconds=step.timeout_seconds + step.observe_seconds) + _MARGIN,
            heartbeat_timeout=ports.HEARTBEAT,
            retry_policy=ports.EFFECT_RETRY,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"step {step.number}: {step.name}",
            priority=self._priority,
        )
        await workflow.wait_condition(lambda: handle.done() or self._stopped())
        if not handle.done():
            await self._note_stop()
            handle.cancel()
        try:
            # Whether a permit was claimed is asked of `observe` only: who answers for a step says that it is over.
            return believed(await handle).model_copy(update={"claimed": True})
        except ActivityError as error:
            if _never_started(error):
                return ExecuteResult(permit_id=permit_id, status="unknown", effect="none", message="never started")
            return await self._observe(step, permit_id)

    async def undo_step(self, step: StepPlan, permit_id: str) -> bool:
        """Undo one step; True if the executor reported success. Tried again until then, or attempts are used up."""
        try:
            told: ExecuteResult = await workflow.execute_activity_method(
                ExecutorPort.execute,
                ExecuteRequest(permit_id=permit_id),
                task_queue=EXECUTOR_QUEUE,
                start_to_close_timeout=timedelta(seconds=step.undo_timeout_seconds or 60) + _MARGIN,
                heartbeat_timeout=ports.HEARTBEAT,
                retry_policy=ports.UNDO_RETRY,
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"undo of step {step.number}: {step.name}",
                priority=self._priority,
            )
        except ActivityError:
            return False
        return believed(told).status == "succeeded"

    async def _observe(self, step: StepPlan, permit_id: str) -> ExecuteResult:
        longest = timedelta(seconds=step.timeout_seconds + step.observe_seconds) + _OBSERVE_BUDGET
        try:
            told: ExecuteResult = await workflow.execute_activity_method(
                ExecutorPort.observe,
                ExecuteRequest(permit_id=permit_id),
                task_queue=EXECUTOR_QUEUE,
                start_to_close_timeout=timedelta(seconds=step.observe_seconds) + _MARGIN,
                # The executor looks no earlier than the attempt that left no report must be over.
                schedule_to_close_timeout=longest,
                heartbeat_timeout=ports.HEARTBEAT,
                retry_policy=ports.QUEUE_RETRY,
                summary="nobody answered for the step: looking, without acting",
                priority=self._priority,
            )
        except ActivityError:
            message = "could not be observed"
            return ExecuteResult(permit_id=permit_id, status="unknown", effect="unknown", message=message)
        return believed(told)


def _never_started(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, ActivityTimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START
