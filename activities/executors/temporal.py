"""The executor for a platform's own Temporal workers: a workflow or an activity on any task queue, in any language.

1. What is started is what the operator's entry says of the operation; its input is the order and the signed permit, so
   that the worker verifies the permit itself and acts on nothing that came beside it.
2. Its id is `permit/<permit id>`, and Temporal starts nothing under an id twice while it remembers the first: the same
   permit has one run, and looking at that id shows this effect and no other's. An undo whose run did not do it is
   started once more.
3. A run that has the id with another input is not ours. Where it does not hold the permit, nothing was done under it.
4. Nothing is started unless Temporal answered a moment before. What no worker took in time is withdrawn, and only a run
   that is over without having begun counts as not done.
5. A run is told to end before the order's time is over, and Temporal ends it then whatever it does. What it answers is
   read by `temporal_answers.py`.
6. Probes, dry runs and questions about targets are runs of ids of their own, and nothing is kept of them.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio.service import RPCError, RPCStatusCode

from activities.executors import temporal_answers as answers
from activities.executors.base import (
    EffectUnknownError,
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeError,
    ProbeOrder,
    Reached,
    Seen,
    Supports,
    TargetCredentials,
    TargetUnreachableError,
)
from activities.executors.temporal_answers import Ended
from activities.executors.temporal_runs import NamespaceMissingError, Run, run_of
from activities.executors.temporal_settings import Connection, OperationWork, TemporalSettings, Work, read_settings
from policy.permit import Direction
from policy.targets import Capability, ResolvedTarget

# Of an order's seconds, these are left for saying what came of it, and at most this share for its end after a cancel.
_REPORT_SECONDS, _REPORT_SHARE, _END_SHARE = 1.0, 0.1, 0.3
# Until a cancel is there and its end is heard of.
_TELL_SECONDS = 2.0
_ASK_SECONDS = 20.0
_LOOK_AGAIN_SECONDS = 0.2
# With these answers to a start Temporal says that it started nothing.
_NOT_STARTED = {
    RPCStatusCode.NOT_FOUND: TargetUnreachableError,
    RPCStatusCode.PERMISSION_DENIED: TargetUnreachableError,
    RPCStatusCode.UNAUTHENTICATED: TargetUnreachableError,
    RPCStatusCode.INVALID_ARGUMENT: PreconditionFailedError,
    RPCStatusCode.UNIMPLEMENTED: PreconditionFailedError,
}


@dataclass(frozen=True)
class _Times:
    """The event loop's times, seconds, at which a run must have been taken, is told to end, and is given up."""

    taken: float
    told: float
    given_up: float

    @classmethod
    def of(cls, work: OperationWork, timeout: timedelta) -> "_Times":
        now, seconds = asyncio.get_running_loop().time(), timeout.total_seconds()
        given_up = seconds - min(_REPORT_SECONDS, _REPORT_SHARE * seconds)
        told = given_up - min(work.ends_within, _END_SHARE * seconds)
        return cls(now + min(work.starts_within, told), now + told, now + given_up)


