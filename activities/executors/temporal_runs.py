"""One run of a platform's workflow or activity: started under an id, looked at, waited for, ended.

1. The id is the key: it is started only where no run has it (REJECT_DUPLICATE), by one request that Temporal knows
   again, and looked for before. Whether it was started is said for certain or not at all.
2. A run that has the id already is taken for ours only if type, queue and input are the very same.
3. Nothing was begun is said only of a run that is over.
4. While Temporal does not answer it is asked again; whoever waits sets the limit.

A workflow and an activity that is started alone have the same life and other words for it, so each is a class here.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import ActivityExecutionStatus as ActivityStatus
from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.common import ActivityIDReusePolicy, RawValue, RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityAlreadyStartedError,
    ApplicationError,
    CancelledError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.exceptions import TimeoutError as TimedOutError
from temporalio.service import RPCError, RPCStatusCode

from activities.executors.temporal_answers import MAX_ANSWER_BYTES, Closed, Ended
from activities.executors.temporal_settings import Work
from policy.canonical import canonical, parse_json
from policy.errors import CanonicalError

_RPC = timedelta(seconds=5)
_AGAIN_SECONDS = 0.2
_EARLY_EVENTS = 50
_STATUS: dict[type[BaseException], Closed] = {
    CancelledError: "cancelled",
    TerminatedError: "terminated",
    TimedOutError: "timed out",
}


class NamespaceMissingError(Exception):
    """There is no such namespace, so that nothing can be said of a run in it."""


@dataclass(frozen=True)
class Present:
    """A run that has the id: of which type and queue, on which input, and whether it is over."""

    type: str
    queue: str
    input: Any
    over: bool

    def same(self, work: Work, wanted: Any) -> bool:
        """Whether it is exactly what would have been started."""
        if (self.type, self.queue) != (work.type, work.queue):
            return False
        try:
            return canonical(self.input) == canonical(wanted)
        except CanonicalError:
            return False


class Run(Protocol):
    """One run under one id. Each method may raise RPCError where Temporal does not answer or lets nobody in."""

    async def look(self) -> Present | None:
        """The newest run that has the id; None where none has it.

        Raises:
            NamespaceMissingError: there is no such namespace.
        """

    async def start(self, given: Any, lasts: timedelta, *, again: bool) -> bool:
        """Start it, to be ended by Temporal after `lasts`; False where a run has the id already.

        `again` starts it also where that run is over.
        """

    async def began(self) -> bool:
        """Whether a worker took it."""

    async def ended(self) -> Ended:
        """How it ended, as soon as it has; Temporal is asked again for as long as it does not answer."""

    async def cancel(self) -> None:
        """Ask it to end."""

    async def terminate(self) -> None:
        """End it without asking."""


class WorkflowRun:
    """A workflow of the platform's."""

    def __init__(self, client: Client, work: Work, run_id: str) -> None:
        self._client, self._work, self._id = client, work, run_id
        self._handle = client.get_workflow_handle(run_id, result_type=RawValue)

    async def look(self) -> Present | None:
        try:
            found = await self._handle.describe(rpc_timeout=_RPC)
            first = await self._first(found.run_id)
        except RPCError as error:
            _check_absent(error)
            return None
        over = found.status is not WorkflowExecutionStatus.RUNNING
        return Present(found.workflow_type, found.task_queue, first, over)

    async def start(self, given: Any, lasts: timedelta, *, again: bool) -> bool:
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE if again else WorkflowIDReusePolicy.REJECT_DUPLICATE
        try:
            await self._client.start_workflow(
                self._work.type,
                given,
                id=self._id,
                task_queue=self._work.queue,
                execution_timeout=lasts,
                id_reuse_policy=reuse,
                rpc_timeout=_RPC,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def began(self) -> bool:
        number = 0
        async for event in self._handle.fetch_history_events(page_size=_EARLY_EVENTS, rpc_timeout=_RPC):
            number += 1
            if event.HasField("workflow_task_started_event_attributes") or number == _EARLY_EVENTS:
                return True
        return False

    async def ended(self) -> Ended:
        while True:
            try:
                answer = await self._handle.result()
                return Ended("completed", began=True, body=_body(answer))
            except WorkflowFailureError as error:
                return await _failed(error.cause, self)
            except RPCError:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def cancel(self) -> None:
        await self._handle.cancel(rpc_timeout=_RPC)

    async def terminate(self) -> None:
        await self._handle.terminate(rpc_timeout=_RPC)

    async def _first(self, run_id: str) -> Any:
        handle = self._client.get_workflow_handle(self._id, run_id=run_id)
        async for event in handle.fetch_history_events(page_size=1, rpc_timeout=_RPC):
            return _json(event.workflow_execution_started_event_attributes.input)
        return None


class ActivityRun:
    """An activity of the platform's, started alone and tried once."""

    def __init__(self, client: Client, work: Work, run_id: str) -> None:
        self._client, self._work, self._id = client, work, run_id
        self._handle = client.get_activity_handle(run_id, result_type=RawValue)

    async def look(self) -> Present | None:
        try:
            found = await self._handle.describe(include_input=True, rpc_timeout=_RPC)
        except RPCError as error:
            _check_absent(error)
            return None
        over = found.status not in (ActivityStatus.RUNNING, ActivityStatus.PAUSED)
        return Present(found.activity_type, found.task_queue, _json(found.raw_input), over)

    async def start(self, given: Any, lasts: timedelta, *, again: bool) -> bool:
        reuse = ActivityIDReusePolicy.ALLOW_DUPLICATE if again else ActivityIDReusePolicy.REJECT_DUPLICATE
        heartbeat = self._work.heartbeat
        try:
            await self._client.start_activity(
                self._work.type,
                given,
                id=self._id,
                task_queue=self._work.queue,
                schedule_to_start_timeout=min(lasts, timedelta(seconds=self._work.starts_within)),
                schedule_to_close_timeout=lasts,
                start_to_close_timeout=lasts,
                heartbeat_timeout=None if heartbeat is None else timedelta(seconds=heartbeat),
                retry_policy=RetryPolicy(maximum_attempts=1),
                id_reuse_policy=reuse,
                rpc_timeout=_RPC,
            )
        except ActivityAlreadyStartedError:
            return False
        return True

    async def began(self) -> bool:
        return (await self._handle.describe(rpc_timeout=_RPC)).last_started_time is not None

    async def ended(self) -> Ended:
        while True:
            try:
                # A handle keeps the first outcome that it saw, and an id may have had a run before this one.
                handle = self._client.get_activity_handle(self._id, result_type=RawValue)
                return Ended("completed", began=True, body=_body(await handle.result()))
            except ActivityFailureError as error:
                return await _failed(error.cause, self)
            except RPCError:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def cancel(self) -> None:
        await self._handle.cancel(rpc_timeout=_RPC)

    async def terminate(self) -> None:
        await self._handle.terminate(rpc_timeout=_RPC)


def run_of(client: Client, work: Work, run_id: str) -> Run:
    """The run that some work has under an id."""
    return WorkflowRun(client, work, run_id) if work.workflow is not None else ActivityRun(client, work, run_id)


async def _failed(cause: BaseException | None, run: Run) -> Ended:
    """How a run ended that did not complete; whether it began is asked of Temporal until it says."""
    status: Closed = next((name for kind, name in _STATUS.items() if isinstance(cause, kind)), "failed")
    failure = (cause.type or "", cause.message) if isinstance(cause, ApplicationError) else ("", f"{cause}")
    while True:
        try:
            return Ended(status, began=await run.began(), failure=failure)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:  # deleted meanwhile: it may have begun
                return Ended(status, began=True, failure=failure)
        await asyncio.sleep(_AGAIN_SECONDS)


def _check_absent(error: RPCError) -> None:
    """Whether an error says that no run has the id, and nothing else.

    Raises:
        NamespaceMissingError: there is no such namespace.
        RPCError: Temporal lets nobody in, or does not answer.
    """
    if error.status is not RPCStatusCode.NOT_FOUND:
        raise error
    details = error.grpc_status.details
    if any(item.type_url.endswith("NamespaceNotFoundFailure") for item in details):
        raise NamespaceMissingError(error.message) from None


def _body(answer: Any) -> bytes | None:
    payload = answer.payload if isinstance(answer, RawValue) else None
    return None if payload is None else _text(payload)


def _text(payload: Payload) -> bytes | None:
    """The JSON text in a payload; None of another encoding. What is too long is cut, so that it does not parse."""
    encoding = payload.metadata.get("encoding", b"")
    return payload.data[: MAX_ANSWER_BYTES + 1] if encoding in (b"json/plain", b"json/protobuf") else None


def _json(given: Payloads | None) -> Any:
    """The value of the one argument of a run; None where it has another number, or one that is no JSON."""
    if given is None or len(given.payloads) != 1:
        return None
    try:
        return parse_json(given.payloads[0].data, max(len(given.payloads[0].data), 1))
    except CanonicalError:
        return None
