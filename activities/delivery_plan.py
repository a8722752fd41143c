"""What a drain has to do: audiences become people, what waits is paced, and each channel gets its jobs.

- It is one transaction, and one at a time: two drains do not make two digests of the same. Whoever comes second waits
  for the next drain.
- Nothing is sent here. What is decided here is on record before anything is sent, so that a drain that is interrupted
  sends the same under the same keys.
- Whoever has no contact in a configured channel cannot be told: that closes the notice, and the operators are told
  where somebody has to act on it.
- So many audiences at once become people; the rest is for the next drain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.channels.file import Channels
from activities.database import lock_key
from activities.delivery_rows import (
    KEPT,
    MARGIN,
    READ_AT_ONCE,
    Row,
    Stored,
    read_open,
    read_over,
    read_screens,
    read_told,
    store,
)
from activities.outbox import AUDIENCE, write
from policy.notices.addressing import PLATFORM, Addressee, addressees
from policy.notices.delivery import ChannelState, DeliveryStatus, Try, route, state_of
from policy.notices.notice import Notice, NoticeKind, Urgency
from policy.notices.occasions_told import digest_notice, undelivered
from policy.notices.pacing import Waiting, pace
from policy.people.directory import Directory
from policy.rules.hours import Hours
from policy.screen import Screen

_HOUR = timedelta(hours=1)
_NO_CONTACT = "no contact"
_ADDRESSED_AT_ONCE = 100
# No proposal has such an id, so this is a lock of its own.
_ONE_AT_A_TIME = select(func.pg_try_advisory_xact_lock(lock_key("notices/plan")))
Name = tuple[str, str]


@dataclass(frozen=True)
class Job:
    """One attempt to make. `last_word` says that the notice is done once this attempt succeeded."""

    notice: Notice
    channel: str
    attempt: int
    address: str
    last_word: bool
    screen: Screen | None = None


class Plan:
    """One plan, as it is made inside its transaction."""

    def __init__(self, channels: Channels, directory: Directory, now: datetime) -> None:
        self._channels = channels
        self._people = {person.id: person for person in directory.people}
        self._directory = directory
        self._now = now
        self.written: list[tuple[Notice, Addressee | None]] = []
        self.rows: list[Row] = []
        self.jobs: list[Job] = []

    def address(self, stored: Sequence[Stored]) -> list[Stored]:
        """The notices for somebody, those of audiences that are addressed now included."""
        found = [item for item in stored if item.recipient_kind != AUDIENCE]
        audiences = [item.notice for item in stored if item.recipient_kind == AUDIENCE]
        for notice in [notice for notice in audiences if notice.not_before <= self._now][:_ADDRESSED_AT_ONCE]:
            found += self._addressed(notice)
        return found

    def _addressed(self, notice: Notice) -> list[Stored]:
        told = addressees(
            notice,
            self._directory,
            with_channel=self._channels.groups.keys(),
            operators=self._channels.operators,
            head_start=self._channels.pacing.head_start,
            at=self._now,
        )
        if not told:
            self._unreachable(notice, "it is for nobody that the directory knows")
            return []
        each = [(notice.addressed(one.kind, one.name, one.not_before), one) for one in told]
        self.written += each
        self.close(notice, DeliveryStatus.addressed, f"to {len(told)}")
        return [Stored(own, one.kind, one.name) for own, one in each]

    def pace(self, waiting: Sequence[Stored], told: dict[Name, list[datetime]], over: dict[str, int]) -> list[Stored]:
        """Which of those that were never tried are told now, digests in place of what they stand for."""
        by_name: dict[Name, list[Stored]] = {}
        for item in waiting:
            if item.notice.not_before <= self._now:
                by_name.setdefault((item.recipient_kind, item.recipient), []).append(item)
        found = []
        for name, items in by_name.items():
            if name[0] == PLATFORM or all(item.notice.kind is NoticeKind.digest for item in items):
                found += items
            else:
                found += self._paced(name, items, told.get(name, []), over)
        return found

    def _paced(
        self, name: Name, items: Sequence[Stored], told_at: Sequence[datetime], over: dict[str, int]
    ) -> list[Stored]:
        by_id = {item.notice.notice_id: item for item in items}
        waiting = [_waiting(item.notice, over) for item in items]
        found = pace(waiting, told_at=told_at, hours=self._hours(name), rules=self._channels.pacing, now=self._now)
        for notice_id, reason in found.suppressed.items():
            self.close(by_id[notice_id].notice, DeliveryStatus.suppressed, reason)
        alone = [by_id[notice_id] for notice_id in found.alone]
        if not found.digest:
            return alone
        members = [by_id[notice_id].notice for notice_id in found.digest]
        summary = digest_notice(name, members, self._now)
        self.written.append((summary, Addressee(kind=name[0], name=name[1], not_before=self._now)))
        for member in members:
            self.close(member, DeliveryStatus.digested, f"in {summary.notice_id}")
        return [*alone, Stored(summary, *name)]

    def give(self, item: Stored) -> None:
        """The jobs of one notice, or its end."""
        notice, addresses = item.notice, self._addresses(item)
        if not addresses and DeliveryStatus.sent not in {one.status for one in item.tries}:
            self._without_contact(item)
            return
        by_channel: dict[str, list[Try]] = {}
        for one in item.tries:
            by_channel.setdefault(one.channel, []).append(one)
        states = {name: state_of(tries, self._channels.pacing, self._now) for name, tries in by_channel.items()}
        for name, state in states.items():
            if state.state == "exhausted":
                self._give_up(notice, name, state.attempt)
                states[name] = ChannelState(state="given_up")
        # Each endpoint is another platform, so that none stands in for another.
        everywhere = Urgency.urgent if item.recipient_kind == PLATFORM else notice.urgency
        wanted = route(tuple(addresses), everywhere, states)
        sent = [name for name, state in states.items() if state.state == "sent"]
        if all(name in sent for name in wanted):
            status = DeliveryStatus.sent if sent else DeliveryStatus.given_up
            self.close(notice, status, ", ".join(sent) or "by every channel")
            return
        for name in wanted:
            state = states.get(name, ChannelState(state="due"))
            if state.state == "due":
                last_word = all(other in (name, *sent) for other in wanted)
                self.jobs.append(Job(notice, name, state.attempt, addresses[name], last_word))

    def close(self, notice: Notice, status: DeliveryStatus, detail: str) -> None:
        """Nothing more is done with a notice."""
        self.rows.append(Row(notice.notice_id, status, detail=detail))

    def _give_up(self, notice: Notice, channel: str, attempt: int) -> None:
        detail = "interrupted in its last attempt"
        self.rows.append(Row(notice.notice_id, DeliveryStatus.given_up, channel, attempt, detail))
        if (alarm := undelivered(channel, notice, detail, self._now)) is not None:
            self.written.append((alarm, None))

    def _without_contact(self, item: Stored) -> None:
        if item.recipient_kind == PLATFORM:
            self.close(item.notice, DeliveryStatus.suppressed, "no endpoint wants it")
            return
        self._unreachable(item.notice, f"{item.recipient} has no contact in a configured channel")

    def _unreachable(self, notice: Notice, why: str) -> None:
        """Close what reaches nobody; where somebody has to act on it, the operators are told."""
        if not notice.kind.wants_answer and notice.urgency is not Urgency.urgent:
            self.close(notice, DeliveryStatus.suppressed, why)
            return
        self.close(notice, DeliveryStatus.given_up, why)
        if (alarm := undelivered(_NO_CONTACT, notice, why, self._now)) is not None:
            self.written.append((alarm, None))

    def _addresses(self, item: Stored) -> dict[str, str]:
        """The addresses by channel, in order of preference."""
        if item.recipient_kind == PLATFORM:
            endpoints = self._channels.to_platforms.items()
            return {name: "" for name, one in endpoints if not one.kinds or item.notice.kind in one.kinds}
        if item.recipient_kind == "group":
            known = self._channels.groups.get(item.recipient, {})
        else:
            person = self._people.get(item.recipient)
            known = person.contacts if person else {}
        return {name: known[name] for name in self._channels.to_people if name in known}

    def _hours(self, name: Name) -> Hours | None:
        person = self._people.get(name[1]) if name[0] == "person" else None
        return person.hours if person else None


class Planner:
    """Makes plans, and remembers how far back to look.

    Args:
        channels: the channels file.

    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._since: datetime | None = None

    async def plan(self, connection: AsyncConnection, directory: Directory, now: datetime) -> list[Job]:
        """Decide what is done with everything that is open, write it down, and return the attempts to make.

        Args:
            connection: in a transaction of its own.
            directory: in force.
            now: the instant (UTC).
        """
        if not await connection.scalar(_ONE_AT_A_TIME):
            return []
        since = max(self._since or now - KEPT, now - KEPT)
        stored = await read_open(connection, since)
        if len(stored) < READ_AT_ONCE:
            self._since = min((item.notice.at for item in stored), default=now) - MARGIN
        if not stored:
            return []
        plan = Plan(self._channels, directory, now)
        everybody = plan.address(stored)
        fresh = [item for item in everybody if not item.tries]
        told = await read_told(connection, now - _HOUR)
        over = await read_over(connection, _proposals(fresh))
        for item in (*plan.pace(fresh, told, over), *(item for item in everybody if item.tries)):
            plan.give(item)
        await write(connection, plan.written)
        await store(connection, plan.rows, now)
        return await _with_screens(connection, plan.jobs)


def _waiting(notice: Notice, over: dict[str, int]) -> Waiting:
    subject = notice.subject
    return Waiting(
        notice_id=notice.notice_id,
        kind=notice.kind,
        urgency=notice.urgency,
        collapses=notice.collapses,
        created_at=notice.at,
        deadline=notice.deadline,
        over=subject is not None and subject.revision < over.get(subject.proposal_id, 0),
    )


def _proposals(items: Iterable[Stored]) -> list[str]:
    return [item.notice.subject.proposal_id for item in items if item.notice.subject is not None]


async def _with_screens(connection: AsyncConnection, jobs: Sequence[Job]) -> list[Job]:
    keys = {
        (job.notice.subject.proposal_id, job.notice.subject.revision): None
        for job in jobs
        if job.notice.kind.asks and job.notice.subject is not None
    }
    screens = await read_screens(connection, keys)
    found = []
    for job in jobs:
        subject = job.notice.subject if job.notice.kind.asks else None
        screen = screens.get((subject.proposal_id, subject.revision)) if subject else None
        found.append(Job(job.notice, job.channel, job.attempt, job.address, job.last_word, screen) if screen else job)
    return found