class TemporalExecutor:
    """Has a platform's workers act.

    Args:
        settings: where they are, and which of them does what.
        name: under which permits call it.
    """

    def __init__(self, settings: TemporalSettings, name: str) -> None:
        self.name = name
        self._operations = settings.operations
        self._probes = settings.probes
        self._connection = Connection(settings, f"countersign executor {name}")
        works = self._operations.values()
        self.supports = Supports(
            operations=frozenset(self._operations),
            probes=frozenset(self._probes),
            stops_within=timedelta(seconds=max(work.ends_within for work in works) + _TELL_SECONDS),
            observes="by_key",
            dry_runs=frozenset(name for name, work in self._operations.items() if work.rehearses),
            stops="within" if all(work.stops for work in works) else "between",
            resolves=frozenset(name for name, work in self._operations.items() if work.resolve is not None),
            particular={name: _capability(name, work) for name, work in self._operations.items()},
        )

    async def execute(self, order: Order) -> None:
        """Have a worker carry an order out; see `Executor.execute`."""
        order.check_real()
        work, given = self._asked(order), order_input(order)
        if work.stops and order.stop.is_set():
            raise PreconditionFailedError("it was told to stop before it began")
        times = _Times.of(work, order.timeout)
        run = await self._run(work, f"permit/{order.permit_id}")
        await self._start(run, work, order, given, times)
        wrong = answers.verdict(await self._outcome(run, work, order, times), _permitted(order))
        if wrong is not None:
            raise wrong

    async def resolve(self, inquiry: Inquiry) -> tuple[ResolvedTarget, ...]:
        """Ask a worker what an operation would touch; see `Executor.resolve`."""
        operation = self._operations.get(inquiry.operation)
        if operation is None or operation.resolve is None:
            raise PreconditionFailedError(f"what {inquiry.operation} would touch is what the catalog names")
        given = {
            "operation": inquiry.operation,
            "parameters": dict(inquiry.parameters),
            "resources": list(inquiry.resources),
            "environment": inquiry.environment,
        }
        try:
            return answers.targets(
                await self._ask("resolve", operation.resolve, given, _ASK_SECONDS), inquiry.resources
            )
        except PreconditionFailedError:
            raise
        except ExecutorError as error:
            raise TargetUnreachableError(f"what {inquiry.operation} would touch is not known: {error}") from None

    async def dry_run(self, order: Order) -> str:
        """Have a worker say what it would do; see `Executor.dry_run`."""
        work = self._asked(order)
        if not work.rehearses:
            raise PreconditionFailedError(f"operation {order.operation} has no `rehearses` in its entry")
        given, seconds = order_input(order, dry_run=True), order.timeout.total_seconds()
        return answers.rehearsed(await self._ask("rehearsal", work, given, seconds * (1 - _REPORT_SHARE)))

    async def observe(self, order: Order) -> Seen:
        """Look at the run that has the order's id; see `Executor.observe`."""
        work = self._operations.get(order.operation)
        if work is None:
            return "unknown"
        try:
            run = await self._run(work, f"permit/{order.permit_id}")
            found = await run.look()
            if found is None:
                return "none"
            if not found.over or not found.same(work, order_input(order)):
                return "unknown"
            wrong = answers.verdict(await run.ended(), _permitted(order))
        except (RPCError, NamespaceMissingError, PreconditionFailedError):
            return "unknown"
        return "done" if wrong is None else "none" if isinstance(wrong, PreconditionFailedError) else "unknown"

    async def measure(self, order: ProbeOrder) -> Any:
        """Have a worker read a value; see `Executor.measure`."""
        work = self._probes.get(order.probe)
        if work is None:
            raise ProbeError(f"probe {order.probe} is none of {', '.join(self._probes) or 'no probes'}")
        given = {"probe": order.probe, "parameters": dict(order.parameters), "resource": order.resource}
        try:
            return answers.value(await self._ask("probe", work, given, work.seconds))
        except ExecutorError as error:
            raise ProbeError(f"probe {order.probe} on {order.resource}: {error}") from error

    def _asked(self, order: Order) -> OperationWork:
        """What carries an order out; refused where it could touch nothing, or everything."""
        work = self._operations.get(order.operation)
        if work is None:
            raise PreconditionFailedError(f"operation {order.operation} is none of {', '.join(self._operations)}")
        if not order.resolved:
            raise PreconditionFailedError(f"permit {order.permit_id} names nothing to act on")
        if work.resolve is not None and not order.targets:
            raise PreconditionFailedError(f"permit {order.permit_id} has no targets, which {order.operation} acts on")
        if order.signed is None:
            raise PreconditionFailedError(f"permit {order.permit_id} is not signed: no worker could verify it")
        return work

    async def _run(self, work: Work, run_id: str) -> Run:
        return run_of(await self._connection.client(), work, run_id)

    async def _start(self, run: Run, work: OperationWork, order: Order, given: dict[str, Any], times: _Times) -> None:
        """Start a run, or find that it was started.

        Raises:
            TargetUnreachableError: it was not started, because Temporal does not answer or has no such namespace.
            PreconditionFailedError: it was not started, and will not be.
            EffectUnknownError: nobody knows whether it was started.
        """
        place = self._connection.place
        try:
            if await self._present(run, work, order, given):
                return
            # From here on it may be started.
        except (RPCError, NamespaceMissingError) as error:
            raise TargetUnreachableError(f"{place}: {answers.shown(str(error))}") from None
        again = order.direction is Direction.undo
        try:
            started = await run.start(given, order.timeout, again=again)
        except RPCError as error:
            said = f"{place}: {answers.shown(error.message)}"
            if error.status in _NOT_STARTED:
                raise _NOT_STARTED[error.status](said) from None
            await self._find(run, work, order, given, times, said)
            return
        if not started and not await self._present(run, work, order, given):
            raise EffectUnknownError(f"{place}: a run of permit {order.permit_id} came and went meanwhile")

    async def _present(self, run: Run, work: OperationWork, order: Order, given: dict[str, Any]) -> bool:
        """Whether the run is there; one that is not ours is an error, an undo that did nothing counts as absent."""
        found = await run.look()
        if found is None:
            return False
        same = found.same(work, given)
        if found.over and order.direction is Direction.undo:
            # An undo may be done twice, and must not be kept from being done by a run that is over.
            return same and answers.verdict(await run.ended(), _permitted(order)) is None
        if not same:
            message = f"another run has the id permit/{order.permit_id}, of {answers.shown(found.type)}"
            held = isinstance(found.input, dict) and found.input.get("permit") == order.signed
            raise (EffectUnknownError if held else PreconditionFailedError)(message)
        return True

    async def _find(
        self, run: Run, work: OperationWork, order: Order, given: dict[str, Any], times: _Times, said: str
    ) -> None:
        """Look for a run whose start was not answered. That it is not there yet does not say that it will not be."""
        loop = asyncio.get_running_loop()
        while loop.time() < times.taken:
            with suppress(RPCError, NamespaceMissingError):
                if await self._present(run, work, order, given):
                    return
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        raise EffectUnknownError(f"nobody knows whether it was started: {said}")

    async def _outcome(self, run: Run, work: OperationWork, order: Order, times: _Times) -> Ended:
        """How a run ended; it is withdrawn where nobody takes it, and told to end by a stop or by its time."""
        ending = asyncio.create_task(run.ended())
        stopping = asyncio.create_task(order.stop.wait() if work.stops else asyncio.Event().wait())
        try:
            await _any(ending, stopping, until=times.taken)
            if not ending.done() and not await _soon(run.began(), otherwise=True):
                await _soon(run.terminate(), otherwise=None)
                await _any(ending, until=times.given_up)
            await _any(ending, stopping, until=times.told)
            if not ending.done():
                ends_at = asyncio.get_running_loop().time() + work.ends_within
                await _soon(run.cancel(), otherwise=None)
                await _any(ending, until=min(ends_at, times.given_up))
            if not ending.done():
                why = "was told to stop" if stopping.done() else f"took longer than {order.timeout.total_seconds():g} s"
                raise EffectUnknownError(f"it {why} and did not end")
            return ending.result()
        finally:
            for task in (ending, stopping):
                task.cancel()
            await asyncio.wait({ending, stopping})

    async def _ask(self, what: str, work: Work, given: dict[str, Any], seconds: float) -> Ended:
        """How a run ended that changes nothing.

        Raises:
            TargetUnreachableError: there is no answer.
        """
        run = await self._run(work, f"{what}/{uuid4()}")
        try:
            async with asyncio.timeout(seconds):
                await run.start(given, timedelta(seconds=seconds), again=False)
                return await run.ended()
        except RPCError as error:
            raise TargetUnreachableError(f"{self._connection.place}: {answers.shown(error.message)}") from None
        except TimeoutError:
            await _soon(run.terminate(), otherwise=None)
            raise TargetUnreachableError(f"no answer of queue {work.queue} within {seconds:g} s") from None


