"""Reservations on a real PostgreSQL, with many at once: no interleaving exceeds a limit, and nobody is stuck."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from activities import reserving
from activities.database import Database
from activities.reserving import TOLD_AT_ONCE, next_in_row, take
from deploy.dev import Stack
from policy.canonical import canonical, digest
from policy.reserving import AGED, GRACE, Lease, Reserving, Turn, Wanted, after, decide, pause, unreserved
from tests.world import record

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = NOW + timedelta(hours=1)
SCOPES = ("id a", "id b", "id c")
FEW = Wanted(scope="few everything", limit="few", at_once=3, shared=True)
SHARE = Wanted(scope="share id a", limit="share", count="share", amount=0.1, at_once=0.3, shared=True)
ACTORS = 24


class Book:
    """The record, and who is registered there."""

    def __init__(self, database: Database, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.database = database
        self.admin = admin

    async def register(self, *names: str) -> Turn:
        """Actions that are registered now, after those before them; the turn of the last one."""
        body = canonical({"name": names[-1]})
        await self.admin.execute(
            "INSERT INTO countersign.proposal (proposal_id, action_digest, effect_digest, body, workflow_id,"
            " registered_at, absolute_deadline) SELECT name, $2, $2, $3, name, $4, $4 FROM unnest($1::text[]) AS name",
            *(names, digest(body), body, NOW),
        )
        return Turn(proposal_id=names[-1], priority=3, registered_at=NOW)

    async def ask(
        self,
        turn: Turn,
        wanted: tuple[Wanted, ...],
        *,
        at: datetime = NOW,
        step: int = 1,
        lasts: timedelta = timedelta(hours=1),
        takes_over: str | None = None,
    ) -> Reserving:
        """Ask once, as a dispatch does."""
        key: dict[str, Any] = {"step": step, "now": at, "lease_until": at + lasts, "takes_over": takes_over}
        async with self.database.transaction(turn.proposal_id) as connection:
            return await take(connection, wanted, turn, **key)

    async def hold(self, scope: str, *names: str) -> None:
        """Actions that reserved one of a scope some minutes ago."""
        await self.admin.execute(
            "INSERT INTO countersign.reservation"
            " (proposal_id, scope, step, amount, shared, since, renewed, lease_until)"
            " SELECT name, $2, 1, 1, true, $3, false, $4 FROM unnest($1::text[]) AS name",
            *(names, scope, NOW - timedelta(minutes=5), NOW + timedelta(minutes=20)),
        )

    async def end(self, *names: str) -> None:
        """The actions have their results."""
        body = canonical({"result": names[-1]})
        await self.admin.execute(
            "INSERT INTO countersign.result (proposal_id, body, digest, recorded_at)"
            " SELECT name, $2, $3, $4 FROM unnest($1::text[]) AS name",
            *(names, body, digest(body), NOW),
        )

    async def reserved(self) -> dict[str, float]:
        """What is reserved of each scope by actions without a result."""
        rows = await self.admin.fetch(
            "SELECT scope, sum(amount) AS n FROM countersign.reservation WHERE proposal_id NOT IN"
            " (SELECT proposal_id FROM countersign.result) GROUP BY scope"
        )
        return {row["scope"]: row["n"] for row in rows}


@pytest.fixture(name="book")
async def _book(stack: Stack) -> AsyncIterator[Book]:
    async with record(stack) as name:
        database = Database(stack.database_url("countersign_permit", name), pool_size=8)
        admin = await asyncpg.connect(stack.database_url("postgres", name))
        yield Book(database, admin)
        await admin.close()
        await database.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_interleaving_exceeds_a_limit_and_everybody_ends(book: Book, seed: int) -> None:
    """Many actions with several scopes in any order: none waits for ever, and at no instant is too much reserved."""
    chance, lock = random.Random(seed), asyncio.Lock()
    plans = []
    for number in range(ACTORS):
        ids = chance.sample(SCOPES, chance.randint(1, 3))
        wanted = (*(Wanted(scope=scope) for scope in sorted(ids)), *chance.sample((FEW, SHARE), chance.randint(0, 2)))
        plans.append((await book.register(f"p-{number:02}"), wanted))
    chance.shuffle(plans)
    most: dict[str, float] = {}

    async def act(turn: Turn, wanted: tuple[Wanted, ...]) -> None:
        asked_at = NOW
        while (found := await book.ask(turn, wanted, at=asked_at)).lease_until is None:
            assert found.waits
            # Each asks at an instant of its own, so that it keeps its place without waiting on a clock.
            asked_at += timedelta(milliseconds=1)
            await asyncio.sleep(0)
        async with lock:
            for scope, amount in (await book.reserved()).items():
                most[scope] = max(most.get(scope, 0), amount)
            await book.end(turn.proposal_id)

    async with asyncio.timeout(120):
        await asyncio.gather(*(act(turn, wanted) for turn, wanted in plans))
    assert all(most.get(scope, 0) <= 1 for scope in SCOPES)
    assert most.get(FEW.scope, 0) <= 3
    assert most.get(SHARE.scope, 0) <= 0.3 + 1e-9
    assert await book.reserved() == {}


async def test_nobody_goes_ahead_of_one_who_waits_for_the_same(book: Book) -> None:
    """The second waits for both ids; the third would find one of them free, and comes after it all the same."""
    first, second, third = [await book.register(f"p-{number}") for number in range(3)]
    a, b = Wanted(scope="id a"), Wanted(scope="id b")
    assert (await book.ask(first, (a,))).lease_until is not None
    assert (await book.ask(second, (a, b))).waits
    behind = await book.ask(third, (b,))
    assert [(item.kind, item.by) for item in behind.conflicts] == [("turn", ("p-1",))]
    await book.end("p-0")
    assert (await book.ask(second, (a, b))).lease_until is not None


async def test_whoever_does_not_ask_again_loses_its_place(book: Book) -> None:
    """An action that nobody is at work on holds up nobody for longer than it would have waited."""
    first, dead, third = [await book.register(f"p-{number}") for number in range(3)]
    a = (Wanted(scope="id a"),)
    await book.ask(first, a)
    assert (await book.ask(dead, a)).waits
    await book.end("p-0")
    assert (await book.ask(third, a)).conflicts[0].kind == "turn"
    later = NOW + pause(0) + GRACE
    assert (await book.ask(third, a, at=later)).lease_until is not None


async def test_a_lease_ends_by_itself_and_a_step_after_it_needs_a_new_one(book: Book) -> None:
    """Before its end nobody else gets the id; after it somebody does, and the first is told that it is gone."""
    first, other = [await book.register(f"p-{number}") for number in range(2)]
    a = (Wanted(scope="id a"),)
    await book.ask(first, a)
    assert (await book.ask(other, a, at=LEASE - timedelta(seconds=1))).waits
    assert (await book.ask(other, a, at=LEASE)).lease_until is not None
    lost = await book.ask(first, a, at=LEASE, step=2)
    assert (lost.lease_until, lost.conflicts[0].by) == (None, ("p-1",))


async def test_a_later_step_keeps_what_the_first_one_took(book: Book) -> None:
    """It lasts longer then, is counted as begun once, and asks nobody who waits."""
    first, other = [await book.register(f"p-{number}") for number in range(2)]
    wanted = (Wanted(scope="hourly everything", limit="hourly", per_hour=1, shared=True), Wanted(scope="id a"))
    await book.ask(first, wanted)
    assert (await book.ask(other, (Wanted(scope="id a"),))).waits
    half = NOW + timedelta(minutes=30)
    assert (await book.ask(first, wanted, at=half, step=2)).lease_until == half + timedelta(hours=1)
    begun = await book.ask(other, (wanted[0],), at=half)
    assert begun.used[0].in_hour == 1


async def test_those_whose_turn_is_next_are_told(book: Book) -> None:
    """The first of the row, whatever they wait for of what the action had."""
    first = await book.register("p-0")
    await book.ask(first, (Wanted(scope="id a"), Wanted(scope="id b")))
    for number in range(1, TOLD_AT_ONCE + 3):
        scope = "id a" if number % 2 else "id b"
        assert (await book.ask(await book.register(f"p-{number}"), (Wanted(scope=scope),))).waits
    await book.end("p-0")
    async with book.database.transaction() as connection:
        told = await next_in_row(connection, "p-0", NOW)
    assert told == tuple(f"p-{number}" for number in range(1, TOLD_AT_ONCE + 1))


async def test_actions_that_ended_hide_nobody_who_is_there(book: Book) -> None:
    """More of them than are counted, whose leases still run: three are let in all the same, and not one more."""
    names = [f"quick-{number}" for number in range(reserving.COUNTED + 1)]
    await book.register(*names)
    await book.hold(FEW.scope, *names)
    await book.end(*names)
    asked = [await book.ask(await book.register(f"p-{number}"), (FEW,)) for number in range(5)]
    assert [found.lease_until is not None for found in asked] == [True, True, True, False, False]
    assert not any(used.more_at_once for found in asked for used in found.used)


MANY = Wanted(scope="many everything", limit="many", at_once=1000, shared=True)
HOURLY = Wanted(scope="many everything", limit="many", per_hour=1000, shared=True)
TOGETHER = Wanted(scope="many everything", shared=True)


@pytest.mark.parametrize(
    ("wanted", "ended", "kinds"),
    [
        (MANY, False, ["at_once"]),
        (HOURLY, False, ["per_hour"]),
        (TOGETHER, False, ["held"]),
        (MANY, True, []),
        (HOURLY, True, ["per_hour"]),
        (TOGETHER, True, []),
    ],
)
async def test_more_than_are_counted_is_no_room(
    book: Book, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, ended: bool, kinds: list[str]
) -> None:
    """Whatever the limit: what was not counted to the end is never taken for all; one less is."""
    names = [f"h-{number}" for number in range(4)]
    last = await book.register(*names, "p-0")
    await book.hold(wanted.scope, *names)
    if ended:
        await book.end(*names)
    monkeypatch.setattr(reserving, "COUNTED", 4)
    assert [item.kind for item in (await book.ask(last, (wanted,))).conflicts] == kinds
    monkeypatch.setattr(reserving, "COUNTED", 5)
    assert (await book.ask(last, (wanted,))).conflicts == ()


async def _crowd(book: Book, number: int) -> list[Turn]:
    """One has the id, and so many wait for it, each registered a second after the one before."""
    assert (await book.ask(await book.register("holder"), (Wanted(scope="id a"),))).lease_until is not None
    waiting = []
    for place in range(number):
        since = NOW - timedelta(minutes=5) + timedelta(seconds=place)
        waiting.append((await book.register(f"w-{place:03}")).model_copy(update={"registered_at": since}))
        assert (await book.ask(waiting[-1], (Wanted(scope="id a"),))).waits
    return waiting


async def test_the_more_urgent_is_seen_however_many_wait(book: Book) -> None:
    """More wait than are read, the last of them is urgent: nobody goes ahead of it, and it is told first."""
    waiting = await _crowd(book, 51)
    urgent = (await book.register("urgent")).model_copy(update={"priority": 1})
    a = (Wanted(scope="id a"),)
    assert (await book.ask(urgent, a)).waits
    await book.end("holder")
    later = NOW + timedelta(seconds=5)
    ordinary = await book.ask(waiting[0], a, at=later)
    assert [(item.kind, item.by) for item in ordinary.conflicts] == [("turn", ("urgent",))]
    async with book.database.transaction() as connection:
        told = await next_in_row(connection, "holder", later)
    assert told == ("urgent", *(turn.proposal_id for turn in waiting[: TOLD_AT_ONCE - 1]))
    assert (await book.ask(urgent, a, at=later)).lease_until is not None


async def test_who_has_waited_for_an_hour_is_seen_however_many_wait(book: Book) -> None:
    """Fifty urgent ones came after it: it comes before all of them, and is told first."""
    a = (Wanted(scope="id a"),)
    assert (await book.ask(await book.register("holder"), a)).lease_until is not None
    old = await book.register("old")
    assert (await book.ask(old, a)).waits
    now = NOW + AGED
    assert (await book.ask(old, a, at=now - timedelta(seconds=1))).waits
    urgent = []
    for number in range(51):
        turn = (await book.register(f"u-{number:03}")).model_copy(update={"priority": 1})
        urgent.append(turn.model_copy(update={"registered_at": NOW - timedelta(minutes=1)}))
        assert (await book.ask(urgent[-1], a, at=now - timedelta(seconds=1))).conflicts
    await book.end("holder")
    assert (await book.ask(urgent[0], a, at=now)).conflicts[-1].by == ("old",)
    async with book.database.transaction() as connection:
        assert (await next_in_row(connection, "holder", now))[0] == "old"


async def test_a_take_over_finds_whom_it_names(book: Book) -> None:
    """The named one is the last of eight that share the scope, and more than are counted."""
    many = FEW.model_copy(update={"at_once": 8})
    for number in range(8):
        at = NOW + timedelta(seconds=number)
        assert (await book.ask(await book.register(f"m-{number}"), (many,), at=at)).lease_until is not None
    at, taker = NOW + timedelta(seconds=20), await book.register("taker")
    unnamed = await book.ask(taker, (many,), at=at)
    assert unnamed.in_the_way == ("m-0", "m-1", "m-2", "m-3", "m-4")
    found = await book.ask(taker, (many,), at=at, takes_over="m-7")
    assert found.in_the_way == (*unnamed.in_the_way, "m-7")
    await book.end("m-7")
    assert (await book.ask(taker, (many,), at=at, takes_over="m-7")).lease_until is not None


async def test_a_take_over_finds_whom_it_names_beyond_what_is_counted(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of those who have it were counted."""
    names = [f"m-{number}" for number in range(8)]
    taker = await book.register(*names, "taker")
    await book.hold(MANY.scope, *names)
    monkeypatch.setattr(reserving, "COUNTED", 2)
    for name in names:
        assert name in (await book.ask(taker, (MANY,), takes_over=name)).in_the_way


