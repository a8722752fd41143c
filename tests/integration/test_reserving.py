"""Reservations on a real PostgreSQL, with many at once: no interleaving exceeds a limit, and nobody is stuck."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from activities.database import Database
from activities.reserving import TOLD_AT_ONCE, next_in_row, take
from deploy.dev import Stack
from policy.canonical import canonical, digest
from policy.reserving import GRACE, Reserving, Turn, Wanted, pause
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

    async def register(self, name: str) -> Turn:
        """An action that is registered now, after those before it."""
        body = canonical({"name": name})
        await self.admin.execute(
            "INSERT INTO countersign.proposal (proposal_id, action_digest, effect_digest, body, workflow_id,"
            " registered_at, absolute_deadline) VALUES ($1, $2, $2, $3, $1, $4, $4)",
            *(name, digest(body), body, NOW),
        )
        return Turn(proposal_id=name, priority=3, registered_at=NOW)

    async def ask(self, turn: Turn, wanted: tuple[Wanted, ...], *, at: datetime = NOW, step: int = 1) -> Reserving:
        """Ask once, as a dispatch does."""
        async with self.database.transaction(turn.proposal_id) as connection:
            return await take(connection, wanted, turn, step=step, now=at, lease_until=at + timedelta(hours=1))

    async def end(self, name: str) -> None:
        """The action has its result."""
        body = canonical({"result": name})
        await self.admin.execute(
            "INSERT INTO countersign.result (proposal_id, body, digest, recorded_at) VALUES ($1, $2, $3, $4)",
            *(name, body, digest(body), NOW),
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
