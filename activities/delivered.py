"""Workflows run on what a workflow task delivered, and on nothing else that a query brings along.

1. A server that knows no sticky worker of a run (after it was restarted, or when the worker was silent for ten seconds)
   sends a query to any worker, with the whole history: also with events for which a workflow task is only scheduled.
   A query is no task, so nothing says where the next one begins, and the SDK's core applies these events, too. The run
   then goes on under the query, up to its local activities, and stays in the cache.
2. What arrives before that task is started comes after it in the history of a replay, where signals come first: the
   local activities have another order then, and no worker can go on with the run (TMPRL1100).
3. So an activation that has new events, although the history is as large as at the start of the last task, is refused.
   Core then fails the query, and forgets the run; the task that delivers the events replays it. Whoever asked asks
   again (`ASKED_TOO_EARLY`). Of a run that was forgotten core sometimes loses the next local activity (2 of 52 times
   here), and the task is tried again after its ten seconds.

The size is that of the newest start of a task. It grows with every task that is written, as its start alone does.
Where a task was kept in memory only, the next one may be of the same size: it fails once, and its next attempt is
larger. After a start that failed, what a query brings has that start's size and passes: ADR 0034 says why nothing here
can tell. A server that does not say the size (the one that skips time) has nothing refused.

Source: `QueryWorkflow` and `PollWorkflowTaskQueue` of temporalio/temporal, `HistoryPaginator` of temporalio/sdk-core,
read in November 2026; `tests/faults/test_asked_too_early.py` shows both.
"""

import logging
from typing import Any

from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance

from activities.around import InstanceAround, RunnerAround
from workflows.interface import ASKED_TOO_EARLY

log = logging.getLogger("countersign.worker")

# What only an event of the history can bring. A cancelled activity is resolved by the workflow's own wish as well.
_EVENTS = frozenset({"fire_timer", "signal_workflow", "cancel_workflow"})
_ENDS = ("completed", "failed")


class DeliveredRunner(RunnerAround):
    """A runner whose instances refuse events that no workflow task delivered."""

    def _around(self, instance: WorkflowInstance) -> WorkflowInstance:
        return _Delivered(instance)


class _Delivered(InstanceAround):
    def __init__(self, inner: WorkflowInstance) -> None:
        super().__init__(inner)
        self._size = 0

    def activate(self, act: Any) -> Any:
        size, before = act.history_size_bytes, self._size
        if size and size == before and not act.is_replaying and any(map(_is_event, act.jobs)):
            log.info("a query came before the workflow task of run %s: it is to be asked again", act.run_id)
            refused = WorkflowActivationCompletion(run_id=act.run_id)
            refused.failed.failure.message = ASKED_TOO_EARLY
            return refused
        self._size = size or before
        return super().activate(act)


def _is_event(job: Any) -> bool:
    """Whether an event of the history brought a job; a local activity's end is none."""
    kind = job.WhichOneof("variant")
    if kind == "resolve_activity":
        return not job.resolve_activity.is_local and job.resolve_activity.result.WhichOneof("status") in _ENDS
    return kind in _EVENTS
