"""The watcher: finds what was done to runs of our workflow type from outside, and writes it to the ledger.

- It looks at what was started or has ended since it last looked, with some overlap, and at a slice of the actions that
  are open on record. Each look is bounded: of a span with too many runs it takes the earlier part, and the next look
  goes on there. How far it came is on record; what one process looked at before, it does not look at again, and keeps
  what it saw until that is written.
- Temporal is asked by its own messages: one paused run would keep the SDK's lists from everybody.
- What Temporal says is as good as whoever writes to it. Somebody who deletes a run with its traces before the next
  look, a minute later, is seen only where its action was open on record.
- What a violation is, `policy/watching.py` says. Each is an entry once, however often it is seen. Those that are only
  counted may be counted once by each process.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionExtendedInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryReverseRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.clock import Clock
from activities.database import Database
from activities.ledger import Ledger
from activities.tables import LedgerEntryRow, ProposalRow, ResultRow, WatchRow
from policy.base import instant_text
from policy.ledger import EntryKind
from policy.permit import entry_id
from policy.watching import LISTED, RUNS_LEDGER, SeenRun, Sign, content_of, more_of, signs_of, watched_key
from workflows.interface import TASK_QUEUE, WORKFLOW_TYPE, workflow_id
from workflows.ports import WatchPort

log = logging.getLogger("countersign.watch")

AT_ONCE = 5000
OPEN_AT_ONCE = 200
_SLICE = 5000
_PAGE = 500
_SIDE_BY_SIDE = 8
# What is listed comes late, and two clocks differ by up to a minute.
_OVERLAP = timedelta(minutes=2)
# As far as the first look goes back: what retention keeps at least, and more where it keeps more.
_FIRST = timedelta(days=7)
_SHORTEST = timedelta(seconds=1)
# An action is registered by its workflow: one that has none after so long lost it, or never had it.
_SETTLED = timedelta(minutes=10)
_OURS = f"WorkflowType = '{WORKFLOW_TYPE}'"
_TERMINATED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED
_ENDED = "ExecutionStatus IN ('Terminated', 'Completed')"

_PROPOSAL = ProposalRow.__table__.c  # type: ignore[attr-defined]
_RESULT = ResultRow.__table__.c  # type: ignore[attr-defined]
_ENTRY = LedgerEntryRow.__table__.c  # type: ignore[attr-defined]
_WATCH = WatchRow.__table__.c  # type: ignore[attr-defined]
# What a clock wrote that was ahead counts once its time has come.
_MARK = (
    select(_WATCH.until, _WATCH.proposal_id)
    .where(_WATCH.at <= bindparam("now", type_=_WATCH.at.type))
    .order_by(_WATCH.at.desc())
    .limit(1)
)


@dataclass(frozen=True)
class _Found:
    """A sign of a run. `about` is whose ledger it is for, where the record knows that action."""

    sign: Sign
    workflow: str
    run_id: str
    at: datetime
    about: str | None
    more: Mapping[str, object]

    @property
    def content(self) -> dict[str, Any]:
        """What its entry says."""
        return content_of(self.sign, self.workflow, self.run_id, self.at, **self.more)


class WatchActivities(WatchPort):
    """Looks at the runs of a namespace, as the control or application role.

    Args:
        database: the record.
        client: connected to the namespace.
        clock: what time it is.
    """

    def __init__(self, database: Database, client: Client, clock: Clock) -> None:
        self._database = database
        self._client = client
        self._clock = clock
        # Which runs were looked at, and what was seen of them and is not written yet: a look may be cut off anywhere.
        self._looked: set[str] = set()
        self._looked_ended: set[str] = set()
        self._unwritten: list[_Found] = []

    @activity.defn(name="watch")
    async def watch(self) -> int:
        now = await self._clock.now()
        async with self._database.snapshot() as connection:
            mark = (await connection.execute(_MARK, {"now": now})).first()
        reached = mark.until if mark is not None else now - _FIRST
        since, until = reached - _OVERLAP, await self._as_far_as(reached, now)
        await self._started(since, until)
        await self._ended(since, until)
        gone, slice_end = await self._gone(mark.proposal_id if mark is not None else "", now)
        seen = list(self._unwritten)
        written = await self._write([*seen, *gone], reached, now)
        done = set(map(id, seen))
        self._unwritten = [item for item in self._unwritten if id(item) not in done]
        async with self._database.transaction() as connection:
            await connection.execute(insert(WatchRow).values(at=now, until=until, proposal_id=slice_end))
        return written

    async def _as_far_as(self, reached: datetime, now: datetime) -> datetime:
        """Up to when a look takes everything: the earlier half of what is left, while there is too much in it."""
        until, since = now, reached - _OVERLAP
        while until - reached > _SHORTEST:
            between = (_between("StartTime", since, until), f"{_ENDED} AND {_between('CloseTime', since, until)}")
            if sum([await self._count(query) for query in between]) <= AT_ONCE:
                break
            until = reached + (until - reached) / 2
        if until < now:
            log.warning("the watcher is behind: it looks at runs up to %s", instant_text(until))
        return until

    async def _started(self, since: datetime, until: datetime) -> None:
        """See what is wrong with the runs that were started in a span of time."""
        runs = [info async for info in self._list(_between("StartTime", since, until))]
        new = [info for info in runs if info.execution.run_id not in self._looked]
        found = await _side_by_side(self._look(info) for info in new)
        self._unwritten += [item for items in found for item in items]
        # What was started in the overlap is listed once more by the next look.
        self._looked = {info.execution.run_id for info in runs}

    async def _look(self, info: WorkflowExecutionInfo) -> list[_Found]:
        described = await self._describe(info.execution.workflow_id, info.execution.run_id)
        reset = described.last_reset_time if described is not None and described.HasField("last_reset_time") else None
        run = SeenRun(
            workflow=info.execution.workflow_id,
            run_id=info.execution.run_id,
            queue=info.task_queue,
            started_at=_instant(info.start_time),
            begins_at=_instant(info.execution_time),
            parent=info.parent_execution.workflow_id or None,
            reset_at=_instant(reset) if reset is not None else None,
        )
        more = {"queue": run.queue if run.queue != TASK_QUEUE else None, "parent": run.parent}
        return [
            _Found(sign, run.workflow, run.run_id, run.reset_at or run.started_at, run.proposal_id, more)
            for sign in signs_of(run, TASK_QUEUE)
        ]

    async def _ended(self, since: datetime, until: datetime) -> None:
        """See what was terminated in a span of time, and what completed without the record."""
        listed = [info async for info in self._list(f"{_ENDED} AND {_between('CloseTime', since, until)}")]
        infos = [info for info in listed if info.execution.run_id not in self._looked_ended]
        known = await self._heard_of({_proposal(info) or "" for info in infos})
        terminated = [info for info in infos if info.status == _TERMINATED]
        unknown = [info for info in infos if info.status != _TERMINATED and info.task_queue == TASK_QUEUE]
        unknown = [info for info in unknown if (_proposal(info) or "") not in known and _proposal(info) is not None]
        found = await _side_by_side(self._how_terminated(info) for info in terminated)
        self._unwritten += [item for items in found for item in items]
        self._unwritten += [_found(Sign.unknown, info) for info in unknown]
        self._looked_ended = {info.execution.run_id for info in listed}

    async def _how_terminated(self, info: WorkflowExecutionInfo) -> list[_Found]:
        """By whom and why, in their own words; nothing where a reset did it, which is seen by the run that it made."""
        execution = WorkflowExecution(workflow_id=info.execution.workflow_id, run_id=info.execution.run_id)
        described = await self._describe(execution.workflow_id, execution.run_id)
        if described is not None and described.reset_run_id:
            return []
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace, execution=execution, maximum_page_size=1
        )
        try:
            answer = await self._client.workflow_service.get_workflow_execution_history_reverse(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return [_found(Sign.terminated, info)]
        last = answer.history.events[0].workflow_execution_terminated_event_attributes
        return [_found(Sign.terminated, info, by=last.identity or "nobody", why=last.reason or "nothing")]

    async def _gone(self, after: str, now: datetime) -> tuple[list[_Found], str]:
        """The open actions of a slice of the record that have no run; and where the next look goes on."""
        ids = select(_PROPOSAL.proposal_id).where(_PROPOSAL.proposal_id > after).order_by(_PROPOSAL.proposal_id)
        some = ids.limit(_SLICE).subquery()
        has_result = select(1).where(_RESULT.proposal_id == _PROPOSAL.proposal_id).exists()
        is_open = (
            select(_PROPOSAL.proposal_id)
            .where(_PROPOSAL.proposal_id.in_(select(some.c.proposal_id)))
            .where(~has_result, now - _SETTLED > _PROPOSAL.registered_at)
            .order_by(_PROPOSAL.proposal_id)
            .limit(OPEN_AT_ONCE)
        )
        async with self._database.snapshot() as connection:
            last, count = (await connection.execute(select(func.max(some.c.proposal_id), func.count()))).one()
            opened = list(await connection.scalars(is_open))
        found = await _side_by_side(self._is_gone(name, now) for name in opened)
        # Whoever came to the end begins anew.
        reached = opened[-1] if len(opened) == OPEN_AT_ONCE else last if count == _SLICE else ""
        return [item for items in found for item in items], reached

    async def _is_gone(self, proposal_id: str, now: datetime) -> list[_Found]:
        workflow = workflow_id(proposal_id)
        if await self._describe(workflow, "") is not None:
            return []
        return [_Found(Sign.missing, workflow, proposal_id, now, proposal_id, {})]

    async def _write(self, found: Sequence[_Found], since: datetime, now: datetime) -> int:
        """Write what was found to the ledgers it is for; how many entries are new."""
        known = await self._registered({item.about for item in found if item.about is not None})
        by_ledger: dict[str, list[_Found]] = defaultdict(list)
        for item in found:
            by_ledger[item.about if item.about in known else RUNS_LEDGER].append(item)
        return sum([await self._append(name, items, since, now) for name, items in by_ledger.items()])

    async def _append(self, name: str, found: Sequence[_Found], since: datetime, now: datetime) -> int:
        async with self._database.transaction(name) as connection:
            before = await connection.scalar(_violations(name)) or 0
            room = LISTED if name == RUNS_LEDGER else max(LISTED - before, 0)
            contents = {_entry_id(name, item.content): item.content for item in found}
            known = select(_ENTRY.entry_id).where(_ENTRY.entry_id.in_(sorted(contents)))
            stored = frozenset(await connection.scalars(known))
            new = [content for key, content in contents.items() if key not in stored]
            written = new[:room]
            if left_out := new[room:]:
                written.append(more_of((Sign(content["watched"]["sign"]) for content in left_out), since))
            ledger = Ledger(connection, name, now)
            for content in written:
                await ledger.append(EntryKind.violation, content, *watched_key(content["watched"]))
        if written:
            signs = ", ".join(sorted({str(content["watched"]["sign"]) for content in written}))
            log.warning("%s: %d violations by runs: %s", name, len(written), signs)
        return len(written)

    async def _registered(self, names: Iterable[str]) -> frozenset[str]:
        """Which of some actions the record has."""
        async with self._database.snapshot() as connection:
            wanted = select(_PROPOSAL.proposal_id).where(_PROPOSAL.proposal_id.in_(sorted(names)))
            return frozenset(await connection.scalars(wanted))

    async def _heard_of(self, names: Iterable[str]) -> frozenset[str]:
        """Which of some actions the record has, or refused to begin."""
        async with self._database.snapshot() as connection:
            wanted = select(_ENTRY.proposal_id).where(_ENTRY.proposal_id.in_(sorted(names)), _ENTRY.position == 1)
            return frozenset(await connection.scalars(wanted))

    async def _describe(self, workflow: str, run_id: str) -> WorkflowExecutionExtendedInfo | None:
        """What Temporal knows of a run besides its history, of the newest without an id; None where it has none."""
        execution = WorkflowExecution(workflow_id=workflow, run_id=run_id)
        request = DescribeWorkflowExecutionRequest(namespace=self._client.namespace, execution=execution)
        try:
            answer = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return answer.workflow_extended_info

    async def _count(self, query: str) -> int:
        request = CountWorkflowExecutionsRequest(namespace=self._client.namespace, query=query)
        return int((await self._client.workflow_service.count_workflow_executions(request)).count)

    async def _list(self, query: str) -> AsyncIterator[WorkflowExecutionInfo]:
        token, left = b"", AT_ONCE
        while left > 0:
            request = ListWorkflowExecutionsRequest(
                namespace=self._client.namespace, page_size=_PAGE, next_page_token=token, query=query
            )
            answer = await self._client.workflow_service.list_workflow_executions(request)
            for info in answer.executions[:left]:
                yield info
            left, token = left - len(answer.executions), answer.next_page_token
            if not token:
                return


def _entry_id(name: str, content: Mapping[str, Any]) -> UUID:
    return UUID(entry_id(name, str(EntryKind.violation), *watched_key(content["watched"])))


def _violations(name: str) -> Any:
    return select(func.count()).where(_ENTRY.proposal_id == name, _ENTRY.kind == str(EntryKind.violation))


def _between(what: str, since: datetime, until: datetime) -> str:
    return f"{_OURS} AND {what} BETWEEN '{instant_text(since)}' AND '{instant_text(until)}'"


def _instant(stamp: Any) -> datetime:
    found: datetime = stamp.ToDatetime(tzinfo=UTC)
    return found


def _proposal(info: WorkflowExecutionInfo) -> str | None:
    at = _instant(info.start_time)
    return SeenRun(info.execution.workflow_id, info.execution.run_id, info.task_queue, at, at).proposal_id


def _found(sign: Sign, info: WorkflowExecutionInfo, **more: object) -> _Found:
    execution = info.execution
    return _Found(sign, execution.workflow_id, execution.run_id, _instant(info.close_time), _proposal(info), more)


async def _side_by_side(looks: Iterable[Any]) -> list[list[_Found]]:
    """What comes of several looks, a few at a time."""
    turns = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(look: Any) -> list[_Found]:
        async with turns:
            found: list[_Found] = await look
            return found

    return list(await asyncio.gather(*(one(look) for look in looks)))