def make(name: str, given: Mapping[str, Any], targets: TargetCredentials) -> TemporalExecutor:
    """The executor of an operator's entry; it has no use for addresses of targets."""
    del targets
    return TemporalExecutor(read_settings(given), name)


def _capability(name: str, work: OperationWork) -> Capability:
    return Capability(
        operation=name,
        resolves=work.resolve is not None,
        dry_runs=work.rehearses,
        observes="by_key",
        stops="within" if work.stops else "between",
    )


def order_input(order: Order, *, dry_run: bool = False) -> dict[str, Any]:
    """What a worker gets: one JSON object, the same each time.

    Args:
        order: what is permitted; `timeout_seconds` in it is of the whole run.
        dry_run: it is to be rehearsed.
    """
    return {
        "order": {
            "permit_id": order.permit_id,
            "direction": str(order.direction),
            "operation": order.operation,
            "parameters": dict(order.parameters),
            "resolved": list(order.resolved),
            "targets": [target.model_dump(mode="json") for target in order.targets],
            "timeout_seconds": order.timeout.total_seconds(),
            "dry_run": dry_run,
        },
        "permit": order.signed,
    }


def _permitted(order: Order) -> answers.Permitted:
    """What a worker may name as touched, and what that is."""
    found: dict[str, tuple[Reached, ...]] = {resource: ((resource, None),) for resource in order.resolved}
    for target in order.targets:
        found[target.id] = (*found.get(target.id, ()), (target.resource, target.id))
    return found


async def _any(*tasks: "asyncio.Task[Any]", until: float) -> None:
    """Wait until one of them is done, or it is that time."""
    left = until - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)


async def _soon(request: Awaitable[Any], *, otherwise: Any) -> Any:
    """What Temporal answers to a request, or something else where it does not answer."""
    try:
        return await request
    except RPCError:
        return otherwise
