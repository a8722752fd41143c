"""A query that overtakes a workflow task: what plain Temporal makes of it, and that our worker refuses it.

The server is told, again and again, that no worker has the run. A query that is asked then is sent with the whole
history; where a signal came in between, also with the signal, whose workflow task is only scheduled. Which of the two
the server sends first is its choice, so it is tried until the query was.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.connection import connect
from activities.database import Database
from activities.delivered import DeliveredRunner
from activities.settings import Role
from cli.asking import asked
from deploy.dev import Stack
from tests.permit_keys import settings
from tests.world import BOUND, record
from worker import build_workers
from workflows.interface import ASKED_TOO_EARLY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

_TRIES = 600
_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_ENDED = (
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
)

Handle: TypeAlias = WorkflowHandle[Any, Any]


@activity.defn
async def heard() -> None:
    """What a signal leads to."""


@workflow.defn
class Listens:
    """Signals with a local activity each, one after the other, as in our own workflows."""

    def __init__(self) -> None:
        self._turn, self._heard, self._over = asyncio.Lock(), 0, False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self._over and workflow.all_handlers_finished())
        return self._heard

    @workflow.signal
    async def tell(self) -> None:
        async with self._turn:
            await workflow.execute_local_activity(heard, start_to_close_timeout=timedelta(seconds=5))
            self._heard += 1

    @workflow.signal
    def end(self) -> None:
        self._over = True

    @workflow.query
    def count(self) -> int:
        return self._heard


@asynccontextmanager
async def _listening(stack: Stack, runner: WorkflowRunner) -> AsyncIterator[Handle]:
    """A run on a worker with a runner."""
    client, queue = await Client.connect(stack.temporal_address), f"early-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Listens], activities=[heard], workflow_runner=runner):
        handle: Handle = await client.start_workflow("Listens", id=f"listens-{uuid4()}", task_queue=queue)
        await handle.query("count")
        yield handle
        await handle.signal("end")
        await asyncio.wait_for(handle.result(), BOUND)


async def _overtake(client: Client, handle: Handle) -> Any:
    """Ask and tell at once, of a run that the server knows no worker of; what the query came to."""
    run = WorkflowExecution(workflow_id=handle.id, run_id=handle.first_execution_run_id or "")
    forget = ResetStickyTaskQueueRequest(namespace=client.namespace, execution=run)
    await client.workflow_service.reset_sticky_task_queue(forget)
    found = await asyncio.gather(handle.query("count"), handle.signal("tell"), return_exceptions=True)
    return found[0]


def _ran_ahead(events: list[HistoryEvent]) -> bool:
    """Whether a local activity was asked for while no workflow task was under way."""
    tasks: list[tuple[float, float]] = []
    for event in events:
        if event.event_type == _STARTED:
            tasks.append((_seconds(event.event_time), float("inf")))
        elif event.event_type in _ENDED:
            tasks[-1] = (tasks[-1][0], _seconds(event.event_time))
    asked_at = [_asked_at(event) for event in events if _is_local(event)]
    return any(not any(began <= at <= ended for began, ended in tasks) for at in asked_at)


def _is_local(event: HistoryEvent) -> bool:
    return "data" in event.marker_recorded_event_attributes.details


def _asked_at(event: HistoryEvent) -> float:
    at = json.loads(event.marker_recorded_event_attributes.details["data"].payloads[0].data)["original_schedule_time"]
    return float(at["seconds"] + at["nanos"] / 1e9)


def _seconds(at: Any) -> float:
    return float(at.seconds + at.nanos / 1e9)


async def test_plain_temporal_runs_ahead_of_its_history_under_a_query(stack: Stack) -> None:
    """This is why there is a rule: where nothing runs ahead any more, the rule can go."""
    client = await Client.connect(stack.temporal_address)
    async with _listening(stack, UnsandboxedWorkflowRunner()) as handle:
        for number in range(_TRIES):
            await _overtake(client, handle)
            if number % 10 == 0 and _ran_ahead([event async for event in handle.fetch_history_events()]):
                return
    pytest.fail(f"no query overtook a workflow task in {_TRIES} tries")


async def test_our_worker_refuses_to_and_the_run_goes_on(stack: Stack) -> None:
    """Nothing that was told is lost, nobody who asks again is refused for long, and the history replays."""
    client = await Client.connect(stack.temporal_address)
    refused, told = 0, 0
    async with _listening(stack, DeliveredRunner(UnsandboxedWorkflowRunner())) as handle:
        while refused < 2 and told < _TRIES:
            answer = await _overtake(client, handle)
            if isinstance(answer, WorkflowQueryFailedError):
                assert ASKED_TOO_EARLY in str(answer)
                refused += 1
            told += 1
            assert await asked(handle, "count") <= told
    history = await handle.fetch_history()

    assert refused, f"no query overtook a workflow task in {_TRIES} tries"
    assert await handle.result() == told
    assert not _ran_ahead(list(history.events))
    await Replayer(workflows=[Listens], workflow_runner=UnsandboxedWorkflowRunner()).replay_workflow(history)


async def test_a_run_that_ended_before_its_last_task_is_asked_once(stack: Stack) -> None:
    """Nobody delivers its last signal any more: asking again would never end, and whoever asks is told."""
    client, queue = await Client.connect(stack.temporal_address), f"early-{uuid4()}"
    given: dict[str, Any] = {"task_queue": queue, "workflows": [Listens], "activities": [heard]}
    runner = DeliveredRunner(UnsandboxedWorkflowRunner())
    async with Worker(client, **given, workflow_runner=runner):
        handle: Handle = await client.start_workflow("Listens", id=f"listens-{uuid4()}", task_queue=queue)
        assert await asked(handle, "count") == 0
    await handle.signal("tell")
    await handle.terminate()

    async with Worker(client, **given, workflow_runner=runner):
        with pytest.raises(WorkflowQueryFailedError, match="the record where the run has ended"):
            await asyncio.wait_for(asked(handle, "count"), BOUND)


async def test_the_workers_of_the_control_role_refuse_it(stack: Stack) -> None:
    """What runs our workflows has the rule, and not only a runner of a test."""
    client = await connect(address=stack.temporal_address)
    async with record(stack) as name:
        database = Database(stack.database_url("countersign_app", name))
        try:
            workers = await build_workers(client, database, settings(Role.control))
        finally:
            await database.close()
    runners = [worker.config().get("workflow_runner") for worker in workers if worker.config().get("workflows")]
    assert [type(runner) for runner in runners] == [DeliveredRunner]
