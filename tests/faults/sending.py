"""Sending what an SDK would not let pass: payloads of any shape, over the same API."""

import json
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Outcome, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    RespondActivityTaskCompletedByIdRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from tests.world import Handle, World, until
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id


def raw(data: bytes, encoding: str = "json/plain") -> Payload:
    """A payload as any client in any language could send it."""
    return Payload(metadata={"encoding": encoding.encode()}, data=data)


class Sender:
    """Sends what an SDK would not let pass, over the same API."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._service = world.client.workflow_service
        self._namespace = world.client.namespace

    async def signal(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> None:
        await self._service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=self._namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                signal_name=name,
                input=Payloads(payloads=payloads),
            )
        )

    async def update(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> str:
        """What the sender is told: the failure's message, or the answer as it is."""
        outcome = await self._outcome(handle, name, payloads)
        return outcome.failure.message or str(outcome.success)

    async def refused(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> Failure:
        """Why an update is rejected."""
        outcome = await self._outcome(handle, name, payloads)
        assert outcome.HasField("failure"), outcome
        return outcome.failure

    async def _outcome(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> Outcome:
        answer = await self._service.update_workflow_execution(
            UpdateWorkflowExecutionRequest(
                namespace=self._namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                wait_policy=WaitPolicy(
                    lifecycle_stage=UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
                ),
                request=Request(meta=Meta(identity="tests"), input=Input(name=name, args=Payloads(payloads=payloads))),
            )
        )
        return answer.outcome

    async def start(self, proposal_id: str, payloads: Sequence[Payload]) -> Handle:
        wanted = workflow_id(proposal_id)
        await self._service.start_workflow_execution(
            StartWorkflowExecutionRequest(
                namespace=self._namespace,
                workflow_id=wanted,
                workflow_type=WorkflowType(name=WORKFLOW_TYPE),
                task_queue=TaskQueue(name=TASK_QUEUE),
                input=Payloads(payloads=payloads),
                request_id=wanted,
            )
        )
        return self._world.client.get_workflow_handle(wanted)

    async def query(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> Any:
        """The answer to a query, where nothing is encrypted."""
        return json.loads((await self.ask(handle, name, payloads)).data)

    async def ask(self, handle: Handle, name: str, payloads: Sequence[Payload]) -> Payload:
        """The answer to a query, as it comes."""
        answer = await self._service.query_workflow(
            QueryWorkflowRequest(
                namespace=self._namespace,
                execution=WorkflowExecution(workflow_id=handle.id),
                query=WorkflowQuery(query_type=name, query_args=Payloads(payloads=payloads)),
            )
        )
        return answer.query_result.payloads[0]

    async def complete(self, handle: Handle, name: str, payload: Payload) -> None:
        """Answer in the place of an activity that waits."""

        async def waiting() -> list[str]:
            found = (await handle.describe()).raw_description.pending_activities
            return [each.activity_id for each in found if each.activity_type.name == name]

        await self._service.respond_activity_task_completed_by_id(
            RespondActivityTaskCompletedByIdRequest(
                namespace=self._namespace,
                workflow_id=handle.id,
                activity_id=(await until(waiting))[0],
                result=Payloads(payloads=[payload]),
                identity="tests",
            )
        )
