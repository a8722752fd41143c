"""A runner of workflows around another one, whose instances pass everything on that they do not change."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner


class RunnerAround(WorkflowRunner):
    """Another runner, around each of whose instances stands one of ours.

    Args:
        inner: what runs the workflows.
    """

    def __init__(self, inner: WorkflowRunner) -> None:
        self._inner = inner

    def prepare_workflow(self, defn: Any) -> None:
        """See `WorkflowRunner`."""
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See `WorkflowRunner`."""
        return self._around(self._inner.create_instance(det))

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        """See `WorkflowRunner`."""
        self._inner.set_worker_level_failure_exception_types(types)

    @abstractmethod
    def _around(self, instance: WorkflowInstance) -> WorkflowInstance:
        """What stands around an instance."""


class InstanceAround(WorkflowInstance):
    """An instance that passes everything on.

    Args:
        inner: to which one.
    """

    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner

    def activate(self, act: Any) -> Any:
        """See `WorkflowInstance`."""
        return self._inner.activate(act)

    def get_serialization_context(self, command_info: Any) -> Any:
        """See `WorkflowInstance`."""
        return self._inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        """See `WorkflowInstance`."""
        return self._inner.get_external_store_context(command_info)

    def get_info(self) -> Any:
        """See `WorkflowInstance`."""
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        """See `WorkflowInstance`."""
        return self._inner.get_thread_id()
