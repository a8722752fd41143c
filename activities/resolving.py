"""The executor role, before anything is permitted: what would this touch?

1. It reads the documents in force itself and asks nothing that they do not let be asked (`policy/resolving.py`): no
   parameter of another type than the registry's reaches a target.
2. Anybody who can write to the namespace may run it. So it only reads, with credentials that change nothing where there
   are some, within a time and a number of answers, and what it found is believed by its row and by nobody's word.
3. Whoever asks about the same action at once waits, and takes what was looked at since: however many ask together, it
   is looked at twice, and nobody gets what is older than the question.
4. What an executor does, answers or raises becomes targets or a problem, step by step: one that breaks says nothing
   about another.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cases import read_case
from activities.clock import Clock
from activities.database import Database
from activities.documents import Documents, InForce
from activities.executors.base import Executor, Inquiry
from activities.resolutions import declare, newest_resolution, store_resolution_of_targets
from policy.envelope import receive_start
from policy.errors import ProposalError
from policy.proposal import ReceivedProposal
from policy.resolving import MAX_PROBLEM, Asked, asked_of, problem_of
from policy.targets import Declared, ResolvedStep, ResolvedTarget, TargetResolution, in_order
from workflows.messages_targets import ResolveRequest, ResolveResult
from workflows.ports import ResolvePort

INQUIRY_SECONDS, TOGETHER_SECONDS = 10.0, 25.0
_AT_ONCE, _PROCESS_AT_ONCE = 4, 8


@dataclass(frozen=True)
class _Wanted:
    """An action that is to be resolved, and the documents by which that is asked."""

    received: ReceivedProposal
    in_force: InForce


class ResolvingActivities(ResolvePort):
    """Asks the executors of a process.

    Args:
        database: the record, as the executor or application role.
        documents: the registry and the catalog.
        clock: the instant in what is stored.
        executors: the adapters of this process by name; they hold the targets' credentials.
        worker: who asks, as the record names it.
    """

    def __init__(
        self, database: Database, documents: Documents, clock: Clock, executors: Mapping[str, Executor], worker: str
    ) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._executors = dict(executors)
        self._worker = worker
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._places = asyncio.Semaphore(_PROCESS_AT_ONCE)

    async def declare(self) -> int:
        """Put on record what the executors of this process can do, where that changed; of how many it did."""
        # One that names no operation at all says nothing.
        known = [(name, one) for name, one in sorted(self._executors.items()) if one.supports.operations]
        every = [Declared(executor=name, capabilities=_of_all(one)) for name, one in known]
        async with self._database.transaction() as connection:
            return await declare(connection, every, by=self._worker, at=await self._clock.now())

    @activity.defn(name="resolve")
    async def resolve(self, request: ResolveRequest) -> ResolveResult:
        arrived = await self._clock.now()
        async with self._database.snapshot() as connection:
            wanted = await self._wanted(connection, request)
        key = wanted.received.action_digest
        turn = self._turns[key]
        try:
            async with turn, self._places:
                return await self._resolve(wanted, arrived)
        finally:
            if not turn.locked():
                self._turns.pop(key, None)

    async def _wanted(self, connection: AsyncConnection, request: ResolveRequest) -> _Wanted:
        in_force = await self._documents.in_force(connection)
        if request.proposal_id is not None:
            file = await read_case(connection, request.proposal_id)
            if file is None:
                message = f"nothing is registered as proposal {request.proposal_id[:100]}"
                raise ApplicationError(message, type="Unregistered", non_retryable=True)
            return _Wanted(file.received, in_force)
        try:
            return _Wanted(receive_start(request.proposal).received, in_force)
        except ProposalError as error:
            raise ApplicationError(str(error), type="MalformedProposal", non_retryable=True) from None

    async def _resolve(self, wanted: _Wanted, arrived: datetime) -> ResolveResult:
        received, in_force = wanted.received, wanted.in_force
        asked = asked_of(received.proposal, in_force.operations, in_force.catalog)
        if not asked:
            return ResolveResult(resolved=False)
        async with self._database.snapshot() as connection:
            known = await newest_resolution(connection, received.action_digest)
        began = await self._clock.now()
        if known is not None and arrived <= known.at <= began:
            return ResolveResult(resolved=True)
        found = TargetResolution(
            action_digest=received.action_digest,
            # The instant before the first look: nothing that came after it is claimed to have been seen.
            at=began,
            resolved_by=self._worker,
            steps=await self._ask(asked),
            declared=self._declared(received, in_force),
        )
        async with self._database.transaction() as connection:
            await store_resolution_of_targets(connection, found)
        return ResolveResult(resolved=True)

    async def _ask(self, asked: Iterable[Asked]) -> tuple[ResolvedStep, ...]:
        """Ask about every step, some at a time; what takes too long is a problem."""
        at_once = asyncio.Semaphore(_AT_ONCE)
        ends_at = asyncio.get_running_loop().time() + TOGETHER_SECONDS

        async def one(item: Asked) -> ResolvedStep:
            async with at_once:
                left = min(INQUIRY_SECONDS, ends_at - asyncio.get_running_loop().time())
                return await self._step(item, max(0.0, left))

        return tuple(await asyncio.gather(*(one(item) for item in asked)))

    async def _step(self, asked: Asked, seconds: float) -> ResolvedStep:
        step = ResolvedStep(step=asked.step, operation=asked.operation, executor=asked.executor)
        executor = self._executors.get(asked.executor)
        if executor is None or asked.operation not in executor.supports.resolves:
            why = "is not here" if executor is None else f"does not resolve {asked.operation}"
            return _with_problem(step, f"executor {asked.executor} {why}")
        inquiry = Inquiry(asked.operation, asked.parameters, asked.resources, asked.environment)
        try:
            async with asyncio.timeout(seconds):
                answer = await executor.resolve(inquiry)
            targets = in_order(ResolvedTarget.model_validate(item.model_dump()) for item in answer)
        except TimeoutError:
            return _with_problem(step, f"no answer within {seconds:.0f} s")
        except ValidationError:
            return _with_problem(step, f"executor {asked.executor} answered something that is no target")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing was found, and that is said
            return _with_problem(step, f"{error}" or type(error).__name__)
        if problem := problem_of(targets, asked.resources):
            return _with_problem(step, problem)
        return step.model_copy(update={"targets": targets})

    def _declared(self, received: ReceivedProposal, in_force: InForce) -> tuple[Declared, ...]:
        """What the executors of the action's operations can do for them, of those that are here."""
        operations: defaultdict[str, list[str]] = defaultdict(list)
        for name in received.proposal.operations:
            known = in_force.operations.find(name)
            executor = self._executors.get(known.executor) if known is not None else None
            if known is not None and executor is not None and executor.supports.operations:
                operations[known.executor].append(name)
        return tuple(
            Declared(
                executor=executor,
                capabilities=tuple(
                    self._executors[executor].supports.of(name)
                    for name in names
                    if name in self._executors[executor].supports.operations
                ),
            )
            for executor, names in sorted(operations.items())
        )


def _of_all(executor: Executor) -> Any:
    return tuple(executor.supports.of(name) for name in sorted(executor.supports.operations))


def _with_problem(step: ResolvedStep, problem: str) -> ResolvedStep:
    """A step that nobody can say anything of, and why, in a text that any record can keep."""
    try:
        problem.encode()
    except UnicodeEncodeError:
        problem = ascii(problem)
    return step.model_copy(update={"problem": problem.replace("\x00", "")[:MAX_PROBLEM] or "nobody says why"})
