"""Draining the outbox: people are told, at least once, and nothing else waits for it.

- What to do is planned and written first (`activities/delivery_plan.py`); then each channel goes its own way, in a lane
  of its own: one that hangs or fails keeps no other back. The next drain does not wait for it either.
- An attempt is on record before it is made, and its end after. A worker that dies between leaves an attempt that is
  made again after its lease, under the same key.
- A lane that fails a few times in a row ends for this drain: a channel that is away costs no attempts by the dozen.
- A channel that gave up is told to the operators, counted, and found by `countersign notices`.
- Answers are not read: a channel by which people are told is never one by which they decide.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from temporalio import activity

from activities.channels.file import Channels
from activities.channels.lane import ChannelError, Lane, Message
from activities.clock import Clock
from activities.database import Database
from activities.delivery_plan import Job, Planner
from activities.delivery_rows import Row, store
from activities.documents import Documents
from activities.outbox import write
from policy.notices import wording
from policy.notices.delivery import DeliveryStatus
from policy.notices.notice import Notice, Urgency
from policy.notices.occasions_told import undelivered
from workflows.interface import workflow_id
from workflows.ports import NoticePort

log = logging.getLogger("countersign.notices")
Value = TypeVar("Value")

_AT_ONCE = 4
_FAILURES_IN_A_ROW = 4
_BUDGET = timedelta(seconds=20)


class NoticeActivities(NoticePort):
    """Drains the outbox, as the control or application role.

    Args:
        database: the record.
        documents: the governed documents; the directory in force says who is reached how.
        clock: what time it is.
        channels: the channels file; None tells nobody.
        lanes: a lane for each channel of it, by name.

    """

    def __init__(
        self,
        database: Database,
        documents: Documents,
        clock: Clock,
        channels: Channels | None,
        lanes: Mapping[str, Lane],
    ) -> None:
        self._database = database
        self._documents = documents
        self._clock = clock
        self._channels = channels
        self._lanes = lanes
        self._planner = Planner(channels) if channels is not None else None

    @activity.defn(name="deliver")
    async def deliver(self) -> int:
        if self._planner is None:
            return 0
        now = await self._clock.now()
        async with self._database.transaction() as connection:
            directory = (await self._documents.in_force(connection)).directory
            jobs = await self._planner.plan(connection, directory, now)
        by_lane: dict[str, list[Job]] = {}
        for job in sorted(jobs, key=lambda job: (job.notice.urgency is not Urgency.urgent, job.notice.at)):
            by_lane.setdefault(job.channel, []).append(job)
        return sum(await _together([self._drain(self._lanes[name], found) for name, found in by_lane.items()]))

    async def _drain(self, lane: Lane, jobs: Sequence[Job]) -> int:
        """Make the attempts of one channel, a few at a time; the number of those that succeeded."""
        if lane.draining:
            return 0
        lane.draining = True
        try:
            return await _Turn(self, lane, jobs).run()
        finally:
            lane.draining = False

    async def attempt(self, lane: Lane, job: Job) -> bool | None:
        """Make one attempt: whether it succeeded, or None where somebody else makes it."""
        now = await self._clock.now()
        begun = Row(job.notice.notice_id, DeliveryStatus.begun, job.channel, job.attempt)
        async with self._database.transaction() as connection:
            if not await store(connection, [begun], now):
                return None
        try:
            await lane.send(self._message(job, now))
        except ChannelError as error:
            log.warning("notice %s is not delivered by %s: %s", job.notice.notice_id, job.channel, error)
            await self._note_failed(job, str(error))
            return False
        await self._note_sent(job)
        return True

    async def _note_sent(self, job: Job) -> None:
        rows = [Row(job.notice.notice_id, DeliveryStatus.sent, job.channel, job.attempt)]
        if job.last_word:
            rows.append(Row(job.notice.notice_id, DeliveryStatus.sent, detail=job.channel))
        async with self._database.transaction() as connection:
            await store(connection, rows, await self._clock.now())

    async def _note_failed(self, job: Job, detail: str) -> None:
        assert self._channels is not None
        now = await self._clock.now()
        rows = [Row(job.notice.notice_id, DeliveryStatus.failed, job.channel, job.attempt, detail)]
        alarm: Notice | None = None
        if job.attempt >= self._channels.pacing.attempts:
            rows.append(Row(job.notice.notice_id, DeliveryStatus.given_up, job.channel, job.attempt, detail))
            alarm = undelivered(job.channel, job.notice, detail, now)
        async with self._database.transaction() as connection:
            await store(connection, rows, now)
            await write(connection, [(alarm, None)] if alarm is not None else [])

    def _message(self, job: Job, now: datetime) -> Message:
        assert self._channels is not None
        notice, screen, link = job.notice, job.screen, self._link(job.notice)
        hidden = {"key", "audience", "items", "more", "not_before"}
        return Message(
            key=notice.notice_id,
            title=wording.title(notice),
            text=wording.plain(notice, screen, link=link),
            markdown=wording.markdown(notice, screen, link=link),
            urgent=notice.urgency is Urgency.urgent,
            address=job.address,
            event=notice.model_dump(mode="json", exclude=hidden),
            kind=str(notice.kind),
            subject=notice.subject.proposal_id if notice.subject else None,
            at=now,
            happened_at=notice.at,
        )

    def _link(self, notice: Notice) -> str | None:
        assert self._channels is not None
        if self._channels.ui_url is None or notice.subject is None:
            return None
        where, namespace = self._channels.ui_url.rstrip("/"), quote(self._channels.namespace)
        return f"{where}/namespaces/{namespace}/workflows/{quote(workflow_id(notice.subject.proposal_id), safe='')}"


class _Turn:
    """One lane in one drain: a few workers on one list, until it is done, the time is up, or nothing succeeds."""

    def __init__(self, house: NoticeActivities, lane: Lane, jobs: Sequence[Job]) -> None:
        self._house = house
        self._lane = lane
        self._left = list(reversed(jobs))
        self._failed_in_a_row = 0
        self._sent = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        until = loop.time() + _BUDGET.total_seconds()
        await _together([self._work(loop, until) for _ in range(_AT_ONCE)])
        return self._sent

    async def _work(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        while self._left and loop.time() < until and self._failed_in_a_row < _FAILURES_IN_A_ROW:
            if self._lane.full:
                return
            made = await self._house.attempt(self._lane, self._left.pop())
            if made is not None:
                self._failed_in_a_row = 0 if made else self._failed_in_a_row + 1
                self._sent += made


async def _together(work: Sequence[Coroutine[Any, Any, Value]]) -> list[Value]:
    """Do all of it to its end, even where one fails, which is raised then."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for item in done:
        if isinstance(item, BaseException):
            raise item
    return [item for item in done if not isinstance(item, BaseException)]
