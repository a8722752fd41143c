"""Which activations a workflow is not to be run on: new events of a history that has not grown since the last task."""

from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowRunner

from activities.delivered import DeliveredRunner
from workflows.interface import ASKED_TOO_EARLY


class _Counts(WorkflowInstance):
    """An instance that does nothing but count."""

    def __init__(self) -> None:
        self.activated = 0

    def activate(self, act: Any) -> WorkflowActivationCompletion:
        self.activated += 1
        return WorkflowActivationCompletion(run_id=act.run_id)

    def get_serialization_context(self, command_info: Any) -> None:
        return None

    def get_external_store_context(self, command_info: Any) -> Any:
        return None

    def get_info(self) -> Any:
        return None


class _Runner(WorkflowRunner):
    def __init__(self, instance: WorkflowInstance) -> None:
        self.instance = instance

    def prepare_workflow(self, defn: Any) -> None:
        pass

    def create_instance(self, det: Any) -> WorkflowInstance:
        return self.instance


def _act(size: int, *jobs: str, replaying: bool = False) -> WorkflowActivation:
    act = WorkflowActivation(run_id="run", history_size_bytes=size, is_replaying=replaying)
    for name in jobs:
        job = act.jobs.add()
        if name in ("local", "remote", "cancelled"):
            job.resolve_activity.is_local = name == "local"
            status = job.resolve_activity.result
            (status.cancelled if name == "cancelled" else status.completed).SetInParent()
        else:
            getattr(job, name).SetInParent()
    return act


EARLY: dict[str, tuple[WorkflowActivation, bool]] = {
    "a timer of a new task": (_act(900, "fire_timer"), False),
    "a timer of no task": (_act(500, "fire_timer"), True),
    "a signal of no task": (_act(500, "signal_workflow"), True),
    "a cancellation of no task": (_act(500, "cancel_workflow"), True),
    "an activity that ended, of no task": (_act(500, "remote"), True),
    "a local activity that ended": (_act(500, "local"), False),
    "an activity that the workflow has cancelled": (_act(500, "cancelled"), False),
    "a query": (_act(500, "query_workflow"), False),
    "an update": (_act(500, "do_update"), False),
    "an eviction": (_act(0, "remove_from_cache"), False),
    "a history that is replayed": (_act(500, "signal_workflow", replaying=True), False),
    "a server that says no size": (_act(0, "fire_timer"), False),
    "several, one of them of no task": (_act(500, "local", "fire_timer"), True),
}


@pytest.mark.parametrize(("act", "early"), EARLY.values(), ids=EARLY)
def test_what_no_task_delivered_is_refused_and_changes_nothing(act: WorkflowActivation, early: bool) -> None:
    counts = _Counts()
    instance = DeliveredRunner(_Runner(counts)).create_instance(None)  # type: ignore[arg-type]
    instance.activate(_act(500, "initialize_workflow"))

    completion = instance.activate(act)

    assert completion.run_id == "run"
    assert completion.failed.failure.message == (ASKED_TOO_EARLY if early else "")
    assert counts.activated == (1 if early else 2)


def test_the_task_that_delivers_it_is_run_on() -> None:
    counts = _Counts()
    instance = DeliveredRunner(_Runner(counts)).create_instance(None)  # type: ignore[arg-type]
    for size, job in ((500, "initialize_workflow"), (500, "fire_timer"), (900, "fire_timer"), (900, "local")):
        instance.activate(_act(size, job))
    assert counts.activated == 3