def units(amount: float, **most: float) -> tuple[Wanted, ...]:
    return (Wanted(scope="units all", limit="units", count="units", amount=amount, shared=True, **most),)


async def test_a_later_step_that_takes_more_needs_room_for_it(book: Book) -> None:
    """Where there is none it is refused; where there is, others find that much less, until its result."""
    first, other = [await book.register(f"p-{number}") for number in range(2)]
    await book.ask(first, units(10, at_once=60))
    await book.ask(other, units(20, at_once=60))
    refused = await book.ask(first, units(50, at_once=60), step=2)
    assert (refused.lease_until, [item.kind for item in refused.conflicts]) == (None, ["at_once"])
    (reason,) = unreserved(refused, 2)
    assert reason.code == "reservation_lost"
    assert reason.message.startswith("it takes more than it reserved: units all: 20 units are under way")
    # Its lease ends no later, and the amount counts all the same; a step that takes less gives nothing back.
    shorter = timedelta(minutes=30)
    assert (await book.ask(first, units(40, at_once=60), step=2, lasts=shorter)).lease_until is not None
    assert (await book.ask(first, units(5, at_once=60), step=3)).lease_until is not None
    late = await book.register("p-2")
    found = await book.ask(late, units(1, at_once=60))
    assert (found.used[0].at_once, found.waits) == (60, True)


