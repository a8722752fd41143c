"""How a workflow asks the record: a local activity within three seconds, else the same activity on the queue.

- A local activity costs one event and no round trip. When the record is down it fails within its budget, and the
  activity waits on the server instead, where waiting costs no events.
- An answer `stale` means that the instant in the request was more than a minute off the activity's clock, because the
  request waited or because a clock is wrong. The first time it is asked again at once, then after 30 seconds, and
  after twice as long each time up to ten minutes, so that days of it do not fill a history. So is what cannot be
  read, does not hold together, or was failed by hand: nobody but the record ends a case. So is what came in the clear
  where payloads are encrypted.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError  # noqa: A004 - Temporal's own

from workflows.marks import in_the_clear
from workflows.messages import Answer
from workflows.ports import LOCAL_BUDGET, LOCAL_RETRY, QUEUE_RETRY, QUEUE_TIMEOUT

_STALE_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=10)


Told = TypeVar("Told", bound=Answer)


def believed(answer: Told) -> Told:
    """An answer, or what stands for one that somebody else gave in the clear where payloads are encrypted."""
    return answer.unreadable() if in_the_clear(answer.clear_since) else answer


async def ask(
    port: Callable[..., Any],
    make_request: Callable[[datetime], Any],
    *,
    queue: str,
    local: bool = True,
    queued: Callable[[], None] | None = None,
    priority: Priority = Priority.default,
) -> Any:
    """Ask an activity of the record, with a fresh instant as often as it takes.

    Args:
        port: which activity.
        make_request: the request with an instant (UTC).
        queue: where the activity runs when not locally.
        local: whether to try it as a local activity first.
        queued: called when the answer has to be waited for on the queue, however long that takes.
        priority: which activities it overtakes on the queue.
    """
    pause = timedelta(0)
    while True:
        answer = await _ask_once(port, make_request, queue=queue, local=local, queued=queued, priority=priority)
        if answer is not None and not (answer := believed(answer)).stale and answer.whole:
            return answer
        if pause:
            await workflow.sleep(pause, summary="clocks disagree, or there was no answer: asking again")
        pause = min(max(_STALE_PAUSE, 2 * pause), _LONGEST_PAUSE)


async def _ask_once(
    port: Callable[..., Any],
    make_request: Callable[[datetime], Any],
    *,
    queue: str,
    local: bool,
    queued: Callable[[], None] | None,
    priority: Priority,
) -> Any:
    if local:
        try:
            return await workflow.execute_local_activity_method(
                port, make_request(workflow.now()), schedule_to_close_timeout=LOCAL_BUDGET, retry_policy=LOCAL_RETRY
            )
        except (ActivityError, ApplicationError, TimeoutError):
            # A local activity that is out of attempts raises its own failure, not wrapped as a regular one's is. One
            # that is out of time raises a wrapped timeout while it runs, and a bare one when it is replayed (measured).
            workflow.logger.warning("the record did not answer within its budget, waiting on the queue")
    if queued is not None:
        queued()
    try:
        return await workflow.execute_activity_method(
            port,
            make_request(workflow.now()),
            task_queue=queue,
            start_to_close_timeout=QUEUE_TIMEOUT,
            retry_policy=QUEUE_RETRY,
            priority=priority,
        )
    except ActivityError:
        # It is tried without end, so somebody else said that it failed.
        return None