async def test_who_waits_does_not_come_before_a_step_that_takes_more(book: Book) -> None:
    """It waits for the one that takes more; that one holds what it has, and never waits."""
    first, other = [await book.register(f"p-{number}") for number in range(2)]
    await book.ask(first, units(40, at_once=60))
    urgent = other.model_copy(update={"priority": 1})
    assert (await book.ask(urgent, units(30, at_once=60))).waits
    assert (await book.ask(first, units(50, at_once=60), step=2)).lease_until is not None


async def test_what_a_later_step_takes_more_counts_in_the_hour(book: Book) -> None:
    """From then on, and once."""
    first, other = [await book.register(f"p-{number}") for number in range(2)]
    half, later = NOW + timedelta(minutes=30), NOW + timedelta(minutes=80)
    await book.ask(first, units(10, per_hour=60))
    await book.ask(first, units(40, per_hour=60), at=half, step=2)
    assert (await book.ask(other, units(30, per_hour=60), at=half)).used[0].in_hour == 40
    found = await book.ask(other, units(30, per_hour=60), at=later)
    assert (found.used[0].in_hour, [item.kind for item in found.conflicts]) == (40, ["per_hour"])


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_an_entry_keeps_of_a_reservation_computes_to_the_same(book: Book, seed: int) -> None:
    """By the entries before it alone, as an audit does, whatever the steps take and however long their leases last."""
    chance = random.Random(seed)
    mine, other = [await book.register(f"p-{number}") for number in range(2)]
    leases: dict[str, Lease] = {}
    at, conflicts, had = NOW, 0, 0
    for step in range(1, 25):
        at += timedelta(minutes=chance.randint(1, 40))
        lasts = timedelta(minutes=chance.randint(5, 60))
        if step % 3 == 0:
            await book.ask(other, units(chance.randint(1, 30), at_once=60, per_hour=90), at=at, step=step)
        wanted = units(chance.randint(1, 50), at_once=60, per_hour=90)
        found = await book.ask(mine, wanted, at=at, step=step, lasts=lasts)
        again = decide(wanted, found.used, found.turn, at, lease_until=at + lasts, leases=leases)
        assert again == found
        conflicts, had = conflicts + bool(found.conflicts), had + bool(found.had)
        if found.lease_until is not None:
            (item,) = wanted
            leases[item.scope] = after(leases.get(item.scope), found.lease_until, item.amount, at)
    assert conflicts
    assert had
